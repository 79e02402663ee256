// SPDX-License-Identifier: Apache-2.0

package chathistory_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// The promise of the input, in the situations that once broke it. The simulator
// looks for more of them; these are small enough to read.

// text makes a message of its own, which k.Append puts where the server's order has
// it.
func text(at time.Time) json.RawMessage {
	n := pipetest.Said.Add(1)
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

func ids(of []pipetest.Message) []string {
	out := make([]string, len(of))
	for i, m := range of {
		out[i] = m.ID
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
func crashAfter(t *testing.T, k *pipetest.Kommo, conf pipetest.Fields, c *pipetest.Cache, messages int64) ([]pipetest.Message, *pipetest.LogBook) {
	t.Helper()
	var acked atomic.Int64
	holds := make(chan struct{})
	s := k.Start(t, conf, pipetest.Options{Cache: c, MaxInFlight: 1, Write: func(ctx context.Context, batch []pipetest.Message) error {
		if acked.Load() < messages {
			acked.Add(int64(len(batch)))
			return nil
		}
		select {
		case <-holds:
		default:
			close(holds)
		}
		return pipetest.HoldAll(ctx, batch)
	}})
	s.Until("it has something in hand", func() bool {
		select {
		case <-holds:
			return true
		default:
			return false
		}
	})
	s.Crash()
	return s.Out.Delivered(), s.Logs
}

func bothOrders(t *testing.T, test func(t *testing.T, k *pipetest.Kommo)) {
	t.Helper()
	for _, order := range []sandbox.Order{sandbox.OrderArrival, sandbox.OrderTime} {
		t.Run(string(order), func(t *testing.T) {
			t.Parallel()
			test(t, pipetest.NewKommo(t, sandbox.Config{Order: order}))
		})
	}
}

func TestPromise_ALateImportAtTheEndOfAPageHidesNothing(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(500) // more than the lookback
	c := pipetest.NewCache()
	conf := pipetest.Fields{"chats": []string{chat}, "checkpoint_cache": "progress"}
	s := k.Start(t, conf, pipetest.Options{Cache: c})
	s.Ended()
	s.Delivers(chat)

	late := texts(60, pipetest.Noon.Add(time.Hour))
	for i := 10; i < 13; i++ {
		late[i] = text(pipetest.Noon.Add(-time.Hour)) // the 50th of the newest, the last of its page, and the two above
	}
	k.Append(chat, late...)
	s = k.Start(t, conf, pipetest.Options{Cache: c})
	s.Ended()
	assert.Equal(t, idsOf(late), ids(s.Out.Delivered()))
}

func TestPromise_SinceIsNotReachedAtOneOlderImport(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(200) // all of them too old
	want := texts(158, pipetest.Noon.Add(time.Hour))
	k.Append(chat, want[:109]...)
	k.Append(chat, text(pipetest.Noon.Add(-time.Hour))) // the last of the newest page
	k.Append(chat, want[109:]...)
	s := k.Start(t, pipetest.Fields{"chats": []string{chat}, "since": pipetest.Noon.Add(time.Hour).Format(time.RFC3339)}, pipetest.Options{})
	s.Ended()
	assert.Equal(t, idsOf(want), ids(s.Out.Delivered()))
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
			bothOrders(t, func(t *testing.T, k *pipetest.Kommo) {
				t.Helper()
				chat := k.Chat(0)
				for i, right := range texts(300, pipetest.Noon) {
					k.Append(chat, wrong(i, right))
				}
				c := pipetest.NewCache()
				conf := pipetest.Fields{
					"chats": []string{chat}, "page_size": 10, "max_buffered_pages": 2, "checkpoint_limit": 40,
					"since":            pipetest.Noon.Add(-time.Hour).Format(time.RFC3339), // what is read as much older is left out
					"checkpoint_cache": "progress", "checkpoint_interval": "0s",
				}
				before, logs := crashAfter(t, k, conf, c, 100)
				// The future that a server lists by time stands where the crash can't have
				// come to; so something more of it comes afterwards.
				k.Append(chat, texts(40, pipetest.Noon.Add(time.Hour))...)
				s := k.Start(t, conf, pipetest.Options{Cache: c})
				s.Ended()
				after := s.Out.Delivered()

				came := timesOf(append(ids(before), ids(after)...))
				for _, id := range idsOf(k.Messages(chat)) {
					assert.Contains(t, came, id)
				}
				assert.Less(t, len(before)+len(after), 340+60, "what was acknowledged does not come again")
				const said = " holds messages whose time can't be right"
				assert.True(t, logs.Has(slog.LevelWarn, chat+said) || s.Logs.Has(slog.LevelWarn, chat+said), s.Logs)
			})
		})
	}
}

