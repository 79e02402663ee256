// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"context"
	"errors"
)

// TalkSource is an API that gives a talk's messages in numbered pages, in an order that
// is not known, with a filter of time that may not be kept (chats-api.md, "Messages of
// every channel").
//
// Messages returns at most q.Limit entries. Fewer than that, or none, prove nothing, and
// neither does a link to a next page, or its absence. An error means that nothing is
// known, as with [Source].
//
// Messages is called from several goroutines at once, for different talks.
type TalkSource interface {
	Messages(ctx context.Context, talk string, q TalkQuery) (TalkPage, error)
}

// TalkQuery says which entries of a talk a [TalkSource] is asked for.
type TalkQuery struct {
	// Page counts from 1. Page p has the entries from (p-1)*Limit on.
	Page int
	// Limit is 1 to Start.PageSize.
	Limit int
	// From and To are the first and the last second of the messages' times, in Unix time.
	// 0: no bound.
	From, To int64
}

// TalkPage is one answer of a [TalkSource].
type TalkPage struct {
	// Items are in the API's own order. An item's ID is the message's; what can't be a
	// message holds its place without one. Its Time may be known to the second only.
	Items []Item
	// None says that there are none because the API knows no such talk.
	None bool
	// More says that the answer links a next page.
	More bool
	// Now is the server's clock, as in [Page].
	Now int64
	// Date is what the server says of its clock, in Unix milliseconds, which may be ahead of
	// Now. 0: nothing.
	Date int64
}

// ErrTooManyKept is returned where a talk has more that is new than a pass may hold, and
// can't be cut into parts by time.
var ErrTooManyKept = errors.New("more messages have to be held than max_buffered_pages allows")

// numbersError is [ErrNoProgress] of a talk.
type numbersError struct{}

func (numbersError) Error() string {
	return "page after page brought nothing new, and no end: check that what answers at api_url honours page and limit, " +
		"or allow more requests_per_second if this talk changes that fast"
}

func (numbersError) Is(target error) bool { return target == ErrNoProgress }
