// SPDX-License-Identifier: Apache-2.0

package chathistory_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

func queued(changed pipetest.Fields) pipetest.Fields {
	f := pipetest.Fields{"chats_input": pipetest.Fields{"test_queue": pipetest.Fields{}}}
	maps.Copy(f, changed)
	return f
}

func TestChatsInput_AcknowledgedOnlyWhenTheChatWasDeliveredToItsEnd(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	quick, slow, empty := k.Chat(3), k.Chat(60), k.Chat(0)
	g := pipetest.NewGate(t)
	q := pipetest.NewQueue(k)
	s := k.Start(t, queued(nil), pipetest.Options{Queue: q, Write: func(ctx context.Context, batch []pipetest.Message) error {
		if batch[0].Chat == slow {
			return g.Hold(ctx, batch)
		}
		return nil
	}})
	q.Name(slow)
	q.Name(quick)
	q.Name(empty)
	s.Until("the slow chat is out and the others are answered", func() bool {
		return s.Out.Out() == 63 && len(q.Answered(quick)) == 1 && len(q.Answered(empty)) == 1
	})
	assert.Equal(t, []error{nil}, q.Answered(quick))
	assert.Equal(t, []error{nil}, q.Answered(empty))
	assert.Empty(t, q.Answered(slow))

	g.Open()
	s.Until("the slow chat is answered", func() bool { return len(q.Answered(slow)) == 1 })
	assert.Equal(t, []error{nil}, q.Answered(slow))
	s.Delivers(quick, slow)
}

func TestChatsInput_EndsAfterItsInputAndTheLastChat(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	first, last := k.Chat(3), k.Chat(120)
	g := pipetest.NewGate(t)
	q := pipetest.NewQueue(k)
	// poll_interval has no effect here.
	s := k.Start(t, queued(pipetest.Fields{"poll_interval": "1ms"}), pipetest.Options{Queue: q, Write: g.Hold})
	q.Name(first)
	q.Name(last)
	q.End()
	s.Until("all is out", func() bool { return s.Out.Out() == 123 })
	assert.False(t, s.HasEnded())
	g.Open()
	s.Ended()
	s.Delivers(first, last)
	for _, chat := range []string{first, last} {
		assert.Equal(t, []error{nil}, q.Answered(chat))
	}
	assert.True(t, q.IsClosed())
}

func TestChatsInput_ABatchIsAnsweredAfterItsLastChat(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	quick, slow := k.Chat(3), k.Chat(5)
	g := pipetest.NewGate(t)
	q := pipetest.NewQueue(k)
	s := k.Start(t, queued(nil), pipetest.Options{Queue: q, Write: func(ctx context.Context, batch []pipetest.Message) error {
		if batch[0].Chat == slow {
			return g.Hold(ctx, batch)
		}
		return nil
	}})
	q.Name(quick, slow)
	s.Until("one is delivered, one is out", func() bool { return s.Out.Out() == 8 && len(s.Out.Delivered()) == 3 })
	assert.Empty(t, q.Answered(quick))
	g.Open()
	s.Until("the batch is answered", func() bool { return len(q.Answered(quick)) == 1 })
	assert.Equal(t, []error{nil}, q.Answered(quick))
}

// It is not rejected: not every input lets a rejected message come again before it
// ends.
func TestChatsInput_AChatThatFailsStaysOutUntilItIsReadAndTheOthersDoNot(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	bad, good := k.Chat(3), k.Chat(5)
	k.Fail(t, sandbox.Fault{Kind: sandbox.FaultStatus, Status: 404, Chat: bad})
	q := pipetest.NewQueue(k)
	s := k.Start(t, queued(nil), pipetest.Options{Queue: q})
	q.Name(bad)
	q.Name(good)
	q.End()
	s.Until("one is answered, the other is tried again and again", func() bool {
		return len(q.Answered(good)) == 1 && k.Ledger().Chats[bad].Requests >= 5
	})
	assert.Equal(t, []error{nil}, q.Answered(good))
	assert.Empty(t, q.Answered(bad))
	assert.False(t, s.HasEnded(), "the end of the queue is not the end of its chats")
	said := s.Logs.Complaints()
	require.Len(t, said, 1, "once")
	assert.Contains(t, said[0], "A chat could not be read and is tried again until it can, next in 1ms: ")
	assert.Contains(t, said[0], bad)
	assert.Contains(t, said[0], "404")
	s.Delivers(good)

	k.ClearFaults()
	s.Ended()
	assert.Equal(t, []error{nil}, q.Answered(bad))
	s.Delivers(good, bad)
}

