// SPDX-License-Identifier: Apache-2.0

package chathistory_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/amojo"
	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

func TestBaseURL_ItsPathIsSentAndSigned(t *testing.T) {
	t.Parallel()
	for _, suffix := range []string{"", "/", "/gate%20way/kommo", "/gateway/"} {
		t.Run(suffix, func(t *testing.T) {
			t.Parallel()
			k := pipetest.NewKommo(t, sandbox.Config{})
			seen := make(chan string, 10)
			gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				path := r.URL.EscapedPath()
				want := amojo.Sign(pipetest.Secret, r.Method, r.Header.Get("Content-MD5"), r.Header.Get("Content-Type"), r.Header.Get("Date"), path)
				assert.Equal(t, want, r.Header.Get("X-Signature"), "what is sent is what is signed")
				seen <- path
				w.WriteHeader(http.StatusNoContent)
			}))
			defer gateway.Close()
			s := k.Start(t, pipetest.Fields{"base_url": gateway.URL + suffix, "chats": []string{pipetest.ChatID(7)}}, pipetest.Options{})
			s.Ended()
			assert.Equal(t, strings.TrimRight(suffix, "/")+"/v2/origin/custom/"+k.ScopeID()+"/chats/"+pipetest.ChatID(7)+"/history", <-seen)
		})
	}
}

func TestChats_OnlyThoseListedAreRead(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	listed, other := []string{k.Chat(2), k.Chat(3)}, k.Chat(4)
	s := k.Start(t, pipetest.Fields{"chats": listed}, pipetest.Options{})
	s.Ended()
	s.Delivers(listed...)
	assert.NotContains(t, k.Ledger().Chats, other)
}

func TestChats_InOneText(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	listed, other := []string{k.Chat(2), k.Chat(3), k.Chat(1), k.Chat(2)}, k.Chat(4)
	s := k.Start(t, pipetest.Fields{"chats": fmt.Sprintf(" %s,%s\n%s ,\t%s\n", listed[0], listed[1], listed[2], listed[3])}, pipetest.Options{})
	s.Ended()
	s.Delivers(listed...)
	assert.NotContains(t, k.Ledger().Chats, other)
}

func TestChatsFile_NamesTheChats(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	listed, other := []string{k.Chat(2), k.Chat(3), k.Chat(1)}, k.Chat(4)
	file := filepath.Join(t.TempDir(), "chats.txt")
	require.NoError(t, os.WriteFile(file, []byte("\ufeff"+listed[0]+"\r\n\r\n"+listed[1]+", "+listed[2]+"\r\n"), 0o600))
	s := k.Start(t, pipetest.Fields{"chats_file": file}, pipetest.Options{})
	s.Ended()
	s.Delivers(listed...)
	assert.NotContains(t, k.Ledger().Chats, other)
}

func TestChatsFile_WhatIsWrongIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	conf := func(text string) string {
		file := filepath.Join(dir, "chats.txt")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return fmt.Sprintf("kommo_chat_history: { scope_id: a_b, channel_secret: s, chats_file: %q }", file)
	}
	assert.Empty(t, pipetest.Lints(t, conf("a\nb")))
	assert.Equal(t, []string{"chats_file: a is named twice, as line 1 and as line 3: remove one of them"}, pipetest.Lints(t, conf("a,b\n\nc a\n")))
	assert.Equal(t, []string{"chats_file: line 2 is an address or a path, not a chat's id: want the id alone"}, pipetest.Lints(t, conf("a\nhttps://x/y b\n")))
	assert.Len(t, pipetest.Lints(t, conf(strings.Repeat("a ", 1000))), 6, "a few, and how many more")
	assert.Empty(t, pipetest.Lints(t, "kommo_chat_history: { scope_id: a_b, channel_secret: s, chats_file: /nowhere/chats.txt }"), "it may be on the machine that runs it")

	k := pipetest.NewKommo(t, sandbox.Config{})
	s := k.Start(t, pipetest.Fields{"chats_file": "/nowhere/chats.txt"}, pipetest.Options{})
	s.Until("the pipeline has failed", s.HasEnded)
	require.ErrorContains(t, s.Err, "chats_file: open /nowhere/chats.txt")
}

