// SPDX-License-Identifier: Apache-2.0

package message_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// testdata/mapping.blobl is the Bloblang mapping that was shipped before there was
// the processor. It says in another language what a document has to be.
//
// Over 60,000 drawn items: -rapid.checks=60000.
func TestMapping_SameDocuments(t *testing.T) {
	t.Parallel()
	p, m := processor(t, ""), mapping(t)
	rapid.Check(t, func(t *rapid.T) {
		sameAsMapping(t, p, m, anyItem().Draw(t, "item"), fromChat)
	})
}

func TestMapping_SameDocumentsOfTheSandbox(t *testing.T) {
	t.Parallel()
	p, m := processor(t, ""), mapping(t)
	for _, item := range corpus(t) {
		sameAsMapping(t, p, m, item, fromChat)
	}
}

// Every odd value in every place, so that none is left to chance.
func TestMapping_SameDocumentsOfEveryOddValue(t *testing.T) {
	t.Parallel()
	p, m := processor(t, ""), mapping(t)
	for _, place := range []string{
		`{"timestamp":%s}`, `{"msec_timestamp":%s,"timestamp":1700000000}`, `{"sender":%s}`, `{"sender":{"id":%s}}`, `{"receiver":%s}`,
		`{"receiver":{"name":%s}}`, `{"receiver":{"new":%s}}`, `{"message":%s}`, `{"message":{"id":%s}}`, `{"message":{"text":%s}}`,
		`{"message":{"file_size":%s}}`, `{"message":{"location":%s}}`, `{"message":{"location":{"lat":%s,"lon":1}}}`,
		`{"message":{"location":{"lat":1,"lon":%s,"new":2}}}`, `{"message":{"location":{"lat":1,"lon":2,"new":%s}}}`,
		`{"message":{"contact":%s}}`, `{"message":{"contact":{"phone":%s}}}`, `{"message":{"new":%s}}`, `{"new":%s}`,
	} {
		for _, value := range spelled {
			sameAsMapping(t, p, m, fmt.Sprintf(place, value), fromChat)
		}
	}
}

// corpus is the messages of the sandbox's demo and of made-up chats.
func corpus(t T) []string {
	t.Helper()
	s, err := sandbox.New(sandbox.Config{})
	require.NoError(t, err)
	s.Demo()
	chats := append(s.Seed(1, 20, 200), sandbox.DemoChatScripts, sandbox.DemoChatMedia, sandbox.DemoChatSparse, sandbox.DemoChatLong)
	var items []string
	for _, chat := range chats {
		for _, raw := range s.Messages(chat) {
			items = append(items, string(raw))
		}
	}
	return items
}

// differences are what the processor does in another way than the mapping did. Each
// changes the mapping's document, want, to what the processor's has to be.
var differences = []struct {
	why   string
	apply func(want, got map[string]any)
}{
	{
		"fields that the schema has gained", func(want, got map[string]any) {
			for _, key := range []string{"customer_id", "customer_name", "agent_id", "agent_name"} {
				if v, ok := got[key]; ok {
					want[key] = v
				}
			}
		},
	},
	{
		"extra has no empty values: absent is absent there, too. The mapping left them in for parties, locations and contact cards",
		func(want, _ map[string]any) {
			kept, _ := want["extra"].(map[string]any)
			message, _ := kept["message"].(map[string]any)
			for parent, keys := range map[*map[string]any][]string{&kept: {"sender", "receiver"}, &message: {"location", "contact"}} {
				for _, key := range keys {
					if object, ok := (*parent)[key].(map[string]any); ok {
						maps.DeleteFunc(object, func(_ string, v any) bool { return isEmpty(v) })
						if len(object) == 0 {
							delete(*parent, key)
						}
					}
				}
			}
			if message != nil && len(message) == 0 {
				delete(kept, "message")
			}
			if kept != nil && len(kept) == 0 {
				delete(want, "extra")
			}
		},
	},
	{
		"a number in a field of text, or of a position, is written as the API wrote it. The mapping wrote 1.50 as 1.5, and large ones inexactly",
		func(want, got map[string]any) {
			sameNumbers(want, got)
			if place, ok := want["location"].(map[string]any); ok {
				asProcessed, _ := got["location"].(map[string]any)
				sameNumbers(place, asProcessed)
			}
		},
	},
}

// sameNumbers gives values of want the spelling that they have in got, if they are
// the same number.
func sameNumbers(want, got map[string]any) {
	for key := range want {
		a, errA := strconv.ParseFloat(spelling(want[key]), 64)
		b, errB := strconv.ParseFloat(spelling(got[key]), 64)
		if errA == nil && errB == nil && a == b {
			want[key] = got[key]
		}
	}
}

func spelling(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

func sameAsMapping(t T, p *service.OwnedProcessor, mapping *bloblang.Executor, item string, meta metadata) {
	t.Helper()
	got := flat(t, p, item, meta)
	mapped, err := newMessage(item, meta).BloblangQuery(mapping)
	if err != nil {
		// The mapping failed on whole numbers like 12.0 and 1.7e9, which the processor
		// takes for what they are.
		require.Contains(t, err.Error(), "strconv.ParseInt", item)
		return
	}
	want := body(t, mapped)
	for _, d := range differences {
		d.apply(want, got)
	}
	require.Equal(t, want, got, item)
}
