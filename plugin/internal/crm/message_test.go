// SPDX-License-Identifier: Apache-2.0

package crm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kommo-connect/kommo-connect/internal/testkit"
	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// messagesBody is a page of n messages as the API sends them.
func messagesBody(tb testing.TB, n int) []byte {
	tb.Helper()
	s, err := sandbox.New(sandbox.Config{})
	require.NoError(tb, err)
	require.NoError(tb, s.SyntheticTalks(1, n, time.Unix(1_700_000_000, 0), time.Second))
	items := s.TalkMessages(1)
	return []byte(`{"_page":1,"_links":{"next":{"href":"https://x/?page=2"}},"_embedded":{"messages":[` +
		string(bytes.Join(raws(items), []byte(","))) + `]}}`)
}

func raws(items []json.RawMessage) (all [][]byte) {
	for _, item := range items {
		all = append(all, item)
	}
	return all
}

func TestDecodeMessages_Fields(t *testing.T) {
	t.Parallel()
	body := []byte(`{"_links":{"next":{"href":"https:\/\/x\/?page=3&limit=5"}},"_embedded":{"messages":[ {"id":"m","chat_id":"c","type":"outgoing","message_type":"text",
		"author":{"id":"a","type":"internal","name":"\u0410\ud83d\ude00","avatar_url":"https:\/\/a","user_id":504141},"recipient":{"id":"r","type":"external"},
		"text":"t","created_at":"1700000000","msec_created_at":1.7e12,"delivery_status":"read","new":{"deep":[1]}} , null, {"id":5}]}}`)
	page, err := DecodeMessages(body)
	require.NoError(t, err)
	require.Len(t, page.Messages, 3)
	raw := page.Messages[0].Raw
	assert.True(t, bytes.HasPrefix(raw, []byte(`{"id":"m"`)) && bytes.HasSuffix(raw, []byte(`"new":{"deep":[1]}}`)), "byte for byte")
	page.Messages[0].Raw = nil
	assert.Equal(t, Message{
		Object: true, ID: "m", ChatID: "c", CreatedAt: 1_700_000_000, MsecCreatedAt: 1_700_000_000_000, Type: "outgoing", MessageType: "text",
		DeliveryStatus: "read", Author: Person{ID: "a", Type: "internal", Name: "А😀", AvatarURL: "https://a", UserID: "504141"},
		Recipient: Person{ID: "r", Type: "external"},
	}, page.Messages[0])
	assert.Equal(t, Message{Raw: []byte("null")}, page.Messages[1])
	assert.Equal(t, Message{Raw: []byte(`{"id":5}`), Object: true, ID: "5"}, page.Messages[2])
	assert.Equal(t, Next{Is: true, URL: "https://x/?page=3&limit=5"}, page.Next)
	assert.Equal(t, 3, page.Next.Page())

	_ = append(raw, "overwritten?"...)
	assert.Contains(t, string(body), `[1]}} , null`, "appending to Raw must not reach the page")
}

func TestDecodeMessages_Times(t *testing.T) {
	t.Parallel()
	for fields, want := range map[string][2]int64{
		`"created_at":1700000000`:                                       {1_700_000_000, 0},
		`"created_at":1700000000,"msec_created_at":1700000000123`:       {1_700_000_000, 1_700_000_000_123},
		`"created_at":"1700000000","msec_created_at":"1700000000123"`:   {1_700_000_000, 1_700_000_000_123},
		`"sec_created_at":1700000000`:                                   {1_700_000_000, 0},
		`"created_at":1,"sec_created_at":1700000000`:                    {1, 0},
		`"msec_created_at":1700000000123`:                               {1_700_000_000, 1_700_000_000_123},
		`"created_at":1700000000123`:                                    {1_700_000_000, 1_700_000_000_123},
		`"created_at":1700000000123456`:                                 {1_700_000_000, 1_700_000_000_123},
		`"created_at":1700000000123,"msec_created_at":1700000000124`:    {1_700_000_000, 1_700_000_000_124},
		`"created_at":null,"msec_created_at":{}`:                        {0, 0},
		`"created_at":"soon"`:                                           {0, 0},
		`"created_at":-5`:                                               {-5, 0},
		`"created_at":9223372036854775807`:                              {9_223_372_036, 9_223_372_036_854},
		`"created_at":1.7e9,"created_at":99999999999999999999,"a":"\""`: {0, 0},
	} {
		page, err := DecodeMessages([]byte(`{"_embedded":{"messages":[{` + fields + `}]}}`))
		require.NoError(t, err, fields)
		assert.Equal(t, want, [2]int64{page.Messages[0].CreatedAt, page.Messages[0].MsecCreatedAt}, fields)
	}
}

