// SPDX-License-Identifier: Apache-2.0

package message

import (
	"fmt"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// config is the configuration of the processor.
type config struct {
	// personal is whether what names or reaches a person is kept.
	personal bool
	// tombstones is whether a deletion has no content.
	tombstones bool
}

// parseConfig takes true and false alone, also as text, as of a variable in quotes.
// A boolean field would take an empty value for false, as of a variable that is set
// to nothing, and its lint would not be asked about a maybe.
func parseConfig(parsed *service.ParsedConfig) (config, error) {
	c, err := parsePersonalData(parsed)
	if err == nil {
		c.tombstones, err = parsed.FieldBool(fieldTombstones)
	}
	return c, err
}

func parsePersonalData(parsed *service.ParsedConfig) (config, error) {
	v, err := parsed.FieldAny(fieldPersonalData)
	if err != nil {
		return config{}, err
	}
	switch v {
	case true, "true":
		return config{personal: true}, nil
	case false, "false":
		return config{personal: false}, nil
	case nil, "":
		return config{}, fmt.Errorf("%s: want true or false, and it is empty", fieldPersonalData)
	default:
		return config{}, fmt.Errorf("%s: want true or false, got %q", fieldPersonalData, fmt.Sprint(v))
	}
}

// lintPersonalData says the same in the lint.
const lintPersonalData = `root = match {
  this == null || this == "" => "` + fieldPersonalData + `: want true or false, and it is empty",
  this.string() != "true" && this.string() != "false" => "` + fieldPersonalData + `: want true or false, got %q".format(this.string()),
  _ => null,
}`
