// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// The promise of the input, in the situations that once broke it. The simulator
// looks for more of them; these are small enough to read.

// text makes a message of its own, which k.Append puts where the server's order has
// it.
func text(at time.Time) json.RawMessage {
	n := said.Add(1)
	return sandbox.Text(fmt.Sprintf("%08x-0000-4000-8000-%012x", n, n), at, fmt.Sprintf("private words, number %d", n))
}

// texts makes n messages, one a second.
func texts(n int, from time.Time) []json.RawMessage {
	out := make([]json.RawMessage, n)
	for i := range out {
		out[i] = text(from.Add(time.Duration(i) * time.Second))
	}
	return out
}

func ids(of []message) []string {
	out := make([]string, len(of))
	for i, m := range of {
		out[i] = m.id
	}
	return out
}

func idsOf(items []json.RawMessage) []string {
	out := make([]string, len(items))
	for i, raw := range items {
		out[i] = sandbox.MessageID(raw)
	}
	return out
}

// timesOf returns how often each id is there.
func timesOf(ids []string) map[string]int {
	out := map[string]int{}
	for _, id := range ids {
		out[id]++
	}
	return out
}

// crashAfter runs a pipeline that acknowledges batches until so many messages are,
// has the next one in hand and crashes. It returns what was acknowledged.
func (k *kommo) crashAfter(t *testing.T, conf fields, c *cache, messages int64) ([]message, *logBook) {
	t.Helper()
	var acked atomic.Int64
	holds := make(chan struct{})
	s := k.start(t, conf, options{cache: c, maxInFlight: 1, write: func(ctx context.Context, batch []message) error {
		if acked.Load() < messages {
			acked.Add(int64(len(batch)))
			return nil
		}
		select {
		case <-holds:
		default:
			close(holds)
		}
		return holdAll(ctx, batch)
	}})
	s.until("it has something in hand", func() bool {
		select {
		case <-holds:
			return true
		default:
			return false
		}
	})
	s.crash()
	return s.out.delivered(), s.logs
}

func bothOrders(t *testing.T, test func(t *testing.T, k *kommo)) {
	t.Helper()
	for _, order := range []sandbox.Order{sandbox.OrderArrival, sandbox.OrderTime} {
		t.Run(string(order), func(t *testing.T) {
			t.Parallel()
			test(t, newKommo(t, sandbox.Config{Order: order}))
		})
	}
}

func TestPromise_ALateImportAtTheEndOfAPageHidesNothing(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	chat := k.chat(500) // more than the lookback
	c := newCache()
	conf := fields{"chats": []string{chat}, "checkpoint_cache": "progress"}
	s := k.start(t, conf, options{cache: c})
	s.ended()
	s.delivers(chat)

	late := texts(60, noon.Add(time.Hour))
	for i := 10; i < 13; i++ {
		late[i] = text(noon.Add(-time.Hour)) // the 50th of the newest, the last of its page, and the two above
	}
	k.Append(chat, late...)
	s = k.start(t, conf, options{cache: c})
	s.ended()
	assert.Equal(t, idsOf(late), ids(s.out.delivered()))
}

func TestPromise_SinceIsNotReachedAtOneOlderImport(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	chat := k.chat(200) // all of them too old
	want := texts(158, noon.Add(time.Hour))
	k.Append(chat, want[:109]...)
	k.Append(chat, text(noon.Add(-time.Hour))) // the last of the newest page
	k.Append(chat, want[109:]...)
	s := k.start(t, fields{"chats": []string{chat}, "since": noon.Add(time.Hour).Format(time.RFC3339)}, options{})
	s.ended()
	assert.Equal(t, idsOf(want), ids(s.out.delivered()))
}