func TestNext_Page(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"": 0, "https://x/": 0, "https://x/?page=7": 7, "/api?limit=1&page=2": 2, "?page=0": 0, "?page=-1": 0, "?page=x": 0, "://": 0, "?page=99999999999999999999": 0, "%zz": 0,
	} {
		assert.Equal(t, want, Next{URL: text}.Page(), text)
	}
}

// What all three decoders share.
func TestDecode_Lists(t *testing.T) {
	t.Parallel()
	decoders := map[string]func([]byte) (int, Next, error){
		"messages": func(b []byte) (int, Next, error) {
			p, err := DecodeMessages(b)
			return len(p.Messages), p.Next, err
		},
		"events": func(b []byte) (int, Next, error) {
			p, err := DecodeEvents(b)
			return p.Rows, p.Next, err
		},
		"talks": func(b []byte) (int, Next, error) {
			p, err := DecodePage(b, "talks")
			return len(p.Entries), Next{Is: p.More}, err
		},
	}
	for body, want := range map[string]string{ // "": no error
		`{"_embedded":{"LIST":[]}}`:                 "",
		`{"_embedded":{"LIST":null}}`:               "",
		`{"_embedded":[ ]}`:                         "",
		`{"_embedded":{"LIST":5,"LIST":[]}}`:        "",
		`{"_embedded":{"LIST":[1]},"_embedded":[]}`: "",
		`{}`:                                  "want an object _embedded",
		`null`:                                "want an object _embedded",
		`{"_embedded":[1]}`:                   "want an object _embedded",
		`{"title":"private","status":402}`:    "want an object _embedded",
		`{"_embedded":{}}`:                    "want an array _embedded.LIST",
		`{"_embedded":{"LIST":{}}}`:           "want an array _embedded.LIST",
		`{"_embedded":{"LIST":[1],"LIST":1}}`: "want an array _embedded.LIST",
		`[]`:                                  "it is not a JSON object, or breaks off",
		`{"_embedded":{"LIST":[`:              "it is not a JSON object, or breaks off",
		`{"_embedded":{"LIST":[]}} {}`:        "it is not a JSON object, or breaks off",
		`{"_embedded":{"LIST":[{"value_after":[{},]}]}`: "it is not a JSON object, or breaks off",
		``: "it is empty",
	} {
		for name, decode := range decoders {
			n, _, err := decode([]byte(strings.ReplaceAll(body, "LIST", name)))
			assert.Zero(t, n, body)
			if want == "" {
				assert.NoError(t, err, body)
				continue
			}
			require.ErrorIs(t, err, apicall.ErrBrokenBody, body)
			assert.ErrorContains(t, err, strings.ReplaceAll(want, "LIST", name), body)
			assert.NotContains(t, err.Error(), "private")
		}
	}
	for name, decode := range decoders {
		list := func(n int) []byte {
			return []byte(`{"_links":{"next":{"href":"` + strings.Repeat("x", 5000) + `"}},"_embedded":{"` + name + `":[` + strings.TrimSuffix(strings.Repeat("{},", n), ",") + `]}}`)
		}
		n, next, err := decode(list(MaxRows))
		require.NoError(t, err)
		assert.Equal(t, MaxRows, n)
		assert.Equal(t, Next{Is: true}, next, "a long link is there, and leads nowhere")
		_, _, err = decode(list(MaxRows + 1))
		require.ErrorIs(t, err, apicall.ErrTooLarge)
		assert.False(t, apicall.Retryable(err))
		body := []byte(`{"_embedded":{"` + name + `":[{"id":"\u0061","value_after":[{"message":{"id":1}}],"author":{"id":"x"}}, 5]},"_links":{"next":{"href":"x"}}}`)
		for i := range body {
			_, _, err := decode(body[:i:i])
			require.ErrorIs(t, err, apicall.ErrBrokenBody, "no prefix is a page: %d bytes", i)
		}
	}
}

