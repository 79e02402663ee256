// SPDX-License-Identifier: Apache-2.0

package history

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"pgregory.net/rapid"
)

// model is the API as chats-api.md has it: a list per chat, newest first,
// addressed by offset and limit, that changes between any two requests.
type model struct {
	mu       sync.Mutex
	chats    map[string][]Item
	next     int   // makes ids
	now      int64 // ms
	skew     int64 // of the clock that answers show, in ms
	requests int
	// before, if set, is called before each request with the lock held.
	before func(chat string)
	// fail, if set, may answer a request with an error.
	fail func(chat string, offset, limit int) error
	// bend, if set, changes an answer: what an odd server does.
	bend func(chat string, offset, limit int, page []Item) []Item
	// delay is how long an answer takes.
	delay time.Duration

	asked   map[string]int // requests by chat
	deepest int            // the highest offset asked for
	busy    map[string]int // requests under way by chat
	most    int            // chats that were asked for at once
	twice   bool           // a chat was asked for twice at once
}

func newModel() *model {
	return &model{
		chats: map[string][]Item{}, now: 1_700_000_000_000,
		asked: map[string]int{}, busy: map[string]int{},
	}
}

func (m *model) Page(ctx context.Context, chat string, offset, limit int) (Page, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.busy[chat]++
	m.most = max(m.most, len(m.busy))
	m.twice = m.twice || m.busy[chat] > 1
	defer func() {
		if m.busy[chat]--; m.busy[chat] == 0 {
			delete(m.busy, chat)
		}
	}()
	if m.delay > 0 {
		m.mu.Unlock()
		select {
		case <-time.After(m.delay):
		case <-ctx.Done():
		}
		m.mu.Lock()
	}
	if ctx.Err() != nil {
		return Page{}, ctx.Err()
	}
	m.requests++
	m.asked[chat]++
	m.deepest = max(m.deepest, offset)
	if offset < 0 || limit < 1 {
		return Page{}, fmt.Errorf("asked for %d items at %d", limit, offset)
	}
	if m.before != nil {
		m.before(chat)
	}
	if m.fail != nil {
		if err := m.fail(chat, offset, limit); err != nil {
			return Page{}, err
		}
	}
	all := m.chats[chat]
	var page []Item
	if offset < len(all) {
		page = slices.Clone(all[offset:min(offset+limit, len(all))])
	}
	if m.bend != nil {
		page = m.bend(chat, offset, limit, page)
	}
	return Page{Items: page, Now: m.now + m.skew}, nil
}

// count returns how many requests there were.
func (m *model) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.requests
}

// change changes the model while it may be read.
func (m *model) change(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

// put inserts a message with a time of its own at a place.
func (m *model) put(chat string, at int, sent int64) string {
	m.next++
	id := fmt.Sprintf("m%06d", m.next)
	m.chats[chat] = slices.Insert(slices.Clone(m.chats[chat]), at, Item{ID: id, Time: sent})
	return id
}

// place returns where a message of this time belongs.
func (m *model) place(chat string, sent int64) int {
	at := slices.IndexFunc(m.chats[chat], func(it Item) bool { return it.Time <= sent })
	if at < 0 {
		return len(m.chats[chat])
	}
	return at
}

// arrive adds n messages at the top, each later than the one before by one of
// the gaps, in milliseconds.
func (m *model) arrive(chat string, n int, gap func() int64) {
	for range n {
		m.now += gap()
		m.next++
		m.chats[chat] = slices.Insert(m.chats[chat], 0, Item{ID: fmt.Sprintf("m%06d", m.next), Time: m.now})
	}
}

// fillQuickly is arrive for a long chat.
func (m *model) fillQuickly(chat string, n int, gap int64) {
	items := make([]Item, n)
	for i := n - 1; i >= 0; i-- {
		m.now += gap
		m.next++
		items[i] = Item{ID: fmt.Sprintf("m%06d", m.next), Time: m.now}
	}
	m.chats[chat] = slices.Concat(items, m.chats[chat])
}

func (m *model) remove(chat string, at, n int) {
	all := m.chats[chat]
	n = min(n, len(all)-at)
	if n > 0 {
		m.chats[chat] = slices.Delete(slices.Clone(all), at, at+n)
	}
}

// ids returns the chat's ids, oldest first.
func (m *model) ids(chat string) []string {
	var out []string
	for _, it := range slices.Backward(m.chats[chat]) {
		out = append(out, it.ID)
	}
	return out
}

func idsOf(items []Item) []string {
	out := make([]string, len(items))
	for i := range items {
		out[i] = items[i].ID
	}
	return out
}

// chaos changes a chat between any two requests: messages arrive at the top in
// small and large numbers, and are deleted in runs anywhere. It draws from a
// source of its own, since rapid takes its time for each draw.
type chaos struct {
	m      *model
	rnd    *rand.Rand
	gap    func() int64
	most   int // the largest change
	chance int // in percent, for each kind of change
	left   int // changes before the chat comes to rest: one that for ever grows faster than it is read has no end
}

func newChaos(t *rapid.T, m *model, most, chance int) *chaos {
	rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "chaos"), 0))
	return &chaos{
		m: m, rnd: rnd, left: 24,
		gap:    gaps(rnd, rapid.IntRange(0, 3).Draw(t, "gaps")),
		most:   rapid.IntRange(1, most).Draw(t, "most"),
		chance: rapid.IntRange(0, chance).Draw(t, "chance"),
	}
}

func (c *chaos) strike(chat string) {
	if c.left <= 0 {
		return
	}
	if c.rnd.IntN(100) < c.chance {
		c.m.arrive(chat, 1+c.rnd.IntN(c.most), c.gap)
		c.left--
	}
	if n := len(c.m.chats[chat]); n > 0 && c.rnd.IntN(100) < c.chance {
		c.m.remove(chat, c.rnd.IntN(n), 1+c.rnd.IntN(c.most))
		c.left--
	}
}

// gaps says how times go: all alike, many ties, or spread out.
func gaps(rnd *rand.Rand, kind int) func() int64 {
	return func() int64 {
		return []int64{0, rnd.Int64N(2) * 400, rnd.Int64N(3) * 1000, 60_000}[kind]
	}
}

// bound is how many requests a pass over n unchanging messages may take
// (issue 2, "Figures"), for pages of size.
func bound(n, size, maxPages int) int {
	if n < size {
		return 1
	}
	pages := (n + size - 2) / (size - 1)
	if n <= maxPages*size {
		return pages + 1
	}
	return pages + int(2*math.Log2(float64(n)/float64(size))) + 4
}
