// SPDX-License-Identifier: Apache-2.0

package chathistory

import (
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/amojo"
	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
)

// The metadata keys. They are a public contract.
const (
	metaScopeID         = "kommo_scope_id"
	metaMessageID       = "kommo_message_id"
	metaMessageClientID = "kommo_message_client_id"
	metaMessageType     = "kommo_message_type"
	metaMediaGroupID    = "kommo_media_group_id"
	metaDirection       = "kommo_direction"
	metaTimestamp       = "kommo_timestamp"
	metaMsecTimestamp   = "kommo_msec_timestamp"
)

// partyKeys are the metadata keys of one party.
type partyKeys struct{ id, name, clientID, avatar, phone, email string }

var (
	senderKeys = partyKeys{
		"kommo_sender_id", "kommo_sender_name", "kommo_sender_client_id",
		"kommo_sender_avatar", "kommo_sender_phone", "kommo_sender_email",
	}
	receiverKeys = partyKeys{
		"kommo_receiver_id", "kommo_receiver_name", "kommo_receiver_client_id",
		"kommo_receiver_avatar", "kommo_receiver_phone", "kommo_receiver_email",
	}
)

// The values of metaDirection, boxed once for all messages.
var incoming, outgoing any = "incoming", "outgoing"

// mint makes pipeline messages of the items of one batch: the body verbatim, and
// metadata for every value that the API gave.
//
// Most messages of a chat differ from the one before in the same direction by
// little more than id and time. Such a message begins as a copy of that one,
// which makes its metadata as large as it will be at once and shares the values
// that are the same. Filling metadata key by key instead grows it twice, and
// takes twice the memory.
type mint struct {
	scope, chat        any
	incoming, outgoing template
}

// template is a copy of a message that was made. It is never handed out, so
// nothing in the pipeline can change it.
type template struct {
	of      *amojo.Item // nil: there is none yet
	message *service.Message
}

// message makes the next message of the batch.
func (t *mint) message(it *amojo.Item) *service.Message {
	like, direction := &t.incoming, incoming
	if it.HasReceiver {
		like, direction = &t.outgoing, outgoing
	}
	if like.fits(it) {
		m := like.message.Copy()
		m.SetBytes(it.Raw)
		setOwn(m, it)
		return m
	}
	m := service.NewMessage(it.Raw)
	m.MetaSetMut(metaScopeID, t.scope)
	m.MetaSetMut(component.MetaChatID, t.chat)
	m.MetaSetMut(metaDirection, direction)
	component.SetText(m, metaMessageType, it.Type)
	setParty(m, &senderKeys, &it.Sender)
	setParty(m, &receiverKeys, &it.Receiver)
	setOwn(m, it)
	*like = template{of: it, message: m.Copy()}
	return m
}

// deleted makes the message that tells of a deletion: an empty object, and the ids.
func (t *mint) deleted(id string) *service.Message {
	m := service.NewMessage([]byte("{}"))
	m.MetaSetMut(metaScopeID, t.scope)
	m.MetaSetMut(component.MetaChatID, t.chat)
	m.MetaSetMut(metaMessageID, id)
	return m
}

// fits says that a message of the item has the keys of the template, and differs
// from it in nothing but what setOwn sets.
func (t *template) fits(it *amojo.Item) bool {
	of := t.of
	return of != nil &&
		of.Type == it.Type && of.Sender == it.Sender && of.Receiver == it.Receiver &&
		(of.ID == "") == (it.ID == "") &&
		(of.ClientID == "") == (it.ClientID == "") &&
		(of.MediaGroupID == "") == (it.MediaGroupID == "") &&
		(of.Timestamp == 0) == (it.Timestamp == 0) &&
		(of.MsecTimestamp == 0) == (it.MsecTimestamp == 0)
}

// setOwn sets what no two messages share.
func setOwn(m *service.Message, it *amojo.Item) {
	component.SetText(m, metaMessageID, it.ID)
	component.SetText(m, metaMessageClientID, it.ClientID)
	component.SetText(m, metaMediaGroupID, it.MediaGroupID)
	if it.Timestamp != 0 {
		m.MetaSetMut(metaTimestamp, it.Timestamp)
	}
	if ms, _ := sentAt(it); ms != 0 {
		m.MetaSetMut(metaMsecTimestamp, ms)
	}
}

func setParty(m *service.Message, k *partyKeys, p *amojo.Party) {
	component.SetText(m, k.id, p.ID)
	component.SetText(m, k.name, p.Name)
	component.SetText(m, k.clientID, p.ClientID)
	component.SetText(m, k.avatar, p.Avatar)
	component.SetText(m, k.phone, p.Phone)
	component.SetText(m, k.email, p.Email)
}
