// SPDX-License-Identifier: Apache-2.0

package message_test

import (
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The lint refuses what the start refuses, in the same words.
func TestConfig_PersonalDataIsTrueOrFalse(t *testing.T) {
	t.Parallel()
	linter := service.NewEnvironment().NewComponentConfigLinter()
	for value, want := range map[string]string{
		"true": "", "false": "", "'true'": "", "'false'": "",
		"":      "personal_data: want true or false, and it is empty",
		"~":     "personal_data: want true or false, and it is empty",
		"no":    `personal_data: want true or false, got "no"`,
		"maybe": `personal_data: want true or false, got "maybe"`,
		"0":     `personal_data: want true or false, got "0"`,
		"''":    "personal_data: want true or false, and it is empty",
		"[]":    `personal_data: want true or false, got "[]"`,
	} {
		yaml := "kommo_message: { personal_data: " + value + " }"
		lints, err := linter.LintProcessorYAML([]byte(yaml))
		require.NoError(t, err)
		spec := service.NewConfigSpec().Field(service.NewProcessorField("of"))
		conf, err := spec.ParseYAML("of: { "+yaml+" }", nil)
		require.NoError(t, err)
		_, err = conf.FieldProcessor("of")
		if want == "" {
			assert.NoError(t, err, value)
			assert.Empty(t, lints, value)
			continue
		}
		assert.ErrorContains(t, err, want, value)
		if assert.Len(t, lints, 1, value) {
			assert.Equal(t, want, lints[0].What)
		}
	}
}
