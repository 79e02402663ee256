// SPDX-License-Identifier: Apache-2.0

package plugin_test

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

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

func named(changed fields) fields {
	f := fields{"chats_input": fields{"test_queue": fields{}}}
	maps.Copy(f, changed)
	return f
}

func TestChatsInput_AcknowledgedOnlyWhenTheChatWasDeliveredToItsEnd(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	quick, slow, empty := k.chat(3), k.chat(60), k.chat(0)
	g := newGate(t)
	q := newQueue(k)
	s := k.start(t, named(nil), options{queue: q, write: func(ctx context.Context, batch []message) error {
		if batch[0].chat == slow {
			return g.hold(ctx, batch)
		}
		return nil
	}})
	q.name(slow)
	q.name(quick)
	q.name(empty)
	s.until("the slow chat is out and the others are answered", func() bool {
		return s.out.out() == 63 && len(q.answered(quick)) == 1 && len(q.answered(empty)) == 1
	})
	assert.Equal(t, []error{nil}, q.answered(quick))
	assert.Equal(t, []error{nil}, q.answered(empty))
	assert.Empty(t, q.answered(slow))

	g.open()
	s.until("the slow chat is answered", func() bool { return len(q.answered(slow)) == 1 })
	assert.Equal(t, []error{nil}, q.answered(slow))
	s.delivers(quick, slow)
}

func TestChatsInput_EndsAfterItsInputAndTheLastChat(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	first, last := k.chat(3), k.chat(120)
	g := newGate(t)
	q := newQueue(k)
	// poll_interval has no effect here.
	s := k.start(t, named(fields{"poll_interval": "1ms"}), options{queue: q, write: g.hold})
	q.name(first)
	q.name(last)
	q.end()
	s.until("all is out", func() bool { return s.out.out() == 123 })
	assert.False(t, s.hasEnded())
	g.open()
	s.ended()
	s.delivers(first, last)
	for _, chat := range []string{first, last} {
		assert.Equal(t, []error{nil}, q.answered(chat))
	}
	assert.True(t, q.isClosed())
}

func TestChatsInput_ABatchIsAnsweredAfterItsLastChat(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	quick, slow := k.chat(3), k.chat(5)
	g := newGate(t)
	q := newQueue(k)
	s := k.start(t, named(nil), options{queue: q, write: func(ctx context.Context, batch []message) error {
		if batch[0].chat == slow {
			return g.hold(ctx, batch)
		}
		return nil
	}})
	q.name(quick, slow)
	s.until("one is delivered, one is out", func() bool { return s.out.out() == 8 && len(s.out.delivered()) == 3 })
	assert.Empty(t, q.answered(quick))
	g.open()
	s.until("the batch is answered", func() bool { return len(q.answered(quick)) == 1 })
	assert.Equal(t, []error{nil}, q.answered(quick))
}

// It is not rejected: not every input lets a rejected message come again before it
// ends.
func TestChatsInput_AChatThatFailsStaysOutUntilItIsReadAndTheOthersDoNot(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	bad, good := k.chat(3), k.chat(5)
	k.fail(t, sandbox.Fault{Kind: sandbox.FaultStatus, Status: 404, Chat: bad})
	q := newQueue(k)
	s := k.start(t, named(nil), options{queue: q})
	q.name(bad)
	q.name(good)
	q.end()
	s.until("one is answered, the other is tried again and again", func() bool {
		return len(q.answered(good)) == 1 && k.Ledger().Chats[bad].Requests >= 5
	})
	assert.Equal(t, []error{nil}, q.answered(good))
	assert.Empty(t, q.answered(bad))
	assert.False(t, s.hasEnded(), "the end of the queue is not the end of its chats")
	said := s.logs.complaints()
	require.Len(t, said, 1, "once")
	assert.Contains(t, said[0], "A chat could not be read and is tried again until it can, next in 1ms: ")
	assert.Contains(t, said[0], bad)
	assert.Contains(t, said[0], "404")
	s.delivers(good)

	k.ClearFaults()
	s.ended()
	assert.Equal(t, []error{nil}, q.answered(bad))
	s.delivers(good, bad)
}

// Of a batch in which a chat failed, the others are not read again.
func TestChatsInput_OfABatchOnlyTheFailedIsReadAgain(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	first, bad, last := k.chat(3), k.chat(3), k.chat(5)
	k.fail(t, sandbox.Fault{Kind: sandbox.FaultStatus, Status: 404, Chat: bad})
	s := k.start(t, fields{
		"chats_input": fields{"generate": fields{
			"count": 3, "batch_size": 3, "interval": "",
			"mapping": fmt.Sprintf(`root = [%q, %q, %q].index(counter() - 1)`, first, bad, last),
		}},
		"backoff": fields{"initial_interval": "1ms", "max_interval": "20ms"},
	}, options{})
	s.until("the failed one is tried again and again", func() bool {
		return k.Ledger().Chats[bad].Requests >= 3 && len(s.out.delivered()) == 8
	})
	assert.Equal(t, 2, k.Ledger().Chats[first].Requests, "a page, and a look behind the end")
	assert.Equal(t, 2, k.Ledger().Chats[last].Requests)
	k.ClearFaults()
	s.ended()
	s.delivers(first, bad, last)
}

