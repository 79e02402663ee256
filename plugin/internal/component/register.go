// SPDX-License-Identifier: Apache-2.0

package component

import (
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/replay"
)

// Input is an input to register.
type Input struct {
	Name string
	Spec *service.ConfigSpec // with LintRule(Name)
	New  func(conf *service.ParsedConfig, mgr *service.Resources) (replay.Input, error)

	// Check reads the configuration as New does, but builds nothing. What is wrong it
	// leaves in the reader.
	Check func(r *FieldReader, l Labels)
	// StandIns are values for the fields that have to be there, so that the others
	// can be checked where one is missing. InPlace are values for those that have one
	// which can't be parsed: without any, the field counts as absent.
	StandIns, InPlace map[string]any
	// Complete, if set, adds what the others are to be checked with. written is the
	// configuration with all its fields; in config those are missing that can't be
	// parsed, or may be empty because a variable is not set. emptied says that some
	// variable certainly is not set.
	Complete func(config, written map[string]any, emptied bool)
}

// inputs are those that are registered. They are added in init functions only.
var inputs = map[string]*Input{}

// Register registers an input with its lint rule. It is for init functions.
func Register(in *Input) {
	inputs[in.Name] = in
	service.MustRegisterBatchInput(in.Name, in.Spec,
		func(conf *service.ParsedConfig, mgr *service.Resources) (service.BatchInput, error) {
			made, err := in.New(conf, mgr)
			if err != nil {
				return nil, err
			}
			return replay.New(conf, made)
		})
}
