// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"cmp"
	"encoding/json"
	"slices"
	"sync"
	"time"
)

// Talk is a conversation as the CRM lists it. Times are in unix seconds.
type Talk struct {
	ID         int    `json:"talk_id"`
	ChatID     string `json:"chat_id"`
	ContactID  int    `json:"contact_id"`
	EntityID   int    `json:"entity_id"`
	EntityType string `json:"entity_type"`
	Status     string `json:"status"`
	Origin     string `json:"origin"`
	SourceID   int    `json:"source_id"`
	IsInWork   bool   `json:"is_in_work"`
	IsRead     bool   `json:"is_read"`
	CreatedAt  int64  `json:"created_at"`
	UpdatedAt  int64  `json:"updated_at"`
}

// DemoOrigin is the origin of the talks that chats of this server have.
const DemoOrigin = "com.example.sandbox"

// talkList keeps talks by id. Those of the server's own chats are made when talks
// are first asked for, so that who never asks pays nothing.
type talkList struct {
	mu      sync.Mutex
	made    int // chats of Server.order that have their talk
	byID    map[int]*listedTalk
	byChat  map[string]*listedTalk // own chats only
	sorted  []*listedTalk
	dirty   bool
	touches int
	base    syntheticTalks
}

type listedTalk struct {
	Talk
	touch int // orders talks of one second: the last touched comes first
}

// SetTalk adds a talk, or replaces the one with its id. It takes the place that
// its UpdatedAt gives it, before others of the same second. Talks of the
// server's own chats exist without it: the i-th chat of Chats, first 0, has the
// talk 1000000+i, whose contact is 2000000+i.
func (s *Server) SetTalk(t Talk) {
	s.makeTalks()
	s.talks.mu.Lock()
	defer s.talks.mu.Unlock()
	s.talks.set(t)
}

// TouchTalk sets a talk's UpdatedAt, and reports whether there is such a talk.
func (s *Server) TouchTalk(id int, at time.Time) bool {
	s.makeTalks()
	s.talks.mu.Lock()
	defer s.talks.mu.Unlock()
	t := s.talks.byID[id]
	if t == nil {
		return false
	}
	s.talks.touch(t, at.Unix())
	return true
}

// Talks returns all talks, the latest updated first.
func (s *Server) Talks() []Talk {
	s.makeTalks()
	s.talks.mu.Lock()
	defer s.talks.mu.Unlock()
	s.talks.sort()
	talks := make([]Talk, 0, len(s.talks.sorted))
	for _, t := range s.talks.sorted {
		talks = append(talks, t.Talk)
	}
	if s.talks.base.talks == 0 {
		return talks
	}
	for id := 1; s.talks.base.has(id); id++ {
		if s.talks.byID[id] == nil {
			talks = append(talks, s.talks.base.talk(id))
		}
	}
	slices.SortStableFunc(talks, func(a, b Talk) int { return cmp.Compare(b.UpdatedAt, a.UpdatedAt) })
	return talks
}

// makeTalks gives each new chat a talk as old as its newest message.
func (s *Server) makeTalks() {
	// Always taken in this order: talks.mu, then mu, then account.mu.
	s.talks.mu.Lock()
	defer s.talks.mu.Unlock()
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.makeTalksLocked()
}

// makeTalksLocked is makeTalks for a caller who holds talks.mu and mu.
func (s *Server) makeTalksLocked() {
	l := &s.talks
	for ; l.made < len(s.order); l.made++ {
		id := s.order[l.made]
		if l.byChat[id] != nil {
			continue
		}
		c := s.chats[id]
		var item struct {
			Timestamp int64 `json:"timestamp"`
		}
		if n := c.len(); n > 0 {
			// An odd item has no time, and then the talk is as old as time itself.
			_ = json.Unmarshal(c.appendItem(nil, n-1), &item)
		}
		l.set(Talk{
			ID: 1_000_000 + l.made, ChatID: id, ContactID: 2_000_000 + l.made, EntityID: 3_000_000 + l.made, EntityType: "lead",
			Status: "in_work", Origin: DemoOrigin, SourceID: 17, IsInWork: true, CreatedAt: item.Timestamp, UpdatedAt: item.Timestamp,
		})
		l.own(id, 1_000_000+l.made)
	}
}

// setOwnTalk gives a chat that has no talk yet this one.
func (s *Server) setOwnTalk(t Talk) {
	s.talks.mu.Lock()
	defer s.talks.mu.Unlock()
	s.talks.set(t)
	s.talks.own(t.ChatID, t.ID)
}

// touchChat moves the talk of a chat that has a new message to the front.
func (s *Server) touchChat(chat string) {
	s.talks.mu.Lock()
	defer s.talks.mu.Unlock()
	if t := s.talks.byChat[chat]; t != nil {
		s.talks.touch(t, max(t.UpdatedAt, s.config.Now().Unix()))
	}
}

// Caller of the following holds mu.

func (l *talkList) set(t Talk) {
	if l.byID == nil {
		l.byID = map[int]*listedTalk{}
	}
	listed := l.byID[t.ID]
	if listed == nil {
		listed = &listedTalk{}
		l.byID[t.ID] = listed
		l.sorted = append(l.sorted, listed)
	}
	listed.Talk = t
	l.touch(listed, t.UpdatedAt)
}

func (l *talkList) own(chat string, talk int) {
	if l.byChat == nil {
		l.byChat = map[string]*listedTalk{}
	}
	l.byChat[chat] = l.byID[talk]
}

func (l *talkList) touch(t *listedTalk, at int64) {
	l.touches++
	t.UpdatedAt, t.touch = at, l.touches
	l.dirty = true
}

func (l *talkList) sort() {
	if !l.dirty {
		return
	}
	l.dirty = false
	slices.SortFunc(l.sorted, func(a, b *listedTalk) int {
		return cmp.Or(cmp.Compare(b.UpdatedAt, a.UpdatedAt), cmp.Compare(b.touch, a.touch))
	})
}
