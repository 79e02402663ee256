// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
)

// tally counts the documents that came out of the pipeline.
type tally struct {
	messages int
	chats    map[string]struct{}
	of       int // chats that the pipeline was told to read
}

// copyDocuments copies lines as they come and counts them. A line that is not
// a document with a chat is an error: something else got into the output.
func copyDocuments(out io.Writer, in io.Reader) (tally, error) {
	t := tally{chats: map[string]struct{}{}}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var doc struct {
				Chat string `json:"chat"`
			}
			if err := json.Unmarshal(line, &doc); err != nil || doc.Chat == "" {
				return t, fmt.Errorf("reading the pipeline's output: want a document with a chat, got %q", line)
			}
			if _, err := out.Write(line); err != nil {
				return t, fmt.Errorf("printing a document: %w", err)
			}
			t.messages++
			t.chats[doc.Chat] = struct{}{}
		}
		if err == io.EOF {
			return t, nil
		}
		if err != nil {
			return t, fmt.Errorf("reading the pipeline's output: %w", err)
		}
	}
}

func (t tally) line(dir string) string {
	if t.messages == 0 {
		return fmt.Sprintf("Read 0 messages: the checkpoints in %s say that all %d chats were delivered before. "+
			"make clean forgets them.", dir, t.of)
	}
	return fmt.Sprintf("Read %d messages of %d chats.", t.messages, len(t.chats))
}
