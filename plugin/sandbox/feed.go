// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/binary"
	"encoding/json"
	"hash/fnv"
	"slices"
	"sort"
	"strconv"
)

// event says that a message has come, or was sent.
type event struct {
	id       string // the message's
	outgoing bool
	at       int64  // when it was announced, unix s
	talk     int    // 0 for a message of an own chat
	chat     string // of the own channel
}

// addEvent puts an event where its time belongs, but never before a computed one.
// Caller holds mu.
func (a *account) addEvent(e event) {
	if n := a.base.total(); n > 0 {
		e.at = max(e.at, seconds(a.base.at(n-1)))
	}
	place := sort.Search(len(a.events), func(i int) bool { return a.events[i].at > e.at })
	a.events = slices.Insert(a.events, place, e)
}

// announce adds the events of new messages of an own chat, once the feed has those
// of the old ones. Caller holds Server.mu.
func (s *Server) announce(chat string, items ...json.RawMessage) {
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	if !s.account.own {
		return
	}
	now := s.config.Now().Unix()
	for _, raw := range items {
		s.account.addOwn(chat, raw, func(talkFacts) int64 { return now })
	}
}

// addOwn leaves out what has no id, as AppendTalk does.
func (a *account) addOwn(chat string, raw json.RawMessage, at func(talkFacts) int64) {
	if f := readFacts(ofOwnChannel(chat, raw)); f.id != "" {
		a.addEvent(event{id: f.id, outgoing: f.outgoing, at: at(f), chat: chat})
	}
}

// withEvents hands out the feed, and holds it as it is meanwhile. The messages of
// the own chats join it when it is first asked for, so that who never asks pays
// nothing.
func (s *Server) withEvents(use func(timeline)) {
	s.talks.mu.Lock()
	defer s.talks.mu.Unlock()
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.makeTalksLocked()
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	if a := &s.account; !a.own {
		a.own = true
		for _, id := range s.order {
			c := s.chats[id]
			for p := range c.len() {
				a.addOwn(id, c.appendItem(nil, p), func(f talkFacts) int64 { return f.at })
			}
		}
	}
	use(feed{&s.account, &s.talks})
}

// feed is the events as a timeline. Who has it holds the locks of both.
type feed struct {
	account *account
	talks   *talkList
}

func (f feed) len() int { return f.account.base.total() + len(f.account.events) }

func (f feed) event(p int) event {
	base := f.account.base
	if n := base.total(); p >= n {
		return f.account.events[p-n]
	}
	talk := p%base.talks + 1
	m := base.conversation(talk).base
	i := p / base.talks
	return event{id: m.id(i), outgoing: m.outgoing(i), at: m.at(i), talk: talk}
}

func (f feed) at(p int) int64 {
	base := f.account.base
	if n := base.total(); p >= n {
		return f.account.events[p-n].at
	}
	return seconds(base.at(p))
}

func (f feed) id(p int) string     { return f.event(p).id }
func (f feed) outgoing(p int) bool { return f.event(p).outgoing }
func (f feed) arrived(p int) int64 { return f.at(p) }
func (f feed) settled(time int64) int {
	return sort.Search(f.len(), func(p int) bool { return f.at(p) >= time })
}

func (f feed) talk(e event) (t Talk) {
	switch listed := f.talks.byID[e.talk]; {
	case e.chat != "":
		return f.talks.byChat[e.chat].Talk
	case listed != nil:
		return listed.Talk
	}
	return f.account.base.talk(e.talk)
}

// appendItem appends an event in the shape of a recorded one (chats-api.md, "The
// event feed").
func (f feed) appendItem(dst []byte, p int) []byte {
	e := f.event(p)
	t := f.talk(e)
	dst = append(dst, `{"id":"`...)
	dst = appendULID(dst, e)
	dst = append(dst, `","type":"`...)
	dst = append(dst, eventType(e.outgoing)...)
	dst = append(dst, `","entity_id":`...)
	dst = strconv.AppendInt(dst, int64(t.EntityID), 10)
	dst = append(dst, `,"entity_type":`...)
	dst = append(dst, encode(t.EntityType)...)
	dst = append(dst, `,"created_by":0,"created_at":`...)
	dst = strconv.AppendInt(dst, e.at, 10)
	dst = append(dst, `,"value_after":[{"message":{"id":`...)
	dst = append(dst, encode(e.id)...)
	dst = append(dst, `,"origin":`...)
	dst = append(dst, encode(t.Origin)...)
	dst = append(dst, `,"talk_id":`...)
	dst = strconv.AppendInt(dst, int64(t.ID), 10)
	return append(dst, `}}],"value_before":[]}`...)
}

// The types of events.
const (
	eventIncoming = "incoming_chat_message"
	eventOutgoing = "outgoing_chat_message"
)

func eventType(outgoing bool) string {
	if outgoing {
		return eventOutgoing
	}
	return eventIncoming
}

// appendULID appends an event's id: 48 bits of its time and 80 that its message and
// talk decide, in Crockford's alphabet.
func appendULID(dst []byte, e event) []byte {
	h := fnv.New128a()
	h.Write([]byte(e.id))
	h.Write(binary.LittleEndian.AppendUint64([]byte(e.chat), uint64(e.talk))) //nolint:gosec // not negative
	var sum [16]byte
	h.Sum(sum[:0])
	at := uint64(max(e.at, 0)) * 1000
	hi, lo := at<<16|uint64(binary.BigEndian.Uint16(sum[:2])), binary.BigEndian.Uint64(sum[2:10])
	for shift := 125; shift >= 0; shift -= 5 {
		var v uint64
		switch {
		case shift >= 64:
			v = hi >> (shift - 64)
		case shift > 59:
			v = hi<<(64-shift) | lo>>shift
		default:
			v = lo >> shift
		}
		dst = append(dst, "0123456789abcdefghjkmnpqrstvwxyz"[v&31])
	}
	return dst
}
