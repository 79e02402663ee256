// SPDX-License-Identifier: Apache-2.0

package history

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Config is what a Reader is made of. Source and the sizes are required;
// nothing is filled in or changed silently.
type Config struct {
	Source Source
	// Store keeps checkpoints across restarts. nil: they are kept in memory.
	Store Store
	Hooks Hooks

	// PageSize is how many entries a request asks for, 2 or more: consecutive
	// pages overlap by one.
	PageSize int
	// MaxBufferedPages bounds how many pages of one chat are held while its end
	// is searched, and with it the size of a batch. 1 or more.
	MaxBufferedPages int
	// ParallelChats is how many chats are fetched side by side. 1 or more.
	ParallelChats int
	// CheckpointLimit bounds the messages that are read ahead or delivered and
	// not yet acknowledged, over all chats. One chat waits to be handed out with
	// no more than half of it, or with a page. 1 or more.
	CheckpointLimit int
	// PreserveOrder lets a chat's next batch leave only when the one before it
	// was acknowledged.
	PreserveOrder bool

	// Named: a chat is read once each time it is named by Add, and forgotten
	// when that has been delivered and saved. Else the chats stay, and Poll says how
	// often they are read.
	Named bool
	// Poll, if above 0, is how long after its last pass a chat is read again.
	// 0: every chat is read once, and Next returns io.EOF after the last.
	Poll time.Duration
	// Latest: of a chat without a checkpoint nothing is delivered but what
	// arrives after it was first looked at.
	Latest bool
	// Since leaves out what was sent before it. The zero time leaves out
	// nothing.
	Since time.Time
	// Lookback is how far behind the newest delivered message late ones are
	// looked for in each pass. 0 or more.
	Lookback time.Duration

	// CheckpointInterval is the least time between two writes of one chat's
	// checkpoint, but for the last one of a chat that is read once and of Close. 0 or
	// more.
	CheckpointInterval time.Duration
	// FirstRetry and Retry are how long a chat that failed waits before the next
	// try: at first, and at most. The wait doubles in between. Retry is also the most
	// that a Store is left alone that failed. Above 0.
	FirstRetry, Retry time.Duration
	// RetryNotOurs is how long a chat waits that the Source refused with ErrNotOurs.
	// Above 0.
	RetryNotOurs time.Duration
	// Transient says of an error of the Source that the same may succeed later
	// without anybody changing anything. A pass that has come some way then keeps
	// what it knows while it waits. nil: no error is.
	Transient func(error) bool
}

// Hooks tell what happens inside a Reader. Each may be nil. State is called
// with a lock held and must return at once. ChatFailed and the callbacks of
// Reader.Add are called one after the other; the rest may take their time, but
// the chat they speak of waits for them. None may call Close.
type Hooks struct {
	// Realigned is called for each page that had shifted so far that it had to
	// be asked for again.
	Realigned func()
	// CheckpointFailed is called when a checkpoint could not be read or written,
	// and says when that is tried again.
	CheckpointFailed func(chat string, err error, retryIn time.Duration)
	// CheckpointCorrupt is called when a checkpoint could not be decoded. The
	// chat is then read from its beginning.
	CheckpointCorrupt func(chat string, err error)
	// ChatFailed is called when a pass failed, with how often in a row it has, and
	// when it is tried again.
	ChatFailed func(chat string, err error, times int, retryIn time.Duration)
	// CheckpointVanished is called when the Store has lost the checkpoint of a chat,
	// or has an older one. The Reader goes on from what it knows itself and writes
	// that again.
	CheckpointVanished func(chat string)
	// LetGo is called for a chat that is not ours and was named, when there are so
	// many of these that it is given up: those who named it are told that all is
	// well.
	LetGo func(chat string)
	// Empty is called once for a chat in which the first pass found nothing at all:
	// it is unknown to the API, or has no messages.
	Empty func(chat string)
	// Odd is called once for a chat that holds entries that can't be messages,
	// with how many the pass met.
	Odd func(chat string, entries int)
	// WrongTimes is called once for a chat that holds messages which claim to be
	// of the future, or whose times can't have been meant as they stand.
	WrongTimes func(chat string, messages int)
	// ShortPages is called once when the server turns out to give pages that are
	// shorter than asked though more follows, with how many chats are read again
	// from their beginning because the end of such a page was taken for theirs.
	ShortPages func(again int)
	// State is called with how many chats are in a state now.
	State func(s State, chats int)
}

func (h *Hooks) fill() {
	orNothing(&h.Realigned, func() {})
	orNothing(&h.CheckpointFailed, func(string, error, time.Duration) {})
	orNothing(&h.CheckpointCorrupt, func(string, error) {})
	orNothing(&h.CheckpointVanished, func(string) {})
	orNothing(&h.ChatFailed, func(string, error, int, time.Duration) {})
	orNothing(&h.LetGo, func(string) {})
	orNothing(&h.Empty, func(string) {})
	orNothing(&h.Odd, func(string, int) {})
	orNothing(&h.WrongTimes, func(string, int) {})
	orNothing(&h.ShortPages, func(int) {})
	orNothing(&h.State, func(State, int) {})
}

func orNothing[F func() | func(int) | func(string) | func(string, int) | func(string, error) | func(State, int) |
	func(string, error, time.Duration) | func(string, error, int, time.Duration)](hook *F, nothing F) {
	if *hook == nil {
		*hook = nothing
	}
}

// maxKept is how many items of one chat are held at most while its end is
// searched, a whole number of pages.
func (c *Config) maxKept() int {
	return min(c.MaxBufferedPages, math.MaxInt/c.PageSize) * c.PageSize
}

func (c *Config) validate() error {
	if c.Source == nil {
		return errors.New("history: a Source is required")
	}
	for _, n := range []struct {
		name  string
		value int64
		least int64
	}{
		{"PageSize", int64(c.PageSize), 2},
		{"MaxBufferedPages", int64(c.MaxBufferedPages), 1},
		{"ParallelChats", int64(c.ParallelChats), 1},
		{"CheckpointLimit", int64(c.CheckpointLimit), 1},
		{"Poll", int64(c.Poll), 0},
		{"Lookback", int64(c.Lookback), 0},
		{"CheckpointInterval", int64(c.CheckpointInterval), 0},
		{"FirstRetry", int64(c.FirstRetry), 1},
		{"Retry", int64(c.Retry), 1},
		{"RetryNotOurs", int64(c.RetryNotOurs), 1},
	} {
		if n.value < n.least {
			return fmt.Errorf("history: %s: want %d or more, got %d", n.name, n.least, n.value)
		}
	}
	return nil
}
