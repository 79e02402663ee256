// SPDX-License-Identifier: Apache-2.0

package component

import (
	"context"
	"sync"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
)

// Health tells an API that answers nobody from a chat that fails, and stops all
// requests while there is no answer: an address that goes on asking is blocked. It
// is safe for concurrent use.
//
//	state  moves to  when
//	up     down      more chats than are read side by side, or all there are, have failed
//	                 that had answered before, with no answer in between; or in the
//	                 beginning any chats; or there was no answer for the first 30 s; or the
//	                 API refuses all, or answers two of them as a blocked address is
//	down   up        the API answers
type Health struct {
	limiter    *apicall.Limiter
	first, max time.Duration // pauses while it is down
	// Chats returns how many there are, and parallel how many of them are read side by
	// side at most.
	Chats    func() int
	parallel int
	// changed is told of each change, with why: of one at a time, in their order, and
	// with mu held.
	changed func(up bool, why error)

	mu       sync.Mutex
	began    time.Time
	answered bool                // the API has answered
	good     Recent              // chats that have answered and not failed since
	failed   map[string]struct{} // of those, the ones that have failed since the last answer
	attempts int                 // failed attempts before the first answer
	blocked  map[string]struct{} // likewise, those whose last answer was a block of the address
	pause    time.Duration       // the last one
	until    time.Time           // its end
	up       chan struct{}       // closed while it is up
	fell     chan struct{}       // closed while it is down
}

// silence is after how long without a first answer an API is taken to be down,
// however few chats have failed.
const silence = 30 * time.Second

// NewHealth returns one that takes the API to be up.
func NewHealth(limiter *apicall.Limiter, backoff apicall.Backoff, chats func() int, parallel int, changed func(bool, error)) *Health {
	h := &Health{
		limiter: limiter, first: backoff.InitialInterval, max: backoff.MaxInterval, Chats: chats, parallel: parallel, changed: changed,
		failed: map[string]struct{}{}, blocked: map[string]struct{}{}, began: time.Now(), up: make(chan struct{}), fell: make(chan struct{}),
	}
	close(h.up)
	return h
}

// whenUp returns what is closed while the API answers.
func (h *Health) whenUp() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.up
}

// WhenDown returns what is closed while the API does not answer.
func (h *Health) WhenDown() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fell
}

// IsDown tells whether the API does not answer.
func (h *Health) IsDown() bool {
	select {
	case <-h.WhenDown():
		return true
	default:
		return false
	}
}

// Answer notes that the API has answered for a chat.
func (h *Health) Answer(chat string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.failed)
	clear(h.blocked)
	h.good.Add(chat)
	h.answered, h.pause, h.until = true, 0, time.Time{}
	if h.set(true) {
		h.changed(true, nil)
	}
}

// Attempt notes an attempt that failed without an answer of the API itself.
func (h *Health) Attempt(err error) {
	h.mu.Lock()
	h.attempts++
	down := !h.answered && h.attempts >= 4 && time.Since(h.began) >= silence
	h.mu.Unlock()
	if down || h.IsDown() {
		h.Fall(err)
	}
}

// Fail notes that a call for a chat has failed without an answer of the API itself.
func (h *Health) Fail(chat string, err error) {
	if _, all := h.doubt(h.failed, chat, h.parallel+1); all {
		h.Fall(err)
	}
}

// Block notes that a call for a chat was answered as if the address was blocked. It
// counts once two chats were that had answered before, or all there are: something
// before the API may block what is asked of one chat.
func (h *Health) Block(chat string, err error) {
	counts, all := h.doubt(h.blocked, chat, 2)
	switch {
	case all || h.IsDown():
		h.Fall(err)
		h.limiter.Pause(h.max)
	case counts:
		h.Breathe()
	}
}

// Fall takes the API for down, and has all requests rest for a while that doubles
// each time.
func (h *Health) Fall(err error) {
	h.mu.Lock()
	now := time.Now()
	switch {
	case now.Before(h.until): // this request was under way when the pause began
		h.mu.Unlock()
		h.Note(err)
		return
	case h.pause == 0:
		h.pause = min(h.first, h.max)
	case h.pause >= h.max/2:
		h.pause = h.max
	default:
		h.pause *= 2
	}
	pause := h.pause
	h.until = now.Add(pause)
	h.mu.Unlock()
	h.limiter.Pause(pause)
	h.Note(err)
}

// Note takes the API for down.
func (h *Health) Note(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.set(false) {
		h.changed(false, err)
	}
}

// Breathe has all requests rest for a second: something may concern all chats, and
// who goes on asking at full speed is blocked.
func (h *Health) Breathe() { h.limiter.Pause(min(time.Second, h.max)) }

// doubt notes a chat in a set of those that failed since the last answer. It counts
// if it had answered before, or none has yet. all says that enough are there.
func (h *Health) doubt(set map[string]struct{}, chat string, enough int) (counts, all bool) {
	enough = max(1, min(enough, h.Chats()))
	h.mu.Lock()
	defer h.mu.Unlock()
	if counts = !h.answered || h.good.Has(chat); counts {
		h.good.Remove(chat)
		set[chat] = struct{}{}
	}
	return counts, len(set) >= enough
}

// set reports whether the state changes. Caller holds mu.
func (h *Health) set(up bool) bool {
	open, closed := &h.fell, &h.up
	if !up {
		open, closed = &h.up, &h.fell
	}
	select {
	case <-*closed:
		return false
	default:
	}
	close(*closed)
	*open = make(chan struct{})
	return true
}

// Wait returns when the API answers, after a second at the latest, or with the
// context's error.
func (h *Health) Wait(ctx context.Context) error {
	second := time.NewTimer(time.Second)
	defer second.Stop()
	select {
	case <-h.whenUp():
		return nil
	case <-second.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
