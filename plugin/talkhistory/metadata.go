// SPDX-License-Identifier: Apache-2.0

package talkhistory

import (
	"strconv"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
)

// The metadata keys. They are a public contract.
const (
	metaTalkID         = "kommo_talk_id"
	metaMessageID      = "kommo_message_id"
	metaMessageType    = "kommo_message_type"
	metaDirection      = "kommo_direction"
	metaTimestamp      = "kommo_timestamp"
	metaMsecTimestamp  = "kommo_msec_timestamp"
	metaOrigin         = "kommo_origin"
	metaContactID      = "kommo_contact_id"
	metaEntityID       = "kommo_entity_id"
	metaEntityType     = "kommo_entity_type"
	metaDeliveryStatus = "kommo_delivery_status"
)

// personKeys are the metadata keys of one person.
type personKeys struct{ id, name, avatar, kind, userID string }

var (
	senderKeys = personKeys{
		"kommo_sender_id", "kommo_sender_name", "kommo_sender_avatar", "kommo_sender_type", "kommo_sender_user_id",
	}
	receiverKeys = personKeys{
		"kommo_receiver_id", "kommo_receiver_name", "kommo_receiver_avatar", "kommo_receiver_type", "kommo_receiver_user_id",
	}
)

// The values of metaDirection, boxed once for all messages.
var incoming, outgoing any = "incoming", "outgoing"

// facts are what is known of a talk from where it was named. Any can be "".
type facts struct {
	origin, contactID, entityID, entityType string
	chatID                                  string // of its messages, for what tells of deletions
}

// mint makes pipeline messages of the items of one batch: the body verbatim, and
// metadata for every value that the API gave.
//
// Most messages of a talk differ from the one before in the same direction by little
// more than id and time. Such a message begins as a copy of that one, which makes its
// metadata as large as it will be at once and shares the values that are the same.
type mint struct {
	talk               string
	facts              facts
	incoming, outgoing template
}

// template is a copy of a message that was made. It is never handed out, so
// nothing in the pipeline can change it.
type template struct {
	of      *crm.Message // nil: there is none yet
	message *service.Message
}

// message makes the next message of the batch.
func (t *mint) message(m *crm.Message) *service.Message {
	like := &t.incoming
	if m.Type != "incoming" {
		like = &t.outgoing
	}
	if like.fits(m) {
		out := like.message.Copy()
		out.SetBytes(m.Raw)
		setOwn(out, m)
		return out
	}
	out := service.NewMessage(m.Raw)
	t.setTalk(out)
	component.SetText(out, component.MetaChatID, m.ChatID)
	if d := directionOf(m); d != nil {
		out.MetaSetMut(metaDirection, d)
	}
	component.SetText(out, metaMessageType, m.MessageType)
	component.SetText(out, metaDeliveryStatus, m.DeliveryStatus)
	setPerson(out, &senderKeys, &m.Author)
	setPerson(out, &receiverKeys, &m.Recipient)
	setOwn(out, m)
	*like = template{of: m, message: out.Copy()}
	return out
}

// deleted makes the message that tells of a deletion: an empty object, and the ids.
func (t *mint) deleted(id string) *service.Message {
	out := service.NewMessage([]byte("{}"))
	t.setTalk(out)
	component.SetText(out, component.MetaChatID, t.facts.chatID)
	component.SetText(out, metaMessageID, id)
	return out
}

// setTalk sets what all messages of the talk share.
func (t *mint) setTalk(out *service.Message) {
	setNumber(out, metaTalkID, t.talk)
	component.SetText(out, metaOrigin, t.facts.origin)
	setNumber(out, metaContactID, t.facts.contactID)
	setNumber(out, metaEntityID, t.facts.entityID)
	component.SetText(out, metaEntityType, t.facts.entityType)
}

// fits says that a message of the item has the keys of the template, and differs
// from it in nothing but what setOwn sets.
func (t *template) fits(m *crm.Message) bool {
	of := t.of
	return of != nil &&
		of.Type == m.Type && of.MessageType == m.MessageType && of.DeliveryStatus == m.DeliveryStatus &&
		of.ChatID == m.ChatID && of.Author == m.Author && of.Recipient == m.Recipient &&
		(of.ID == "") == (m.ID == "") &&
		(of.CreatedAt == 0) == (m.CreatedAt == 0) &&
		(of.MsecCreatedAt == 0) == (m.MsecCreatedAt == 0)
}

// setOwn sets what no two messages share.
func setOwn(out *service.Message, m *crm.Message) {
	component.SetText(out, metaMessageID, m.ID)
	if m.CreatedAt != 0 {
		out.MetaSetMut(metaTimestamp, m.CreatedAt)
	}
	if ms, _ := sentAt(m); ms != 0 {
		out.MetaSetMut(metaMsecTimestamp, ms)
	}
}

// directionOf returns which way a message went, nil if nothing tells.
func directionOf(m *crm.Message) any {
	switch {
	case m.Type == "incoming":
		return incoming
	case m.Type == "outgoing":
		return outgoing
	case m.Author.Type == "external":
		return incoming
	case m.Author.Type == "internal", m.Author.Type == "bot":
		return outgoing
	}
	return nil
}

func setPerson(out *service.Message, k *personKeys, p *crm.Person) {
	component.SetText(out, k.id, p.ID)
	component.SetText(out, k.name, p.Name)
	component.SetText(out, k.avatar, p.AvatarURL)
	component.SetText(out, k.kind, p.Type)
	setNumber(out, k.userID, p.UserID)
}

// setNumber sets an id that is a number in the CRM as one, and what is not as text.
func setNumber(out *service.Message, key, value string) {
	if n, err := strconv.ParseInt(value, 10, 64); err == nil && strconv.FormatInt(n, 10) == value {
		out.MetaSetMut(key, n)
		return
	}
	component.SetText(out, key, value)
}