func TestPromise_AMessageFromTheFutureSilencesNoTail(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]func() json.RawMessage{
		"2106":       func() json.RawMessage { return sandbox.Restamp(text(pipetest.Noon), sandbox.Stamp2106, 0) },
		"in an hour": func() json.RawMessage { return text(time.Now().Add(time.Hour)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothOrders(t, func(t *testing.T, k *pipetest.Kommo) {
				t.Helper()
				chat := k.Chat(60)
				c := pipetest.NewCache()
				conf := pipetest.Fields{"chats": []string{chat}, "poll_interval": "2ms", "checkpoint_cache": "progress", "checkpoint_interval": "1ms"}
				s := k.Start(t, conf, pipetest.Options{Cache: c})
				s.Delivers(chat)
				k.Append(chat, wrong())
				s.Until("it is delivered", func() bool { return len(s.Out.Delivered()) == 61 })
				for i := range 20 {
					k.Say(chat, pipetest.Noon.Add(time.Hour+time.Duration(i)*time.Minute))
					s.Until("what follows is delivered", func() bool { return len(s.Out.Delivered()) == 62+i })
				}
				assert.Equal(t, timesOf(idsOf(k.Messages(chat))), timesOf(ids(s.Out.Delivered())))
				assert.Len(t, s.Logs.Complaints(), 1)
				assert.True(t, s.Logs.Has(slog.LevelWarn, "Chat "+chat+" holds messages whose time can't be right"), s.Logs)
				s.Stop()

				want := []string{k.Say(chat, pipetest.Noon.Add(3*time.Hour)), k.Say(chat, pipetest.Noon.Add(4*time.Hour))}
				s = k.Start(t, conf.Without("poll_interval"), pipetest.Options{Cache: c})
				s.Ended()
				assert.Equal(t, want, ids(s.Out.Delivered()), "and a restart repeats nothing")
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
		"and a message from 2106":       {sandbox.Restamp(text(pipetest.Noon), sandbox.Stamp2106, 0)},
		"and an import an hour too old": {text(pipetest.Noon.Add(-time.Hour))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := pipetest.NewKommo(t, sandbox.Config{Order: sandbox.OrderTime})
			chat := k.Chat(40)
			k.Append(chat, future...)
			before := len(k.Messages(chat))
			// With the default lookback, which reaches over all of them.
			s := k.Start(t, pipetest.Fields{"chats": []string{chat}, "poll_interval": "1ms"}, pipetest.Options{})
			s.Delivers(chat)
			for i := range 44 {
				polled := k.Requests()
				k.Say(chat, pipetest.Noon.Add(time.Hour+time.Duration(i)*100*time.Millisecond-time.Duration(i%2)*3*time.Second))
				s.Until("two polls", func() bool { return k.Requests() >= polled+2 })
			}
			s.Until("all are delivered", func() bool { return len(s.Out.Delivered()) >= before+44 })
			assert.Equal(t, timesOf(idsOf(k.Messages(chat))), timesOf(ids(s.Out.Delivered())))
			looks := 0
			pages := k.Pages(chat)
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
			k := pipetest.NewKommo(t, sandbox.Config{})
			var names []string
			for range 40 {
				names = append(names, k.Chat(3))
			}
			k.Fail(t, fault)
			list, err := json.Marshal(names)
			require.NoError(t, err)
			s := k.Start(t, pipetest.Fields{"chats_input": pipetest.Fields{"generate": pipetest.Fields{
				"count": len(names), "interval": "", "mapping": fmt.Sprintf(`root = %s.index(counter() - 1)`, list),
			}}}, pipetest.Options{})
			s.Ended()
			s.Delivers(names...)
		})
	}
}

// What this process has saved it knows, whatever becomes of the cache.
func TestPromise_ACacheThatForgetsInMidRun(t *testing.T) {
	t.Parallel()
	for _, start := range []string{"latest", "oldest"} {
		for name, lose := range map[string]func(c *pipetest.Cache, key, first string){
			"forgets all": func(c *pipetest.Cache, _, _ string) { c.Forget() },
			"is set back": func(c *pipetest.Cache, key, first string) { c.Put(key, first) },
			"is torn":     func(c *pipetest.Cache, key, _ string) { c.Put(key, "") },
		} {
			t.Run(start+", "+name, func(t *testing.T) {
				t.Parallel()
				k := pipetest.NewKommo(t, sandbox.Config{})
				chat := k.Chat(100)
				c := pipetest.NewCache()
				s := k.Start(t, pipetest.Fields{
					"chats": []string{chat}, "start_from": start, "poll_interval": "2ms",
					"checkpoint_cache": "progress", "checkpoint_interval": "1ms",
				}, pipetest.Options{Cache: c})
				want := idsOf(k.Messages(chat))
				if start == "latest" {
					want = nil
				}
				s.Until("the first checkpoint is written", func() bool {
					return len(s.Out.Delivered()) == len(want) && c.Value(k.Key(chat)) != ""
				})
				first := c.Value(k.Key(chat))
				for i := range 15 {
					if i == 5 || i == 10 {
						s.Until("its checkpoint is at rest", func() bool { return strings.Contains(c.Value(k.Key(chat)), want[len(want)-1]) })
						before := s.Metrics.Get("kommo_chat_history_checkpoint_errors_total")
						lose(c, k.Key(chat), first)
						s.Until("it has noticed", func() bool {
							return s.Metrics.Get("kommo_chat_history_checkpoint_errors_total") > before
						})
					}
					want = append(want, k.Say(chat, pipetest.Noon.Add(time.Hour+time.Duration(i)*time.Second)))
					s.Until("it is delivered", func() bool { return len(s.Out.Delivered()) >= len(want) })
				}
				assert.Equal(t, want, ids(s.Out.Delivered()))
				s.Stop()
				assert.Contains(t, c.Value(k.Key(chat)), want[len(want)-1], "it is written again")
				assert.Empty(t, s.Logs.Lines(slog.LevelError))
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
			k := pipetest.NewKommo(t, sandbox.Config{})
			chat := k.Chat(200)
			k.Fail(t, tc.fault)
			s := k.Start(t, pipetest.Fields{"chats": []string{chat}}, pipetest.Options{})
			s.Ended()
			assert.Len(t, s.Out.Delivered(), tc.want)
			assert.Len(t, timesOf(ids(s.Out.Delivered())), tc.want)
			require.Len(t, s.Logs.Complaints(), 1)
			assert.Contains(t, s.Logs.Complaints()[0], "The API gives pages that are shorter than asked although more follows")
		})
	}
}

// hidesLate is a server with chats of which it hides some messages, but not before 32 ends have proved to
// be ends. Those that it always shows are named by shows.
func hidesLate(t *testing.T) (k *pipetest.Kommo, all []string, shows func(chat string) []string) {
	t.Helper()
	k = pipetest.NewKommo(t, sandbox.Config{})
	for range 120 {
		all = append(all, k.Chat(60))
	}
	k.Fail(t, sandbox.Fault{Kind: sandbox.FaultHideItems, From: 40, To: 45, After: 150})
	return k, all, func(chat string) []string { return slices.Delete(idsOf(k.Messages(chat)), 40, 45) }
}

// By the time that it shows, many chats have been believed to end where they don't.
func TestPromise_WhatWasBelievedOfShortPagesIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	k, all, shows := hidesLate(t)
	s := k.Start(t, pipetest.Fields{"chats": all}, pipetest.Options{})
	s.Ended()
	for _, chat := range all {
		got := timesOf(ids(s.Out.Of(chat)))
		for _, id := range shows(chat) {
			assert.Contains(t, got, id)
			assert.LessOrEqual(t, got[id], 2)
		}
	}
	var told []string
	for _, line := range s.Logs.Complaints() {
		if strings.Contains(line, "shorter than asked") {
			told = append(told, line)
		}
	}
	require.Len(t, told, 1)
	assert.Regexp(t, `and \d{2,3} chats are read again from the beginning$`, told[0])
}

// A process that ends before that has happened leaves it to the next, which sees nothing misleading itself.
func TestPromise_WhatWasBelievedOfShortPagesOutlastsACrash(t *testing.T) {
	t.Parallel()
	k, all, shows := hidesLate(t)
	conf := pipetest.Fields{"chats": all, "checkpoint_cache": "progress", "checkpoint_limit": 100_000, "lookback": "5s"}
	o := pipetest.Options{Cache: pipetest.NewCache(), MaxInFlight: 1000}
	var mu sync.Mutex
	warned, read, before := false, map[string]bool{}, map[string]bool{}
	first := o
	first.Write = func(ctx context.Context, batch []pipetest.Message) error {
		mu.Lock()
		chat := batch[0].Chat
		read[chat] = true
		if !warned {
			before[chat] = true
		}
		again := warned && before[chat]
		mu.Unlock()
		if again {
			return pipetest.HoldAll(ctx, batch)
		}
		return nil
	}
	s := k.Start(t, conf, first)
	s.Until("it is found out", func() bool { return len(s.Logs.With("shorter than asked")) > 0 })
	mu.Lock()
	warned = true
	mu.Unlock()
	s.Until("all chats are read", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(read) == len(all)
	})
	s.Crash()
	got := timesOf(ids(s.Out.Delivered()))

	s = k.Start(t, conf, o)
	s.Ended()
	assert.Len(t, s.Logs.With("shorter than asked"), 1)
	missed := 0
	again := timesOf(ids(s.Out.Delivered()))
	for _, chat := range all {
		for _, id := range shows(chat) {
			if got[id] == 0 {
				missed++
				assert.Contains(t, again, id)
			}
		}
	}
	assert.Greater(t, missed, 100, "else this test shows nothing")

	s = k.Start(t, conf, o) // when all have been read again
	s.Ended()
	assert.Len(t, s.Logs.With("one that was read before that was known is read again"), 1)
	assert.Empty(t, s.Out.Delivered())
}

// Many chats that end within less than a server's limit do not have it believed at the limit.
func TestPromise_ALimitThatShowsAfterManyShortChats(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	var all []string
	for n := range 60 {
		all = append(all, k.Chat(1+n%24))
	}
	for range 5 {
		all = append(all, k.Chat(200))
	}
	k.Fail(t, sandbox.Fault{Kind: sandbox.FaultPageCap, Limit: 25})
	s := k.Start(t, pipetest.Fields{"chats": all, "parallel_chats": 1}, pipetest.Options{})
	s.Ended()
	s.Delivers(all...)
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
			k := pipetest.NewKommo(t, sandbox.Config{})
			var all []string
			for range 50 {
				all = append(all, k.Chat(3))
			}
			bad, good := all[:4], all[4:]
			fault.Chats = bad
			k.Fail(t, fault)
			s := k.Start(t, pipetest.Fields{"chats": all, "parallel_chats": 4, "timeout": "50ms"}, pipetest.Options{})
			s.Until("the others are done and these are failing, and said to be", func() bool {
				return len(s.Logs.Lines(slog.LevelError)) >= 4 && s.Metrics.Get("kommo_chat_history_chats{state=done}") == 46 &&
					s.Metrics.Get("kommo_chat_history_chats{state=failing}") == 4
			})
			s.Delivers(good...)
			for _, chat := range bad {
				told := slices.DeleteFunc(s.Logs.Complaints(), func(line string) bool {
					return !strings.Contains(line, "A chat could not be read") || !strings.Contains(line, chat)
				})
				assert.Len(t, told, 1, "told once: %s", chat)
			}
			assert.Equal(t, int64(1), s.Metrics.Get("kommo_chat_history_api_up"))
			assert.False(t, s.HasEnded())
			k.ClearFaults()
			s.Ended()
			s.Delivers(all...)
		})
	}
}

// The more one knows of a server the fewer messages are evidence of its order.
func TestPromise_AFewMessagesOutOfOrderAreNoOrder(t *testing.T) {
	t.Parallel()
	for name, items := range map[string][]json.RawMessage{
		"the later of two is stamped earlier": {text(pipetest.Noon.Add(time.Minute)), text(pipetest.Noon)},
		"an album of three in a second": {
			text(pipetest.Noon.Add(900 * time.Millisecond)), text(pipetest.Noon.Add(500 * time.Millisecond)), text(pipetest.Noon.Add(100 * time.Millisecond)),
		},
		"an album of three around a second": {
			text(pipetest.Noon.Add(1200 * time.Millisecond)), text(pipetest.Noon.Add(600 * time.Millisecond)), text(pipetest.Noon.Add(-100 * time.Millisecond)),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := pipetest.NewKommo(t, sandbox.Config{})
			chat := k.Chat(0)
			k.Append(chat, items...)
			s := k.Start(t, pipetest.Fields{"chats": []string{chat}}, pipetest.Options{})
			s.Ended()
			s.Delivers(chat)
			assert.Empty(t, s.Logs.Complaints())
		})
	}
}