// Of a batch in which a chat failed, the others are not read again.
func TestChatsInput_OfABatchOnlyTheFailedIsReadAgain(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	first, bad, last := k.Chat(3), k.Chat(3), k.Chat(5)
	k.Fail(t, sandbox.Fault{Kind: sandbox.FaultStatus, Status: 404, Chat: bad})
	s := k.Start(t, pipetest.Fields{
		"chats_input": pipetest.Fields{"generate": pipetest.Fields{
			"count": 3, "batch_size": 3, "interval": "",
			"mapping": fmt.Sprintf(`root = [%q, %q, %q].index(counter() - 1)`, first, bad, last),
		}},
		"backoff": pipetest.Fields{"initial_interval": "1ms", "max_interval": "20ms"},
	}, pipetest.Options{})
	s.Until("the failed one is tried again and again", func() bool {
		return k.Ledger().Chats[bad].Requests >= 3 && len(s.Out.Delivered()) == 8
	})
	assert.Equal(t, 2, k.Ledger().Chats[first].Requests, "a page, and a look behind the end")
	assert.Equal(t, 2, k.Ledger().Chats[last].Requests)
	k.ClearFaults()
	s.Ended()
	s.Delivers(first, bad, last)
}

// A queue may name a chat again and again. While that fails it must not use up the
// requests of the other chats.
func TestChatsInput_AChatThatFailedIsLeftAloneForAWhile(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	bad, good := k.Chat(3), k.Chat(5)
	k.Fail(t, sandbox.Fault{Kind: sandbox.FaultStatus, Status: 404, Chat: bad})
	q := pipetest.NewQueue(k)
	s := k.Start(t, queued(pipetest.Fields{"backoff": pipetest.Fields{"initial_interval": "1h", "max_interval": "1h"}}), pipetest.Options{Queue: q})
	q.Name(bad)
	s.Until("it has failed", func() bool { return s.Metrics.Get("kommo_chat_history_chats{state=failing}") == 1 })
	q.Name(bad)
	q.Name(good)
	s.Until("the other is read", func() bool { return len(q.Answered(good)) == 1 })
	assert.Empty(t, q.Answered(bad))
	assert.Equal(t, 1, k.Ledger().Chats[bad].Requests)
	assert.Equal(t, 3, k.Requests())
	s.Crash()
	s.Until("a stop rejects those that waited", func() bool { return len(q.Answered(bad)) == 2 })
	for _, err := range q.Answered(bad) {
		assert.Error(t, err)
	}
}

func TestChatsInput_AChatNamedWhileItIsReadIsReadOnceMore(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(3)
	q := pipetest.NewQueue(k)
	var late string
	answering := make(chan struct{})
	k.OnRequest(func(r sandbox.Request) {
		if r.N == 1 {
			q.Name(chat)
			q.Name(chat)
			q.End()
			close(answering)
			time.Sleep(50 * time.Millisecond) // for the names to come while this is read
		} else if late == "" {
			late = k.Say(chat, pipetest.Noon.Add(time.Hour))
		}
	})
	s := k.Start(t, queued(nil), pipetest.Options{Queue: q})
	q.Name(chat)
	<-answering
	s.Ended()
	s.Delivers(chat)
	assert.Equal(t, []error{nil, nil, nil}, q.Answered(chat))
	assert.Equal(t, late, s.Out.Delivered()[3].ID, "what came before it was named again is there")
	passes := 0
	for _, p := range k.Pages(chat) {
		if p.Offset == 0 { // the others look behind the end
			passes++
		}
	}
	assert.Equal(t, 2, passes, "however often it was named meanwhile")
}

