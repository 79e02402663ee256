// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
	"github.com/kommo-connect/kommo-connect/plugin/internal/checkpoint"
)

// Config is what a Reader is made of. NewPass and the sizes are required;
// nothing is filled in or changed silently.
type Config struct {
	// NewPass makes the passes, and with them the requests.
	NewPass chat.NewPass
	// Store keeps checkpoints across restarts. nil: they are kept in memory.
	Store checkpoint.Store
	Hooks Hooks

	// PageSize is how many entries a request asks for, 2 or more: consecutive
	// pages overlap by one.
	PageSize int
	// MaxBufferedPages bounds how many pages of one chat are held while its end
	// is searched, and with it the size of a batch. 1 or more.
	MaxBufferedPages int
	// ReadAhead is how many pages of one chat are asked for at once where it is known
	// that they are needed (chat.Start). Those count as one of ParallelChats. 0 is the
	// same as 1: each alone.
	ReadAhead int
	// ParallelChats is how many chats are read side by side. 1 or more.
	ParallelChats int
	// CheckpointLimit bounds the messages that are read and not yet acknowledged, over
	// all chats. One chat has no more than half of it waiting to be delivered, or a page.
	// 1 or more.
	CheckpointLimit int
	// PreserveOrder lets a chat's next batch leave only when the one before it
	// was acknowledged.
	PreserveOrder bool

	// OncePerAdd: a chat is read once for each Add, and forgotten when that has been
	// delivered and saved. Else the chats stay, and Poll says how often they are read.
	OncePerAdd bool
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
	// Changes, if above 0, has passes look for what has changed or vanished within the
	// lookback, and is how long after its last pass a chat is read again that has messages
	// there, by this machine's clock: with Poll that, if it is shorter; with OncePerAdd also a
	// chat that nobody adds again. 0: no pass looks for changes.
	Changes time.Duration
	// KeepFrom says from which time on the ids of what was delivered of a chat are kept,
	// where that is more than Lookback: Unix milliseconds, of a chat whose newest delivered
	// message has a time. nil: nothing more is. It is called with a lock held.
	KeepFrom func(chat string, newest int64) int64

	// CheckpointInterval is the least time between two writes of one chat's
	// checkpoint, but for the last one of a chat that is read once and of Close. 0 or
	// more.
	CheckpointInterval time.Duration
	// FirstRetry and Retry are how long a chat that failed waits before the next
	// try: at first, and at most. The wait doubles in between. Retry is also the most
	// that a Store is left alone that failed. Above 0.
	FirstRetry, Retry time.Duration
	// RetryNotOurs is the longest that a chat waits that was refused with
	// chat.ErrNotOurs. Above 0.
	RetryNotOurs time.Duration
	// Transient says of a request's error that the same may succeed later without
	// anybody changing anything. A pass that has come some way then keeps what it knows
	// while it waits. nil: no error is.
	Transient func(error) bool
}

// maxKept is how many items of one chat are held at most while its end is
// searched, a whole number of pages.
func (c *Config) maxKept() int {
	return min(c.MaxBufferedPages, math.MaxInt/c.PageSize) * c.PageSize
}

func (c *Config) validate() error {
	if c.NewPass == nil {
		return errors.New("reader: NewPass is required")
	}
	for _, n := range []struct {
		name  string
		value int64
		least int64
	}{
		{"PageSize", int64(c.PageSize), 2},
		{"MaxBufferedPages", int64(c.MaxBufferedPages), 1},
		{"ReadAhead", int64(c.ReadAhead), 0},
		{"ParallelChats", int64(c.ParallelChats), 1},
		{"CheckpointLimit", int64(c.CheckpointLimit), 1},
		{"Poll", int64(c.Poll), 0},
		{"Lookback", int64(c.Lookback), 0},
		{"Changes", int64(c.Changes), 0},
		{"CheckpointInterval", int64(c.CheckpointInterval), 0},
		{"FirstRetry", int64(c.FirstRetry), 1},
		{"Retry", int64(c.Retry), 1},
		{"RetryNotOurs", int64(c.RetryNotOurs), 1},
	} {
		if n.value < n.least {
			return fmt.Errorf("reader: %s: want %d or more, got %d", n.name, n.least, n.value)
		}
	}
	return nil
}