func TestScopeIDAndSecret_AreWhatIsAskedWith(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{ScopeID: "channel-1_account-2", Secret: "another secret, of this channel"})
	chat := k.Chat(2)
	s := k.Start(t, pipetest.Fields{"chats": []string{chat}, "channel_secret": "another secret, of this channel"}, pipetest.Options{})
	s.Ended()
	s.Delivers(chat)
	assert.Equal(t, "channel-1_account-2", s.Out.Delivered()[0].Meta["kommo_scope_id"])
	assert.NotContains(t, s.Logs.String(), "another secret")
}

func TestPageSize_IsTheLimitOfEachRequest(t *testing.T) {
	t.Parallel()
	for size, want := range map[int][][2]int{ // offset and limit; the last looks behind the end
		7:  {{0, 7}, {6, 7}, {12, 7}, {18, 7}, {25, 7}},
		50: {{0, 50}, {19, 50}},
		1:  nil, // sent as 2
	} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			k := pipetest.NewKommo(t, sandbox.Config{})
			chat := k.Chat(20)
			s := k.Start(t, pipetest.Fields{"chats": []string{chat}, "page_size": size}, pipetest.Options{})
			s.Ended()
			s.Delivers(chat)
			var got [][2]int
			for _, p := range k.Pages(chat) {
				got = append(got, [2]int{p.Offset, p.Limit})
			}
			if want == nil {
				for _, p := range got {
					assert.Equal(t, 2, p[1])
				}
				return
			}
			assert.Equal(t, want, got)
		})
	}
}

func TestPollInterval_AbsentEndsAfterOnePass(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(3)
	s := k.Start(t, pipetest.Fields{"chats": []string{chat}}, pipetest.Options{})
	s.Ended()
	assert.Equal(t, 2, k.Requests(), "a page, and a look behind the end")
}

func TestPollInterval_ReadsAgainThisLongAfterTheLastPass(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(3)
	const interval = 60 * time.Millisecond
	s := k.Start(t, pipetest.Fields{"chats": []string{chat}, "poll_interval": interval.String()}, pipetest.Options{})
	s.Delivers(chat)
	k.Say(chat, pipetest.Noon.Add(time.Hour))
	s.Delivers(chat)
	k.Say(chat, pipetest.Noon.Add(2*time.Hour))
	s.Delivers(chat)
	s.Until("five polls", func() bool { return k.Requests() >= 7 })
	at := k.Arrivals()
	for i, page := range k.Pages(chat)[:7] {
		if i > 0 && page.Offset == 0 { // any other is a look behind the end
			assert.GreaterOrEqual(t, at[i].Sub(at[i-1]), interval-5*time.Millisecond, "request %d", i)
		}
	}
	assert.False(t, s.HasEnded())
}

// The acknowledgement of the last messages may come long after the pass that read
// them; that must not look like the end of everything.
func TestPollInterval_ASlowOutputDoesNotEndTheInput(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(3)
	g := pipetest.NewGate(t)
	s := k.Start(t, pipetest.Fields{"chats": []string{chat}, "poll_interval": "1ms"}, pipetest.Options{Write: g.Hold})
	s.Until("the pass has ended", func() bool { return s.Metrics.Get("kommo_chat_history_chats{state=delivering}") == 1 })
	g.Open()
	s.Delivers(chat)
	k.Say(chat, pipetest.Noon.Add(time.Hour))
	s.Delivers(chat)
}

func TestStartFrom_LatestDeliversOnlyWhatArrives(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(120)
	s := k.Start(t, pipetest.Fields{"chats": []string{chat}, "start_from": "latest", "poll_interval": "5ms", "lookback": "0s"}, pipetest.Options{})
	s.Until("two polls", func() bool { return k.Requests() >= 3 })
	assert.Empty(t, s.Out.Delivered())
	// The second of the last message that is there already: its time decides nothing.
	want := []string{k.Say(chat, pipetest.Noon.Add(119*time.Second)), k.Say(chat, pipetest.Noon.Add(time.Hour))}
	s.Until("the new ones are delivered", func() bool { return len(s.Out.Delivered()) >= 2 })
	for i, m := range s.Out.Delivered() {
		assert.Equal(t, want[i], m.ID)
	}
	for _, p := range k.Pages(chat) {
		assert.Zero(t, p.Offset, "nobody asks for what is older")
	}
}

