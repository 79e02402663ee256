// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kommo-connect/kommo-connect/plugin/amojo"
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
	party := rapid.Custom(func(t *rapid.T) amojo.Party {
		return amojo.Party{
			ID: text.Draw(t, "id"), Name: text.Draw(t, "name"), ClientID: text.Draw(t, "client id"),
			Avatar: text.Draw(t, "avatar"), Phone: text.Draw(t, "phone"), Email: text.Draw(t, "email"),
		}
	})
	// Few parties, so that they repeat.
	parties := rapid.SliceOfN(party, 1, 2)
	rapid.Check(t, func(t *rapid.T) {
		between := rapid.SampledFrom(parties.Draw(t, "parties"))
		items := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) *amojo.Item {
			it := &amojo.Item{
				Raw: []byte(text.Draw(t, "body")), Object: true,
				Timestamp: number.Draw(t, "s"), MsecTimestamp: number.Draw(t, "ms"),
				Sender: between.Draw(t, "sender"), ID: text.Draw(t, "message id"), ClientID: text.Draw(t, "message client id"),
				Type: text.Draw(t, "type"), MediaGroupID: text.Draw(t, "group"),
			}
			if rapid.Bool().Draw(t, "outgoing") {
				it.Receiver = between.Draw(t, "receiver")
				it.HasReceiver = it.Receiver != amojo.Party{}
			}
			return it
		}), 1, 10).Draw(t, "items")

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
