// SPDX-License-Identifier: Apache-2.0

package message

import "github.com/redpanda-data/benthos/v4/public/service"

func init() {
	service.MustRegisterProcessor(name, spec(),
		func(parsed *service.ParsedConfig, _ *service.Resources) (service.Processor, error) {
			conf, err := parseConfig(parsed)
			if err != nil {
				return nil, err
			}
			return newProcessor(conf), nil
		})
}
