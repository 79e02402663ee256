// SPDX-License-Identifier: Apache-2.0

package crm

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/internal/testkit"
	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
)

func TestDecodePage_Entries(t *testing.T) {
	t.Parallel()
	page, err := DecodePage([]byte(`{"_embedded":{"talks":[
		{"talk_id":5,"chat_id":"a","contact_id":"7","origin":"o","created_at":1,"updated_at":"2", "new" : [1.0] },
		{"id":9,"chat_id":8,"contact_id":0,"origin":null,"updated_at":false,"talk_id":""},
		{"chat_id":{"x":1}}, null, 3
	]}}`), "talks")
	require.NoError(t, err)
	require.Len(t, page.Entries, 5)
	first := page.Entries[0]
	assert.Equal(t, `{"talk_id":5,"chat_id":"a","contact_id":"7","origin":"o","created_at":1,"updated_at":"2", "new" : [1.0] }`, string(first.Raw))
	first.Raw = nil
	five := Value{Text: "5", Number: 5, Is: true}
	assert.Equal(t, Entry{
		Object: true, ID: five, TalkID: five, ChatID: "a", ContactID: Value{Text: "7"}, Origin: "o", CreatedAt: 1, UpdatedAt: 2,
	}, first)
	second := page.Entries[1]
	second.Raw = nil
	assert.Equal(t, Entry{Object: true, ID: Value{Text: "9", Number: 9, Is: true}, ChatID: "8"}, second)
	assert.Equal(t, Entry{Object: true, Raw: []byte(`{"chat_id":{"x":1}}`)}, page.Entries[2])
	assert.Equal(t, Entry{Raw: []byte("null")}, page.Entries[3])
	assert.Equal(t, Entry{Raw: []byte("3")}, page.Entries[4])
	assert.False(t, page.More)
}

func TestDecodePage_Lists(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{ // "": no error
		`{"_embedded":{"talks":[]}}`:            "",
		`{"_embedded":{"talks":null}}`:          "",
		`{"_embedded":[]}`:                      "",
		` {"_embedded" : [ ] , "_links": [] } `: "",
		`{}`:                                    "want an object _embedded",
		`null`:                                  "want an object _embedded",
		`{"_embedded":null}`:                    "want an object _embedded",
		`{"_embedded":[1]}`:                     "want an object _embedded",
		`{"_embedded":{}}`:                      "want an array _embedded.talks",
		`{"_embedded":{"chats":[]}}`:            "want an array _embedded.talks",
		`{"_embedded":{"talks":{}}}`:            "want an array _embedded.talks",
		`{"error":"private"}`:                   "want an object _embedded",
		`[]`:                                    "it is not a JSON object, or breaks off",
		``:                                      "it is empty",
		`{"_embedded":{"talks":[`:               "it is not a JSON object, or breaks off",
		"\ufeff{\"_embedded\":{\"talks\":[]}}":  "",
		`{"_embedded":{"talks":5,"talks":[]}}`:  "",
		`{"_embedded":{"talks":[1],"talks":1}}`: "want an array _embedded.talks",
		`{"_Embedded":{"talks":[]}}`:            "want an object _embedded",
		`"_embedded"`:                           "it is not a JSON object, or breaks off",
		" \n":                                   "it is empty",
		`{"_embedded":{"talks":[]}} {}`:         "it is not a JSON object, or breaks off",
	} {
		page, err := DecodePage([]byte(body), "talks")
		assert.Empty(t, page.Entries)
		if want == "" {
			assert.NoError(t, err, body)
			continue
		}
		require.ErrorIs(t, err, apicall.ErrBrokenBody, body)
		assert.ErrorContains(t, err, want, body)
		assert.NotContains(t, err.Error(), "private")
	}
}

func TestDecodePage_More(t *testing.T) {
	t.Parallel()
	for links, want := range map[string]bool{
		`{"next":{"href":"x"}}`: true, `{"next":{"href":""}}`: false, `{"next":{"href":null}}`: false, `{"next":{}}`: false, `{"next":"x"}`: false,
		`{}`: false, `[]`: false, `null`: false, `{"self":{"href":"x"}}`: false, ` { "next" : { "x" : 1 , "href" : "x" } } `: true, //nolint:gocritic // the white space is the case
	} {
		page, err := DecodePage([]byte(`{"_links":`+links+`,"_embedded":{"talks":[]}}`), "talks")
		require.NoError(t, err)
		assert.Equal(t, want, page.More, links)
	}
}

