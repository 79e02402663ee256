// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCopyDocuments_CountsWhatCameOut(t *testing.T) {
	t.Parallel()
	in := `{"chat":"a","text":"1"}` + "\n" + `{"chat":"b","text":"2"}` + "\n" + `{"chat":"a","text":"3"}` + "\n"
	var out bytes.Buffer
	read, err := copyDocuments(&out, strings.NewReader(in))
	require.NoError(t, err)
	assert.Equal(t, in, out.String())
	assert.Equal(t, "Read 3 messages of 2 chats.", read.line(".demo"))
}

func TestCopyDocuments_RefusesWhatIsNoDocument(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"level=info msg=hello\n", "{}\n", `{"chat":""}` + "\n", "\n"} {
		_, err := copyDocuments(new(bytes.Buffer), strings.NewReader(line))
		assert.Error(t, err, line)
	}
}

func TestTally_SaysWhyNothingWasRead(t *testing.T) {
	t.Parallel()
	assert.Contains(t, tally{of: 4}.line(".demo"), "Read 0 messages: the checkpoints in .demo say that all 4 chats")
}
