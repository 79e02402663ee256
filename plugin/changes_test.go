// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// state is what a consumer builds of what it gets: the body of each message by its id.
type state struct {
	mu  sync.Mutex
	has map[string]string
	ops map[string]int
}

func newState() *state { return &state{has: map[string]string{}, ops: map[string]int{}} }

func (s *state) write(_ context.Context, batch []message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range batch {
		op, _ := m.Meta["kommo_operation"].(string)
		s.ops[op]++
		switch op {
		case "create", "update":
			s.has[m.ID] = m.Body
		case "delete":
			delete(s.has, m.ID)
		default:
			return fmt.Errorf("operation %q", op)
		}
	}
	return nil
}

func (s *state) count(op string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ops[op]
}

// is reports whether the state is what the server has.
func (s *state) is(h *history, chats ...string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, chat := range chats {
		for _, raw := range h.Messages(chat) {
			n++
			if s.has[idOf(h, raw)] != string(raw) {
				return false
			}
		}
	}
	return n == len(s.has)
}

// conversation makes a chat with 30 messages of the last minutes.
func conversation(h *history) (chat string, ids []string, at time.Time) {
	chat = h.Chat(0)
	at = time.Now().Add(-5 * time.Minute).Truncate(time.Second)
	for i := range 30 {
		ids = append(ids, h.Say(chat, at.Add(time.Duration(i)*time.Second)))
	}
	return chat, ids, at
}

var changes = fields{"changes": true, "lookback": "1h", "poll_interval": "20ms"}

func TestChanges_EditsAndDeletionsComeOut(t *testing.T) {
	t.Parallel()
	each(t, sandbox.Config{}, func(t *testing.T, h *history) {
		t.Helper()
		chat, ids, at := conversation(h)
		consumer := newState()
		s := h.Start(t, []string{chat}, changes, options{Write: consumer.write})
		s.Until("all is there", func() bool { return consumer.is(h, chat) })
		assert.Equal(t, map[string]int{"create": 30}, consumer.ops)

		require.True(t, h.Edit(chat, ids[7], at.Add(7*time.Second), "corrected"))
		require.True(t, h.Remove(chat, ids[12]))
		require.True(t, h.Remove(chat, ids[0]))
		require.True(t, h.Remove(chat, ids[29]))
		h.Say(chat, time.Now())
		s.Until("the changes are there", func() bool { return consumer.is(h, chat) })
		assert.Equal(t, map[string]int{"create": 31, "update": 1, "delete": 3}, consumer.ops)

		for _, m := range s.Out.Delivered() {
			if m.Meta["kommo_operation"] != "delete" {
				continue
			}
			assert.Equal(t, "{}", m.Body)
			want := map[string]any{"kommo_operation": "delete", "kommo_message_id": m.ID}
			if h.Noun == "chat" {
				want["kommo_chat_id"], want["kommo_scope_id"] = chat, h.ScopeID()
			} else {
				want["kommo_talk_id"] = m.Meta["kommo_talk_id"]
				assert.Equal(t, chat, fmt.Sprint(want["kommo_talk_id"]))
			}
			assert.Equal(t, want, m.Meta)
		}
		assert.Empty(t, s.Logs.Complaints())
	})
}

// Between two runs, with what was found in the checkpoint.
func TestChanges_BetweenRuns(t *testing.T) {
	t.Parallel()
	each(t, sandbox.Config{}, func(t *testing.T, h *history) {
		t.Helper()
		chat, ids, at := conversation(h)
		c := pipetest.NewCache()
		consumer := newState()
		run := func(extra fields) {
			conf := fields{"checkpoint_cache": "progress", "lookback": "1h"}.With(extra)
			h.Start(t, []string{chat}, conf, options{Cache: c, Write: consumer.write}).Ended()
		}
		with := fields{"changes": true}
		run(with)
		require.True(t, h.Edit(chat, ids[7], at.Add(7*time.Second), "corrected"))
		require.True(t, h.Remove(chat, ids[12]))
		run(with)
		assert.Equal(t, map[string]int{"create": 30, "update": 1}, consumer.ops, "a page may have missed it")
		run(with)
		assert.Equal(t, map[string]int{"create": 30, "update": 1, "delete": 1}, consumer.ops)
		assert.True(t, consumer.is(h, chat))
		run(with)
		assert.Equal(t, map[string]int{"create": 30, "update": 1, "delete": 1}, consumer.ops)
	})
}

