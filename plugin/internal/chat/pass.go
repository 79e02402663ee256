// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"context"
	"time"
)

// Pass reads one chat once: from its checkpoint, or its beginning, to what was newest
// when the pass began.
//
// Run is called once, and on one goroutine. Whatever it returns, what it has emitted
// is in order and without a gap, so that a later pass can go on behind it. The counts
// of its Result hold with an error too.
type Pass interface {
	Run(ctx context.Context) (Result, error)
}

// NewPass makes the pass over a chat. It is what one kind of API differs in from
// another. It may be called from several goroutines at once.
type NewPass func(Start) Pass

// Start is what a pass begins with. No function in it is nil.
type Start struct {
	Chat string
	// PageSize is how many entries a request asks for, 2 or more.
	PageSize int
	// MaxKept is how many items the pass may hold while it searches for where to begin,
	// a whole number of pages.
	MaxKept int
	// ReadAhead is how many pages may be asked for at once where it is known that they
	// are needed. Less than 2: each alone.
	ReadAhead int

	// From is the chat's checkpoint, if it is Known; else the chat was never read.
	From  Checkpoint
	Known bool
	// Reached, where From was set back, is the checkpoint from before that. A pass does
	// not end before it has met something of that, and emits what it would have emitted
	// from there. The zero value: it was not set back.
	Reached Checkpoint
	// Latest: of a chat that is not Known nothing is emitted; the Result has the
	// checkpoint to go on from.
	Latest bool
	// Since leaves out what was sent before it. The zero time leaves out nothing.
	Since time.Time
	// Lookback is how far behind the newest delivered message late ones are looked for.
	Lookback time.Duration
	// Changes has the pass emit as well what has changed or vanished of that which From
	// knows: an [Update] at its place in the chat, and each [Delete] last. It takes items with
	// a Hash.
	Changes bool
	// Now is this machine's clock.
	Now time.Time

	// Emit takes what is to be delivered next, oldest first, and the server's clock when
	// it was read, in Unix milliseconds. It may wait until there is room. The pass ends
	// with its error.
	Emit func(ctx context.Context, items []Item, now int64) error
	// Call makes a request. It may make it again while it fails, and wait in between;
	// the pass ends with the error that it returns.
	Call func(ctx context.Context, request func(context.Context) error) error
	// Begin starts what makes a request on a goroutine of its own, and returns what waits
	// until that has ended. Everything begun has ended when Run returns.
	Begin func(request func()) (wait func())
	// OnRealigned is called for each page that had shifted so far that it had to be
	// asked for again.
	OnRealigned func()
	// ShortPages: a page that is shorter than asked is known to be no sign of a chat's end
	// at this server. OnShortPages is called when that turns out. Of the passes over one
	// server's chats only one calls it, and once, and none if it was known before.
	ShortPages   bool
	OnShortPages func()
	// OnBelieved is called, before anything is emitted, when such a page is taken for the
	// chat's end for all that. It may be called more than once.
	OnBelieved func()
}

// Result is what a pass found beside what it emitted.
type Result struct {
	// Checkpoint is what to go on from, where Set: of a chat that is to be read from now
	// on only, or of one that has nothing new but lacks every message that the last
	// checkpoint knows. Else what was emitted says it.
	Checkpoint Checkpoint
	Set        bool
	// Notes are what the checkpoint is to take over by [Checkpoint.Note] once all that was
	// emitted is in it, or before. There are none without Start.Changes.
	Notes []Seen

	Entries    int // of all pages
	Odd        int // those of them that can't be messages
	WrongTimes int // messages of the future, or whose times can't have been meant as they stand
}
