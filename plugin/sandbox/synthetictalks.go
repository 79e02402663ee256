// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// syntheticTalks is a number of talks, with as many messages each, computed from
// their index. Message m of talk t, both first 0, is the n-th of the account, n =
// m×talks + t, and has the time start + n×step: all talks go on side by side.
type syntheticTalks struct {
	talks, messages int
	start, step     int64 // unix ms, ms
}

// at returns the time of the account's n-th message in unix ms.
func (s syntheticTalks) at(n int) int64 { return s.start + int64(n)*s.step }

func (s syntheticTalks) total() int { return s.talks * s.messages }

// has reports whether there is a talk with this id. Their ids begin with 1.
func (s syntheticTalks) has(talk int) bool { return talk >= 1 && talk <= s.talks }

func (s syntheticTalks) talk(id int) Talk {
	at := func(m int) int64 { return seconds(s.at(m*s.talks + id - 1)) }
	origins := []string{"waba", "instagram_business", "telegram", "facebook"}
	return Talk{
		ID: id, ChatID: syntheticTalkChat(id), ContactID: 20_000_000 + id, EntityID: 30_000_000 + id, EntityType: "lead",
		Status: "in_work", Origin: origins[id%len(origins)], SourceID: 100 + id%len(origins), IsInWork: true, IsRead: id%3 == 0,
		CreatedAt: at(0), UpdatedAt: at(max(s.messages-1, 0)),
	}
}

func (s syntheticTalks) conversation(id int) conversation {
	return conversation{base: syntheticTalk{s, id, s.messages}}
}

func syntheticTalkChat(id int) string { return fmt.Sprintf("00000000-0000-4000-9000-%012d", id) }

// SyntheticTalkMessageID returns the id of the m-th message, oldest 0, of the
// synthetic talk with this id.
func SyntheticTalkMessageID(talk, m int) string {
	return string(appendSyntheticTalkID(nil, talk, m))
}

// It looks like a UUID: 8 digits for the talk, 12 for the message.
func appendSyntheticTalkID(dst []byte, talk, m int) []byte {
	dst = appendHex(dst, uint64(talk), 8) //nolint:gosec // an id is not negative
	dst = append(dst, "-7a1c-4000-a000-"...)
	return appendHex(dst, uint64(m), 12) //nolint:gosec // an index is not negative
}

// syntheticTalk is one of them. messages is 0 once its messages are stored.
type syntheticTalk struct {
	all      syntheticTalks
	talk     int
	messages int
}

func (s syntheticTalk) msec(m int) int64 { return s.all.at(m*s.all.talks + s.talk - 1) }

func (s syntheticTalk) at(m int) int64 { return seconds(s.msec(m)) }

func (s syntheticTalk) id(m int) string { return SyntheticTalkMessageID(s.talk, m) }

func (s syntheticTalk) outgoing(m int) bool { return m%3 != 0 }

// index returns the index of the message with an id, or -1.
func (s syntheticTalk) index(id string) int {
	m, err := strconv.ParseInt(id[strings.LastIndexByte(id, '-')+1:], 16, 64)
	if err != nil || m < 0 || m >= int64(s.messages) || s.id(int(m)) != id {
		return -1
	}
	return int(m)
}

// appendItem appends the m-th message, of about 840 bytes as those of a synthetic
// chat. Every third comes from the client.
func (s syntheticTalk) appendItem(dst []byte, m int) []byte {
	ms := s.msec(m)
	dst = append(dst, `{"id":"`...)
	dst = appendSyntheticTalkID(dst, s.talk, m)
	dst = append(dst, `","chat_id":"`...)
	dst = append(dst, syntheticTalkChat(s.talk)...)
	if s.outgoing(m) {
		dst = append(dst, syntheticTalkOutgoing...)
	} else {
		dst = append(dst, syntheticTalkIncoming...)
	}
	dst = append(dst, `,"created_at":`...)
	dst = strconv.AppendInt(dst, seconds(ms), 10)
	dst = append(dst, `,"msec_created_at":`...)
	dst = strconv.AppendInt(dst, ms, 10)
	dst = append(dst, `,"text":"Message `...)
	dst = strconv.AppendInt(dst, int64(m), 10)
	if s.outgoing(m) {
		dst = append(dst, syntheticShortText...)
	} else {
		dst = append(dst, syntheticLongText...)
	}
	return append(dst, `"}`...)
}

const (
	syntheticTalkClient = `{"id":"1c5b1ae5-27a1-4a0b-9d4d-3f1b7f0b5f01","type":"external","name":"Анна Петрова","avatar_url":"https://images.example.com/users/avatar.png"}`
	syntheticTalkUser   = `{"id":"5f0c2c5e-7c3e-4b58-9d0d-0b9a3f2c1d17","type":"internal","name":"Maria Lopes","avatar_url":"https://images.example.com/agents/17.png","user_id":504141}`

	syntheticTalkIncoming = `","type":"incoming","message_type":"text","author":` + syntheticTalkClient
	syntheticTalkOutgoing = `","type":"outgoing","message_type":"text","delivery_status":"delivered","author":` + syntheticTalkUser + `,"recipient":` + syntheticTalkClient
)

// SyntheticTalks makes talks with the ids 1 to talks, with as many messages each,
// that are computed when they are asked for; so are their events. Message m of
// talk t, m from 0, has the id SyntheticTalkMessageID(t, m) and the time start +
// (m×talks + t−1)×step, in whole milliseconds. It is called at most once, before
// other talks are made. Listing the talks themselves takes memory for all of them.
func (s *Server) SyntheticTalks(talks, messages int, start time.Time, step time.Duration) error {
	switch {
	case talks < 0 || talks >= 1<<31:
		return fmt.Errorf("talks: want 0..%d, got %d", 1<<31-1, talks)
	case messages < 0 || messages >= 1<<31:
		return fmt.Errorf("messages of a talk: want 0..%d, got %d", 1<<31-1, messages)
	case step < 0:
		return fmt.Errorf("step: want 0 or more, got %s", step)
	}
	s.talks.mu.Lock()
	defer s.talks.mu.Unlock()
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	s.account.base = syntheticTalks{talks, messages, start.UnixMilli(), step.Milliseconds()}
	s.talks.base = s.account.base
	return nil
}
