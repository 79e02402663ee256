// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"slices"
	"sort"
)

// timeline is what a page is cut from: the messages of a talk, or the events of
// the account. Positions count from the oldest, 0.
type timeline interface {
	len() int
	at(position int) int64 // unix s, never before the one of the position below
	id(position int) string
	outgoing(position int) bool
	// arrived is when the server had it, in unix s.
	arrived(position int) int64
	// settled returns a position below which everything arrived before a time.
	settled(time int64) int
	appendItem(dst []byte, position int) []byte
}

// conversation is the messages of one talk, by time; of the same second the one
// that arrived last is the newest. Below are the computed messages of a synthetic
// talk, above them the stored ones. Server.account.mu guards every field.
type conversation struct {
	base  syntheticTalk
	items []talkItem
}

type talkItem struct {
	talkFacts
	raw  json.RawMessage
	came int64 // unix s
}

func (c *conversation) len() int { return c.base.messages + len(c.items) }

func (c *conversation) at(p int) int64 {
	if p < c.base.messages {
		return c.base.at(p)
	}
	return c.items[p-c.base.messages].at
}

func (c *conversation) id(p int) string {
	if p < c.base.messages {
		return c.base.id(p)
	}
	return c.items[p-c.base.messages].id
}

func (c *conversation) outgoing(p int) bool {
	if p < c.base.messages {
		return c.base.outgoing(p)
	}
	return c.items[p-c.base.messages].outgoing
}

func (c *conversation) arrived(p int) int64 {
	if p < c.base.messages {
		return c.base.at(p)
	}
	return c.items[p-c.base.messages].came
}

// settled knows nothing: a late message may be anywhere.
func (c *conversation) settled(int64) int { return 0 }

func (c *conversation) appendItem(dst []byte, p int) []byte {
	if p < c.base.messages {
		return c.base.appendItem(dst, p)
	}
	return append(dst, c.items[p-c.base.messages].raw...)
}

// store turns computed messages into stored ones, so that they can change.
func (c *conversation) store() {
	if c.base.messages == 0 {
		return
	}
	all := make([]talkItem, 0, c.len()+1)
	for p := range c.base.messages {
		all = append(all, talkItem{
			talkFacts: talkFacts{c.base.id(p), c.base.at(p), true, c.base.outgoing(p)}, raw: c.base.appendItem(nil, p), came: c.base.at(p),
		})
	}
	c.items = append(all, c.items...)
	c.base.messages = 0
}

// insert puts an item where its time belongs.
func (c *conversation) insert(item talkItem) {
	if n := c.base.messages; n > 0 && item.at < c.base.at(n-1) {
		c.store()
	}
	place := sort.Search(len(c.items), func(i int) bool { return c.items[i].at > item.at })
	c.items = slices.Insert(c.items, place, item)
}

// find returns the position of the newest message with an id, or -1.
func (c *conversation) find(id string) int {
	for i := range slices.Backward(c.items) {
		if c.items[i].id == id {
			return c.base.messages + i
		}
	}
	return c.base.index(id)
}

// remove deletes the message at a position.
func (c *conversation) remove(p int) {
	if p < c.base.messages {
		c.store()
	}
	p -= c.base.messages
	c.items = slices.Delete(c.items, p, p+1)
}

// replace changes the message at a position; it keeps its arrival.
func (c *conversation) replace(p int, raw json.RawMessage) {
	if p < c.base.messages {
		c.store()
	}
	p -= c.base.messages
	item := talkItem{talkFacts: readFacts(raw), raw: stored(raw), came: c.items[p].came}
	if !item.timed {
		item.at = c.items[p].at
	}
	if item.at == c.items[p].at {
		c.items[p] = item // in its place among those of the same second
		return
	}
	c.items = slices.Delete(c.items, p, p+1)
	c.insert(item)
}
