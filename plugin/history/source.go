// SPDX-License-Identifier: Apache-2.0

package history

import (
	"context"
	"errors"
)

// Source is the API as the reader sees it: one chat, newest message first,
// addressed by how many entries to skip. It neither knows a cursor nor a
// total (chats-api.md, "The history call").
//
// Page returns at most limit entries, those at the positions offset,
// offset+1, … counted from the newest one, which is position 0. Fewer than
// limit entries, or none, mean that the chat's end was reached. An error means
// that nothing is known: Page never returns a part of a page as a whole one.
// Transient failures are the source's to retry; an error that Page returns
// fails the pass of this chat.
//
// Page is called from several goroutines at once, for different chats.
type Source interface {
	Page(ctx context.Context, chat string, offset, limit int) ([]Item, error)
}

// Item is one entry of a page.
type Item struct {
	// ID is what tells this entry from every other one of its chat, on
	// every read of it. Empty: the entry can't be a message. It holds its
	// place in the page and is otherwise left out.
	ID string
	// Time is when the message was sent, in Unix milliseconds. 0: the API
	// gave no time, and the entry is taken to be as old as its neighbour.
	Time int64
	// Value is the caller's own and is carried through untouched.
	Value any
}

// ErrOldestFirst is returned when a page shows that its server answers with
// the oldest message first. Every position would then mean another message
// than the reader takes it for, so nothing of such a server is used.
var ErrOldestFirst = errors.New("the API answered with the oldest message first, but this reader relies on the newest being first: " +
	"check that base_url names the Chats API itself and nothing that reorders its answers")

// ErrNoProgress is returned when page after page brought nothing new while the
// end was not in sight: the server ignores the offset, or the chat changes
// faster than the limit lets it be read.
var ErrNoProgress = errors.New("page after page brought nothing new, and no end: " +
	"check that what answers at base_url honours offset and limit, or allow more requests_per_second if this chat changes that fast")

// tick is the coarsest step in which the API gives times: an item may come
// without msec_timestamp (chats-api.md, "Items"), and then all that is known of
// it is its second. Wherever the order of two items is decided by their times,
// only the second counts, and items of one second are told apart by their ids.
const tick = 1000

// second rounds a time in milliseconds down to its second.
func second(ms int64) int64 {
	s := ms / tick
	if ms%tick < 0 {
		s--
	}
	return s
}
