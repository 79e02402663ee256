// SPDX-License-Identifier: Apache-2.0

package chatlist

import (
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
)

// The metadata keys that only kommo_chats has. They are a public contract.
const (
	metaTalkID    = "kommo_talk_id"
	metaContactID = "kommo_contact_id"
	metaOrigin    = "kommo_origin"
	metaUpdatedAt = "kommo_updated_at"
)

// newMessage makes a pipeline message of an entry: the body verbatim, and
// metadata for every value that the API gave.
func newMessage(e *crm.Entry) *service.Message {
	m := service.NewMessage(e.Raw)
	component.SetText(m, component.MetaChatID, strings.TrimSpace(e.ChatID))
	setValue(m, metaTalkID, e.TalkID)
	setValue(m, metaContactID, e.ContactID)
	component.SetText(m, metaOrigin, e.Origin)
	if e.UpdatedAt != 0 {
		m.MetaSetMut(metaUpdatedAt, e.UpdatedAt)
	}
	return m
}

// setValue keeps a number a number.
func setValue(m *service.Message, key string, v crm.Value) {
	if v.Is {
		m.MetaSetMut(key, v.Number)
		return
	}
	component.SetText(m, key, v.Text)
}