// A queue may name a chat again and again. While that fails it must not use up the
// requests of the other chats.
func TestChatsInput_AChatThatFailedIsLeftAloneForAWhile(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	bad, good := k.chat(3), k.chat(5)
	k.fail(t, sandbox.Fault{Kind: sandbox.FaultStatus, Status: 404, Chat: bad})
	q := newQueue(k)
	s := k.start(t, named(fields{"backoff": fields{"initial_interval": "1h", "max_interval": "1h"}}), options{queue: q})
	q.name(bad)
	s.until("it has failed", func() bool { return s.metrics.get("kommo_chat_history_chats{state=failing}") == 1 })
	q.name(bad)
	q.name(good)
	s.until("the other is read", func() bool { return len(q.answered(good)) == 1 })
	assert.Empty(t, q.answered(bad))
	assert.Equal(t, 1, k.Ledger().Chats[bad].Requests)
	assert.Equal(t, 3, k.requests())
	s.crash()
	s.until("a stop rejects those that waited", func() bool { return len(q.answered(bad)) == 2 })
	for _, err := range q.answered(bad) {
		assert.Error(t, err)
	}
}

func TestChatsInput_AChatNamedWhileItIsReadIsReadOnceMore(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	chat := k.chat(3)
	q := newQueue(k)
	var late string
	answering := make(chan struct{})
	k.OnRequest(func(r sandbox.Request) {
		if r.N == 1 {
			q.name(chat)
			q.name(chat)
			q.end()
			close(answering)
			time.Sleep(50 * time.Millisecond) // for the names to come while this is read
		} else if late == "" {
			late = k.say(chat, noon.Add(time.Hour))
		}
	})
	s := k.start(t, named(nil), options{queue: q})
	q.name(chat)
	<-answering
	s.ended()
	s.delivers(chat)
	assert.Equal(t, []error{nil, nil, nil}, q.answered(chat))
	assert.Equal(t, late, s.out.delivered()[3].id, "what came before it was named again is there")
	passes := 0
	for _, p := range k.pages(chat) {
		if p.Offset == 0 { // the others look behind the end
			passes++
		}
	}
	assert.Equal(t, 2, passes, "however often it was named meanwhile")
}

func TestChatsInput_AStopAcknowledgesNothingUnfinished(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	finished, out, unread := k.chat(3), k.chat(5), k.chat(7)
	g := newGate(t)
	k.OnRequest(func(r sandbox.Request) {
		if r.Chat == unread {
			<-g.opened
		}
	})
	q := newQueue(k)
	s := k.start(t, named(nil), options{queue: q, write: func(ctx context.Context, batch []message) error {
		if batch[0].chat == out {
			return holdAll(ctx, batch)
		}
		return nil
	}})
	q.name(finished)
	q.name(out)
	q.name(unread)
	s.until("one is finished, one is out, one is being read", func() bool {
		return len(q.answered(finished)) == 1 && s.out.out() == 8 && k.requests() == 5
	})
	s.crash()
	g.open()
	assert.Equal(t, []error{nil}, q.answered(finished))
	for _, chat := range []string{out, unread} {
		for _, err := range q.answered(chat) {
			assert.Error(t, err)
		}
		assert.Len(t, q.answered(chat), 1, "and it hears of that")
	}
}

func TestChatID_SaysHowAMessageNamesItsChat(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	chat := k.chat(3)
	q := newQueue(k)
	s := k.start(t, named(fields{"chat_id": `${! json("message.conversation.id") }`}), options{queue: q})
	webhook := `{"message":{"conversation":{"id":"` + chat + `"}}}`
	q.name(webhook)
	q.end()
	s.ended()
	s.delivers(chat)
	assert.Equal(t, []error{nil}, q.answered(webhook))
}

func TestChatID_AMessageThatNamesNoChatIsRejected(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	chat := k.chat(3)
	q := newQueue(k)
	s := k.start(t, named(fields{"chat_id": `${! json("chat") }`}), options{queue: q})
	bad := []string{
		`{"chat":""}`, `{"chat":"  "}`, `{"chat":null}`, `{"chat":{"id":"` + chat + `"}}`, `{"chat":["` + chat + `"]}`,
		`{"chat":"` + chat + ` ` + chat + `"}`, `{"chat":"` + strings.Repeat("x", 2000) + `"}`, `not json`,
	}
	for _, m := range bad {
		q.name(m)
	}
	spaced := `{"chat":" ` + chat + `\n"}`
	q.name(spaced)
	good := `{"chat":"` + chat + `"}`
	q.name(good)
	q.end()
	s.ended()
	s.delivers(chat)
	assert.Equal(t, []error{nil}, q.answered(good))
	assert.Equal(t, []error{nil}, q.answered(spaced), "space around an id is no part of it")
	assert.Len(t, k.Ledger().Chats, 1, "nothing else was asked for")
	for _, m := range bad {
		require.Len(t, q.answered(m), 1, m)
		assert.Error(t, q.answered(m)[0], m)
	}
	assert.True(t, s.logs.has(slog.LevelError, "A message of chats_input is rejected", "check that chat_id finds a chat's id in the message"), s.logs)
}

func TestChatsInput_AQueueLongerThanTheLimitIsReadThrough(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	q := newQueue(k)
	var ids []string
	for range 40 {
		ids = append(ids, k.chat(2))
		q.name(ids[len(ids)-1])
	}
	q.end()
	s := k.start(t, named(fields{"checkpoint_limit": 3}), options{queue: q})
	s.ended()
	s.delivers(ids...)
	for _, id := range ids {
		assert.Equal(t, []error{nil}, q.answered(id))
	}
}

func TestChatsInput_IsNotReadByAnInputThatCannotBeBuilt(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	q := newQueue(k)
	q.name(chatID(1))
	s := k.start(t, named(fields{"checkpoint_cache": "nowhere"}), options{queue: q})
	s.until("the pipeline has failed", s.hasEnded)
	require.ErrorContains(t, s.err, `there is no cache resource with the label "nowhere"`)
	assert.Len(t, q.batches, 1)
}
