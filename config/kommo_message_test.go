// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"encoding/json"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"
	"github.com/xeipuuv/gojsonschema"
	"gopkg.in/yaml.v3"
	"pgregory.net/rapid"

	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
)

const fullItem = `{
	"timestamp": 1700000000,
	"msec_timestamp": 1700000000123,
	"sender": {"id": "s", "name": "Sender", "client_id": "s-client", "avatar": "https://s", "phone": "+1", "email": "s@x"},
	"receiver": {"id": "r", "name": "Receiver", "client_id": "r-client", "avatar": "https://r", "phone": "+2", "email": "r@x"},
	"message": {
		"id": "m", "client_id": "m-client", "type": "picture", "text": "Hello",
		"media": "https://m", "thumbnail": "https://t", "file_name": "m.jpg", "file_size": 5, "media_group_id": "g",
		"location": {"lon": 2.5, "lat": 1.5}, "contact": {"name": "Contact", "phone": "+3"}
	}
}`

const fullMessage = `{
	"schema_version": 1, "scope_id": "scope", "chat_id": "chat", "direction": "outgoing",
	"message_id": "m", "message_client_id": "m-client", "type": "picture", "text": "Hello",
	"sent_at": "2023-11-14T22:13:20.123Z", "sent_at_ms": 1700000000123,
	"sender_id": "s", "sender_name": "Sender", "sender_client_id": "s-client", "sender_avatar": "https://s",
	"sender_phone": "+1", "sender_email": "s@x",
	"receiver_id": "r", "receiver_name": "Receiver", "receiver_client_id": "r-client", "receiver_avatar": "https://r",
	"receiver_phone": "+2", "receiver_email": "r@x",
	"media_url": "https://m", "media_thumbnail_url": "https://t", "media_file_name": "m.jpg", "media_file_size": 5,
	"media_group_id": "g", "location": {"lat": 1.5, "lon": 2.5}, "contact_name": "Contact", "contact_phone": "+3"
}`

// A key that the item lacks, or has as null or as an empty string, takes away its own keys of the message and no other.
func TestKommoMessage_EveryMissingField(t *testing.T) {
	mapping := load(t, "kommo_message.blobl")
	tests := map[string]map[string]any{ // path in the item → what changes in the message; nil: the key goes
		"timestamp":              {},
		"msec_timestamp":         {"sent_at": "2023-11-14T22:13:20.000Z", "sent_at_ms": 1700000000000.0},
		"sender":                 {"sender_id": nil, "sender_name": nil, "sender_client_id": nil, "sender_avatar": nil, "sender_phone": nil, "sender_email": nil},
		"receiver":               {"direction": "incoming", "receiver_id": nil, "receiver_name": nil, "receiver_client_id": nil, "receiver_avatar": nil, "receiver_phone": nil, "receiver_email": nil},
		"message.client_id":      {"message_client_id": nil},
		"message.type":           {"type": nil},
		"message.text":           {"text": nil},
		"message.media":          {"media_url": nil},
		"message.thumbnail":      {"media_thumbnail_url": nil},
		"message.file_name":      {"media_file_name": nil},
		"message.file_size":      {"media_file_size": nil},
		"message.media_group_id": {"media_group_id": nil},
		"message.location":       {"location": nil},
		"message.contact":        {"contact_name": nil, "contact_phone": nil},
		"message.contact.name":   {"contact_name": nil},
		"message.contact.phone":  {"contact_phone": nil},
		"message.id":             {"message_id": "sha256:"},
	}
	for _, person := range []string{"sender", "receiver"} {
		for _, key := range []string{"id", "name", "client_id", "avatar", "phone", "email"} {
			tests[person+"."+key] = map[string]any{person + "_" + key: nil}
		}
	}
	require.Equal(t, document(t, fullMessage), apply(t, mapping, document(t, fullItem)))
	for path, changes := range tests {
		for name, change := range map[string]func(map[string]any, string){
			"missing": func(parent map[string]any, key string) { delete(parent, key) },
			"null":    func(parent map[string]any, key string) { parent[key] = nil },
			"empty":   func(parent map[string]any, key string) { parent[key] = "" },
		} {
			t.Run(path+" "+name, func(t *testing.T) {
				item := document(t, fullItem)
				parent, keys := item, strings.Split(path, ".")
				for _, key := range keys[:len(keys)-1] {
					member, ok := parent[key].(map[string]any)
					require.True(t, ok, path)
					parent = member
				}
				change(parent, keys[len(keys)-1])

				want := document(t, fullMessage)
				maps.Copy(want, changes)
				maps.DeleteFunc(want, func(_ string, value any) bool { return value == nil })
				got := apply(t, mapping, item)
				if want["message_id"] == "sha256:" {
					require.Regexp(t, "^sha256:[0-9a-f]{64}$", got["message_id"])
					want["message_id"] = got["message_id"]
				}
				require.Equal(t, want, got)
			})
		}
	}
}

