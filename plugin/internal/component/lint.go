// SPDX-License-Identifier: Apache-2.0

package component

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"
	"gopkg.in/yaml.v3"

	"github.com/kommo-connect/kommo-connect/internal/lintinfo"
)

// A lint rule is written in Bloblang, but what makes a configuration wrong is found by
// Go code, when the input is built. So that lint and start agree, word for word, each
// rule calls the Bloblang function lintFunction, which runs that code.

const lintFunction = "kommo_lint"

// LintRule is the lint rule of an input that is registered under a name.
func LintRule(input string) string { return fmt.Sprintf("root = %s(%q, this)", lintFunction, input) }

// A variable, not an init function: specs are made in init functions, and parse
// their rules.
var _ = registerLint(lintFunction)

// registerLint returns the name that it has registered.
func registerLint(name string) string {
	spec := bloblang.NewPluginSpec().
		Category("Plugin").
		Description("Returns what is wrong with the configuration of a Kommo input. It serves the lint rules of these inputs.").
		Param(bloblang.NewStringParam("input").Description("The name of the input.")).
		Param(bloblang.NewAnyParam("config").Description("Its fields.")).
		Param(bloblang.NewBoolParam("mistyped").Default(false).
			Description("Say something only of a configuration in which a field has a value of another type. The engine's linter calls no rule for such."))
	bloblang.MustRegisterFunctionV2(name, spec, func(args *bloblang.ParsedParams) (bloblang.Function, error) {
		input, err := args.GetString("input")
		if err != nil {
			return nil, err
		}
		config, err := args.Get("config")
		if err != nil {
			return nil, err
		}
		only, err := args.GetBool("mistyped")
		if err != nil {
			return nil, err
		}
		return func() (any, error) {
			found := []any{}
			if config, ok := config.(map[string]any); ok {
				mistyped, wrong := lint(input, config)
				if only && len(mistyped) == 0 {
					wrong = nil
				}
				for _, err := range append(mistyped, wrong...) {
					found = append(found, err.Error())
				}
			}
			return found, nil
		}, nil
	})
	return name
}

// lint returns what is wrong with the fields of an input: those with a value of
// another type first. The engine itself reports missing and unknown fields, and what
// should be a list or an object and is not.
func lint(input string, config map[string]any) (mistyped, wrong []error) {
	in, ok := inputs[input]
	if !ok {
		return nil, []error{fmt.Errorf("%s: there is no input with the name %q", lintFunction, input)}
	}
	config = maps.Clone(config)
	set, known := lintinfo.Variables()
	written := maps.Clone(config)
	if !set {
		dropEmpty(config)
	}

	for _, field := range slices.Sorted(maps.Keys(config)) {
		_, err := in.parse(map[string]any{field: config[field]})
		if err == nil {
			continue
		}
		if err := typeError(field, err); err != nil {
			mistyped = append(mistyped, err)
		}
		delete(config, field)
		if other, ok := in.InPlace[field]; ok {
			config[field] = other
		}
	}
	if in.Complete != nil {
		in.Complete(config, written, known && !set)
	}

	conf, err := in.parse(config)
	if err != nil {
		return mistyped, nil // the engine reports it
	}
	r := &FieldReader{Conf: conf, Linting: true}
	in.Check(r, lintinfo.Labels{})
	return mistyped, r.errs
}

// parse parses fields, and stand-ins for those that have to be there.
func (in *Input) parse(config map[string]any) (*service.ParsedConfig, error) {
	all := maps.Clone(in.StandIns)
	maps.Copy(all, config)
	text, err := yaml.Marshal(all)
	if err != nil {
		return nil, err
	}
	return in.Spec.ParseYAML(string(text), nil)
}

// dropEmpty removes what may be empty because a variable is not set.
func dropEmpty(config map[string]any) {
	empty := func(v any) bool { return v == nil || v == "" }
	for field, v := range config {
		switch v := v.(type) {
		case []any:
			if v = slices.DeleteFunc(slices.Clone(v), empty); len(v) == 0 {
				delete(config, field)
			} else {
				config[field] = v
			}
		case map[string]any:
			if v = maps.Clone(v); len(v) > 0 {
				dropEmpty(v)
				config[field] = v
			}
		default:
			if empty(v) {
				delete(config, field)
			}
		}
	}
}

var wrongScalar = regexp.MustCompile("cannot unmarshal !!\\w+ (?:`.*` )?into (int|float64|bool)\\b")

// typeError returns what the engine says of a field when it builds the input, with
// what to do; nil if its linter says it.
func typeError(field string, err error) error {
	m := wrongScalar.FindStringSubmatch(err.Error())
	if m == nil {
		return nil
	}
	want := map[string]string{"int": "a whole number", "float64": "a number", "bool": "true or false"}[m[1]]
	return fmt.Errorf("%s: %s: want %s", field, m[0], want)
}

// elsewhere tells whether an error is of a file. A configuration is often linted on
// another machine than the one that runs it.
func elsewhere(err error) bool {
	var file *fs.PathError
	return errors.As(err, &file)
}
