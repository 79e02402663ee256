// SPDX-License-Identifier: Apache-2.0

package chatlist

import (
	"strconv"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
	"github.com/kommo-connect/kommo-connect/plugin/internal/feed"
)

// The metadata keys that only kommo_chats has. They are a public contract.
const (
	metaTalkID     = "kommo_talk_id"
	metaContactID  = "kommo_contact_id"
	metaOrigin     = "kommo_origin"
	metaEntityID   = "kommo_entity_id"
	metaEntityType = "kommo_entity_type"
	metaUpdatedAt  = "kommo_updated_at"
)

// entry is a message to be.
type entry struct {
	message *service.Message
	updated int64 // Unix seconds; 0: not known
}

// chatEntry makes an entry of a row of a list: the body verbatim, and metadata for every
// value that the API gave.
func chatEntry(e *crm.Entry, updated int64) entry {
	m := service.NewMessage(e.Raw)
	component.SetText(m, component.MetaChatID, strings.TrimSpace(e.ChatID))
	setValue(m, metaTalkID, e.TalkID)
	setValue(m, metaContactID, e.ContactID)
	component.SetText(m, metaOrigin, e.Origin)
	if e.UpdatedAt != 0 {
		m.MetaSetMut(metaUpdatedAt, e.UpdatedAt)
	}
	return entry{m, updated}
}

// lookedUp makes one of a talk that was asked for, because of an event of a time.
func lookedUp(e *crm.Entry, updated int64) entry {
	made := chatEntry(e, max(updated, unixSeconds(e.UpdatedAt)))
	setValue(made.message, metaEntityID, e.EntityID)
	component.SetText(made.message, metaEntityType, e.EntityType)
	return made
}

// talkEntry makes one of a talk with news.
func talkEntry(t *feed.Talk) entry {
	m := service.NewMessage(t.Raw)
	component.SetText(m, component.MetaChatID, strings.TrimSpace(t.ChatID))
	setNumber(m, metaTalkID, t.ID)
	setNumber(m, metaContactID, t.ContactID)
	component.SetText(m, metaOrigin, t.Origin)
	setNumber(m, metaEntityID, t.EntityID)
	component.SetText(m, metaEntityType, t.EntityType)
	if t.Updated != 0 {
		m.MetaSetMut(metaUpdatedAt, t.Updated)
	}
	return entry{m, t.Updated}
}

// setValue keeps a number a number.
func setValue(m *service.Message, key string, v crm.Value) {
	if v.Is {
		m.MetaSetMut(key, v.Number)
		return
	}
	component.SetText(m, key, v.Text)
}

// setNumber sets digits as the number that the API gave.
func setNumber(m *service.Message, key, digits string) {
	if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
		m.MetaSetMut(key, n)
		return
	}
	component.SetText(m, key, digits)
}
