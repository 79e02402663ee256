// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"math"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
)

const (
	// mostWatching is how many bytes the chats take at most that are in the Reader for
	// their changes alone.
	mostWatching = 64 << 20
	// watchedSize is what one of them takes beside its checkpoint.
	watchedSize = 400
)

// mostLooks is how often a chat is read at most, after its messages have left the lookback,
// for what a pass has missed in it.
const mostLooks = 4

// mostAhead is how far a server's clock may be ahead of this machine's: until it has passed, what that
// clock has stamped claims to be of the future.
const mostAhead = 24 * time.Hour

// changing says of a chat's checkpoint that what it knows may still change: something of it
// is within the lookback by this machine's clock, or has left it not long ago and was missed
// by a pass.
func (r *Reader) changing(c *chat.Checkpoint) bool {
	if r.cfg.Changes == 0 {
		return false
	}
	window := r.cfg.Lookback
	if c.Unsettled() {
		window += mostLooks * min(r.cfg.Changes, math.MaxInt64/(2*mostLooks))
	}
	now := time.Now()
	return c.Newest(now.Add(mostAhead).UnixMilli()) >= now.Add(-window).UnixMilli()
}

// rest is how long a chat is left alone that is read for ever. Caller holds mu.
func (r *Reader) rest(c *record) time.Duration {
	if r.cfg.Changes > 0 && r.cfg.Changes < r.cfg.Poll && c.work != nil && r.changing(&c.work.read) {
		return r.cfg.Changes
	}
	return r.cfg.Poll
}

// watch has a chat read again that is done with, if that may show changes. It is read at
// least once more after the last of its messages has left the lookback. It reports whether
// the chat stays. Caller holds mu.
func (r *Reader) watch(c *record) bool {
	if r.cfg.Changes == 0 || c.kept == "" {
		return false
	}
	if cp := c.kept.unpack(); !r.changing(&cp) {
		return false
	}
	if r.watching += c.watchedSize(); r.watching > mostWatching {
		r.watching -= c.watchedSize()
		if !r.unwatched {
			r.unwatched = true
			id := c.id
			r.told = append(r.told, func() { r.cfg.Hooks.NotWatched(id) })
		}
		return false
	}
	c.watched = true
	c.phase = queued
	c.sleep++
	r.watched.add(c, time.Now().Add(r.cfg.Changes))
	r.setState(c, Waiting)
	return true
}

// unwatch takes a chat out of those that watch has put there. Caller holds mu, and queues
// it or has it read.
func (r *Reader) unwatch(c *record) {
	r.watching -= c.watchedSize()
	c.watched = false
	c.sleep++
}

func (c *record) watchedSize() int { return watchedSize + len(c.id) + len(c.kept) }

// nextWatched returns the chat that is next of those that are read for their changes; nil:
// none is due. Caller holds mu.
func (r *Reader) nextWatched() *record {
	c, due := r.watched.drop()
	if c != nil && due.After(time.Now()) {
		r.wakeAt(due)
		return nil
	}
	return c
}
