// SPDX-License-Identifier: Apache-2.0

package crm

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/apicall"
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
		``:                                      "it is not a JSON object, or breaks off",
		`{"_embedded":{"talks":[`:               "it is not a JSON object, or breaks off",
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

func FuzzDecodePage(f *testing.F) {
	f.Add([]byte(`{"_links":{"next":{"href":"x"}},"_embedded":{"talks":[{"talk_id":5,"chat_id":"a"}, 3 ]}}`))
	f.Add([]byte(`{"_embedded":[ ]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		page, err := DecodePage(body, "talks")
		if err != nil {
			require.ErrorIs(t, err, apicall.ErrBrokenBody)
			return
		}
		for _, e := range page.Entries {
			require.True(t, bytes.Contains(body, e.Raw), "byte for byte")
		}
	})
}
