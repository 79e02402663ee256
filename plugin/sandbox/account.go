// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"
)

// account is the talks' messages, and the feed that announces them. mu is taken
// after talkList.mu and Server.mu.
type account struct {
	mu     sync.RWMutex
	base   syntheticTalks
	byTalk map[int]*conversation
	events []event // the stored ones, by time
	own    bool    // the messages of the own chats are among them
}

// AppendTalk adds messages to a talk, which are announced in the event feed now. An
// item is listed where its created_at belongs, behind those of the same second; one
// without it has the server's time. Items are kept and served byte for byte and need
// not be valid messages. A talk that is new was opened when the first of them was announced, and
// gets the origin waba and a chat of its own; use [Server.SetTalk] first for another one. The talks of the server's own
// chats show what these hold: an error says so.
func (s *Server) AppendTalk(talk int, items ...json.RawMessage) error {
	now := s.config.Now().Unix()
	return s.appendTalk(talk, items, func(talkFacts) int64 { return now })
}

// AppendTalkAt is AppendTalk for messages that were announced at another time than
// now. A time in the past stands in the feed where it belongs, among events that a
// client may have read.
func (s *Server) AppendTalkAt(talk int, announced time.Time, items ...json.RawMessage) error {
	return s.appendTalk(talk, items, func(talkFacts) int64 { return announced.Unix() })
}

// seedTalk adds messages that were announced when they were written.
func (s *Server) seedTalk(talk int, items ...json.RawMessage) error {
	return s.appendTalk(talk, items, func(f talkFacts) int64 { return f.at })
}

func (s *Server) appendTalk(talk int, items []json.RawMessage, announced func(talkFacts) int64) error {
	now := s.config.Now().Unix()
	opened, latest := now, int64(0)
	came := make([]talkItem, len(items))
	for i, raw := range items {
		item := talkItem{talkFacts: readFacts(raw), raw: stored(raw)}
		if !item.timed {
			item.at = now
		}
		item.came = announced(item.talkFacts)
		if latest = max(latest, item.came); item.came > 0 {
			opened = min(opened, item.came)
		}
		came[i] = item
	}
	if err := s.ensureTalk(talk, opened); err != nil {
		return err
	}
	s.account.mu.Lock()
	c := s.account.conversation(talk)
	for _, item := range came {
		c.insert(item)
		if item.id != "" { // an event is of a message
			s.account.addEvent(event{id: item.id, outgoing: item.outgoing, at: item.came, talk: talk})
		}
	}
	s.account.mu.Unlock()
	if len(items) > 0 {
		s.talks.mu.Lock()
		t := s.talks.byID[talk]
		s.talks.touch(t, max(t.UpdatedAt, latest))
		s.talks.mu.Unlock()
	}
	return nil
}

// ensureTalk makes a talk if there is none, which was opened at a time, in Unix seconds.
// One of the own chats' is an error.
func (s *Server) ensureTalk(id int, opened int64) error {
	if id < 1 {
		return fmt.Errorf("talk: want an id of 1 or more, got %d", id)
	}
	s.makeTalks()
	l := &s.talks
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.byID[id]
	switch {
	case t != nil && l.byChat[t.ChatID] == t:
		return fmt.Errorf("talk %d shows chat %s of the own channel: change that chat", id, t.ChatID)
	case t == nil && l.base.has(id):
		l.set(l.base.talk(id))
	case t == nil:
		l.set(Talk{
			ID: id, ChatID: fmt.Sprintf("00000000-0000-4000-a000-%012d", id), ContactID: 5_000_000 + id, EntityID: 6_000_000 + id,
			EntityType: "lead", Status: "in_work", Origin: "waba", SourceID: 101, IsInWork: true, CreatedAt: opened, UpdatedAt: opened,
		})
	}
	return nil
}

// DeleteTalkMessage removes the newest message of a talk with this id, and reports
// whether there was one. Its event stays.
func (s *Server) DeleteTalkMessage(talk int, messageID string) bool {
	return s.changeTalk(talk, messageID, (*conversation).remove)
}

// deleteTalkAt removes the message whose place at picks among so many.
func (s *Server) deleteTalkAt(talk int, at func(n int) int) bool {
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	c := s.account.byTalk[talk]
	if c == nil || c.len() == 0 {
		return false
	}
	c.remove(at(c.len()))
	return true
}

