// SPDX-License-Identifier: Apache-2.0

package message

import "github.com/redpanda-data/benthos/v4/public/service"

// config is the configuration of the processor.
type config struct {
	// personal is whether what names or reaches a person is kept.
	personal bool
}

func parseConfig(parsed *service.ParsedConfig) (config, error) {
	personal, err := parsed.FieldBool(fieldPersonalData)
	return config{personal: personal}, err
}
