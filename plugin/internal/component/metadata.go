// SPDX-License-Identifier: Apache-2.0

package component

import "github.com/redpanda-data/benthos/v4/public/service"

// MetaChatID is the metadata key of a chat's id in the Chats API. It is a public
// contract, and how one input names a chat to another.
const MetaChatID = "kommo_chat_id"

// SetText sets a metadata value, unless the API gave none.
func SetText(m *service.Message, key, value string) {
	if value != "" {
		m.MetaSetMut(key, value)
	}
}