func TestChatsInput_AStopAcknowledgesNothingUnfinished(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	finished, out, unread := k.Chat(3), k.Chat(5), k.Chat(7)
	g := pipetest.NewGate(t)
	k.OnRequest(func(r sandbox.Request) {
		if r.Chat == unread {
			<-g.Opened
		}
	})
	q := pipetest.NewQueue(k)
	s := k.Start(t, queued(nil), pipetest.Options{Queue: q, Write: func(ctx context.Context, batch []pipetest.Message) error {
		if batch[0].Chat == out {
			return pipetest.HoldAll(ctx, batch)
		}
		return nil
	}})
	q.Name(finished)
	q.Name(out)
	q.Name(unread)
	s.Until("one is finished, one is out, one is being read", func() bool {
		return len(q.Answered(finished)) == 1 && s.Out.Out() == 8 && k.Requests() == 5
	})
	s.Crash()
	g.Open()
	assert.Equal(t, []error{nil}, q.Answered(finished))
	for _, chat := range []string{out, unread} {
		for _, err := range q.Answered(chat) {
			assert.Error(t, err)
		}
		assert.Len(t, q.Answered(chat), 1, "and it hears of that")
	}
}

func TestChatID_SaysHowAMessageNamesItsChat(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(3)
	q := pipetest.NewQueue(k)
	s := k.Start(t, queued(pipetest.Fields{"chat_id": `${! json("message.conversation.id") }`}), pipetest.Options{Queue: q})
	webhook := `{"message":{"conversation":{"id":"` + chat + `"}}}`
	q.Name(webhook)
	q.End()
	s.Ended()
	s.Delivers(chat)
	assert.Equal(t, []error{nil}, q.Answered(webhook))
}

func TestChatID_AMessageThatNamesNoChatIsRejected(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(3)
	q := pipetest.NewQueue(k)
	s := k.Start(t, queued(pipetest.Fields{"chat_id": `${! json("chat") }`}), pipetest.Options{Queue: q})
	bad := []string{
		`{"chat":""}`, `{"chat":"  "}`, `{"chat":null}`, `{"chat":{"id":"` + chat + `"}}`, `{"chat":["` + chat + `"]}`,
		`{"chat":"` + chat + ` ` + chat + `"}`, `{"chat":"` + strings.Repeat("x", 2000) + `"}`, `not json`,
	}
	for _, m := range bad {
		q.Name(m)
	}
	spaced := `{"chat":" ` + chat + `\n"}`
	q.Name(spaced)
	good := `{"chat":"` + chat + `"}`
	q.Name(good)
	q.End()
	s.Ended()
	s.Delivers(chat)
	assert.Equal(t, []error{nil}, q.Answered(good))
	assert.Equal(t, []error{nil}, q.Answered(spaced), "space around an id is no part of it")
	assert.Len(t, k.Ledger().Chats, 1, "nothing else was asked for")
	for _, m := range bad {
		require.Len(t, q.Answered(m), 1, m)
		assert.Error(t, q.Answered(m)[0], m)
	}
	assert.True(t, s.Logs.Has(slog.LevelError, "A message of chats_input is rejected", "check that chat_id finds a chat's id in the message"), s.Logs)
}

func TestChatsInput_AQueueLongerThanTheLimitIsReadThrough(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	q := pipetest.NewQueue(k)
	var ids []string
	for range 40 {
		ids = append(ids, k.Chat(2))
		q.Name(ids[len(ids)-1])
	}
	q.End()
	s := k.Start(t, queued(pipetest.Fields{"checkpoint_limit": 3}), pipetest.Options{Queue: q})
	s.Ended()
	s.Delivers(ids...)
	for _, id := range ids {
		assert.Equal(t, []error{nil}, q.Answered(id))
	}
}

func TestChatsInput_IsNotReadByAnInputThatCannotBeBuilt(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	q := pipetest.NewQueue(k)
	q.Name(pipetest.ChatID(1))
	s := k.Start(t, queued(pipetest.Fields{"checkpoint_cache": "nowhere"}), pipetest.Options{Queue: q})
	s.Until("the pipeline has failed", s.HasEnded)
	require.ErrorContains(t, s.Err, `there is no cache resource with the label "nowhere"`)
	assert.Len(t, q.Batches, 1)
}