func TestDecodePage_MaxRows(t *testing.T) {
	t.Parallel()
	list := func(n int) []byte {
		return []byte(`{"_embedded":{"talks":[` + strings.TrimSuffix(strings.Repeat("{},", n), ",") + `]}}`)
	}
	page, err := DecodePage(list(MaxRows), "talks")
	require.NoError(t, err)
	assert.Len(t, page.Entries, MaxRows)
	_, err = DecodePage(list(MaxRows+1), "talks")
	require.ErrorIs(t, err, apicall.ErrTooLarge)
	assert.ErrorContains(t, err, "it has more than 20000 rows, and no more than 250 were asked for")
	assert.False(t, apicall.Retryable(err))
}

func TestDecodePage_ALongValueIsNone(t *testing.T) {
	t.Parallel()
	page, err := DecodePage([]byte(`{"_embedded":{"talks":[{"chat_id":"`+strings.Repeat("a", 5000)+`","talk_id":7}]}}`), "talks")
	require.NoError(t, err)
	assert.Empty(t, page.Entries[0].ChatID)
	assert.Equal(t, "7", page.Entries[0].TalkID.Text)
}

// Pages that are small on the wire and large in memory. Not parallel: it measures.
func TestDecodePage_MemoryOfHostilePages(t *testing.T) {
	const size = 16 << 20
	fill := func(head, unit, tail string) []byte {
		return []byte(head + strings.Repeat(unit, (size-len(head)-len(tail))/len(unit)) + tail)
	}
	for name, body := range map[string][]byte{
		"rows":        fill(`{"_embedded":{"talks":[{}`, `,{}`, `]}}`),
		"numbers":     fill(`{"_embedded":{"talks":[0`, `,0`, `]}}`),
		"lists":       fill(`{"_embedded":{"talks":[]`, `,"a":0`, `}}`),
		"many lists":  fill(`{"_embedded":{"talks":[]`, `,"talks":[{}]`, `}}`),
		"members":     fill(`{"a":0`, `,"a":0`, `}`),
		"one row":     fill(`{"_embedded":{"talks":[{"x":[0`, `,0`, `]}]}}`),
		"a long id":   fill(`{"_embedded":{"talks":[{"chat_id":"`, "\xff", `"}]}}`),
		"a long link": fill(`{"_embedded":{"talks":[]},"_links":{"next":{"href":"`, "\xff", `"}}}`),
		"links":       fill(`{"_embedded":{"talks":[]},"_links":{"a":0`, `,"a":0`, `}}`),
	} {
		peak := testkit.PeakHeap(func() { _, _ = DecodePage(body, "talks") }) + size
		t.Logf("%s: %d MiB at most", name, peak>>20)
		assert.Less(t, peak, uint64(100<<20), name)
	}
}

func FuzzDecodePage(f *testing.F) {
	f.Add([]byte(`{"_links":{"next":{"href":"x"}},"_embedded":{"talks":[{"talk_id":5,"chat_id":"a"}, 3 ]}}`))
	f.Add([]byte(`{"_embedded":[ ]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		page, err := DecodePage(body, "talks")
		if err != nil {
			require.True(t, errors.Is(err, apicall.ErrBrokenBody) || errors.Is(err, apicall.ErrTooLarge))
			return
		}
		require.True(t, json.Valid(bytes.TrimPrefix(body, []byte("\ufeff"))))
		var want struct {
			Embedded map[string][]json.RawMessage `json:"_embedded"`
		}
		if json.Unmarshal(body, &want) == nil && bytes.Count(bytes.ToLower(body), []byte("_embedded")) == 1 {
			require.Len(t, page.Entries, len(want.Embedded["talks"]))
			for i, e := range page.Entries {
				require.Equal(t, string(want.Embedded["talks"][i]), string(e.Raw))
			}
		}
		for _, e := range page.Entries {
			require.True(t, bytes.Contains(body, e.Raw), "byte for byte")
			require.True(t, json.Valid(e.Raw), "a whole value")
		}
	})
}