// Switched off, nothing of it shows: no metadata, no hash, no message that comes again.
func TestChanges_Off(t *testing.T) {
	t.Parallel()
	each(t, sandbox.Config{}, func(t *testing.T, h *history) {
		t.Helper()
		chat, ids, at := conversation(h)
		c := pipetest.NewCache()
		conf := fields{"checkpoint_cache": "progress", "lookback": "1h"}
		s := h.Start(t, []string{chat}, conf, options{Cache: c})
		s.Ended()
		assert.Len(t, s.Out.Delivered(), 30)
		for _, m := range s.Out.Delivered() {
			assert.NotContains(t, m.Meta, "kommo_operation")
		}
		assert.NotContains(t, c.Value(h.Key(chat)), "hash")
		require.True(t, h.Edit(chat, ids[7], at.Add(7*time.Second), "corrected"))
		require.True(t, h.Remove(chat, ids[12]))
		h.Restart(t, []string{chat}, conf, options{Cache: c})

		// A checkpoint from before changes were looked for is read as it is.
		consumer := newState()
		h.Start(t, []string{chat}, conf.With(fields{"changes": true}), options{Cache: c, Write: consumer.write}).Ended()
		assert.Empty(t, consumer.ops)
		require.True(t, h.Edit(chat, ids[9], at.Add(9*time.Second), "corrected"))
		h.Start(t, []string{chat}, conf.With(fields{"changes": true}), options{Cache: c, Write: consumer.write}).Ended()
		assert.Equal(t, map[string]int{"update": 1, "delete": 1}, consumer.ops)
	})
}

// A chat that is named once is read again by itself.
func TestChanges_OfAChatThatWasNamedOnce(t *testing.T) {
	t.Parallel()
	each(t, sandbox.Config{}, func(t *testing.T, h *history) {
		t.Helper()
		chat, ids, at := conversation(h)
		consumer := newState()
		queue := pipetest.NewQueue(h.Kommo)
		conf := h.Queued().With(fields{"changes": true, "lookback": "1h", "changes_interval": "50ms"})
		s := h.Start(t, nil, conf, options{Queue: queue, Write: consumer.write})
		queue.Name(chat)
		s.Until("all is there", func() bool { return consumer.is(h, chat) })
		require.True(t, h.Edit(chat, ids[7], at.Add(7*time.Second), "corrected"))
		require.True(t, h.Remove(chat, ids[12]))
		s.Until("the changes are there", func() bool { return consumer.is(h, chat) })
		assert.Equal(t, map[string]int{"create": 30, "update": 1, "delete": 1}, consumer.ops)
	})
}

// What an output rejects comes again, updates and deletions too.
func TestChanges_Rejected(t *testing.T) {
	t.Parallel()
	each(t, sandbox.Config{}, func(t *testing.T, h *history) {
		t.Helper()
		chat, ids, at := conversation(h)
		consumer := newState()
		var mu sync.Mutex
		times := map[string]int{}
		s := h.Start(t, []string{chat}, changes, options{Write: func(ctx context.Context, batch []message) error {
			mu.Lock()
			defer mu.Unlock()
			m := batch[len(batch)-1]
			key := fmt.Sprint(m.ID, m.Meta["kommo_operation"])
			if times[key]++; times[key] < 3 {
				return errors.New("not now")
			}
			return consumer.write(ctx, batch)
		}})
		s.Until("all is there", func() bool { return consumer.is(h, chat) })
		require.True(t, h.Edit(chat, ids[7], at.Add(7*time.Second), "corrected"))
		require.True(t, h.Remove(chat, ids[12]))
		s.Until("the changes are there", func() bool { return consumer.is(h, chat) && consumer.count("delete") == 1 })
	})
}