// A time that is believed too far goes into the checkpoint, and what comes after
// the crash looks old.
func TestPromise_WrongTimesAndACrashLoseNothing(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]func(i int, right json.RawMessage) json.RawMessage{
		"milliseconds in seconds": func(i int, right json.RawMessage) json.RawMessage {
			if i%7 > 2 {
				return right
			}
			return sandbox.Restamp(right, sandbox.StampMsecSeconds, 0)
		},
		"milliseconds in microseconds": func(i int, right json.RawMessage) json.RawMessage {
			if i%7 > 2 {
				return right
			}
			return sandbox.Restamp(right, sandbox.StampMsecMicroseconds, 0)
		},
		"one an hour ahead": func(i int, right json.RawMessage) json.RawMessage {
			if i != 60 {
				return right
			}
			return text(time.Now().Add(time.Hour))
		},
		"one of 2106": func(i int, right json.RawMessage) json.RawMessage {
			if i != 60 {
				return right
			}
			return sandbox.Restamp(right, sandbox.Stamp2106, 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothOrders(t, func(t *testing.T, k *kommo) {
				t.Helper()
				chat := k.chat(0)
				for i, right := range texts(300, noon) {
					k.Append(chat, wrong(i, right))
				}
				c := newCache()
				conf := fields{
					"chats": []string{chat}, "page_size": 10, "max_buffered_pages": 2, "checkpoint_limit": 40,
					"since":            noon.Add(-time.Hour).Format(time.RFC3339), // what is read as much older is left out
					"checkpoint_cache": "progress", "checkpoint_interval": "0s",
				}
				before, logs := k.crashAfter(t, conf, c, 100)
				// The future that a server lists by time stands where the crash can't have
				// come to; so something more of it comes afterwards.
				k.Append(chat, texts(40, noon.Add(time.Hour))...)
				s := k.start(t, conf, options{cache: c})
				s.ended()
				after := s.out.delivered()

				came := timesOf(append(ids(before), ids(after)...))
				for _, id := range idsOf(k.Messages(chat)) {
					assert.Contains(t, came, id)
				}
				assert.Less(t, len(before)+len(after), 340+60, "what was acknowledged does not come again")
				const said = " holds messages whose time can't be right"
				assert.True(t, logs.has(slog.LevelWarn, chat+said) || s.logs.has(slog.LevelWarn, chat+said), s.logs)
			})
		})
	}
}

func TestPromise_AMessageFromTheFutureSilencesNoTail(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]func() json.RawMessage{
		"2106":       func() json.RawMessage { return sandbox.Restamp(text(noon), sandbox.Stamp2106, 0) },
		"in an hour": func() json.RawMessage { return text(time.Now().Add(time.Hour)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothOrders(t, func(t *testing.T, k *kommo) {
				t.Helper()
				chat := k.chat(60)
				c := newCache()
				conf := fields{"chats": []string{chat}, "poll_interval": "2ms", "checkpoint_cache": "progress", "checkpoint_interval": "1ms"}
				s := k.start(t, conf, options{cache: c})
				s.delivers(chat)
				k.Append(chat, wrong())
				s.until("it is delivered", func() bool { return len(s.out.delivered()) == 61 })
				for i := range 20 {
					k.say(chat, noon.Add(time.Hour+time.Duration(i)*time.Minute))
					s.until("what follows is delivered", func() bool { return len(s.out.delivered()) == 62+i })
				}
				assert.Equal(t, timesOf(idsOf(k.Messages(chat))), timesOf(ids(s.out.delivered())))
				assert.Len(t, s.logs.complaints(), 1)
				assert.True(t, s.logs.has(slog.LevelWarn, "Chat "+chat+" holds messages whose time can't be right"), s.logs)
				s.stop()

				want := []string{k.say(chat, noon.Add(3*time.Hour)), k.say(chat, noon.Add(4*time.Hour))}
				s = k.start(t, conf.without("poll_interval"), options{cache: c})
				s.ended()
				assert.Equal(t, want, ids(s.out.delivered()), "and a restart repeats nothing")
			})
		})
	}
}

// Two senders whose clocks are 3 s apart: half of the messages are listed far below
// what was delivered before them. A message from the future must not end the
// lookback.
func TestPromise_TwoClocksInAListSortedByTime(t *testing.T) {
	t.Parallel()
	for name, future := range map[string][]json.RawMessage{
		"alone":                         nil,
		"and a message an hour ahead":   {text(time.Now().Add(time.Hour))},
		"and a message from 2106":       {sandbox.Restamp(text(noon), sandbox.Stamp2106, 0)},
		"and an import an hour too old": {text(noon.Add(-time.Hour))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKommo(t, sandbox.Config{Order: sandbox.OrderTime})
			chat := k.chat(40)
			k.Append(chat, future...)
			before := len(k.Messages(chat))
			// With the default lookback, which reaches over all of them.
			s := k.start(t, fields{"chats": []string{chat}, "poll_interval": "1ms"}, options{})
			s.delivers(chat)
			for i := range 44 {
				polled := k.requests()
				k.say(chat, noon.Add(time.Hour+time.Duration(i)*100*time.Millisecond-time.Duration(i%2)*3*time.Second))
				s.until("two polls", func() bool { return k.requests() >= polled+2 })
			}
			s.until("all are delivered", func() bool { return len(s.out.delivered()) >= before+44 })
			assert.Equal(t, timesOf(idsOf(k.Messages(chat))), timesOf(ids(s.out.delivered())))
			looks := 0
			pages := k.pages(chat)
			for _, p := range pages {
				if p.Offset > 0 {
					looks++
				}
			}
			assert.LessOrEqual(t, looks, 32+len(pages)/64+1, "but for the looks behind the end what fits the newest page costs nothing")
		})
	}
}

