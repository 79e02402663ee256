// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/checkpoint"
)

// Checkpoint is how far a chat has been delivered: everything older than From
// is done with, and of what is as new as From or newer, exactly the items in
// Seen have been delivered. The zero value says that nothing has.
//
// A time alone would not do: several messages can share one, the next of them
// may arrive after the first was delivered, and any of them may be wrong.
type Checkpoint struct {
	// Time is the newest delivered item's, in Unix milliseconds, of those that were
	// not later than the server's clock when they were read: a message from the
	// future must not make what comes after it look old.
	Time int64 `json:"time_ms"`
	// From is a whole second, in Unix milliseconds. Seen is complete from there on:
	// it lies behind the newest item that was delivered and is not in Seen. It trails
	// Time by the lookback, or by less where more than maxSeen were delivered within
	// it, and never moves back.
	From int64 `json:"from_ms"`
	// Seen are the delivered items since From in the order of their delivery, with
	// what was delivered between them whatever its time, and always the last few,
	// however old: where late messages are listed as they arrive, what stands above
	// these is new whatever its time, and several of them outlast the deletion of one.
	Seen []Seen `json:"seen"`

	// Believed says that a short page was taken for the chat's end and nobody has read it anew
	// since. ShortPages says that such pages were known then to be no sign of it at this server. Neither
	// is for a pass: whoever keeps checkpoints sets them, and has a chat read anew of which both hold.
	Believed   bool `json:"believed,omitempty"`
	ShortPages bool `json:"short_pages,omitempty"`
}

// Seen is a delivered item: its id, and its time in Unix milliseconds.
type Seen struct {
	ID      string `json:"id"`
	Time    int64  `json:"time_ms"`
	Untimed bool   `json:"untimed,omitempty"` // it shows no time, and Time is that of one next to it

	// The rest is for Start.Changes, and zero without it.

	// Unplaced says that neither the time tells where the item is listed, since what the API
	// gave was not meant as it stands; or not the order of delivery, since it came late.
	Unplaced bool `json:"unplaced,omitempty"`
	Mark     Mark `json:"mark,omitempty"`
	Hash     Hash `json:"hash,omitempty"` // of the bytes that were delivered

	op Op // how it is delivered
}

// SeenOf returns items as a checkpoint has them.
func SeenOf(items []Item) []Seen {
	out := make([]Seen, len(items))
	for i := range items {
		it := &items[i]
		out[i] = Seen{ID: it.ID, Time: it.Time, Untimed: it.untimed, Unplaced: it.Hash != 0 && (it.Implausible || it.late), Hash: it.Hash, op: it.Op}
	}
	return out
}

const (
	// anchors is how many of the last delivered items a checkpoint keeps at
	// least, however old they are.
	anchors = 8
	// maxSeen is how many items a checkpoint keeps at most of those that were not later
	// than the server's clock: 60,000 messages of one second would make one of 4 MB, and
	// be looked through with each poll.
	maxSeen = 1000
	// maxFuture is how many it keeps beside these of the others.
	maxFuture = 10_000
)

// floor returns the second from which the ids of delivered items are kept. The
// lookback is how far behind the newest delivered item late ones are still looked
// for.
func (c *Checkpoint) floor(lookback time.Duration) int64 {
	return max(second(c.Time-lookback.Milliseconds()), second(c.From))
}

// Newest returns the time of the newest item that is known, in Unix milliseconds, of those that
// are not later than latest. It is Time, or of an item that was of the future when it was read.
func (c *Checkpoint) Newest(latest int64) int64 {
	newest := c.Time
	for _, s := range c.Seen {
		if s.Time <= latest {
			newest = max(newest, s.Time)
		}
	}
	return newest
}

// Advance adds what was delivered next, oldest first, and read when the server's
// clock showed now, in Unix milliseconds. It copies the ids that it keeps. What is no new
// message moves nothing, and changes what is known of the one that it speaks of.
func (c *Checkpoint) Advance(delivered []Seen, lookback time.Duration, now int64) {
	delivered = c.amend(delivered)
	if len(delivered) == 0 {
		return
	}
	for _, d := range delivered {
		if d.Time <= now {
			c.Time = max(c.Time, d.Time)
		}
	}
	floor := c.floor(lookback)
	all := make([]Seen, 0, len(c.Seen)+len(delivered))
	all = append(append(all, c.Seen...), delivered...)
	// What lies within the lookback and what was delivered after that. What is ahead of the
	// clock by less than the lookback soon lies within it.
	begin := max(0, len(all)-anchors)
	for i, s := range all[:begin] {
		if second(s.Time) >= floor && s.Time <= now+lookback.Milliseconds() {
			begin = i
			break
		}
	}
	// Of what was delivered before that, what an API that sorts by time lists above a
	// firm item is kept too: what claims to be of the future, or did when it was
	// delivered. Met there and not known, it would be taken for new.
	oldest := floor
	for i := max(begin, len(all)-anchors); i < len(all); i++ {
		if c.firm(all, i, floor) {
			oldest = min(oldest, second(all[i].Time))
		}
	}
	kept := make([]Seen, 0, min(len(all), maxSeen))
	keep := false
	for i, s := range slices.Backward(all) {
		// What shows no time may be as new as what was delivered next, and a later pass
		// take it for that.
		if keep = i >= begin || second(s.Time) >= oldest || s.Untimed && keep; keep {
			kept = append(kept, s)
		} else {
			c.From = max(c.From, (second(s.Time)+1)*tick)
		}
	}
	slices.Reverse(kept)
	c.Seen = c.bound(kept, now)
	for i := range c.Seen {
		// The id may be a part of its page, which must not be kept in memory for
		// the sake of it.
		if i >= len(c.Seen)-len(delivered) {
			c.Seen[i].ID = strings.Clone(c.Seen[i].ID)
		}
	}
}

