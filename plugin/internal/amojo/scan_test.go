// SPDX-License-Identifier: Apache-2.0

package amojo

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
	"pgregory.net/rapid"

	"github.com/kommo-connect/kommo-connect/internal/testkit"
	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/internal/jsonscan"
)

// members is what encoding/json makes of an object: exact keys, the last of
// equal ones. It is nil for anything else.
func members(raw json.RawMessage) (all map[string]json.RawMessage) {
	if len(raw) == 0 || raw[0] != '{' {
		return nil
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		panic(err)
	}
	return all
}

func slowText(raw json.RawMessage) (s string) {
	switch {
	case len(raw) == 0:
		return ""
	case raw[0] == '"':
		if err := json.Unmarshal(raw, &s); err != nil {
			panic(err)
		}
		return s
	case raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9':
		return string(raw)
	}
	return ""
}

func slowInteger(raw json.RawMessage) int64 {
	s := slowText(raw)
	if !json.Valid([]byte(s)) || s[0] != '-' && (s[0] < '0' || s[0] > '9') || strings.TrimSpace(s) != s {
		return 0
	}
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		if exponent, err := strconv.Atoi(s[i+1:]); err != nil || exponent > 1000+len(s) || exponent < -1000-len(s) {
			return 0 // too large, or not whole, or 0
		}
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok || !r.IsInt() || !r.Num().IsInt64() {
		return 0
	}
	return r.Num().Int64()
}

func slowParty(raw json.RawMessage) Party {
	m := members(raw)
	return Party{
		ID: slowText(m["id"]), Name: slowText(m["name"]), ClientID: slowText(m["client_id"]),
		Avatar: slowText(m["avatar"]), Phone: slowText(m["phone"]), Email: slowText(m["email"]),
	}
}

// slowDecode is DecodePage written with encoding/json.
func slowDecode(body []byte) (items []Item, ok bool) {
	var page map[string]json.RawMessage
	if json.Unmarshal(body, &page) != nil || page == nil {
		return nil, false
	}
	messages, found := page["messages"]
	for key, value := range page {
		if !found && strings.HasPrefix(key, "error") && string(value) != "null" {
			return nil, false
		}
	}
	if !found || string(messages) == "null" {
		return nil, true
	}
	var raws []json.RawMessage
	if messages[0] != '[' || json.Unmarshal(messages, &raws) != nil {
		return nil, false
	}
	for _, raw := range raws {
		m := members(raw)
		if m == nil {
			items = append(items, Item{Raw: raw})
			continue
		}
		message := members(m["message"])
		item := Item{
			Raw: raw, Object: true,
			Timestamp: slowInteger(m["timestamp"]), MsecTimestamp: slowInteger(m["msec_timestamp"]),
			Sender: slowParty(m["sender"]), Receiver: slowParty(m["receiver"]),
			ID: slowText(message["id"]), ClientID: slowText(message["client_id"]),
			Type: slowText(message["type"]), MediaGroupID: slowText(message["media_group_id"]),
		}
		item.HasReceiver = item.Receiver != Party{}
		items = append(items, item)
	}
	return items, true
}

// checkAgainstJSON is the whole contract: the same bodies, items and fields.
func checkAgainstJSON(t require.TestingT, body []byte) {
	want, ok := slowDecode(bytes.TrimPrefix(body, []byte("\ufeff")))
	page, err := DecodePage(body)
	if errors.Is(err, apicall.ErrTooLarge) {
		return // which of several lists counts is not looked at then
	}
	if !ok {
		require.ErrorIs(t, err, apicall.ErrBrokenBody, "%q", body)
		require.Empty(t, page.Items)
		return
	}
	require.NoError(t, err, "%q", body)
	require.Len(t, page.Items, len(want), "%q", body)
	for i, item := range page.Items {
		require.Equal(t, want[i], item, "item %d of %q", i, body)
		require.Equal(t, len(item.Raw), cap(item.Raw))
	}
}