// ReplaceTalkMessage puts an item in the place of the newest message of a talk with
// this id, and reports whether there was one. No event tells of it.
func (s *Server) ReplaceTalkMessage(talk int, messageID string, item json.RawMessage) bool {
	return s.changeTalk(talk, messageID, func(c *conversation, p int) { c.replace(p, item) })
}

func (s *Server) changeTalk(talk int, messageID string, change func(*conversation, int)) bool {
	if messageID == "" {
		return false
	}
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	if s.account.byTalk[talk] == nil && !s.account.base.has(talk) {
		return false
	}
	c := s.account.conversation(talk)
	p := c.find(messageID)
	if p < 0 {
		return false
	}
	change(c, p)
	return true
}

// TalkMessages returns a copy of a talk's messages, oldest first. It is empty for a
// talk that is unknown.
func (s *Server) TalkMessages(talk int) (items []json.RawMessage) {
	s.withTalk(talk, false, func(t timeline) {
		items = make([]json.RawMessage, t.len())
		for p := range items {
			items[p] = t.appendItem(nil, p)
		}
	})
	return items
}

// withTalk hands out the messages of a talk, or with wholeChat those of all talks of
// its chat, and holds them as they are meanwhile. It reports whether there is such a
// talk.
func (s *Server) withTalk(id int, wholeChat bool, use func(timeline)) bool {
	t, own := s.talk(id)
	if t == nil {
		return false
	}
	switch {
	case own:
		use(s.ownConversation(t.ChatID))
		return true
	case wholeChat:
		use(s.chatConversation(t.ChatID))
		return true
	}
	s.account.mu.RLock()
	defer s.account.mu.RUnlock()
	c := s.account.byTalk[id]
	if c == nil {
		c = &conversation{}
		if s.account.base.has(id) {
			*c = s.account.base.conversation(id)
		}
	}
	use(c)
	return true
}

// talk returns a copy of a talk, nil if there is none, and whether it is one of the
// own chats'.
func (s *Server) talk(id int) (*Talk, bool) {
	s.makeTalks()
	l := &s.talks
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.byID[id]; t != nil {
		found := t.Talk
		return &found, l.byChat[t.ChatID] == t
	}
	if l.base.has(id) {
		found := l.base.talk(id)
		return &found, false
	}
	return nil, false
}

// ownConversation returns a chat of the own channel as its talk shows it.
func (s *Server) ownConversation(chatID string) *conversation {
	c := &conversation{}
	for _, raw := range s.Messages(chatID) {
		item := ofOwnChannel(chatID, raw)
		facts := readFacts(item)
		c.insert(talkItem{talkFacts: facts, raw: item, came: facts.at})
	}
	return c
}

// chatConversation returns the messages of all talks of a chat, each once.
func (s *Server) chatConversation(chatID string) *conversation {
	all, seen := &conversation{}, map[string]bool{}
	for _, t := range s.Talks() {
		if t.ChatID != chatID {
			continue
		}
		s.withTalk(t.ID, false, func(one timeline) {
			for p := range one.len() {
				if id := one.id(p); id != "" {
					if seen[id] {
						continue
					}
					seen[id] = true
				}
				all.insert(talkItem{
					talkFacts: talkFacts{one.id(p), one.at(p), true, one.outgoing(p)}, raw: one.appendItem(nil, p), came: one.arrived(p),
				})
			}
		})
	}
	return all
}

// talkIDs returns the ids of the talks that have messages of their own.
func (s *Server) talkIDs() []int {
	s.account.mu.RLock()
	defer s.account.mu.RUnlock()
	ids := make([]int, 0, len(s.account.byTalk))
	for id := range s.account.byTalk {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// conversation returns a talk's messages to change them. Caller holds mu.
func (a *account) conversation(talk int) *conversation {
	c := a.byTalk[talk]
	if c == nil {
		c = &conversation{}
		if a.base.has(talk) {
			*c = a.base.conversation(talk)
		}
		if a.byTalk == nil {
			a.byTalk = map[int]*conversation{}
		}
		a.byTalk[talk] = c
	}
	return c
}