func TestStartFrom_LatestGoesOnFromACheckpoint(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(3)
	c := pipetest.NewCache()
	conf := pipetest.Fields{"chats": []string{chat}, "start_from": "latest", "checkpoint_cache": "progress"}
	first := k.Start(t, conf, pipetest.Options{Cache: c})
	first.Ended()
	assert.Empty(t, first.Out.Delivered())

	id := k.Say(chat, pipetest.Noon.Add(time.Hour)) // while nobody reads
	second := k.Start(t, conf, pipetest.Options{Cache: c})
	second.Ended()
	require.Len(t, second.Out.Delivered(), 1)
	assert.Equal(t, id, second.Out.Delivered()[0].ID)
}

func TestSince_NoRequestForOlderPages(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(1000) // one a second
	since := pipetest.Noon.Add(930 * time.Second)
	s := k.Start(t, pipetest.Fields{"chats": []string{chat}, "since": since.Format(time.RFC3339)}, pipetest.Options{})
	s.Ended()
	assert.Len(t, s.Out.Delivered(), 70)
	assert.Equal(t, since.Unix(), s.Out.Delivered()[0].Meta["kommo_timestamp"])
	assert.Equal(t, 3, k.Requests(), "70 messages are two pages, and a time is believed after 50 in a row")
}

func TestLookback_FindsWhatWasImportedLaterWithAnOlderTime(t *testing.T) {
	t.Parallel()
	for lookback, want := range map[string][]string{
		// What stands among the last few that were delivered is found in any case.
		"0s":  {"late-3"},
		"15s": {"late-12", "late-3"},
		"1m":  {"late-20", "late-12", "late-3"},
	} {
		t.Run(lookback, func(t *testing.T) {
			t.Parallel()
			k := pipetest.NewKommo(t, sandbox.Config{})
			chat := k.Chat(60)
			c := pipetest.NewCache()
			conf := pipetest.Fields{"chats": []string{chat}, "lookback": lookback, "checkpoint_cache": "progress"}
			s := k.Start(t, conf, pipetest.Options{Cache: c})
			s.Ended()
			require.Len(t, s.Out.Delivered(), 60)

			// In their places, so many seconds behind the newest.
			k.Insert(chat, 3, sandbox.Text("late-3", pipetest.Noon.Add(56500*time.Millisecond), "private words, late"))
			k.Insert(chat, 13, sandbox.Text("late-12", pipetest.Noon.Add(47500*time.Millisecond), "private words, rather late"))
			k.Insert(chat, 22, sandbox.Text("late-20", pipetest.Noon.Add(39500*time.Millisecond), "private words, very late"))
			for range 2 {
				s = k.Start(t, conf, pipetest.Options{Cache: c})
				s.Ended()
				var got []string
				for _, m := range s.Out.Delivered() {
					got = append(got, m.ID)
				}
				assert.Equal(t, want, got)
				want = nil // what was delivered is not delivered again
			}
		})
	}
}

func TestParallelChats_BoundsTheChatsFetchedSideBySide(t *testing.T) {
	t.Parallel()
	for _, parallel := range []int{1, 3} {
		t.Run(fmt.Sprint(parallel), func(t *testing.T) {
			t.Parallel()
			k := pipetest.NewKommo(t, sandbox.Config{})
			var ids []string
			for range 9 {
				ids = append(ids, k.Chat(60))
			}
			var running, peak atomic.Int64
			all := make(chan struct{})
			k.OnRequest(func(sandbox.Request) {
				n := running.Add(1)
				defer running.Add(-1)
				for old := peak.Load(); n > old && !peak.CompareAndSwap(old, n); old = peak.Load() {
				}
				if n == int64(parallel) {
					select {
					case <-all:
					default:
						time.Sleep(20 * time.Millisecond) // for one too many to come
						close(all)
					}
				}
				<-all
			})
			s := k.Start(t, pipetest.Fields{"chats": ids, "parallel_chats": parallel}, pipetest.Options{})
			s.Ended()
			s.Delivers(ids...)
			assert.Equal(t, int64(parallel), peak.Load())
		})
	}
}