// An input that ends, as a file does, while chats that it named can't be read.
func TestPromise_AQueueThatEndsIsReadToItsLastChat(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]sandbox.Fault{
		"a blocked address":  {Kind: sandbox.FaultStatus, Status: 403, Body: sandbox.BodyText, After: 6, Lasts: 300 * time.Millisecond},
		"400s that clear":    {Kind: sandbox.FaultStatus, Status: 400, After: 6, Lasts: 300 * time.Millisecond},
		"no answer":          {Kind: sandbox.FaultClose, After: 6, Lasts: 300 * time.Millisecond},
		"400s now and then":  {Kind: sandbox.FaultStatus, Status: 400, Probability: 0.5, Lasts: 300 * time.Millisecond},
		"403s, of no reason": {Kind: sandbox.FaultStatus, Status: 403, Body: sandbox.BodyJSON, Lasts: 300 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKommo(t, sandbox.Config{})
			var names []string
			for range 40 {
				names = append(names, k.chat(3))
			}
			k.fail(t, fault)
			list, err := json.Marshal(names)
			require.NoError(t, err)
			s := k.start(t, fields{"chats_input": fields{"generate": fields{
				"count": len(names), "interval": "", "mapping": fmt.Sprintf(`root = %s.index(counter() - 1)`, list),
			}}}, options{})
			s.ended()
			s.delivers(names...)
		})
	}
}

func (c *cache) forgetAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.values)
}

// What this process has saved it knows, whatever becomes of the cache.
func TestPromise_ACacheThatForgetsInMidRun(t *testing.T) {
	t.Parallel()
	for _, start := range []string{"latest", "oldest"} {
		for name, lose := range map[string]func(c *cache, key, first string){
			"forgets all": func(c *cache, _, _ string) { c.forgetAll() },
			"is set back": func(c *cache, key, first string) { c.put(key, first) },
			"is torn":     func(c *cache, key, _ string) { c.put(key, "") },
		} {
			t.Run(start+", "+name, func(t *testing.T) {
				t.Parallel()
				k := newKommo(t, sandbox.Config{})
				chat := k.chat(100)
				c := newCache()
				s := k.start(t, fields{
					"chats": []string{chat}, "start_from": start, "poll_interval": "2ms",
					"checkpoint_cache": "progress", "checkpoint_interval": "1ms",
				}, options{cache: c})
				want := idsOf(k.Messages(chat))
				if start == "latest" {
					want = nil
				}
				s.until("the first checkpoint is written", func() bool {
					return len(s.out.delivered()) == len(want) && c.get(k.key(chat)) != ""
				})
				first := c.get(k.key(chat))
				for i := range 15 {
					if i == 5 || i == 10 {
						s.until("its checkpoint is at rest", func() bool { return strings.Contains(c.get(k.key(chat)), want[len(want)-1]) })
						before := s.metrics.get("kommo_chat_history_checkpoint_errors_total")
						lose(c, k.key(chat), first)
						s.until("it has noticed", func() bool {
							return s.metrics.get("kommo_chat_history_checkpoint_errors_total") > before
						})
					}
					want = append(want, k.say(chat, noon.Add(time.Hour+time.Duration(i)*time.Second)))
					s.until("it is delivered", func() bool { return len(s.out.delivered()) >= len(want) })
				}
				assert.Equal(t, want, ids(s.out.delivered()))
				s.stop()
				assert.Contains(t, c.get(k.key(chat)), want[len(want)-1], "it is written again")
				assert.Empty(t, s.logs.lines(slog.LevelError))
			})
		}
	}
}

func TestPromise_AShortPageIsNotTheEnd(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault sandbox.Fault
		want  int
	}{
		"an item is hidden":       {sandbox.Fault{Kind: sandbox.FaultHideItems, From: 120, To: 121}, 199},
		"every third is hidden":   {sandbox.Fault{Kind: sandbox.FaultHideItems, Every: 3}, 134},
		"most of a page is":       {sandbox.Fault{Kind: sandbox.FaultHideItems, From: 101, To: 149}, 152},
		"pages are capped at 25":  {sandbox.Fault{Kind: sandbox.FaultPageCap, Limit: 25}, 200},
		"pages are capped at two": {sandbox.Fault{Kind: sandbox.FaultPageCap, Limit: 2}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKommo(t, sandbox.Config{})
			chat := k.chat(200)
			k.fail(t, tc.fault)
			s := k.start(t, fields{"chats": []string{chat}}, options{})
			s.ended()
			assert.Len(t, s.out.delivered(), tc.want)
			assert.Len(t, timesOf(ids(s.out.delivered())), tc.want)
			require.Len(t, s.logs.complaints(), 1)
			assert.Contains(t, s.logs.complaints()[0], "The API gives pages that are shorter than asked although more follows")
		})
	}
}