// An answer that misses messages for once deletes none of them.
func TestChanges_AnAnswerThatMissesMessages(t *testing.T) {
	t.Parallel()
	each(t, sandbox.Config{}, func(t *testing.T, h *history) {
		t.Helper()
		chat, _, _ := conversation(h)
		consumer := newState()
		s := h.Start(t, []string{chat}, changes, options{Write: consumer.write})
		s.Until("all is there", func() bool { return consumer.is(h, chat) })
		for range 5 {
			asked := h.Asked(chat)
			h.Fail(t, h.Of(sandbox.Fault{Kind: sandbox.FaultHideItems, Every: 2, Count: 1}, chat))
			// The pass that misses them takes up to three requests, and so does the whole one that has to follow.
			s.Until("it was read", func() bool { return h.Asked(chat) > asked+7 })
		}
		assert.Equal(t, map[string]int{"create": 30}, consumer.ops)
	})
}

// A chat that is read from its beginning again, since short pages have misled, tells what was yet to
// be told, and brings nothing twice.
func TestChanges_OutliveADoubtedEnd(t *testing.T) {
	t.Parallel()
	each(t, sandbox.Config{}, func(t *testing.T, h *history) {
		t.Helper()
		at := time.Now().Add(-5 * time.Minute).Truncate(time.Second)
		say := func(chat string, n int) (ids []string) {
			for i := range n {
				ids = append(ids, h.Say(chat, at.Add(time.Duration(i)*time.Second)))
			}
			return ids
		}
		chat := h.Chat(0)
		sent := say(chat, 5)
		consumer, cache := newState(), pipetest.NewCache()
		conf := rereads(h).With(fields{"changes": true, "lookback": "1h", "page_size": 50, "parallel_chats": 1})
		all := []string{chat}
		run := func(name func(*pipetest.Queue, *pipetest.Stream)) *pipetest.Stream {
			q := pipetest.NewQueue(h.Kommo)
			s := h.Start(t, nil, conf, options{Cache: cache, Queue: q, Write: consumer.write})
			name(q, s)
			q.End()
			s.Ended()
			return s
		}
		once := func(q *pipetest.Queue, _ *pipetest.Stream) { q.Name(chat) }
		run(once)
		require.True(t, h.Remove(chat, sent[1]))
		require.True(t, h.Edit(chat, sent[2], at.Add(2*time.Second), "corrected"))
		s := run(func(q *pipetest.Queue, s *pipetest.Stream) {
			read := func(chats ...string) {
				for _, c := range chats {
					q.Name(c)
					all = append(all, c)
				}
				last := chats[len(chats)-1]
				s.Until("they are read", func() bool { return len(q.Answered(last)) > 0 })
			}
			read(h.Chat(30))        // so that 10 do not look like a limit
			read(h.Chats(40, 5)...) // short pages are believed by now
			q.Name(chat)
			s.Until("it is read", func() bool { return len(q.Answered(chat)) > 0 })
			require.NoError(t, h.SetFaults(
				sandbox.Fault{Kind: sandbox.FaultPageCap, Limit: 10},
				sandbox.Fault{Kind: sandbox.FaultNext, Next: sandbox.NextMissing},
			))
			misled := func() bool { return s.Logs.Has(slog.LevelWarn, "pages that are shorter than asked") }
			for !misled() {
				c := h.Chat(0)
				say(c, 12)
				read(c)
			}
		})
		require.True(t, s.Logs.Has(slog.LevelWarn, "read again from the beginning"))
		require.False(t, s.Logs.Has(slog.LevelWarn, "and 0 "))
		run(once)
		run(once)
		assert.True(t, consumer.is(h, all...))
		assert.Equal(t, map[string]int{"create": 5 + 30 + 40*5 + (len(all)-42)*12, "update": 1, "delete": 1}, consumer.ops)
	})
}

func TestChanges_NeedALookback(t *testing.T) {
	t.Parallel()
	for _, input := range []string{
		"kommo_chat_history: {scope_id: channel_account, channel_secret: secret, chats: [a]",
		"kommo_talk_history: {api_url: https://example.kommo.com, access_token: token",
	} {
		lints := pipetest.Lints(t, "{"+input+", changes: true, lookback: 0s}}")
		require.Len(t, lints, 1)
		assert.Contains(t, lints[0], "changes: changes are looked for within lookback, and that is 0")
		assert.Empty(t, pipetest.Lints(t, "{"+input+", changes: true, lookback: 24h}}"))
	}
}
