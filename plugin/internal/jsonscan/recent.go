// SPDX-License-Identifier: Apache-2.0

package jsonscan

import "strings"

// Recent has the last two objects of a kind that were read from a text, since most of a page
// is between the same two people. The zero value has none.
type Recent[T any] struct {
	last [2]recent[T]
	turn int
}

type recent[T any] struct {
	raw   string // "": none
	depth int
	value T
}

// At returns the object that begins at start, and where it ends, if it was read before at
// this depth; else nil.
func (r *Recent[T]) At(text string, start, depth int) (value *T, end int) {
	for k := range r.last {
		// A whole object is never the beginning of another one, so what begins
		// with its text is that object once more.
		if o := &r.last[k]; o.raw != "" && o.depth == depth && strings.HasPrefix(text[start:], o.raw) {
			return &o.value, start + len(o.raw)
		}
	}
	return nil, 0
}

// Keep takes an object that was read, in place of the older one.
func (r *Recent[T]) Keep(raw string, depth int, value *T) {
	r.last[r.turn] = recent[T]{raw, depth, *value}
	r.turn = 1 - r.turn
}
