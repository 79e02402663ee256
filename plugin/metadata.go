// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/amojo"
)

// The metadata keys. They are a public contract.
const (
	metaScopeID         = "kommo_scope_id"
	metaChatID          = "kommo_chat_id"
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

// newMessage makes a pipeline message of an item: the body verbatim, and
// metadata for every value that the API gave.
func newMessage(scope, chat any, it *amojo.Item) *service.Message {
	m := service.NewMessage(it.Raw)
	m.MetaSetMut(metaScopeID, scope)
	m.MetaSetMut(metaChatID, chat)
	setText(m, metaMessageID, it.ID)
	setText(m, metaMessageClientID, it.ClientID)
	setText(m, metaMessageType, it.Type)
	setText(m, metaMediaGroupID, it.MediaGroupID)
	if it.HasReceiver {
		m.MetaSetMut(metaDirection, "outgoing")
	} else {
		m.MetaSetMut(metaDirection, "incoming")
	}
	if it.Timestamp != 0 {
		m.MetaSetMut(metaTimestamp, it.Timestamp)
	}
	if ms := sentAt(it); ms != 0 {
		m.MetaSetMut(metaMsecTimestamp, ms)
	}
	setParty(m, &senderKeys, &it.Sender)
	setParty(m, &receiverKeys, &it.Receiver)
	return m
}

func setParty(m *service.Message, k *partyKeys, p *amojo.Party) {
	setText(m, k.id, p.ID)
	setText(m, k.name, p.Name)
	setText(m, k.clientID, p.ClientID)
	setText(m, k.avatar, p.Avatar)
	setText(m, k.phone, p.Phone)
	setText(m, k.email, p.Email)
}

func setText(m *service.Message, key, value string) {
	if value != "" {
		m.MetaSetMut(key, value)
	}
}
