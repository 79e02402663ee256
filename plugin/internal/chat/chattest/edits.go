// SPDX-License-Identifier: Apache-2.0

package chattest

import (
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
)

// Consumer builds the state of a chat from what is delivered of it.
type Consumer struct {
	T require.TestingT
	// Has has the hash of each message that is there.
	Has map[string]chat.Hash
	// Deleted says whether a message is gone from the API for good.
	Deleted func(id string) bool
	// Created has what was created.
	Created map[string]bool
	// Updates and Deletes count what was delivered as such.
	Updates, Deletes int
}

// NewConsumer returns one that has nothing.
func NewConsumer(t require.TestingT, deleted func(id string) bool) *Consumer {
	return &Consumer{T: t, Has: map[string]chat.Hash{}, Deleted: deleted, Created: map[string]bool{}}
}

// Take takes what is delivered next.
func (c *Consumer) Take(items []chat.Item) {
	for i := range items {
		it := &items[i]
		switch it.Op {
		case chat.Create:
			c.Has[it.ID], c.Created[it.ID] = it.Hash, true
		case chat.Update:
			require.True(c.T, c.Created[it.ID], "%s is updated, and was never created", it.ID)
			c.Has[it.ID] = it.Hash
			c.Updates++
		case chat.Delete:
			require.True(c.T, c.Created[it.ID], "%s is deleted, and was never created", it.ID)
			require.True(c.T, c.Deleted(it.ID), "%s is deleted, and is there", it.ID)
			require.Zero(c.T, it.Value)
			delete(c.Has, it.ID)
			c.Deletes++
		}
	}
}

// Hashes returns those of some items.
func Hashes(items []chat.Item) map[string]chat.Hash {
	out := map[string]chat.Hash{}
	for i := range items {
		if items[i].ID != "" {
			out[items[i].ID] = items[i].Hash
		}
	}
	return out
}

// Without returns hashes but for some of them.
func Without(hashes map[string]chat.Hash, but func(id string) bool) map[string]chat.Hash {
	out := maps.Clone(hashes)
	maps.DeleteFunc(out, func(id string, _ chat.Hash) bool { return but(id) })
	return out
}

// Edits changes the bytes of messages.
type Edits struct{ last chat.Hash }

// Version gives each message a hash that has none.
func (e *Edits) Version(items []chat.Item) {
	for i := range items {
		if items[i].Hash == 0 {
			e.last++
			items[i].Hash = e.last
		}
	}
}

// Edit gives some of the items other bytes, and returns them as they are then.
func (e *Edits) Edit(rnd *rand.Rand, items []chat.Item, n int) []chat.Item {
	items = slices.Clone(items)
	for range min(n, len(items)) {
		e.last++
		items[rnd.IntN(len(items))].Hash = e.last
	}
	return items
}

// Moments hides messages from answers, for no longer than from one whole pass to the next.
type Moments struct {
	Rnd    *rand.Rand
	Chance int // in percent of the answers
	// Hidden has what is hidden in this pass.
	Hidden map[string]bool
	before map[string]bool
}

// Ended takes the end of a pass.
func (m *Moments) Ended(whole bool) {
	if whole || m.before == nil {
		m.before = map[string]bool{}
	}
	maps.Copy(m.before, m.Hidden)
	m.Hidden = map[string]bool{}
}

// Bend takes messages out of an answer.
func (m *Moments) Bend(page []chat.Item) []chat.Item {
	if m.Rnd.IntN(100) >= m.Chance {
		return page
	}
	return slices.DeleteFunc(slices.Clone(page), func(it chat.Item) bool {
		if m.before[it.ID] || m.Rnd.IntN(4) > 0 {
			return false
		}
		m.Hidden[it.ID] = true
		return true
	})
}