func TestParallelChats_OneThatWaitsForItsAcknowledgementsDoesNotCount(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	var ids []string
	for range 8 {
		ids = append(ids, k.Chat(3))
	}
	g := pipetest.NewGate(t)
	s := k.Start(t, pipetest.Fields{"chats": ids, "parallel_chats": 1}, pipetest.Options{Write: g.Hold})
	s.Until("all chats are out, and none is acknowledged", func() bool { return s.Out.Out() == 24 })
	assert.Empty(t, s.Out.Delivered())
	g.Open()
	s.Ended()
	s.Delivers(ids...)
}

func TestCheckpointLimit_BoundsWhatIsOut(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	var ids []string
	for range 10 {
		ids = append(ids, k.Chat(5))
	}
	g := pipetest.NewGate(t)
	s := k.Start(t, pipetest.Fields{"chats": ids, "checkpoint_limit": 12, "parallel_chats": 1}, pipetest.Options{Write: g.Hold})
	s.Until("the limit is used up", func() bool { return s.Out.Out() == 12 })
	time.Sleep(50 * time.Millisecond) // for one too many to come
	assert.Equal(t, 12, s.Out.Out())
	assert.Equal(t, 6, k.Requests(), "three chats, each with a look behind its end: beyond the limit reading waits")
	g.Open()
	s.Ended()
	s.Delivers(ids...)
}

func TestPreserveOrder_OneBatchOfAChatAtATime(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	slow, quick := k.Chat(200), k.Chat(200)
	g := pipetest.NewGate(t)
	s := k.Start(t, pipetest.Fields{"chats": []string{slow, quick}, "page_size": 10, "max_buffered_pages": 2}, pipetest.Options{
		Write: func(ctx context.Context, batch []pipetest.Message) error {
			if batch[0].Chat == slow {
				return g.Hold(ctx, batch)
			}
			return nil
		},
	})
	outOfSlow := func() (n int) {
		for _, b := range s.Out.Came() {
			if b[0].Chat == slow {
				n++
			}
		}
		return n
	}
	s.Until("the other chat is delivered, and this one is out", func() bool { return len(s.Out.Of(quick)) == 200 && outOfSlow() > 0 })
	assert.Equal(t, 1, outOfSlow())
	g.Open()
	s.Ended()
	s.Delivers(slow, quick)
}

func TestPreserveOrder_FalseLetsSeveralBatchesOfAChatBeOut(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(200)
	g := pipetest.NewGate(t)
	s := k.Start(t, pipetest.Fields{"chats": []string{chat}, "page_size": 10, "max_buffered_pages": 2, "preserve_order": false},
		pipetest.Options{Write: g.Hold})
	s.Until("all of the chat is out", func() bool { return s.Out.Out() == 200 })
	assert.Greater(t, len(s.Out.Came()), 5)
	assert.Empty(t, s.Out.Delivered())
	g.Open()
	s.Ended()
	assert.Len(t, s.Out.Delivered(), 200)
}

