// SPDX-License-Identifier: Apache-2.0

package message_test

import (
	"encoding/json"
	"maps"
	"slices"

	"pgregory.net/rapid"
)

type generator = rapid.Generator[any]

// spelled are values that are easily taken for others, as an API may write them.
var spelled = []string{
	`null`, `""`, `true`, `false`, `{}`, `[]`, `[ ]`, `{ }`, `0`, `-0`, `1.50`, `-1`, `12.0`, `1e300`, `1.7e9`, `12345678901234567890`,
	`"0"`, `"007"`, `"-1"`, `"1.5"`, `" 1"`, `"0x1p3"`, `"NaN"`, `"Inf"`, `"20480"`, `"999999999999999999"`, `"1000000000000000000"`,
	`1700000000`, `1700000000123`, `"1700000000"`, `253402300799`, `253402300800`, `253402300799999`, `253402300800000`,
	`9007199254740991`, `9007199254740992`, `9007199254740993`, `90`, `-90.0`, `90.1`, `180`, `180.00001`,
	`"\ud83d\ude4f"`, `"\ud83d"`, `"\ude4f x"`, `"\uD83Dx"`, `"a\u0000b"`, `"\u043f\/"`, `"<b> & \"c\" \\"`, "\"\u2028\"", `"incoming"`, `"internal"`,
	`"bot"`, `"external"`, `[null]`, `["a",1.50]`, `{"id":"x","lat":1,"x":null}`, `{"a":{"b":[1,{"c":"\ud800"}]}}`,
}

// anyValue draws values of every kind.
func anyValue() *generator {
	scalar := rapid.OneOf(
		rapid.Map(rapid.SampledFrom(spelled), func(s string) any { return json.RawMessage(s) }),
		rapid.Map(rapid.String(), func(v string) any { return v }),
		rapid.Map(rapid.Int64(), func(v int64) any { return v }),
		rapid.Map(rapid.Float64Range(-200, 200), func(v float64) any { return v }),
	)
	return rapid.OneOf(scalar, scalar,
		rapid.Map(rapid.SliceOfN(scalar, 1, 2), func(v []any) any { return v }),
		rapid.Map(scalar, func(v any) any { return map[string]any{"id": v, "lat": v, "x": v} }))
}

// anyObject draws objects with some of the members, and now and then another value.
func anyObject(members map[string]*generator) *generator {
	keys := slices.Sorted(maps.Keys(members))
	return rapid.Custom(func(t *rapid.T) any {
		if rapid.IntRange(0, 9).Draw(t, "odd") == 0 {
			return anyValue().Draw(t, "value")
		}
		return some(t, keys, members)
	})
}

func some(t *rapid.T, keys []string, members map[string]*generator) map[string]any {
	object := map[string]any{}
	for _, key := range keys {
		if rapid.Bool().Draw(t, "has "+key) {
			object[key] = members[key].Draw(t, key)
		}
	}
	return object
}

// all gives each key the same generator.
func all(value *generator, keys ...string) map[string]*generator {
	members := map[string]*generator{}
	for _, key := range keys {
		members[key] = value
	}
	return members
}

// with adds members to others.
func with(members, more map[string]*generator) map[string]*generator {
	maps.Copy(members, more)
	return members
}

// anyItem draws items of the Chats API, with documented and new keys.
func anyItem() *rapid.Generator[string] {
	value := anyValue()
	person := anyObject(all(value, "id", "name", "client_id", "avatar", "phone", "email", "new"))
	content := with(all(value, "id", "client_id", "type", "text", "media", "thumbnail", "file_name", "file_size", "media_group_id", "new"),
		map[string]*generator{
			"location": anyObject(all(value, "lat", "lon", "new")),
			"contact":  anyObject(all(value, "name", "phone", "new")),
		})
	return anyOf(with(all(value, "timestamp", "msec_timestamp", "new"),
		map[string]*generator{"sender": person, "receiver": person, "message": anyObject(content)}))
}

// anyTalkMessage draws messages of the CRM API.
func anyTalkMessage() *rapid.Generator[string] {
	value := anyValue()
	person := anyObject(all(value, "id", "name", "avatar_url", "type", "user_id", "new"))
	return anyOf(with(
		all(value, "id", "chat_id", "type", "message_type", "text", "created_at", "sec_created_at", "msec_created_at", "delivery_status", "new"),
		map[string]*generator{
			"author": person, "recipient": person,
			"attachment": anyObject(all(value, "type", "link", "file_name", "new")),
			"location":   anyObject(all(value, "lat", "lon", "new")),
			"contact":    anyObject(all(value, "name", "phone", "new")),
		}))
}

// anyOf draws JSON objects with some of the members.
func anyOf(members map[string]*generator) *rapid.Generator[string] {
	keys := slices.Sorted(maps.Keys(members))
	return rapid.Custom(func(t *rapid.T) string {
		content, err := json.Marshal(some(t, keys, members))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	})
}

// anyOfEither draws an item of either API with its metadata.
func anyOfEither(t *rapid.T) (item string, meta metadata) {
	if rapid.Bool().Draw(t, "a talk's") {
		return anyTalkMessage().Draw(t, "message"), metadata{"kommo_talk_id": int64(1109), "kommo_chat_id": "chat"}
	}
	return anyItem().Draw(t, "item"), fromChat
}
