// SPDX-License-Identifier: Apache-2.0

package talkhistory_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// operations returns what was delivered of each kind, by message.
func operations(of []pipetest.Message, op string) map[string]pipetest.Message {
	out := map[string]pipetest.Message{}
	for _, m := range of {
		if m.Meta["kommo_operation"] == op {
			out[m.ID] = m
		}
	}
	return out
}

// The feed does not name a talk for an edit. It is found nevertheless, with what the feed
// has told of the talk once, and also by a process that comes after.
func TestChanges_OfTalksWithoutNews(t *testing.T) {
	t.Parallel()
	for _, polls := range []bool{true, false} {
		k := pipetest.NewAccount(t, sandbox.Config{})
		at := time.Now().Add(-10 * time.Minute).Truncate(time.Second)
		for i := range 10 {
			say(t, k, 1, at.Add(time.Duration(i)*time.Second))
			say(t, k, 3, at.Add(-100*time.Hour))
		}
		edited := say(t, k, 2, at)
		deleted := say(t, k, 2, at.Add(time.Second))
		c := pipetest.NewCache()
		conf := pipetest.Fields{
			"changes": true, "lookback": "1h", "changes_interval": "30ms",
			"checkpoint_cache": "progress", "checkpoint_interval": "1ms",
		}
		if polls {
			conf = conf.With(pipetest.Fields{"poll_interval": "5ms"})
		}
		read := func(until func(s *pipetest.Stream) bool) *pipetest.Stream {
			s := k.Reads(t, conf, pipetest.Options{Cache: c})
			if polls {
				s.Until("the changes are there", func() bool { return until(s) })
				s.Stop()
			} else {
				s.Ended()
			}
			return s
		}
		s := read(func(s *pipetest.Stream) bool { return len(s.Out.Delivered()) == 22 })
		assert.Len(t, operations(s.Out.Delivered(), "create"), 22)

		asked := k.Ledger().Talks[3].Requests
		require.True(t, k.ReplaceTalkMessage(2, edited, inChat(sandbox.TalkText(edited, at, "private words, corrected"))))
		require.True(t, k.DeleteTalkMessage(2, deleted))
		delivered := s.Out.Delivered()[:0:0]
		for range 2 {
			s = read(func(s *pipetest.Stream) bool {
				return len(operations(s.Out.Delivered(), "delete")) == 1
			})
			delivered = append(delivered, s.Out.Delivered()...)
			if polls {
				break
			}
		}
		require.Len(t, delivered, 2)
		update, ok := operations(delivered, "update")[edited]
		require.True(t, ok)
		assert.Contains(t, update.Body, "corrected")
		assert.Equal(t, "waba", update.Meta["kommo_origin"])
		remove, ok := operations(delivered, "delete")[deleted]
		require.True(t, ok)
		assert.Equal(t, "{}", remove.Body)
		assert.Equal(t, "waba", remove.Meta["kommo_origin"])
		assert.Equal(t, "2", remove.Chat)
		assert.Equal(t, "chat-2", remove.Meta["kommo_chat_id"], "that of the others")
		if !polls { // which is stopped before all is acknowledged
			assert.Equal(t, asked, k.Ledger().Talks[3].Requests, "it has nothing within the lookback")
		}
		assert.Empty(t, s.Logs.Complaints())
	}
}

// inChat has a message say which chat it is of.
func inChat(raw json.RawMessage) json.RawMessage {
	return append([]byte(`{"chat_id":"chat-2",`), raw[1:]...)
}

// While a process runs, what changes in a talk has what the feed told of it.
func TestChanges_KeepWhatIsKnownOfATalk(t *testing.T) {
	t.Parallel()
	k := pipetest.NewAccount(t, sandbox.Config{})
	at := time.Now().Add(-10 * time.Minute).Truncate(time.Second)
	id := say(t, k, 2, at)
	conf := pipetest.Fields{"changes": true, "lookback": "1h", "changes_interval": "30ms", "poll_interval": "5ms"}
	s := k.Reads(t, conf, pipetest.Options{})
	s.Delivers("2")
	asked := k.Ledger().Talks[2].Requests
	s.Until("it is looked after", func() bool { return k.Ledger().Talks[2].Requests > asked+2 })
	require.True(t, k.ReplaceTalkMessage(2, id, sandbox.TalkText(id, at, "private words, corrected")))
	s.Until("the change is there", func() bool { return len(s.Out.Delivered()) == 2 })
	update := operations(s.Out.Delivered(), "update")[id]
	assert.Equal(t, s.Out.Delivered()[0].Meta["kommo_entity_id"], update.Meta["kommo_entity_id"])
	assert.Equal(t, "waba", update.Meta["kommo_origin"])
}