func TestPreserveOrder_FalseCheckpointsOnlyWithoutAGap(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(100)
	c := pipetest.NewCache()
	conf := pipetest.Fields{
		"chats": []string{chat}, "page_size": 10, "max_buffered_pages": 2, "preserve_order": false,
		"checkpoint_cache": "progress", "checkpoint_interval": "1ms",
	}
	oneOfThem := string(k.Messages(chat)[30])
	isHeld := func(batch []pipetest.Message) bool {
		return slices.ContainsFunc(batch, func(m pipetest.Message) bool { return m.Body == oneOfThem })
	}
	s := k.Start(t, conf, pipetest.Options{Cache: c, Write: func(ctx context.Context, batch []pipetest.Message) error {
		if isHeld(batch) {
			return pipetest.HoldAll(ctx, batch)
		}
		return nil
	}})
	s.Until("all is out", func() bool { return s.Out.Out() == 100 })
	held := s.Out.Came()[slices.IndexFunc(s.Out.Came(), isHeld)]
	s.Until("all but one batch is acknowledged", func() bool {
		return len(s.Out.Delivered()) == 100-len(held) && len(c.Writes(k.Key(chat))) > 0
	})
	before := slices.IndexFunc(k.Messages(chat), func(raw json.RawMessage) bool { return string(raw) == held[0].Body })
	s.Crash()

	again := k.Start(t, conf, pipetest.Options{Cache: c})
	again.Ended()
	assert.Len(t, again.Out.Delivered(), 100-before, "everything from the gap on")
	assert.Contains(t, again.Out.Delivered(), held[0])
}

func TestMaxBufferedPages_BoundsABatchAndLetsTheFirstLeaveEarly(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(600)
	atFirst := -1
	s := k.Start(t, pipetest.Fields{"chats": []string{chat}, "page_size": 10, "max_buffered_pages": 3, "checkpoint_limit": 30}, pipetest.Options{
		Write: func(context.Context, []pipetest.Message) error {
			if atFirst < 0 {
				atFirst = k.Requests()
			}
			return nil
		},
		MaxInFlight: 1,
	})
	s.Ended()
	s.Delivers(chat)
	for _, b := range s.Out.Came() {
		assert.LessOrEqual(t, len(b), 30)
	}
	assert.Less(t, atFirst, 35, "of %d requests", k.Requests())
	assert.Less(t, k.Requests(), 67+2*8+4)
}

func TestMaxBufferedPages_AChatThatFitsIsOneBatch(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(300)
	s := k.Start(t, pipetest.Fields{"chats": []string{chat}}, pipetest.Options{})
	s.Ended()
	s.Delivers(chat)
	assert.Len(t, s.Out.Came(), 1)
	assert.Equal(t, 7+1, k.Requests(), "ceil(300/49), and a look behind the end")
}

func TestRequestsPerSecond_IsNeverExceeded(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(2)
	// Retries count as well: most requests here are retries.
	k.Fail(t, sandbox.Fault{Kind: sandbox.FaultStatus, Status: 500, Count: 30})
	began := time.Now()
	s := k.Start(t, pipetest.Fields{"chats": []string{chat, k.Chat(1), k.Chat(1)}, "requests_per_second": 20}, pipetest.Options{})
	s.Ended()
	assert.Equal(t, 36, k.Requests(), "a page and a look behind it for each chat, and the retries")
	assert.LessOrEqual(t, k.Ledger().PeakPerSecond, 21)
	assert.GreaterOrEqual(t, time.Since(began), 35*50*time.Millisecond)
}

func TestBurst_MayLeaveAtOnce(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	var ids []string
	for range 3 { // of two requests each
		ids = append(ids, k.Chat(1))
	}
	s := k.Start(t, pipetest.Fields{"chats": ids, "requests_per_second": 4, "burst": 4}, pipetest.Options{})
	s.Ended()
	at := k.Arrivals()
	require.Len(t, at, 6)
	assert.Less(t, at[3].Sub(at[0]), 200*time.Millisecond)
	assert.GreaterOrEqual(t, at[5].Sub(at[0]), 450*time.Millisecond)
}

func TestRateLimit_IsAskedBeforeEachRequest(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(120)
	var asked, granted atomic.Int64
	k.OnRequest(func(r sandbox.Request) { assert.LessOrEqual(t, int64(r.N), granted.Load()) })
	k.Fail(t, sandbox.Fault{Kind: sandbox.FaultStatus, Status: 502, Count: 2})
	s := k.Start(t, pipetest.Fields{"chats": []string{chat}, "rate_limit": "shared"}, pipetest.Options{Limit: func() (time.Duration, error) {
		if asked.Add(1)%2 == 1 {
			return time.Millisecond, nil
		}
		granted.Add(1)
		return 0, nil
	}})
	s.Ended()
	s.Delivers(chat)
	assert.Equal(t, int64(k.Requests()), granted.Load())
	assert.Equal(t, 6, k.Requests(), "three pages, a look behind the end, and two retries")
}

