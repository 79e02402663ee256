// SPDX-License-Identifier: Apache-2.0

package message_test

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
)

const outgoingItem = `{
	"timestamp": 1700000000, "msec_timestamp": 1700000000123,
	"sender": {"id": "s", "name": "Sender", "client_id": "s-client", "avatar": "https://s", "phone": "+1", "email": "s@x"},
	"receiver": {"id": "r", "name": "Receiver", "client_id": "r-client", "avatar": "https://r", "phone": "+2", "email": "r@x"},
	"message": {
		"id": "m", "client_id": "m-client", "type": "picture", "text": "Hello",
		"media": "https://m", "thumbnail": "https://t", "file_name": "m.jpg", "file_size": 5, "media_group_id": "g",
		"location": {"lon": 2.5, "lat": 1.5}, "contact": {"name": "Contact", "phone": "+3"}, "new": 12345678901234567890
	}
}`

func TestProcessor_AnItemOfTheChatsAPI(t *testing.T) {
	t.Parallel()
	assert.Equal(t, object(t, `{
		"schema_version": 1, "scope_id": "scope", "chat_id": "chat", "direction": "outgoing",
		"message_id": "m", "message_client_id": "m-client", "type": "picture", "text": "Hello",
		"sent_at": "2023-11-14T22:13:20.123Z", "sent_at_ms": 1700000000123,
		"customer_id": "r", "customer_name": "Receiver", "agent_id": "s", "agent_name": "Sender",
		"sender_id": "s", "sender_name": "Sender", "sender_client_id": "s-client", "sender_avatar": "https://s",
		"sender_phone": "+1", "sender_email": "s@x",
		"receiver_id": "r", "receiver_name": "Receiver", "receiver_client_id": "r-client", "receiver_avatar": "https://r",
		"receiver_phone": "+2", "receiver_email": "r@x",
		"media_url": "https://m", "media_thumbnail_url": "https://t", "media_file_name": "m.jpg", "media_file_size": 5,
		"media_group_id": "g", "location": {"lat": 1.5, "lon": 2.5}, "contact_name": "Contact", "contact_phone": "+3",
		"extra": {"message": {"new": 12345678901234567890}}
	}`), flat(t, processor(t, ""), outgoingItem, fromChat))
}

func TestProcessor_TheSidesAreTheSameWhicheverWayItWent(t *testing.T) {
	t.Parallel()
	p := processor(t, "")
	incoming := flat(t, p, `{"sender":{"id":"client","name":"Анна"},"message":{"id":"1"}}`, fromChat)
	outgoing := flat(t, p, `{"sender":{"id":"desk"},"receiver":{"id":"client","name":"Анна"},"message":{"id":"2"}}`, fromChat)
	for _, message := range []map[string]any{incoming, outgoing} {
		assert.Equal(t, "client", message["customer_id"])
		assert.Equal(t, "Анна", message["customer_name"])
	}
	assert.NotContains(t, incoming, "agent_id")
	assert.Equal(t, "desk", outgoing["agent_id"])
	assert.NotContains(t, outgoing, "agent_type", "the Chats API does not tell a bot")

	meta := maps.Clone(fromChat)
	meta["kommo_direction"] = "outgoing"
	assert.Equal(t, "client", flat(t, p, `{"sender":{"id":"client"},"message":{"id":"1"}}`, meta)["agent_id"], "the metadata decides")
}

func TestProcessor_MetadataFields(t *testing.T) {
	t.Parallel()
	p := processor(t, "")
	known := metadata{
		"kommo_talk_id": int64(1109), "kommo_contact_id": "22", "kommo_entity_id": 33, "kommo_entity_type": "lead",
		"kommo_origin": "waba", "kommo_operation": "update", "kommo_delivery_status": "read",
	}
	maps.Copy(known, fromChat)
	message := flat(t, p, `{"message":{"id":"m"}}`, known)
	for key, want := range map[string]any{
		"talk_id": json.Number("1109"), "contact_id": json.Number("22"), "entity_id": json.Number("33"), "entity_type": "lead",
		"origin": "waba", "operation": "update", "delivery_status": "read",
	} {
		assert.Equal(t, want, message[key], key)
	}
	for _, odd := range []any{"", "abc", int64(-1), int64(0), 1.5, true, nil, []any{}} {
		meta := maps.Clone(fromChat)
		meta["kommo_talk_id"], meta["kommo_direction"] = odd, odd
		message := flat(t, p, `{"message":{"id":"m"}}`, meta)
		assert.NotContains(t, message, "talk_id")
		assert.Equal(t, "incoming", message["direction"])
	}
}