// The messages that the mapping's own tests expect fit the schema.
func TestKommoMessage_TestCasesFitTheSchema(t *testing.T) {
	content, err := os.ReadFile("kommo_message_test.yaml")
	require.NoError(t, err)
	var file struct {
		Tests []struct {
			Name          string             `yaml:"name"`
			OutputBatches [][]map[string]any `yaml:"output_batches"`
		} `yaml:"tests"`
	}
	require.NoError(t, yaml.Unmarshal(content, &file))
	require.NotEmpty(t, file.Tests)
	schema := loadSchema(t)
	for _, test := range file.Tests {
		requireFits(t, schema, test.OutputBatches[0][0]["json_equals"], test.Name)
	}
}

// Whatever an item holds, the mapping gives a message that fits the schema, and names in `extra` what it had no place for.
func TestKommoMessage_FitsTheSchema(t *testing.T) {
	mapping, schema := load(t, "kommo_message.blobl"), loadSchema(t)
	impersonal := load(t, "kommo_message_impersonal.blobl")
	rapid.Check(t, func(t *rapid.T) {
		item := anyItem().Draw(t, "item")
		message := apply(t, mapping, item)
		requireFits(t, schema, message, "message")
		if item["new"] != nil {
			require.Contains(t, message["extra"], "new")
		}

		without := apply(t, impersonal, item)
		requireFits(t, schema, without, "message without personal fields")
		for key := range without {
			require.NotRegexp(t, "name|phone|email|avatar|contact|extra|sender_client|receiver_client", strings.TrimSuffix(key, "media_file_name"))
		}
	})
}

// anyItem draws items with documented and new keys, and with values of the documented and of any other kind.
func anyItem() *rapid.Generator[map[string]any] {
	scalar := rapid.OneOf(
		rapid.Just[any](nil), rapid.Just[any](""), rapid.Just[any]("20480"), rapid.Just[any](1700000000123), rapid.Just[any](1e300),
		rapid.Map(rapid.String(), func(v string) any { return v }), rapid.Map(rapid.Int64(), func(v int64) any { return v }),
		rapid.Map(rapid.Float64Range(-200, 200), func(v float64) any { return v }), rapid.Map(rapid.Bool(), func(v bool) any { return v }),
	)
	value := rapid.OneOf(scalar, rapid.Just[any](map[string]any{}), rapid.Just[any]([]any{}),
		rapid.Map(rapid.SliceOfN(scalar, 1, 2), func(v []any) any { return v }),
		rapid.Map(scalar, func(v any) any { return map[string]any{"id": v, "lat": v, "x": v} }))
	object := func(members map[string]*rapid.Generator[any]) *rapid.Generator[any] {
		return rapid.Custom(func(t *rapid.T) any {
			if rapid.IntRange(0, 9).Draw(t, "odd") == 0 {
				return value.Draw(t, "value")
			}
			object := map[string]any{}
			for key, member := range members {
				if rapid.Bool().Draw(t, "has "+key) {
					object[key] = member.Draw(t, key)
				}
			}
			return object
		})
	}
	person := object(map[string]*rapid.Generator[any]{
		"id": value, "name": value, "client_id": value, "avatar": value, "phone": value, "email": value, "new": value,
	})
	members := map[string]*rapid.Generator[any]{
		"timestamp": value, "msec_timestamp": value, "new": rapid.Just[any]("something"), "sender": person, "receiver": person,
		"message": object(map[string]*rapid.Generator[any]{
			"id": value, "client_id": value, "type": value, "text": value, "media": value, "thumbnail": value, "file_name": value,
			"file_size": value, "media_group_id": value, "new": value,
			"location": object(map[string]*rapid.Generator[any]{"lat": value, "lon": value, "new": value}),
			"contact":  object(map[string]*rapid.Generator[any]{"name": value, "phone": value, "new": value}),
		}),
	}
	return rapid.Custom(func(t *rapid.T) map[string]any {
		item := map[string]any{}
		for key, member := range members {
			if rapid.Bool().Draw(t, "has "+key) {
				item[key] = member.Draw(t, key)
			}
		}
		return item
	})
}

func load(t require.TestingT, path string) *bloblang.Executor {
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	mapping, err := bloblang.Parse(string(content))
	require.NoError(t, err)
	return mapping
}

func loadSchema(t require.TestingT) *gojsonschema.Schema {
	content, err := os.ReadFile("kommo_message.schema.json")
	require.NoError(t, err)
	schema, err := gojsonschema.NewSchema(gojsonschema.NewBytesLoader(content))
	require.NoError(t, err)
	return schema
}

func requireFits(t require.TestingT, schema *gojsonschema.Schema, message any, name string) {
	result, err := schema.Validate(gojsonschema.NewGoLoader(message))
	require.NoError(t, err, name)
	require.Empty(t, result.Errors(), name)
}

// apply runs the mapping over an item as the input hands it on.
func apply(t require.TestingT, mapping *bloblang.Executor, item map[string]any) map[string]any {
	content, err := json.Marshal(item)
	require.NoError(t, err)
	message := service.NewMessage(content)
	message.MetaSetMut("kommo_scope_id", "scope")
	message.MetaSetMut("kommo_chat_id", "chat")
	mapped, err := message.BloblangQuery(mapping)
	require.NoError(t, err)
	content, err = mapped.AsBytes()
	require.NoError(t, err)
	return document(t, string(content))
}

func document(t require.TestingT, content string) map[string]any {
	var document map[string]any
	require.NoError(t, json.Unmarshal([]byte(content), &document))
	return document
}