func TestRateLimit_OneThatFailsIsAskedAgain(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(3)
	var asked atomic.Int64
	s := k.Start(t, pipetest.Fields{"chats": []string{chat}, "rate_limit": "shared"}, pipetest.Options{Limit: func() (time.Duration, error) {
		if asked.Add(1) <= 2 {
			return 0, errors.New("the limit's store is gone")
		}
		return 0, nil
	}})
	s.Ended()
	s.Delivers(chat)
	assert.True(t, s.Logs.Has(slog.LevelError, "No request can be sent; next try in ", `"shared"`, "the limit's store is gone"), s.Logs)
	assert.Len(t, s.Logs.Complaints(), 2, "it is no failure of a chat: %s", s.Logs)
}

func TestTimeout_BoundsOneAttempt(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(3)
	k.Fail(t, sandbox.Fault{Kind: sandbox.FaultDelay, Delay: time.Minute, Count: 2})
	s := k.Start(t, pipetest.Fields{"chats": []string{chat}, "timeout": "100ms"}, pipetest.Options{})
	s.Ended()
	s.Delivers(chat)
	assert.Equal(t, int64(2), s.Metrics.Get("kommo_chat_history_requests_total{outcome=timeout}"))
	assert.True(t, s.Logs.Has(slog.LevelWarn, "no complete answer", "check the network, or raise timeout"), s.Logs)
}

func TestTimeout_DoesNotCountTheWaitForTheLimiter(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	ids := []string{k.Chat(1), k.Chat(1), k.Chat(1), k.Chat(1)}
	s := k.Start(t, pipetest.Fields{"chats": ids, "requests_per_second": 8, "timeout": "200ms"}, pipetest.Options{})
	s.Ended()
	assert.Zero(t, s.Metrics.Get("kommo_chat_history_requests_total{outcome=timeout}"), s.Logs)
	assert.Equal(t, 8, k.Requests())
}

func TestBackoff_Intervals(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	// Beside one that is read, so that it is no failure of the whole API.
	bad, good := k.Chat(1), k.Chat(0)
	var at []time.Time
	k.OnRequest(func(r sandbox.Request) {
		if r.Chat == bad {
			at = append(at, time.Now())
		}
	})
	k.Fail(t, sandbox.Fault{Kind: sandbox.FaultStatus, Status: 500, Chat: bad, Count: 8})
	s := k.Start(t, pipetest.Fields{
		"chats":   []string{good, bad},
		"backoff": pipetest.Fields{"initial_interval": "40ms", "max_interval": "60ms"},
	}, pipetest.Options{})
	s.Ended()
	require.Len(t, at, 10)
	for i := 1; i < 9; i++ {
		assert.GreaterOrEqual(t, at[i].Sub(at[i-1]), 19*time.Millisecond, "half of initial_interval, for jitter")
	}
	assert.GreaterOrEqual(t, at[4].Sub(at[3]), 40*time.Millisecond, "after four attempts the chat gives its place up")
	assert.GreaterOrEqual(t, at[8].Sub(at[7]), 60*time.Millisecond, "and for longer each time")
	waits := regexp.MustCompile(`next in (\S+):`).FindAllStringSubmatch(s.Logs.String(), -1)
	require.NotEmpty(t, waits)
	for _, w := range waits {
		d, err := time.ParseDuration(w[1])
		require.NoError(t, err)
		assert.LessOrEqual(t, d, 60*time.Millisecond)
		assert.GreaterOrEqual(t, d, 20*time.Millisecond)
	}
}