// page is a page of n items as the API sends them.
func page(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"messages":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		ms := 1700000000000 + int64(i)*1234
		fmt.Fprintf(&b, `{"timestamp":%d,"msec_timestamp":%d,"sender":{"id":"76fc2bea-902f-425c-9a3d-%012d","name":"Анна Петрова %d",`+
			`"client_id":"sk-%d","avatar":"https:\/\/images.example.com\/avatars\/%d.png","phone":"+7916%07d","email":"client%d@example.com"},`,
			ms/1000, ms, i, i, i, i, i, i)
		if i%2 == 0 {
			fmt.Fprintf(&b, `"receiver":{"id":"52fd2a28-d2eb-4bd8-b862-%012d","name":"Manager %d","client_id":"","avatar":"","phone":"","email":""},`, i, i)
		}
		fmt.Fprintf(&b, `"message":{"id":"0371a0ff-b78a-4c7b-8538-%012d","client_id":"c-%d","type":"text",`+
			`"text":"Здравствуйте! Заказ №%d готов, \"забрать\" можно до 21:00.\nAnd a second line in English, to mix the scripts a little.",`+
			`"media":"","thumbnail":"","file_name":"","file_size":0,"media_group_id":"","location":{"lon":0,"lat":0},"contact":{"name":"","phone":""}}}`, i, i, i)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

// cases are the corners of the format, for the test and as seeds for the fuzzer.
var cases = []string{
	`{"messages":[{"sender":{"id":"a"},"receiver":{"id":"a"}},{"sender":{"id":"a" }},{"receiver":{"id":"ab"}},{"sender":{"id":"b"}},{"sender":{"id":"a"},"x":{"sender":{"id":"a"}}}]}`,
	`{"messages":[{"sender":{"id":"a","id":"b"}},{"sender":{"id":"a","id":"b"}},{"sender":{}},{"sender":{}},{"sender":{"id":"a"}x}]}`,
	`{"error_code":5}`, `{"error":null}`, `{"error_type":"x","messages":[{}]}`, `{"messages":null,"errors":[1]}`, `{"error":null,"error_code":1,"x":2}`,
	``, ` `, `{`, `{}`, ` { } `, `null`, `[]`, `"x"`, `1`, `{}{}`, `{} x`, "\ufeff{}", `{,}`, `{"a":1,}`, `{"a"}`, `{"a":}`, `{a:1}`, `{"a":1 "b":2}`,
	`{"messages":null}`, `{"messages":[]}`, `{"messages":[ ]}`, `{"messages":{}}`, `{"messages":""}`, `{"messages":1}`, `{"messages":true}`, `{"messages":nul}`,
	`{"messages":[}`, `{"messages":[,]}`, `{"messages":[1,]}`, `{"messages":[1 2]}`, `{"messages":[1]`, `{"messages":[{}],"messages":null}`,
	`{"messages":5,"messages":[{}]}`, `{"messages":[{}],"messages":5}`, `{"Messages":[{}]}`, `{"mess\u0061ges":[{}]}`,
	`{"messages":[null,true,false,"x",-1.5e+3,[],[[{"a":[]}]],{}, {} ]}`,
	`{"messages":[01]}`, `{"messages":[-]}`, `{"messages":[1.]}`, `{"messages":[.5]}`, `{"messages":[1e]}`, `{"messages":[1e+]}`, `{"messages":[+1]}`, `{"messages":[NaN]}`,
	`{"messages":["\x"]}`, `{"messages":["\u12g4"]}`, `{"messages":["\u123"]}`, "{\"messages\":[\"a\nb\"]}", "{\"messages\":[\"\x1f0123456789\"]}", "{\"a\":\"\x7f\"}",
	"{\"messages\":[\"0123456\x00\"]}", "{\"messages\":[\"01234567\xff\xfe\"]}", `{"a":"\`, `{"a":"\u00`, `{"a":"`,
	`{"messages":[{"timestamp":1.6e9,"msec_timestamp":"1600000000000"}]}`, `{"messages":[{"timestamp":1e400,"msec_timestamp":"soon"}]}`,
	`{"messages":[{"timestamp":9223372036854775807,"msec_timestamp":9223372036854775808}]}`, `{"messages":[{"timestamp":-9223372036854775808,"msec_timestamp":-9223372036854775809}]}`,
	`{"messages":[{"timestamp":0.5,"msec_timestamp":16000000000e-1}]}`, `{"messages":[{"timestamp":null,"msec_timestamp":{}}]}`, `{"messages":[{"timestamp":"007","msec_timestamp":" 7"}]}`,
	`{"messages":[{"timestamp":-0,"msec_timestamp":-0.0e5}]}`, `{"messages":[{"timestamp":1,"timestamp":null,"msec_timestamp":123456789012345678}]}`,
	`{"messages":[{"timestamp":12345 ,"msec_timestamp":1234567890123456789}]}`, `{"messages":[{"timestamp":12345x}]}`, `{"messages":[{"timestamp":01}]}`, `{"messages":[{"timestamp":922337203685477580.7e1}]}`,
	"{\"messages\":[{\"timestamp\":12\n,\"msec_timestamp\":\"1\\u0032\"}]}", `{"messages":[{"timestamp":1e9999999999999999999}]}`, `{"messages":[{"timestamp":0e9999999999999999999}]}`,
	`{"messages":[{"sender":{"id":"a","phone":79161234567},"receiver":null,"message":{"id":5,"type":null,"client_id":true}}]}`,
	`{"messages":[{"receiver":{}},{"receiver":{"id":"","name":null}},{"receiver":{"x":"y"}},{"receiver":"id"},{"receiver":{"email":"e"}}]}`,
	`{"messages":[{"sender":{"id":"a"},"sender":{"name":"b"},"receiver":{"id":"a"},"receiver":null,"message":{"id":"a","type":"t"},"message":{"id":"b","id":"c"}}]}`,
	`{"messages":[{"message":{"id":"a\"\\\/\b\f\n\r\tb\u0041\u00e9\u20ac\ud83d\ude00"},"sender":{"name":"\ud83d","email":"\ud83dx","phone":"\ude00\ud83d","avatar":"\ud83d\u0041","client_id":"\ud83d\ud83d\ude00"}}]}`,
	"{\"messages\":[{\"message\":{\"id\":\"\xff\xc3\x28\xe2\x82\",\"type\":\"a\xff\xffb\",\"\xff\":1},\"s\\u0065nder\":{\"i\\u0064\":\"x\"}}]}",
	`{"messages":[{"message":{"id":"x"},"ID":"y","Message":{"id":"z"}}]}`, "\t{\r\n\"messages\" : [ { \"message\" : { \"id\" : \"a\" } , \"x\" : [ 1 , { } ] } ] } \n",
}

func TestDecodePage_AsEncodingJSON(t *testing.T) {
	for _, body := range cases {
		checkAgainstJSON(t, []byte(body))
	}
	checkAgainstJSON(t, page(50))
	checkAgainstJSON(t, page(1))
}

func TestDecodePage_Fields(t *testing.T) {
	body := []byte(`{"messages":[ {"timestamp":"1700000000","msec_timestamp":1.7e12,"new":{"deep":[1]},
		"sender":{"id":"s","name":"\u0410\ud83d\ude00","client_id":"sc","avatar":"https:\/\/a","phone":79161234567,"email":"e@x"},
		"receiver":{"id":"r"},"message":{"id":"m","client_id":"mc","type":"text","text":"t","media_group_id":"g"}} , null]}`)
	got, err := DecodePage(body)
	require.NoError(t, err)
	require.Len(t, got.Items, 2)
	raw := got.Items[0].Raw
	assert.Equal(t, byte('{'), raw[0])
	assert.Equal(t, byte('}'), raw[len(raw)-1])
	got.Items[0].Raw = nil
	assert.Equal(t, Item{
		Object: true, Timestamp: 1700000000, MsecTimestamp: 1700000000000,
		Sender:   Party{ID: "s", Name: "А😀", ClientID: "sc", Avatar: "https://a", Phone: "79161234567", Email: "e@x"},
		Receiver: Party{ID: "r"}, HasReceiver: true,
		ID: "m", ClientID: "mc", Type: "text", MediaGroupID: "g",
	}, got.Items[0])
	assert.Equal(t, Item{Raw: []byte("null")}, got.Items[1])

	raw = append(raw, "overwritten?"...)
	assert.Contains(t, string(body), "} , null]}", "appending to Raw must not reach the page")
	_ = raw
}

func TestDecodePage_Depth(t *testing.T) {
	for _, open := range []string{`[`, `{"a":`} {
		for _, n := range []int{jsonscan.MaxDepth - 4, jsonscan.MaxDepth - 3, jsonscan.MaxDepth - 2, jsonscan.MaxDepth - 1, jsonscan.MaxDepth, jsonscan.MaxDepth + 1} {
			value := strings.Repeat(open, n) + "1" + strings.Repeat(map[string]string{`[`: `]`, `{"a":`: `}`}[open], n)
			for _, body := range []string{
				`{"x":` + value + `}`, `{"messages":[` + value + `]}`, `{"messages":[{"x":` + value + `}]}`,
				`{"messages":[{"sender":{"id":` + value + `}}]}`, `{"messages":[{"message":{"text":` + value + `}}]}`,
			} {
				_, err := DecodePage([]byte(body))
				if json.Valid([]byte(body)) {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, apicall.ErrBrokenBody)
				}
			}
		}
	}
	_, err := DecodePage([]byte(strings.Repeat(`{"messages":[`, 1<<20)))
	require.ErrorIs(t, err, apicall.ErrBrokenBody)
}

func TestDecodePage_ErrorsTellThePlace(t *testing.T) {
	for body, want := range map[string]string{
		`{"messages":[{"a":"b"`:  "decoding a page of 21 bytes: it breaks off: broken body",
		`{"messages":[{}]} {}`:   "at byte 18: want nothing after the JSON object",
		`{"messages":{"a":"b"}}`: "at byte 12: want messages to be an array",
		`{"error_code": 1}`:      "at byte 15: want messages, and this is an error with status 200",
		`<html>`:                 "at byte 0: want a JSON object",
		`{"messages":[{"a" 1}]}`: "at byte 18: want :",
	} {
		_, err := DecodePage([]byte(body))
		require.ErrorContains(t, err, want)
	}
}

func TestDecodePage_ByteOrderMark(t *testing.T) {
	page, err := DecodePage([]byte("\ufeff" + `{"messages":[{"message":{"id":"m"}}]}`))
	require.NoError(t, err)
	require.Len(t, page.Items, 1)
	assert.Equal(t, "m", page.Items[0].ID)
	_, err = DecodePage([]byte("\ufeff"))
	require.ErrorIs(t, err, apicall.ErrBrokenBody)
	_, err = DecodePage([]byte("\ufeff\ufeff{}"))
	require.ErrorIs(t, err, apicall.ErrBrokenBody)
}

func TestDecodePage_MaxItems(t *testing.T) {
	list := func(n int) string { return `{"messages":[` + strings.TrimSuffix(strings.Repeat("{},", n), ",") + `]}` }
	page, err := DecodePage([]byte(list(MaxItems)))
	require.NoError(t, err)
	assert.Len(t, page.Items, MaxItems)
	_, err = DecodePage([]byte(list(MaxItems + 1)))
	require.ErrorIs(t, err, apicall.ErrTooLarge)
	require.NotErrorIs(t, err, apicall.ErrBrokenBody)
	assert.False(t, apicall.Retryable(err))
	assert.Contains(t, err.Error(), "it has more than 20000 items, and no more than 50 were asked for: check base_url")
}

// Pages that are small on the wire and large in memory. All of them come as gzip,
// of some tens of KB, through the whole client.
func TestHistory_MemoryOfHostilePages(t *testing.T) {
	const size = 16 << 20
	fill := func(head, unit, tail string) string {
		return head + strings.Repeat(unit, (size-len(head)-len(tail))/len(unit)) + tail
	}
	for name, body := range map[string]string{
		"items":             fill(`{"messages":[{}`, `,{}`, `]}`),
		"numbers":           fill(`{"messages":[0`, `,0`, `]}`),
		"numbers elsewhere": fill(`{"messages":[],"x":[0`, `,0`, `]}`),
		"members":           fill(`{"a":0`, `,"a":0`, `}`),
		"lists":             fill(`{"messages":[{}]`, `,"messages":[{}]`, `}`),
		"nested":            fill(`{"messages":[{"a":[`, `[`, `]`),
		"nested, many":      fill(`{"messages":[{}`, `,{"a":[[[[[[[[[[]]]]]]]]]]}`, `]}`),
		"no UTF-8":          fill(`{"messages":[{"message":{"id":"`, "\xff", `"}}]}`),
		"escapes":           fill(`{"messages":[{"message":{"id":"`, `\ud83d`, `"}}]}`),
		"two parties":       fill(`{"messages":[{}`, `,{"sender":{"name":"\u00e9"},"receiver":{"id":"a"}}`, `]}`),
		"space":             fill(`{"messages":[`, ` `, `]}`),
		"a bomb":            strings.Repeat(" ", 10*size),
	} {
		var packed bytes.Buffer
		w, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
		require.NoError(t, err)
		_, err = io.WriteString(w, body)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		for _, status := range []int{200, 400} {
			c := newTestClient(t, Config{}, func(r *http.Request) (*http.Response, error) {
				unpacked, err := gzip.NewReader(bytes.NewReader(packed.Bytes()))
				resp := reply(r, status, "")
				resp.Body, resp.ContentLength, resp.Uncompressed = io.NopCloser(unpacked), -1, true // as net/http hands it on
				return resp, err
			}, apicall.Config{MaxAttempts: 1})
			peak := testkit.PeakHeap(func() { _, _ = c.History(t.Context(), testChat, 0, 50) })
			t.Logf("%s, %d: %d KB packed, %d MiB at most", name, status, packed.Len()>>10, peak>>20)
			assert.Less(t, peak, uint64(100<<20), "%s, %d", name, status)
		}
	}
}

// A page that breaks off anywhere must never look like a shorter one.
func TestDecodePage_NoPrefixIsAPage(t *testing.T) {
	whole := page(3)
	_, err := DecodePage(nil)
	require.ErrorIs(t, err, apicall.ErrBrokenBody)
	require.ErrorContains(t, err, "it is empty")
	for i := 1; i < len(whole); i++ {
		_, err := DecodePage(whole[:i:i])
		require.ErrorIs(t, err, apicall.ErrBrokenBody, "%d bytes", i)
		require.ErrorContains(t, err, "breaks off", "%d bytes", i)
	}
}

// anyJSON draws values as odd as the format allows.
func anyJSON(depth int) *rapid.Generator[string] {
	space := rapid.SampledFrom([]string{"", "", "", " ", "\n\t\r "})
	str := rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOfN(rapid.SampledFrom([]string{
			"", "a", "id", "message", "0123456789abcdef", "я", "😀", `\n`, `\"`, `\\`, `\/`, `\u0041`, `\ud83d`, `\ude00`, `\ud83d\ude00`, "\xff", "\xe2\x82", "\x7f", "\u2028",
		}), 0, 5).Draw(t, "parts")
		return `"` + strings.Join(parts, "") + `"`
	})
	key := rapid.OneOf(str, rapid.SampledFrom([]string{
		`"messages"`, `"timestamp"`, `"msec_timestamp"`, `"sender"`, `"receiver"`, `"message"`, `"id"`, `"name"`, `"client_id"`,
		`"avatar"`, `"phone"`, `"email"`, `"type"`, `"media_group_id"`, `"text"`, `"\u0069d"`,
	}))
	scalar := rapid.OneOf(str, rapid.SampledFrom([]string{"null", "true", "false", "0", "-0", "1600000000", "1.6e9", `"1600000000"`, "1e400", "-1.25E-2", "9223372036854775808"}))
	if depth == 0 {
		return scalar
	}
	return rapid.Custom(func(t *rapid.T) string {
		sp := func() string { return space.Draw(t, "space") }
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			return scalar.Draw(t, "scalar")
		case 1:
			values := rapid.SliceOfN(anyJSON(depth-1), 0, 4).Draw(t, "array")
			return "[" + sp() + strings.Join(values, sp()+","+sp()) + sp() + "]"
		default:
			values := rapid.SliceOfN(anyJSON(depth-1), 0, 5).Draw(t, "object")
			for i := range values {
				values[i] = key.Draw(t, "key") + sp() + ":" + sp() + values[i]
			}
			return "{" + sp() + strings.Join(values, sp()+","+sp()) + sp() + "}"
		}
	})
}

func TestDecodePage_RandomPages(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		items := rapid.SliceOfN(anyJSON(3), 0, 4).Draw(rt, "items")
		body := `{"messages":[` + strings.Join(items, ",") + `]}`
		checkAgainstJSON(rt, []byte(body))
		checkAgainstJSON(rt, []byte(anyJSON(4).Draw(rt, "any")))

		cut := rapid.IntRange(0, len(body)-1).Draw(rt, "cut")
		_, err := DecodePage([]byte(body[:cut]))
		require.ErrorIs(rt, err, apicall.ErrBrokenBody)

		// Damage somewhere in the middle.
		damaged := []byte(body)
		damaged[cut] = rapid.Byte().Draw(rt, "byte")
		checkAgainstJSON(rt, damaged)
	})
}

func FuzzDecodePage(f *testing.F) {
	for _, body := range cases {
		f.Add([]byte(body))
	}
	f.Add(page(2))
	f.Fuzz(func(t *testing.T, body []byte) {
		checkAgainstJSON(t, body)
		decoded, err := DecodePage(body)
		if err != nil {
			return
		}
		for _, item := range decoded.Items {
			if !utf8.ValidString(item.ID + item.Sender.Name) {
				t.Fatalf("not UTF-8: %q", item.ID)
			}
		}
		if trimmed := bytes.TrimRight(body, " \t\r\n"); len(trimmed) > 0 {
			if _, err := DecodePage(trimmed[:len(trimmed)-1]); err == nil {
				t.Fatal("accepted without its last byte")
			}
		}
	})
}

// BenchmarkDecodePage reads a page of 50 items: every field of Item, and the
// item's own bytes.
func BenchmarkDecodePage(b *testing.B) {
	body := page(50)
	b.Run("DecodePage", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			if p, err := DecodePage(body); err != nil || len(p.Items) != 50 {
				b.Fatal(err)
			}
		}
	})
	b.Run("gjson", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		party := func(r gjson.Result) (p Party) {
			r.ForEach(func(key, value gjson.Result) bool {
				switch key.Str {
				case "id":
					p.ID = value.String()
				case "name":
					p.Name = value.String()
				case "client_id":
					p.ClientID = value.String()
				case "avatar":
					p.Avatar = value.String()
				case "phone":
					p.Phone = value.String()
				case "email":
					p.Email = value.String()
				}
				return true
			})
			return p
		}
		for b.Loop() {
			if !gjson.ValidBytes(body) {
				b.Fatal("not JSON")
			}
			var items []Item
			gjson.GetBytes(body, "messages").ForEach(func(_, r gjson.Result) bool {
				item := Item{Object: r.IsObject(), Raw: []byte(r.Raw)}
				r.ForEach(func(key, value gjson.Result) bool {
					switch key.Str {
					case "timestamp":
						item.Timestamp = value.Int()
					case "msec_timestamp":
						item.MsecTimestamp = value.Int()
					case "sender":
						item.Sender = party(value)
					case "receiver":
						item.Receiver = party(value)
					case "message":
						value.ForEach(func(key, value gjson.Result) bool {
							switch key.Str {
							case "id":
								item.ID = value.String()
							case "client_id":
								item.ClientID = value.String()
							case "type":
								item.Type = value.String()
							case "media_group_id":
								item.MediaGroupID = value.String()
							}
							return true
						})
					}
					return true
				})
				items = append(items, item)
				return true
			})
			if len(items) != 50 {
				b.Fatal(len(items))
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		type party struct {
			ID, Name, Avatar, Phone, Email string
			ClientID                       string `json:"client_id"`
		}
		type item struct {
			Timestamp        int64
			MsecTimestamp    int64 `json:"msec_timestamp"`
			Sender, Receiver *party
			Message          struct {
				ID, Type     string
				ClientID     string `json:"client_id"`
				MediaGroupID string `json:"media_group_id"`
			}
		}
		for b.Loop() {
			var p struct{ Messages []json.RawMessage }
			if err := json.Unmarshal(body, &p); err != nil {
				b.Fatal(err)
			}
			for _, raw := range p.Messages {
				var it item
				if err := json.Unmarshal(raw, &it); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
