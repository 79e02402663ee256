// SPDX-License-Identifier: Apache-2.0

package apicall

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestPlainID(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"d5a4677e-2f1a-4c6c-9e0b-1234567890ab", "00000001-0000-4000-8000-000000000042", "talk-7-58", "01h2t1v3x5", "com.wazzup24.wz"} {
		assert.True(t, PlainID(id), id)
	}
	for _, text := range []string{"", "79161234567", "id79161234567words", "+7 916 123-45-67", "words of a message", "a\nb", strings.Repeat("a", 65)} {
		assert.False(t, PlainID(text), text)
	}
}
