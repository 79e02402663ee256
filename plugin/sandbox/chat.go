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
	tail []json.RawMessage
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
		return append(dst, c.tail[position-n]...)
	}
	return c.base.appendItem(dst, c.baseIndex(position))
}

// push makes items the newest ones, the last of them the newest of all.
func (c *chat) push(items []json.RawMessage) {
	for _, item := range items {
		c.tail = append(c.tail, stored(item))
	}
}

// insert puts an item at a position, 0 to len. Among computed messages it has to
// store those above it first.
func (c *chat) insert(position int, item json.RawMessage) {
	if n := c.baseLen(); position < n {
		above := make([]json.RawMessage, 0, n-position+len(c.tail))
		for p := position; p < n; p++ {
			above = append(above, c.appendItem(nil, p))
		}
		c.base.n = c.baseIndex(position)
		c.gone = c.gone[:sort.SearchInts(c.gone, c.base.n)]
		c.tail = append(above, c.tail...)
	}
	c.tail = slices.Insert(c.tail, position-c.baseLen(), stored(item))
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

// find returns the position of the newest message with an id, or -1.
func (c *chat) find(id string) int {
	for i, item := range slices.Backward(c.tail) {
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

// view is how a chat's history looks to one request.
type view struct {
	oldestFirst bool
	nullItems   bool
	rewrite     func(json.RawMessage) json.RawMessage // nil: verbatim
}

// nullEvery is the distance of the null items that view.nullItems mixes in. They
// take part in the numbering, counted from the oldest message, so that pages
// fit together as they do without them.
const nullEvery = 11

func (c *chat) viewLen(v view) int {
	n := c.len()
	if v.nullItems {
		n += n / (nullEvery - 1)
	}
	return n
}

// appendPage appends the items at offset and behind it, at most limit, joined by
// commas, and returns how many there were.
func (c *chat) appendPage(dst []byte, v view, offset, limit int) ([]byte, int) {
	total := c.viewLen(v)
	if offset >= total {
		return dst, 0
	}
	count := min(limit, total-offset)
	for i := range count {
		if i > 0 {
			dst = append(dst, ',')
		}
		position := total - 1 - offset - i
		if v.oldestFirst {
			position = offset + i
		}
		if v.nullItems {
			if position%nullEvery == nullEvery-1 {
				dst = append(dst, "null"...)
				continue
			}
			position -= position / nullEvery
		}
		if v.rewrite == nil {
			dst = c.appendItem(dst, position)
		} else {
			dst = append(dst, v.rewrite(c.appendItem(nil, position))...)
		}
	}
	return dst, count
}
