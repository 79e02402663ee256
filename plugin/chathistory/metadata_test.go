// SPDX-License-Identifier: Apache-2.0

package chathistory

import (
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kommo-connect/kommo-connect/plugin/internal/amojo"
)

// metadataOf returns all metadata of a message.
func metadataOf(t require.TestingT, m *service.Message) map[string]any {
	all := map[string]any{}
	require.NoError(t, m.MetaWalkMut(func(key string, value any) error {
		all[key] = value
		return nil
	}))
	return all
}

// Whatever came before it in its batch, a message has the metadata and the body
// of its own item.
func TestMint_NothingOfTheTemplateStays(t *testing.T) {
	t.Parallel()
	text := rapid.SampledFrom([]string{"", "a", "b"})
	number := rapid.SampledFrom([]int64{0, 1, 2})
	// An item differs from the one before in a field or two, as in a chat, so that
	// most are made of a template and each way to differ from it comes up.
	change := func(t *rapid.T, it *amojo.Item) {
		texts := []*string{&it.ID, &it.ClientID, &it.Type, &it.MediaGroupID}
		for _, p := range []*amojo.Party{&it.Sender, &it.Receiver} {
			texts = append(texts, &p.ID, &p.Name, &p.ClientID, &p.Avatar, &p.Phone, &p.Email)
		}
		if rapid.IntRange(0, 3).Draw(t, "what") == 0 {
			it.Timestamp, it.MsecTimestamp = number.Draw(t, "s"), number.Draw(t, "ms")
		} else {
			*rapid.SampledFrom(texts).Draw(t, "field") = text.Draw(t, "text")
		}
		it.HasReceiver = it.Receiver != amojo.Party{}
	}
	rapid.Check(t, func(t *rapid.T) {
		items := []*amojo.Item{{Object: true, ID: "a", Timestamp: number.Draw(t, "s"), MsecTimestamp: number.Draw(t, "ms")}}
		for range rapid.IntRange(0, 20).Draw(t, "more items") {
			next := *items[len(items)-1]
			next.Raw = []byte(text.Draw(t, "body"))
			for range rapid.IntRange(0, 2).Draw(t, "changes") {
				change(t, &next)
			}
			items = append(items, &next)
		}

		batch := mint{scope: "scope", chat: "chat"}
		for i, it := range items {
			got := batch.message(it)
			alone := mint{scope: "scope", chat: "chat"}
			want := alone.message(it)
			require.Equal(t, metadataOf(t, want), metadataOf(t, got), "message %d", i)
			body, err := got.AsBytes()
			require.NoError(t, err)
			require.Equal(t, it.Raw, body)
		}
	})
}

// A pipeline may change a message while the next of its batch is made of the
// same template.
func TestMint_MessagesAreIndependent(t *testing.T) {
	t.Parallel()
	batch := mint{scope: "scope", chat: "chat"}
	item := func(id string) *amojo.Item {
		return &amojo.Item{Raw: []byte(id), Object: true, ID: id, Sender: amojo.Party{Name: "Ann"}}
	}
	first := batch.message(item("1"))
	first.MetaSetMut("kommo_sender_name", "changed")
	first.MetaSetMut("added", true)
	second := batch.message(item("2"))
	second.MetaSetMut("kommo_sender_name", "changed")
	assert.Equal(t, map[string]any{
		"kommo_scope_id": "scope", "kommo_chat_id": "chat", "kommo_direction": "incoming",
		"kommo_message_id": "3", "kommo_sender_name": "Ann",
	}, metadataOf(t, batch.message(item("3"))))
}

// Two times that agree are right in whatever year: the milliseconds of 1970 are as
// small as the seconds of today.
func TestSentAt_TheFirstDay(t *testing.T) {
	t.Parallel()
	for _, ms := range []int64{6819, 96_066, 1_700_000_000_123} {
		got, _ := sentAt(&amojo.Item{Timestamp: ms / 1000, MsecTimestamp: ms})
		assert.Equal(t, ms, got)
	}
}
