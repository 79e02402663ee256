// SPDX-License-Identifier: Apache-2.0

package message_test

import (
	"fmt"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"
)

// BenchmarkProcessor is a message of the sandbox's, with the metadata that the
// input gives it: through the processor, and through the mapping that it replaced.
//
//	go test -run - -bench . ./plugin/message
func BenchmarkProcessor(b *testing.B) {
	var messages []*service.Message
	for _, item := range corpus(b) {
		messages = append(messages, newMessage(item, metadata{
			"kommo_scope_id": "scope", "kommo_chat_id": "chat", "kommo_direction": "incoming", "kommo_message_id": "message",
			"kommo_message_type": "text", "kommo_timestamp": int64(1700000000), "kommo_msec_timestamp": int64(1700000000123),
			"kommo_sender_id": "sender", "kommo_sender_name": "Анна", "kommo_sender_phone": "+15550100199", "kommo_sender_email": "anna@example.com",
			"kommo_sender_client_id": "client", "kommo_sender_avatar": "https://images.example.com/users/avatar.png",
			"kommo_receiver_id": "receiver", "kommo_receiver_name": "Support", "kommo_receiver_client_id": "desk",
			"kommo_receiver_avatar": "https://images.example.com/agents/17.png", "kommo_receiver_email": "desk@example.com",
		}))
	}
	for name, p := range map[string]*service.OwnedProcessor{
		"kommo_message":                       owned(b, "kommo_message: {}"),
		"kommo_message_without_personal_data": owned(b, "kommo_message: { personal_data: false }"),
		"mapping":                             owned(b, fmt.Sprintf("mapping: %q", "from \"testdata/mapping.blobl\"")),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				batch, err := p.Process(b.Context(), messages[i%len(messages)].Copy())
				require.NoError(b, err)
				require.NoError(b, batch[0].GetError())
				if _, err := batch[0].AsBytes(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