// slowMessages is DecodeMessages written with encoding/json, but for the times.
func slowMessages(body []byte) (messages []Message, ok bool) {
	object := func(raw json.RawMessage) (m map[string]json.RawMessage) {
		if len(raw) > 0 && raw[0] == '{' {
			_ = json.Unmarshal(raw, &m)
		}
		return m
	}
	text := func(raw json.RawMessage) (s string) {
		switch {
		case len(raw) == 0:
		case raw[0] == '"':
			_ = json.Unmarshal(raw, &s)
		case raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9':
			s = string(raw)
		}
		return s
	}
	var whole any
	if json.Unmarshal(body, &whole) != nil {
		return nil, false
	}
	body = bytes.TrimLeft(body, " \t\r\n")
	embedded, there := object(body)["_embedded"]
	if there && emptyArray(embedded) {
		return nil, true
	}
	list, there := object(embedded)["messages"]
	if !there || list[0] != '[' && string(list) != "null" {
		return nil, false
	}
	var all []json.RawMessage
	_ = json.Unmarshal(list, &all)
	for _, raw := range all {
		m := object(raw)
		if m == nil {
			messages = append(messages, Message{Raw: raw})
			continue
		}
		person := func(raw json.RawMessage) Person {
			p := object(raw)
			return Person{ID: text(p["id"]), Type: text(p["type"]), Name: text(p["name"]), AvatarURL: text(p["avatar_url"]), UserID: text(p["user_id"])}
		}
		messages = append(messages, Message{
			Raw: raw, Object: true, ID: text(m["id"]), ChatID: text(m["chat_id"]), Type: text(m["type"]), MessageType: text(m["message_type"]),
			DeliveryStatus: text(m["delivery_status"]), Author: person(m["author"]), Recipient: person(m["recipient"]),
		})
	}
	return messages, true
}

func checkMessages(t require.TestingT, body []byte) {
	want, ok := slowMessages(bytes.TrimPrefix(body, []byte("\ufeff")))
	page, err := DecodeMessages(body)
	if errors.Is(err, apicall.ErrTooLarge) {
		return
	}
	if !ok {
		require.ErrorIs(t, err, apicall.ErrBrokenBody, "%q", body)
		require.Empty(t, page.Messages)
		return
	}
	require.NoError(t, err, "%q", body)
	require.Len(t, page.Messages, len(want), "%q", body)
	for i, m := range page.Messages {
		m.CreatedAt, m.MsecCreatedAt = 0, 0
		require.Equal(t, want[i], m, "message %d of %q", i, body)
		require.Equal(t, len(m.Raw), cap(m.Raw))
	}
}

