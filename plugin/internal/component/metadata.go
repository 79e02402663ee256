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

// SetOperation sets what became of a message.
func SetOperation(m *service.Message, op chat.Op) { m.MetaSetMut(metaOperation, operations[op]) }
