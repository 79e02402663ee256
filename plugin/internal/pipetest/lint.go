// SPDX-License-Identifier: Apache-2.0

package pipetest

import (
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"
)

// Lints returns what the linter says about an input.
func Lints(t *testing.T, conf string) []string {
	t.Helper()
	found, err := service.GlobalEnvironment().NewComponentConfigLinter().LintInputYAML([]byte(conf))
	require.NoError(t, err)
	out := []string{}
	for _, l := range found {
		out = append(out, l.What)
	}
	return out
}
