// SPDX-License-Identifier: Apache-2.0

package component

import (
	"context"
	"sync"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
)

// Health tells an API that is down from a chat that fails. While the API is down all
// requests rest, because an address that goes on asking is blocked. It is safe for
// concurrent use.
//
//	state  moves to  when
//	up     down      calls for more chats than are read side by side, or for all chats
//	                 there are, have failed since the last answer; a chat counts if it
//	                 had answered before, or as long as none has
//	                 there was no answer in the first 30 s
//	                 the API refuses all chats
//	                 the API answers two chats as if this address was blocked
//	down   up        the API answers
type Health struct {
	limiter    *apicall.Limiter
	first, max time.Duration // pauses while it is down
	// Chats returns how many there are, and parallel how many of them are read side by
	// side at most.
	Chats    func() int
	parallel int
	// changed is told of each change, with the reason. It is called with mu held, so
	// once at a time and in the order of the changes.
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

// silence is how long the first answer may take. After that the API is down, however
// few chats have failed.
const silence = 30 * time.Second

// NewHealth returns a Health of an API that is up.
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
		h.GoDown(err)
	}
}

// Fail notes that a call for a chat has failed without an answer of the API itself.
func (h *Health) Fail(chat string, err error) {
	if _, all := h.doubt(h.failed, chat, h.parallel+1); all {
		h.GoDown(err)
	}
}

// Block notes that a call for a chat was answered as if this address was blocked. One
// chat does not mean the API, since something in front of it may block one path alone;
// two chats that had answered before do, or all there are.
func (h *Health) Block(chat string, err error) {
	counts, all := h.doubt(h.blocked, chat, 2)
	switch {
	case all || h.IsDown():
		h.GoDown(err)
		h.limiter.Pause(h.max)
	case counts:
		h.Rest()
	}
}

// GoDown notes that the API is down, and pauses all requests. The pause doubles each
// time.
func (h *Health) GoDown(err error) {
	h.mu.Lock()
	now := time.Now()
	switch {
	case now.Before(h.until): // this request was under way when the pause began
		h.mu.Unlock()
		h.MarkDown(err)
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
	h.MarkDown(err)
}

// MarkDown notes that the API is down, and pauses nothing.
func (h *Health) MarkDown(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.set(false) {
		h.changed(false, err)
	}
}

// Rest pauses all requests for a second. It is for what may concern all chats: an
// address that goes on asking at full speed is blocked.
func (h *Health) Rest() { h.limiter.Pause(min(time.Second, h.max)) }

// doubt adds a chat to a set of those that have failed since the last answer. It
// counts only if it had answered before, or if no chat has. all says that the set has
// enough chats to mean all of them.
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