func TestBackoff_MaxElapsedTimeEndsACallBeforeItsLastAttempt(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	bad, good := k.Chat(3), k.Chat(60)
	k.Fail(t, sandbox.Fault{Kind: sandbox.FaultStatus, Status: 500, Chat: bad})
	s := k.Start(t, pipetest.Fields{
		"chats": []string{bad, good},
		// Three waits of half of that at least are more than the time.
		"backoff": pipetest.Fields{"initial_interval": "30ms", "max_interval": "30ms", "max_elapsed_time": "40ms"},
	}, pipetest.Options{})
	s.Until("the bad chat failed twice", func() bool {
		return len(k.Pages(bad)) > 4 && len(s.Out.Of(good)) == 60
	})
	assert.True(t, s.Logs.Has(slog.LevelError, "giving up after", bad, "next in 30ms"), s.Logs)
	assert.False(t, s.Logs.Has(slog.LevelError, "giving up after 4 attempts"), s.Logs)
	assert.Equal(t, 1, strings.Count(s.Logs.String(), "giving up after"), "once, until it has been read")
	assert.False(t, s.HasEnded())
	k.ClearFaults()
	s.Ended()
	s.Delivers(bad, good)
}

func TestCheckpointCache_KeysAreOnePerScopeAndChat(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ field, prefix string }{
		"by default": {"", "kommo_chat_history"},
		"configured": {"into/the:warehouse.2", "into/the:warehouse.2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := pipetest.NewKommo(t, sandbox.Config{})
			ids := []string{k.Chat(3), k.Chat(120)}
			k.Append("odd+chat/é", k.Messages(ids[0])...)
			ids = append(ids, "odd+chat/é")
			c := pipetest.NewCache()
			conf := pipetest.Fields{"chats": ids, "checkpoint_cache": "progress", "lookback": "0s"}
			if tc.field != "" {
				conf["checkpoint_cache_key"] = tc.field
			}
			s := k.Start(t, conf, pipetest.Options{Cache: c})
			s.Ended()
			s.Delivers(ids...)
			want := []string{}
			for _, id := range []string{ids[0], ids[1], "odd=2bchat=2f=c3=a9"} {
				want = append(want, tc.prefix+"."+k.ScopeID()+"."+id)
			}
			slices.Sort(want)
			assert.Equal(t, want, c.Keys())
			for _, key := range c.Keys() {
				assert.Less(t, len(c.Value(key)), 800, "a small value, of eight ids: %s", c.Value(key))
				assert.Contains(t, c.Value(key), `"version":1`)
				assert.NotContains(t, c.Value(key), "private words")
			}
		})
	}
}

func TestCheckpointCache_ARestartGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	ids := []string{k.Chat(70), k.Chat(3)}
	c := pipetest.NewCache()
	conf := pipetest.Fields{"chats": ids, "checkpoint_cache": "progress", "lookback": "0s"}
	s := k.Start(t, conf, pipetest.Options{Cache: c})
	s.Ended()
	s.Delivers(ids...)

	k.ResetLedger()
	s = k.Start(t, conf, pipetest.Options{Cache: c})
	s.Ended()
	assert.Empty(t, s.Out.Delivered(), "nothing is read twice")
	assert.Equal(t, 2, k.Requests())

	want := []string{k.Say(ids[0], pipetest.Noon.Add(69*time.Second)), k.Say(ids[0], pipetest.Noon.Add(time.Hour))}
	s = k.Start(t, conf, pipetest.Options{Cache: c})
	s.Ended()
	var got []string
	for _, m := range s.Out.Delivered() {
		got = append(got, m.ID)
	}
	assert.Equal(t, want, got)
}

func TestCheckpointCache_OnlyWhatIsAcknowledgedIsRemembered(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	taken, held := k.Chat(3), k.Chat(3)
	c := pipetest.NewCache()
	conf := pipetest.Fields{"chats": []string{taken, held}, "checkpoint_cache": "progress"}
	s := k.Start(t, conf, pipetest.Options{Cache: c, Write: func(ctx context.Context, batch []pipetest.Message) error {
		if batch[0].Chat == held {
			return pipetest.HoldAll(ctx, batch)
		}
		return nil
	}})
	s.Until("one is taken, one is out", func() bool { return s.Out.Out() == 6 && len(s.Out.Delivered()) == 3 })
	s.Crash()
	s = k.Start(t, conf, pipetest.Options{Cache: c})
	s.Ended()
	s.Delivers(held)
}