// jsonOf draws values as odd as the format allows.
func jsonOf(depth int) *rapid.Generator[string] {
	text := rapid.SampledFrom([]string{`""`, `"a"`, `"\u0069d"`, `"\ud83d\ude00я"`, `"\ud83d"`, "\"\xff\"", `"5"`})
	scalar := rapid.OneOf(text, rapid.SampledFrom([]string{"null", "true", "0", "-1.5e3", "1700000000", "9223372036854775808"}))
	if depth == 0 {
		return scalar
	}
	keys := rapid.SampledFrom([]string{
		`"_embedded"`, `"messages"`, `"_links"`, `"next"`, `"href"`, `"id"`, `"author"`, `"recipient"`, `"user_id"`, `"type"`, `"created_at"`,
		`"msec_created_at"`, `"name"`, `"avatar_url"`, `"chat_id"`, `"message_type"`, `"delivery_status"`, `"\u0069d"`, `"x"`,
		`"events"`, `"value_after"`, `"message"`, `"talk_id"`, `"origin"`,
	})
	return rapid.Custom(func(t *rapid.T) string {
		space := func() string { return rapid.SampledFrom([]string{"", "", "", " ", "\n\t\r "}).Draw(t, "space") }
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			return scalar.Draw(t, "scalar")
		case 1:
			values := rapid.SliceOfN(jsonOf(depth-1), 0, 4).Draw(t, "array")
			return "[" + space() + strings.Join(values, space()+","+space()) + space() + "]"
		default:
			values := rapid.SliceOfN(jsonOf(depth-1), 0, 5).Draw(t, "object")
			for i := range values {
				values[i] = keys.Draw(t, "key") + space() + ":" + space() + values[i]
			}
			return "{" + space() + strings.Join(values, space()+","+space()) + space() + "}"
		}
	})
}

func TestDecodeMessages_AsEncodingJSON(t *testing.T) {
	t.Parallel()
	checkMessages(t, messagesBody(t, 30))
	rapid.Check(t, func(rt *rapid.T) {
		items := strings.Join(rapid.SliceOfN(jsonOf(2), 0, 4).Draw(rt, "items"), ",")
		body := []byte(`{"_links":` + jsonOf(2).Draw(rt, "links") + `,"_embedded":{"messages":[` + items + `]}}`)
		checkMessages(rt, body)
		checkMessages(rt, []byte(jsonOf(4).Draw(rt, "any")))
		checkMessages(rt, []byte(`{"_embedded":`+jsonOf(3).Draw(rt, "embedded")+`}`))
		cut := rapid.IntRange(0, len(body)-1).Draw(rt, "cut")
		_, err := DecodeMessages(body[:cut:cut])
		require.ErrorIs(rt, err, apicall.ErrBrokenBody)
		body[cut] = rapid.Byte().Draw(rt, "byte")
		checkMessages(rt, body)
	})
}

func FuzzDecodeMessages(f *testing.F) {
	f.Add(messagesBody(f, 2))
	f.Add([]byte(`{"_embedded":[ ],"_links":{"next":{"href":"x"}}}`))
	f.Add([]byte(`{"_embedded":{"messages":[{"id":"a","author":{"id":"a","user_id":5},"recipient":{"id":"a","user_id":5}}, 3]}}`))
	f.Fuzz(func(t *testing.T, body []byte) { checkMessages(t, body) })
}

// Pages that are small on the wire and large in memory. Not parallel: it measures.
func TestDecodeMessages_MemoryOfHostilePages(t *testing.T) {
	const size = 16 << 20
	fill := func(head, unit, tail string) []byte {
		return []byte(head + strings.Repeat(unit, (size-len(head)-len(tail))/len(unit)) + tail)
	}
	for name, body := range map[string][]byte{
		"messages":         fill(`{"_embedded":{"messages":[{}`, `,{}`, `]}}`),
		"many lists":       fill(`{"_embedded":{"messages":[]`, `,"messages":[{}]`, `}}`),
		"no UTF-8":         fill(`{"_embedded":{"messages":[{"id":"`, "\xff", `"}]}}`),
		"a long link":      fill(`{"_embedded":{"messages":[]},"_links":{"next":{"href":"`, "\xff", `"}}}`),
		"events":           fill(`{"_embedded":{"events":[{}`, `,{}`, `]}}`),
		"announcements":    fill(`{"_embedded":{"events":[{"value_after":[{}`, `,{"message":{"id":0}}`, `]}]}}`),
		"many value_after": fill(`{"_embedded":{"events":[{"x":0`, `,"value_after":[{"message":{"id":0}}]`, `}]}}`),
	} {
		peak := testkit.PeakHeap(func() {
			_, _ = DecodeMessages(body)
			_, _ = DecodeEvents(body)
		}) + size
		t.Logf("%s: %d MiB at most", name, peak>>20)
		assert.Less(t, peak, uint64(100<<20), name)
	}
}