// A deletion has its ids in the metadata, and nothing in its body.
func TestProcessor_ADeletion(t *testing.T) {
	t.Parallel()
	for _, meta := range []metadata{
		{"kommo_scope_id": "scope", "kommo_chat_id": "chat", "kommo_message_id": "m", "kommo_operation": "delete"},
		{"kommo_talk_id": int64(1), "kommo_chat_id": "chat", "kommo_message_id": "m", "kommo_operation": "delete"},
	} {
		message := flat(t, processor(t, ""), `{}`, meta)
		assert.Equal(t, "m", message["message_id"])
		assert.Equal(t, "chat", message["chat_id"])
		assert.Equal(t, "delete", message["operation"])
		assert.NotContains(t, message, "direction", "nobody knows it")
	}
}

// As a tombstone it has no content, which is less than an empty one.
func TestProcessor_Tombstones(t *testing.T) {
	t.Parallel()
	p := processor(t, "tombstones: true")
	for op, want := range map[string]bool{"delete": true, "update": false, "create": false} {
		m, err := process(t, p, newMessage(`{"message":{"id":"m"}}`, metadata{"kommo_chat_id": "chat", "kommo_message_id": "m", "kommo_operation": op}))
		require.NoError(t, err)
		body, err := m.AsBytes()
		require.NoError(t, err)
		assert.Equal(t, want, body == nil, op)
		id, _ := m.MetaGet("kommo_message_id")
		assert.Equal(t, "m", id)
	}
}

func TestProcessor_WhatIsNoItemFails(t *testing.T) {
	t.Parallel()
	p := processor(t, "")
	mapped, err := process(t, p, newMessage(outgoingItem, fromChat))
	require.NoError(t, err)
	twice, err := mapped.AsBytes()
	require.NoError(t, err)
	for body, want := range map[string]string{
		"":                   "want the JSON of an item",
		"+7 916 123-45-67":   "want the JSON of an item",
		`{"text":"secret"`:   "want the JSON of an item",
		`{"text":"secret"}}`: "want the JSON of an item",
		`{"text":'secret'}`:  "want the JSON of an item",
		strings.Repeat(`{"secret":`, 20000) + "1" + strings.Repeat("}", 20000): "want the JSON of an item",
		strings.Repeat(`[`, 5_000_000):                                         "want the JSON of an item",
		`"secret"`:                                                             "this is a string",
		`["secret"]`:                                                           "this is an array",
		`12`:                                                                   "this is a number",
		`null`:                                                                 "this is null",
		` true `:                                                               "this is a boolean",
		string(twice):                                                          "this is a flat message already",
	} {
		m, err := process(t, p, newMessage(body, fromChat))
		require.ErrorContains(t, err, want)
		for _, secret := range []string{"secret", "916", "Hello", "Sender", "+1"} {
			assert.NotContains(t, err.Error(), secret)
		}
		left, err := m.AsBytes()
		require.NoError(t, err)
		assert.Equal(t, body, string(left), "the message is as it was")
		_, ok := m.MetaGetMut("schema")
		assert.False(t, ok)
	}
}

var personalField = regexp.MustCompile("^(sender|receiver|customer|agent|contact)_(name|phone|email|avatar|client_id)$|^extra$")

