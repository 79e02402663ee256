// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"context"
	"errors"
)

// Source is an API that lists a chat's newest message first, addressed by how
// many entries to skip. It neither knows a cursor nor a total (chats-api.md, "The
// history call").
//
// Page returns at most limit entries, those at the positions offset,
// offset+1, … counted from the newest one, which is position 0. Fewer than
// limit entries, or none, prove nothing: a server may leave out entries after it
// has applied the limit, or have a lower limit of its own. An error means that
// nothing is known: Page never returns a part of a page as a whole one. It tries
// a call again a few times where that can help; an error that it returns after
// that fails the pass of this chat.
//
// Page is called from several goroutines at once.
type Source interface {
	Page(ctx context.Context, chat string, offset, limit int) (Page, error)
}

// Page is one answer of a Source.
type Page struct {
	Items []Item
	// Now is the clock of the server when it answered, in Unix milliseconds, or
	// an earlier time. It bounds how far a checkpoint moves: a message from the
	// future moves it no further than Now.
	Now int64
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
	// Implausible says that what the API gave as the time can't have been meant
	// as it stands, and that Time is what was made of it.
	Implausible bool
	untimed     bool // Time is a neighbour's
	late        bool // it stands below what was delivered before it, for all that is known
	// Op is set by the pass that emits the item.
	Op Op
	// Hash is that of the item's bytes, where Start.Changes needs it.
	Hash Hash
	// Value is the caller's own and is carried through untouched.
	Value any
}

// ErrNotOurs is wrapped by an error of a Source which says that the chat is not
// one that this Source may read, and that other chats are not concerned.
var ErrNotOurs = errors.New("the chat belongs to another channel")

// ErrOldestFirst is returned when pages show that their server answers with
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