// firm says of the item at i, of all that were delivered and are known, that
// nothing stands above it that was delivered before it and is forgotten, whichever way
// the API sorts. So what stands above it and is not known is new. It is the last, or
// lies within the lookback, or is one of the last few and of the future, or no older than
// the one before it: to the second, for within one the API may order as it likes. What is firm stays
// so as long as it is one of these.
func (c *Checkpoint) firm(all []Seen, i int, floor int64) bool {
	s, few := all[i], max(0, len(all)-anchors)
	switch {
	case i == len(all)-1:
		return true
	case i < few && (s.Time > c.Time || second(s.Time) < floor):
		return false
	case s.Time > c.Time:
		return true
	case second(s.Time) >= floor:
		return true
	}
	for _, o := range slices.Backward(all[few:i]) {
		if o.Time <= c.Time {
			return second(o.Time) <= second(s.Time)
		}
	}
	return false
}

// bound forgets the items delivered first where there are too many, and moves
// From behind them, but never behind now: what is forgotten of the future comes once
// more, for what is sent until then must not look old.
func (c *Checkpoint) bound(kept []Seen, now int64) []Seen {
	future := 0
	for _, s := range kept {
		if s.Time > now {
			future++
		}
	}
	past := len(kept) - future - maxSeen
	future -= maxFuture
	if past <= 0 && future <= 0 {
		return kept
	}
	rest := kept[:0]
	for i, s := range kept {
		switch {
		case i >= len(kept)-anchors:
		case s.Time <= now && past > 0:
			past--
			c.From = max(c.From, (second(s.Time)+1)*tick)
			continue
		case s.Time > now && future > 0:
			future--
			continue
		}
		rest = append(rest, s)
	}
	return rest
}

// Begun says that something is known of the chat.
func (c *Checkpoint) Begun() bool { return c.Time != 0 || c.From != 0 || len(c.Seen) > 0 }

// OlderThan says that c is from before o was reached. Where all that was delivered claims to
// be of the future, their times do not tell.
func (c *Checkpoint) OlderThan(o *Checkpoint) bool {
	if c.Time != o.Time || len(o.Seen) == 0 {
		return c.Time < o.Time
	}
	last := o.Seen[len(o.Seen)-1].ID
	return !slices.ContainsFunc(c.Seen, func(s Seen) bool { return s.ID == last })
}

// checkpointVersion is written into every checkpoint. A reader that meets a
// higher one refuses it rather than guess.
const checkpointVersion = 1

// stored is a checkpoint as it is written.
type stored struct {
	checkpoint.Versioned
	Checkpoint
}

// EncodeCheckpoint returns the checkpoint as versioned JSON.
func EncodeCheckpoint(c Checkpoint) ([]byte, error) {
	if c.Seen == nil {
		c.Seen = []Seen{}
	}
	return checkpoint.Encode(stored{checkpoint.Versioned{Version: checkpointVersion}, c})
}

// DecodeCheckpoint reads what EncodeCheckpoint wrote. Anything else, the empty
// and the half written value included, is an error: it must not be mistaken
// for a chat that was never read.
func DecodeCheckpoint(b []byte) (Checkpoint, error) {
	var j stored
	if err := checkpoint.Decode(b, checkpointVersion, &j); err != nil {
		return Checkpoint{}, err
	}
	if j.Time < 0 || j.From < 0 {
		return Checkpoint{}, errors.New("decoding a checkpoint: it is of a time before 1970")
	}
	if slices.ContainsFunc(j.Seen, func(s Seen) bool { return s.ID == "" }) {
		return Checkpoint{}, errors.New("decoding a checkpoint: a delivered item has no id")
	}
	if slices.ContainsFunc(j.Seen, func(s Seen) bool { return s.Mark >= marks }) {
		return Checkpoint{}, errors.New("decoding a checkpoint: a delivered item has a mark that this build does not know")
	}
	if len(j.Seen) == 0 {
		j.Seen = nil
	}
	return j.Checkpoint, nil
}

// CheckCheckpoint is DecodeCheckpoint for those who only ask whether it would fail.
func CheckCheckpoint(b []byte) error {
	_, err := DecodeCheckpoint(b)
	return err
}