func TestCheckpointInterval_BoundsTheWritesOfAChat(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(2)
	c := pipetest.NewCache()
	const interval = 100 * time.Millisecond
	s := k.Start(t, pipetest.Fields{
		"chats": []string{chat}, "poll_interval": "1ms", "checkpoint_cache": "progress", "checkpoint_interval": interval.String(),
	}, pipetest.Options{Cache: c})
	for i := range 40 {
		s.Delivers(chat)
		k.Say(chat, pipetest.Noon.Add(time.Hour+time.Duration(i)*time.Second))
	}
	s.Delivers(chat)
	s.Until("three writes", func() bool { return len(c.Writes(k.Key(chat))) >= 2 })
	writes := c.Writes(k.Key(chat))
	assert.Less(t, writes[1].At.Sub(writes[0].At), time.Second)
	for i := 1; i < len(writes); i++ {
		assert.GreaterOrEqual(t, writes[i].At.Sub(writes[i-1].At), interval-5*time.Millisecond)
	}
}

func TestCheckpointInterval_ACleanStopWritesWhatIsLeft(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(2)
	c := pipetest.NewCache()
	conf := pipetest.Fields{
		"chats": []string{chat}, "poll_interval": "1ms", "checkpoint_cache": "progress", "checkpoint_interval": "1h",
	}
	s := k.Start(t, conf, pipetest.Options{Cache: c})
	s.Delivers(chat)
	s.Until("the first write", func() bool { return len(c.Writes(k.Key(chat))) == 1 })
	k.Say(chat, pipetest.Noon.Add(time.Hour))
	k.Say(chat, pipetest.Noon.Add(2*time.Hour))
	s.Delivers(chat)
	require.Len(t, c.Writes(k.Key(chat)), 1)
	s.Stop()
	assert.Len(t, c.Writes(k.Key(chat)), 2)

	s = k.Start(t, conf.Without("poll_interval"), pipetest.Options{Cache: c})
	s.Ended()
	assert.Empty(t, s.Out.Delivered())
}

func TestAutoReplayNacks_ARejectedBatchComesAgain(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(60)
	c := pipetest.NewCache()
	var rejected atomic.Int64
	s := k.Start(t, pipetest.Fields{
		"chats": []string{chat}, "page_size": 10, "max_buffered_pages": 1, "checkpoint_cache": "progress", "checkpoint_interval": "0s",
	}, pipetest.Options{Cache: c, Write: func(context.Context, []pipetest.Message) error {
		if rejected.Add(1) <= 3 {
			assert.Empty(t, c.Keys(), "nothing was delivered yet")
			return errors.New("the output is full")
		}
		return nil
	}})
	s.Ended()
	s.Delivers(chat)
	came := s.Out.Came()
	for i := range 4 {
		assert.Equal(t, came[0], came[i], "the next batch waits until this one is delivered")
	}
}

func TestAutoReplayNacks_FalseCountsARejectedBatchAsDelivered(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(60)
	c := pipetest.NewCache()
	conf := pipetest.Fields{"chats": []string{chat}, "auto_replay_nacks": false, "checkpoint_cache": "progress"}
	s := k.Start(t, conf, pipetest.Options{Cache: c, Write: func(context.Context, []pipetest.Message) error { return errors.New("the output is full") }})
	s.Ended()
	assert.Equal(t, 60, s.Out.Out(), "each came once")
	assert.Empty(t, s.Out.Delivered())

	s = k.Start(t, conf, pipetest.Options{Cache: c})
	s.Ended()
	assert.Empty(t, s.Out.Delivered())
}

func TestAutoReplayNacks_FalseDoesNotCountWhatAStopRejected(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(60)
	c := pipetest.NewCache()
	conf := pipetest.Fields{"chats": []string{chat}, "auto_replay_nacks": false, "checkpoint_cache": "progress"}
	s := k.Start(t, conf, pipetest.Options{Cache: c, Write: pipetest.HoldAll})
	s.Until("the batch is out", func() bool { return s.Out.Out() == 60 })
	s.Crash()
	s = k.Start(t, conf, pipetest.Options{Cache: c})
	s.Ended()
	s.Delivers(chat)
}