// By the time that it shows, many chats have been believed to end where they don't.
func TestPromise_WhatWasBelievedOfShortPagesIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	var all []string
	for range 120 {
		all = append(all, k.chat(60))
	}
	// Not before 32 ends have proved to be ends.
	k.fail(t, sandbox.Fault{Kind: sandbox.FaultHideItems, From: 40, To: 41, After: 150})
	s := k.start(t, fields{"chats": all}, options{})
	s.ended()
	for _, chat := range all {
		want := idsOf(k.Messages(chat))
		got := timesOf(ids(s.out.of(chat)))
		for i, id := range want {
			if i != 40 { // hidden, or read before
				assert.Contains(t, got, id)
				assert.LessOrEqual(t, got[id], 2)
			}
		}
	}
	var told []string
	for _, line := range s.logs.complaints() {
		if strings.Contains(line, "shorter than asked") {
			told = append(told, line)
		}
	}
	require.Len(t, told, 1)
	assert.Regexp(t, `and \d{2,3} chats are read again from the beginning$`, told[0])
}

func TestPromise_ChatsThatFailForGoodStopNoOther(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]sandbox.Fault{
		"500":      {Kind: sandbox.FaultStatus, Status: 500},
		"not JSON": {Kind: sandbox.FaultHTML},
		"cut":      {Kind: sandbox.FaultCutLength},
		"nothing":  {Kind: sandbox.FaultHang},
		"404":      {Kind: sandbox.FaultStatus, Status: 404},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKommo(t, sandbox.Config{})
			var all []string
			for range 50 {
				all = append(all, k.chat(3))
			}
			bad, good := all[:4], all[4:]
			fault.Chats = bad
			k.fail(t, fault)
			s := k.start(t, fields{"chats": all, "parallel_chats": 4, "timeout": "50ms"}, options{})
			s.until("the others are done and these are failing, and said to be", func() bool {
				return len(s.logs.lines(slog.LevelError)) >= 4 && s.metrics.get("kommo_chat_history_chats{state=done}") == 46 &&
					s.metrics.get("kommo_chat_history_chats{state=failing}") == 4
			})
			s.delivers(good...)
			for _, chat := range bad {
				told := slices.DeleteFunc(s.logs.complaints(), func(line string) bool {
					return !strings.Contains(line, "A chat could not be read") || !strings.Contains(line, chat)
				})
				assert.Len(t, told, 1, "told once: %s", chat)
			}
			assert.Equal(t, int64(1), s.metrics.get("kommo_chat_history_api_up"))
			assert.False(t, s.hasEnded())
			k.ClearFaults()
			s.ended()
			s.delivers(all...)
		})
	}
}

// The more one knows of a server the fewer messages are evidence of its order.
func TestPromise_AFewMessagesOutOfOrderAreNoOrder(t *testing.T) {
	t.Parallel()
	for name, items := range map[string][]json.RawMessage{
		"the later of two is stamped earlier": {text(noon.Add(time.Minute)), text(noon)},
		"an album of three in a second": {
			text(noon.Add(900 * time.Millisecond)), text(noon.Add(500 * time.Millisecond)), text(noon.Add(100 * time.Millisecond)),
		},
		"an album of three around a second": {
			text(noon.Add(1200 * time.Millisecond)), text(noon.Add(600 * time.Millisecond)), text(noon.Add(-100 * time.Millisecond)),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKommo(t, sandbox.Config{})
			chat := k.chat(0)
			k.Append(chat, items...)
			s := k.start(t, fields{"chats": []string{chat}}, options{})
			s.ended()
			s.delivers(chat)
			assert.Empty(t, s.logs.complaints())
		})
	}
}

func TestPromise_ARunThatCannotSaveDoesNotEnd(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"chats", "chats_input"} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			k := newKommo(t, sandbox.Config{})
			chat := k.chat(3)
			c := newCache()
			q := newQueue(k)
			q.name(chat)
			q.end()
			conf := fields{"chats": []string{chat}, "checkpoint_cache": "progress", "checkpoint_interval": "1h"}
			if source == "chats_input" {
				conf = named(conf).without("chats")
			}
			s := k.start(t, conf, options{cache: c, queue: q, write: func(context.Context, []message) error {
				c.setBroken(errors.New("the disk is full"))
				return nil
			}})
			s.until("writing has failed again and again", func() bool {
				return s.metrics.get("kommo_chat_history_checkpoint_errors_total") >= 3
			})
			s.delivers(chat)
			assert.False(t, s.hasEnded())
			assert.Empty(t, q.answered(chat), "whoever named the chat does not hear that all is well")
			assert.True(t, s.logs.has(slog.LevelError, "The checkpoint cache failed", "the disk is full"), s.logs)
			c.setBroken(nil)
			s.ended()
			s.delivers(chat)
			assert.NotEmpty(t, c.get(k.key(chat)))
			if source == "chats_input" {
				assert.Equal(t, []error{nil}, q.answered(chat))
			}
		})
	}
}