func BenchmarkDecodeMessages(b *testing.B) {
	body := messagesBody(b, 250)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if p, err := DecodeMessages(body); err != nil || len(p.Messages) != 250 {
			b.Fatal(err)
		}
	}
}

func TestDecodeEvents(t *testing.T) {
	t.Parallel()
	recorded := `{"id":"01h2t1","type":"incoming_chat_message","entity_id":17,"entity_type":"lead","created_by":0,"created_at":1687000000,` +
		`"value_after":[{"message":{"id":"d5a4677e","origin":"com.wazzup24.wz","talk_id":1109}}],"value_before":[]}`
	page, err := DecodeEvents([]byte(`{"_embedded":{"events":[` + recorded + `,
		{"id":2,"value_after":[{"note":{}},{"message":{"id":"a","talk_id":"7"}},{"message":{"id":"b","origin":"waba"}}]},
		{"id":3,"value_after":{"message":{"id":"c"}}}, {"id":6}, {"id":4,"type":"lead_added","value_after":[]}, {"id":5,"value_after":[{"message":"x"}],"created_at":"9"}, null]}}`))
	require.NoError(t, err)
	assert.Equal(t, 7, page.Rows)
	require.Len(t, page.Events, 8)
	assert.Equal(t, Event{
		Raw: []byte(recorded), Object: true, ID: "01h2t1", Type: IncomingMessage, EntityType: "lead", EntityID: "17", CreatedAt: 1_687_000_000,
		MessageID: "d5a4677e", TalkID: "1109", Origin: "com.wazzup24.wz",
	}, page.Events[0])
	var got []string
	for _, e := range page.Events[1:] {
		got = append(got, fmt.Sprint(e.ID, "|", e.MessageID, "|", e.TalkID, "|", e.Origin, "|", e.CreatedAt))
	}
	assert.Equal(t, []string{"2|a|7||0", "2|b||waba|0", "3|c|||0", "6||||0", "4||||0", "5||||9", "||||0"}, got)
	assert.Equal(t, Event{Raw: []byte("null")}, page.Events[7])
}

// Whatever comes is read or refused, whole entries only.
func FuzzDecodeEvents(f *testing.F) {
	f.Add([]byte(`{"_embedded":{"events":[{"id":"a","value_after":[{"message":{"id":"b","talk_id":1}}]},5]}}`))
	f.Fuzz(func(t *testing.T, body []byte) { checkEvents(t, body) })
}

func TestDecodeEvents_WhateverComes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		checkEvents(rt, []byte(`{"_embedded":{"events":[`+strings.Join(rapid.SliceOfN(jsonOf(4), 0, 4).Draw(rt, "items"), ",")+`]}}`))
		checkEvents(rt, []byte(jsonOf(4).Draw(rt, "any")))
	})
}

func checkEvents(t require.TestingT, body []byte) {
	page, err := DecodeEvents(body)
	if err != nil {
		require.True(t, errors.Is(err, apicall.ErrBrokenBody) || errors.Is(err, apicall.ErrTooLarge))
		require.Empty(t, page.Events)
		return
	}
	require.True(t, json.Valid(bytes.TrimPrefix(body, []byte("\ufeff"))), "%q", body)
	list, err := DecodePage(body, "events")
	require.NoError(t, err, "%q", body)
	require.Len(t, list.Entries, page.Rows)
	require.GreaterOrEqual(t, len(page.Events), page.Rows)
	for _, e := range page.Events {
		require.True(t, json.Valid(e.Raw) && bytes.Contains(body, e.Raw), "a whole value, byte for byte")
		require.Equal(t, e.Raw[0] == '{', e.Object)
	}
}
