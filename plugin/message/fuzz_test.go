// SPDX-License-Identifier: Apache-2.0

package message_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever a body is, it becomes a document or an error: a document where
// encoding/json reads an object in it that is not mapped yet.
func FuzzProcessor(f *testing.F) {
	for _, item := range corpus(f)[:100] {
		f.Add([]byte(item), false)
	}
	f.Add([]byte(outgoingItem), false)
	f.Add([]byte(talkMessage), true)
	for _, value := range spelled {
		f.Add([]byte(value), false)
		f.Add([]byte(`{"message":{"text":`+value+`,"location":{"lat":`+value+`,"lon":1},"new":`+value+`},"timestamp":`+value+`}`), false)
	}
	p := processor(f, "")
	f.Fuzz(func(t *testing.T, content []byte, talk bool) {
		meta := fromChat
		if talk {
			meta = fromTalk
		}
		m, err := process(t, p, newMessage(string(content), meta))
		var object map[string]any
		readable := json.Unmarshal(content, &object) == nil && object != nil
		if _, mapped := object["schema_version"]; err != nil && mapped {
			return
		}
		require.Equal(t, readable, err == nil)
		if err == nil {
			message := body(t, m)
			require.NotEmpty(t, message["message_id"])
			require.Equal(t, json.Number("1"), message["schema_version"])
		}
	})
}
