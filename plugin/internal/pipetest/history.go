// SPDX-License-Identifier: Apache-2.0

package pipetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// History is a server with one of the inputs that read messages, so that a test can hold
// for each of them. What it calls a chat is a chat for one of them and a talk for the
// other.
type History struct {
	*Kommo
	Name  string // of the input, and what its metrics begin with
	List  string // the field that lists chats
	Queue string // the field of an input that names them
	Noun  string // what its log lines call a chat
	talks bool
}

// EachHistory runs a test for each input.
func EachHistory(t *testing.T, config sandbox.Config, test func(t *testing.T, h *History)) {
	t.Helper()
	for _, h := range []History{
		{Name: "kommo_chat_history", List: "chats", Queue: "chats_input", Noun: "chat"},
		{Name: "kommo_talk_history", List: "talks", Queue: "talks_input", Noun: "talk", talks: true},
	} {
		t.Run(h.Name, func(t *testing.T) {
			t.Parallel()
			config := config
			config.AccessToken = AccessToken
			h.Kommo = NewKommo(t, config)
			test(t, &h)
		})
	}
}

var talks atomic.Int64

// Chat makes a chat with n text messages, one a second, and returns its id.
func (h *History) Chat(n int) string {
	if !h.talks {
		return h.Kommo.Chat(n)
	}
	id := strconv.FormatInt(1000+talks.Add(1), 10)
	h.Append(id)
	for i := range n {
		h.Say(id, Noon.Add(time.Duration(i)*time.Second))
	}
	return id
}

// Chats makes some, each with n messages.
func (h *History) Chats(some, n int) (ids []string) {
	for range some {
		ids = append(ids, h.Chat(n))
	}
	return ids
}

// Say appends a message sent at a time, and returns its id.
func (h *History) Say(chat string, at time.Time) string {
	if !h.talks {
		return h.Kommo.Say(chat, at)
	}
	n := Said.Add(1)
	id := fmt.Sprintf("%08x-0000-4000-8000-%012x", n, n)
	h.Append(chat, h.Text(id, at, fmt.Sprintf("private words, number %d", n)))
	return id
}

// Text makes a message with these words.
func (h *History) Text(id string, at time.Time, words string) json.RawMessage {
	if !h.talks {
		return sandbox.Text(id, at, words)
	}
	return sandbox.TalkText(id, at, words)
}

// Append adds messages to a chat, which is made if there is none.
func (h *History) Append(chat string, items ...json.RawMessage) {
	if !h.talks {
		h.Kommo.Append(chat, items...)
		return
	}
	if err := h.AppendTalk(number(chat), items...); err != nil {
		panic(err) // only talks of own chats refuse it
	}
}

// Edit gives a message other words.
func (h *History) Edit(chat, id string, at time.Time, words string) bool {
	if !h.talks {
		return h.Replace(chat, id, h.Text(id, at, words))
	}
	return h.ReplaceTalkMessage(number(chat), id, h.Text(id, at, words))
}

// Remove deletes a message.
func (h *History) Remove(chat, id string) bool {
	if !h.talks {
		return h.Delete(chat, id)
	}
	return h.DeleteTalkMessage(number(chat), id)
}

// Messages returns the messages of a chat, oldest first.
func (h *History) Messages(chat string) []json.RawMessage {
	if !h.talks {
		return h.Kommo.Messages(chat)
	}
	return h.TalkMessages(number(chat))
}

// Asked returns how many requests there were for a chat.
func (h *History) Asked(chat string) int {
	if !h.talks {
		return h.Ledger().Chats[chat].Requests
	}
	return h.Ledger().Talks[number(chat)].Requests
}

// Of limits a fault to some chats.
func (h *History) Of(fault sandbox.Fault, chats ...string) sandbox.Fault {
	if !h.talks {
		fault.Chats = chats
		return fault
	}
	for _, chat := range chats {
		fault.Talks = append(fault.Talks, number(chat))
	}
	return fault
}

// Unknown returns the id of a chat that there is not.
func (h *History) Unknown() string {
	if !h.talks {
		return ChatID(0)
	}
	return "999999"
}

// Key returns the key of a chat's checkpoint, as the documentation has it.
func (h *History) Key(chat string) string {
	if !h.talks {
		return h.Kommo.Key(chat)
	}
	return h.Name + "." + h.hostKey() + "." + chat
}

// Start runs a pipeline of the input, with some fields changed.
func (h *History) Start(t *testing.T, chats []string, changed Fields, o Options) *Stream {
	t.Helper()
	input := Fields{}
	if chats != nil {
		input[h.List] = chats
	}
	maps.Copy(input, changed)
	if !h.talks {
		return h.Kommo.Start(t, input, o)
	}
	return h.Reads(t, input, o)
}

// Reads runs a pipeline of kommo_talk_history, with some fields changed.
func (k *Kommo) Reads(t *testing.T, input Fields, o Options) *Stream {
	t.Helper()
	o.key = "kommo_talk_id"
	o.messages = func(talk string) []json.RawMessage { return k.TalkMessages(number(talk)) }
	conf := k.Account(input)
	if _, set := input["checkpoint_interval"]; !set {
		delete(conf, "checkpoint_interval")
	}
	return k.Run(t, Fields{"kommo_talk_history": conf}, o)
}

// TalkIDs returns the ids of all talks, sorted.
func (k *Kommo) TalkIDs() (ids []string) {
	for _, talk := range k.Talks() {
		ids = append(ids, strconv.Itoa(talk.ID))
	}
	slices.Sort(ids)
	return ids
}

// TalkKey returns the key of a checkpoint of kommo_talk_history, as the documentation has
// it.
func (k *Kommo) TalkKey(name string) string { return "kommo_talk_history." + k.hostKey() + "." + name }

func number(talk string) int {
	n, err := strconv.Atoi(talk)
	if err != nil {
		panic(err)
	}
	return n
}

// Metric returns a metric of the input by what follows its name.
func (h *History) Metric(s *Stream, name string) int64 { return s.Metrics.Get(h.Name + "_" + name) }

// Count waits until a metric is at least n.
func (h *History) Count(s *Stream, name string, n int64) {
	s.T.Helper()
	s.Until(fmt.Sprintf("%s is %d", name, n), func() bool { return h.Metric(s, name) >= n })
}

// Restart runs the pipeline once more and checks that nothing comes again.
func (h *History) Restart(t *testing.T, chats []string, changed Fields, o Options) {
	t.Helper()
	s := h.Start(t, chats, changed, o)
	s.Ended()
	require.Empty(t, s.Out.Delivered())
}

// Queued returns the fields with which an Options.Queue names the chats.
func (h *History) Queued() Fields {
	return Fields{h.Queue: Fields{"test_queue": Fields{}}, h.Noun + "_id": "${! content() }"}
}
