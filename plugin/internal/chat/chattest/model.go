// SPDX-License-Identifier: Apache-2.0

// Package chattest has the API as a model, for the tests of what reads chats.
package chattest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
	"github.com/kommo-connect/kommo-connect/plugin/internal/evidence"
)

// Model is the API as chats-api.md has it: a list per chat, newest first,
// addressed by offset and limit, that changes between any two requests.
type Model struct {
	mu       sync.Mutex
	next     int // makes ids
	Chats    map[string][]chat.Item
	Now      int64 // ms
	Skew     int64 // of the clock that answers show, in ms
	Requests int
	// Before, if set, is called before each request with the lock held.
	Before func(name string)
	// Fail, if set, may answer a request with an error.
	Fail func(name string, offset, limit int) error
	// Bend, if set, changes an answer: what an odd server does.
	Bend func(name string, offset, limit int, page []chat.Item) []chat.Item
	// Delay is how long an answer takes.
	Delay time.Duration

	Asked  map[string]int // requests by chat
	busy   map[string]int // requests under way by chat
	Most   int            // chats that were asked for at once
	Beside int            // requests for one chat at once
}

// NewModel returns a model without any chat.
func NewModel() *Model {
	return &Model{
		Chats: map[string][]chat.Item{}, Now: 1_700_000_000_000,
		Asked: map[string]int{}, busy: map[string]int{},
	}
}

// Page implements chat.Source.
func (m *Model) Page(ctx context.Context, name string, offset, limit int) (chat.Page, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.busy[name]++
	m.Most = max(m.Most, len(m.busy))
	m.Beside = max(m.Beside, m.busy[name])
	defer func() {
		if m.busy[name]--; m.busy[name] == 0 {
			delete(m.busy, name)
		}
	}()
	if m.Delay > 0 {
		m.mu.Unlock()
		select {
		case <-time.After(m.Delay):
		case <-ctx.Done():
		}
		m.mu.Lock()
	}
	if ctx.Err() != nil {
		return chat.Page{}, ctx.Err()
	}
	m.Requests++
	m.Asked[name]++
	if offset < 0 || limit < 1 {
		return chat.Page{}, fmt.Errorf("asked for %d items at %d", limit, offset)
	}
	if m.Before != nil {
		m.Before(name)
	}
	if m.Fail != nil {
		if err := m.Fail(name, offset, limit); err != nil {
			return chat.Page{}, err
		}
	}
	all := m.Chats[name]
	var page []chat.Item
	if offset < len(all) {
		page = slices.Clone(all[offset:min(offset+limit, len(all))])
	}
	if m.Bend != nil {
		page = m.Bend(name, offset, limit, page)
	}
	return chat.Page{Items: page, Now: m.Now + m.Skew}, nil
}

// Count returns how many requests there were.
func (m *Model) Count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.Requests
}

// Change changes the model while it may be read.
func (m *Model) Change(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

// Put inserts a message with a time of its own at a place.
func (m *Model) Put(name string, at int, sent int64) string {
	m.next++
	id := fmt.Sprintf("m%06d", m.next)
	m.Chats[name] = slices.Insert(slices.Clone(m.Chats[name]), at, chat.Item{ID: id, Time: sent})
	return id
}

// Place returns where a message of this time belongs.
func (m *Model) Place(name string, sent int64) int {
	at := slices.IndexFunc(m.Chats[name], func(it chat.Item) bool { return it.Time <= sent })
	if at < 0 {
		return len(m.Chats[name])
	}
	return at
}

// Arrive adds n messages at the top, each later than the one before by one of
// the gaps, in milliseconds.
func (m *Model) Arrive(name string, n int, gap func() int64) {
	for range n {
		m.Now += gap()
		m.next++
		m.Chats[name] = slices.Insert(m.Chats[name], 0, chat.Item{ID: fmt.Sprintf("m%06d", m.next), Time: m.Now})
	}
}

// Fill is arrive for a long chat.
func (m *Model) Fill(name string, n int, gap int64) {
	items := make([]chat.Item, n)
	for i := n - 1; i >= 0; i-- {
		m.Now += gap
		m.next++
		items[i] = chat.Item{ID: fmt.Sprintf("m%06d", m.next), Time: m.Now}
	}
	m.Chats[name] = slices.Concat(items, m.Chats[name])
}

// Remove takes n messages away, as far as there are so many.
func (m *Model) Remove(name string, at, n int) {
	all := m.Chats[name]
	n = min(n, len(all)-at)
	if n > 0 {
		m.Chats[name] = slices.Delete(slices.Clone(all), at, at+n)
	}
}

// IDs returns the chat's ids, oldest first.
func (m *Model) IDs(name string) []string {
	var out []string
	for _, it := range slices.Backward(m.Chats[name]) {
		out = append(out, it.ID)
	}
	return out
}

// IDsOf returns the items' ids.
func IDsOf(items []chat.Item) []string {
	out := make([]string, len(items))
	for i := range items {
		out[i] = items[i].ID
	}
	return out
}

// Trusting is what is known of a server after it has shown the end of many chats, so
// that a look behind a short page is rare.
func Trusting() *evidence.Server {
	e := &evidence.Server{}
	e.Held(1000) // so that no page looks like its limit
	for range 32 {
		e.Ended("", 2, 2) // as ends of pages that lack nothing, the most suspicious
	}
	return e
}
