// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"encoding/json"
	"slices"
	"sort"
)

// chat is one chat's messages. Positions count from the oldest message, 0.
// Below are the computed messages of a synthetic chat, above them the stored
// ones; most chats have only one of the two. Server.mu guards every field.
type chat struct {
	base synthetic
	gone []int // deleted indices of base, ascending
	tail []entry
}

// entry is one stored message. Its time, in unix ms, is known only on a server
// that lists by time.
type entry struct {
	item json.RawMessage
	at   int64
}

func (c *chat) baseLen() int { return c.base.n - len(c.gone) }

func (c *chat) len() int { return c.baseLen() + len(c.tail) }

// baseIndex returns the index in base of the message at a position below
// baseLen, stepping over the deleted ones.
func (c *chat) baseIndex(position int) int {
	k := sort.Search(len(c.gone), func(k int) bool { return c.gone[k]-k > position })
	return position + k
}

func (c *chat) appendItem(dst []byte, position int) []byte {
	if n := c.baseLen(); position >= n {
		return append(dst, c.tail[position-n].item...)
	}
	return c.base.appendItem(dst, c.baseIndex(position))
}

// at returns the time by which the message at a position is listed.
func (c *chat) at(position int) int64 {
	if n := c.baseLen(); position >= n {
		return c.tail[position-n].at
	}
	return c.base.at(c.baseIndex(position))
}

// place returns the position of a new message in a listing by time: behind all
// that are not later.
func (c *chat) place(at int64) int {
	position := c.len()
	for position > 0 && c.at(position-1) > at {
		position--
	}
	return position
}

// insert puts an item at a position, 0 to len. Among computed messages it has to
// store those above it first.
func (c *chat) insert(position int, item json.RawMessage, at int64) {
	if n := c.baseLen(); position < n {
		above := make([]entry, 0, n-position+len(c.tail))
		for p := position; p < n; p++ {
			above = append(above, entry{c.appendItem(nil, p), c.at(p)})
		}
		c.base.n = c.baseIndex(position)
		c.gone = c.gone[:sort.SearchInts(c.gone, c.base.n)]
		c.tail = append(above, c.tail...)
	}
	c.tail = slices.Insert(c.tail, position-c.baseLen(), entry{stored(item), at})
}

// remove deletes the message at a position below len.
func (c *chat) remove(position int) {
	if n := c.baseLen(); position >= n {
		c.tail = slices.Delete(c.tail, position-n, position-n+1)
		return
	}
	index := c.baseIndex(position)
	c.gone = slices.Insert(c.gone, sort.SearchInts(c.gone, index), index)
}

// replace changes the message at a position below len, and not its place.
func (c *chat) replace(position int, item json.RawMessage) {
	at := c.at(position)
	c.remove(position)
	c.insert(position, item, at)
}

// find returns the position of the newest message with an id, or -1.
func (c *chat) find(id string) int {
	for i, e := range slices.Backward(c.tail) {
		item := e.item
		// Most items can be told apart without decoding them; one with an escape
		// may spell the id another way.
		if !bytes.Contains(item, []byte(id)) && !bytes.ContainsRune(item, '\\') {
			continue
		}
		if MessageID(item) == id {
			return c.baseLen() + i
		}
	}
	index, ok := c.base.index(id)
	if !ok {
		return -1
	}
	k, deleted := slices.BinarySearch(c.gone, index)
	if deleted {
		return -1
	}
	return index - k
}

// stored copies an item, since its owner may reuse the bytes. An item of no
// bytes would tear the page apart and is kept as null.
func stored(item json.RawMessage) json.RawMessage {
	if len(item) == 0 {
		return json.RawMessage("null")
	}
	return bytes.Clone(item)
}
