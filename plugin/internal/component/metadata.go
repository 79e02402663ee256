// SPDX-License-Identifier: Apache-2.0

package component

import (
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
)

// MetaChatID is the metadata key of a chat's id in the Chats API. It is a public
// contract, and how one input names a chat to another.
const MetaChatID = "kommo_chat_id"

// SetText sets a metadata value, unless the API gave none.
func SetText(m *service.Message, key, value string) {
	if value != "" {
		m.MetaSetMut(key, value)
	}
}

// metaOperation is the metadata key of what became of a message. It is a public contract.
const metaOperation = "kommo_operation"

// The values of metaOperation, boxed once for all messages.
var operations = [...]any{chat.Create: "create", chat.Update: "update", chat.Delete: "delete"}

// Messages makes the messages of what the reader has read, and returns when the newest of them
// was sent, in Unix milliseconds. message makes one of an item's value, deleted one that tells of
// a deletion. With changes each says what became of it.
func Messages(items []chat.Item, changes bool, message func(value any) *service.Message, deleted func(id string) *service.Message) (out service.MessageBatch, newest int64) {
	out = make(service.MessageBatch, len(items))
	for i := range items {
		it := &items[i]
		if it.Op == chat.Delete {
			out[i] = deleted(it.ID)
		} else {
			out[i] = message(it.Value)
		}
		if changes {
			out[i].MetaSetMut(metaOperation, operations[it.Op])
		}
		newest = max(newest, it.Time)
	}
	return out, newest
}
