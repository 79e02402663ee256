// SPDX-License-Identifier: Apache-2.0

package message_test

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/assert"
)

var fromTalk = metadata{
	"kommo_talk_id": int64(1109), "kommo_chat_id": "chat", "kommo_contact_id": int64(22), "kommo_entity_id": int64(33),
	"kommo_entity_type": "lead", "kommo_origin": "waba",
}

const talkMessage = `{
	"id": "m", "chat_id": "chat", "type": "outgoing", "message_type": "picture", "text": "Hello", "created_at": 1700000000,
	"author": {"id": "a", "type": "internal", "name": "Manager", "avatar_url": "https://a", "user_id": 7},
	"recipient": {"id": "c", "type": "external", "name": "Client", "avatar_url": "https://c"},
	"delivery_status": "read", "attachment": {"type": "picture", "link": "https://m", "file_name": "box.jpg"},
	"location": {"lon": 2.5, "lat": 1.5}, "contact": {"name": "Contact", "phone": "+3"}
}`

const flatTalkMessage = `{
	"schema_version": 1, "chat_id": "chat", "talk_id": 1109, "contact_id": 22, "entity_id": 33, "entity_type": "lead", "origin": "waba",
	"message_id": "m", "direction": "outgoing", "type": "picture", "text": "Hello",
	"sent_at": "2023-11-14T22:13:20.000Z", "sent_at_ms": 1700000000000,
	"customer_id": "c", "customer_name": "Client", "agent_id": "a", "agent_name": "Manager", "agent_type": "user",
	"sender_id": "a", "sender_name": "Manager", "sender_avatar": "https://a", "sender_type": "internal", "sender_user_id": 7,
	"receiver_id": "c", "receiver_name": "Client", "receiver_avatar": "https://c", "receiver_type": "external",
	"delivery_status": "read", "media_url": "https://m", "media_file_name": "box.jpg",
	"location": {"lat": 1.5, "lon": 2.5}, "contact_name": "Contact", "contact_phone": "+3"
}`

func TestTalk_AMessageOfTheCRMAPI(t *testing.T) {
	t.Parallel()
	assert.Equal(t, object(t, flatTalkMessage), flat(t, processor(t, ""), talkMessage, fromTalk))
}

// What changes in the document when the message has something else.
func TestTalk_EveryOtherValue(t *testing.T) {
	t.Parallel()
	p := processor(t, "")
	for _, tc := range []struct{ change, want string }{
		{`{"id": 5}`, `{"message_id": "5"}`},
		{`{"chat_id": "other"}`, `{"chat_id": "other"}`},
		{`{"chat_id": null}`, `{}`},
		{`{"type": "incoming"}`, `{"direction": "incoming", "customer_id": "a", "customer_name": "Manager", "agent_id": "c", "agent_name": "Client", "agent_type": null}`},
		{`{"type": null}`, `{}`}, // internal wrote
		{`{"type": "internal_note"}`, `{"extra": {"type": "internal_note"}}`},
		{`{"type": null, "author": {"id": "c", "type": "external"}, "recipient": null}`, `{"direction": "incoming", "customer_id": "c", "customer_name": null,
			"agent_id": null, "agent_name": null, "agent_type": null, "sender_id": "c", "sender_name": null, "sender_avatar": null, "sender_type": "external", "sender_user_id": null,
			"receiver_id": null, "receiver_name": null, "receiver_avatar": null, "receiver_type": null}`},
		{`{"type": null, "author": null}`, `{"direction": null, "customer_id": null, "customer_name": null, "agent_id": null, "agent_name": null, "agent_type": null,
			"sender_id": null, "sender_name": null, "sender_avatar": null, "sender_type": null, "sender_user_id": null}`},
		{`{"author": {"id": "b", "type": "bot", "user_id": "x"}}`, `{"agent_id": "b", "agent_name": null, "agent_type": "bot", "sender_id": "b",
			"sender_name": null, "sender_avatar": null, "sender_type": "bot", "sender_user_id": null, "extra": {"author": {"user_id": "x"}}}`},
		{`{"message_type": ""}`, `{}`}, // the attachment's
		{`{"message_type": "voice"}`, `{"type": "voice", "extra": {"attachment": {"type": "picture"}}}`},
		{`{"created_at": null}`, `{"sent_at": null, "sent_at_ms": null}`},
		{`{"created_at": 0}`, `{"sent_at": null, "sent_at_ms": null}`},
		{`{"created_at": "soon"}`, `{"sent_at": null, "sent_at_ms": null, "extra": {"created_at": "soon"}}`},
		{`{"msec_created_at": 1700000000123}`, `{"sent_at": "2023-11-14T22:13:20.123Z", "sent_at_ms": 1700000000123}`},
		{`{"created_at": null, "sec_created_at": "1700000001"}`, `{"sent_at": "2023-11-14T22:13:21.000Z", "sent_at_ms": 1700000001000}`},
		{`{"delivery_status": ""}`, `{"delivery_status": null}`},
		{`{"attachment": "https://m"}`, `{"media_url": null, "media_file_name": null, "extra": {"attachment": "https://m"}}`},
		{`{"attachment": {"link": "", "size": 5}}`, `{"media_url": null, "media_file_name": null, "extra": {"attachment": {"size": 5}}}`},
		{`{"location": null, "contact": {}}`, `{"location": null, "contact_name": null, "contact_phone": null}`},
		{`{"reactions": ["👍"]}`, `{"extra": {"reactions": ["👍"]}}`},
	} {
		item, want := object(t, talkMessage), object(t, flatTalkMessage)
		maps.Copy(item, object(t, tc.change))
		maps.Copy(want, object(t, tc.want))
		maps.DeleteFunc(want, func(_ string, v any) bool { return v == nil })
		assert.Equal(t, want, flat(t, p, text(t, item), fromTalk), tc.change)
	}
}

// Without metadata the keys tell which API an item is of.
func TestTalk_ToldByItsKeys(t *testing.T) {
	t.Parallel()
	p := processor(t, "")
	assert.Equal(t, "m", flat(t, p, talkMessage, nil)["message_id"])
	assert.Equal(t, "read", flat(t, p, talkMessage, nil)["delivery_status"])
	assert.Equal(t, "m", flat(t, p, outgoingItem, nil)["message_id"])
	assert.Equal(t, "s@x", flat(t, p, outgoingItem, nil)["sender_email"])
}