func TestProcessor_WithoutPersonalData(t *testing.T) {
	t.Parallel()
	with, without := processor(t, ""), processor(t, "personal_data: false")
	rapid.Check(t, func(t *rapid.T) {
		item, meta := anyOfEither(t)
		want := flat(t, with, item, meta)
		maps.DeleteFunc(want, func(key string, _ any) bool { return personalField.MatchString(key) })
		require.Equal(t, want, flat(t, without, item, meta))
	})

	ids := metadata{
		"kommo_scope_id": "scope", "kommo_chat_id": "chat", "kommo_message_client_id": "x", "kommo_contact_id": int64(1),
		"kommo_sender_id": "s", "kommo_sender_type": "external", "kommo_receiver_id": "r", "kommo_receiver_user_id": int64(2), "other": "x",
	}
	all := maps.Clone(ids)
	for _, key := range []string{"name", "client_id", "avatar", "phone", "email", "new"} {
		all["kommo_sender_"+key], all["kommo_receiver_"+key] = "x", "x"
	}
	for p, want := range map[*service.OwnedProcessor]metadata{with: all, without: ids} {
		m, err := process(t, p, newMessage(outgoingItem, all))
		require.NoError(t, err)
		got := metadata{}
		require.NoError(t, m.MetaWalkMut(func(key string, value any) error {
			got[key] = value
			return nil
		}))
		assert.Contains(t, got, "schema")
		delete(got, "schema")
		assert.Equal(t, want, got)
	}
}

// Whatever an item holds, a document has known keys and nothing empty, and what is
// kept of an item is what it was.
func TestProcessor_NothingIsEmptyAndNothingIsLost(t *testing.T) {
	t.Parallel()
	p := processor(t, "")
	rapid.Check(t, func(t *rapid.T) {
		item, meta := anyOfEither(t)
		message := flat(t, p, item, meta)
		for key, v := range message {
			require.False(t, isEmpty(v), key)
		}
		if v := object(t, item)["new"]; !isEmpty(v) {
			kept, _ := message["extra"].(map[string]any)
			require.Equal(t, v, kept["new"])
		}
	})
}

// A copy of a message, as a broker makes it, is not changed through the other.
func TestProcessor_LeavesCopiesAlone(t *testing.T) {
	t.Parallel()
	original := newMessage(outgoingItem, fromChat)
	_, err := process(t, processor(t, "personal_data: false"), original.Copy())
	require.NoError(t, err)
	content, err := original.AsBytes()
	require.NoError(t, err)
	assert.Equal(t, outgoingItem, string(content))
	_, ok := original.MetaGetMut("schema")
	assert.False(t, ok)
}

// Equal keys, escapes and bytes that are not UTF-8 give a document on which all
// readers agree.
func TestProcessor_WhatReadersDisagreeOn(t *testing.T) {
	t.Parallel()
	p := processor(t, "")
	for item, want := range map[string]string{
		`{"message":{"id":"m","text":"a\ud83d\ude4f\ud83d"}}`:                                `{"text":"a🙏�"}`,
		"{\"message\":{\"id\":\"m\",\"text\":\"a\xffb\"}}":                                   `{"text":"a�b"}`,
		`{"message":{"id":"m","text":"first","text":"last"}}`:                                `{"text":"last"}`,
		`{"message":{"id":"m","n\u0065w":1,"new":2}}`:                                        `{"extra":{"message":{"new":2}}}`,
		`{"message":{"id":"m","new":{"a":1,"a":[2.50]}}}`:                                    `{"extra":{"message":{"new":{"a":[2.50]}}}}`,
		`{"message":{"id":"m","text":["first"],"text":"last"}}`:                              `{"text":"last"}`,
		`{"message":{"id":"m","text":"first","text":["last"]}}`:                              `{"extra":{"message":{"text":["last"]}}}`,
		`{"message":{"id":"m","new":1,"new":null}}`:                                          `{}`,
		`{"message":{"id":"m","contact":{"new":1},"contact":{"name":"C"}},"new":1,"new":[]}`: `{}`,
		`{"message":{"id":"m","location":{"lat":1,"lon":2,"new":1},"location":"here"}}`:      `{"extra":{"message":{"location":"here"}}}`,
		`{"message":{"id":"first"},"message":{"id":"m"}}`:                                    `{}`,
		`{"\ud800":"\udfff\ud800","message":{"id":"m"}}`:                                     `{"extra":{"�":"��"}}`,
		`{"message":{"id":"m","\"quoted\"\n":"\"quoted\"\n"}}`:                               `{"extra":{"message":{"\"quoted\"\n":"\"quoted\"\n"}}}`,
	} {
		message := flat(t, p, item, fromChat)
		maps.DeleteFunc(message, func(key string, _ any) bool { return !slices.Contains([]string{"text", "extra"}, key) })
		assert.Equal(t, object(t, want), message, item)
	}
}
