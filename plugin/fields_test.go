// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/amojo"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

func TestBaseURL_ItsPathIsSentAndSigned(t *testing.T) {
	t.Parallel()
	for _, suffix := range []string{"", "/", "/gate%20way/kommo", "/gateway/"} {
		t.Run(suffix, func(t *testing.T) {
			t.Parallel()
			k := newKommo(t, sandbox.Config{})
			seen := make(chan string, 10)
			gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				path := r.URL.EscapedPath()
				want := amojo.Sign(secret, r.Method, r.Header.Get("Content-MD5"), r.Header.Get("Content-Type"), r.Header.Get("Date"), path)
				assert.Equal(t, want, r.Header.Get("X-Signature"), "what is sent is what is signed")
				seen <- path
				w.WriteHeader(http.StatusNoContent)
			}))
			defer gateway.Close()
			s := k.start(t, fields{"base_url": gateway.URL + suffix, "chats": []string{chatID(7)}}, options{})
			s.ended()
			assert.Equal(t, strings.TrimRight(suffix, "/")+"/v2/origin/custom/"+k.ScopeID()+"/chats/"+chatID(7)+"/history", <-seen)
		})
	}
}

func TestChats_OnlyThoseListedAreRead(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	listed, other := []string{k.chat(2), k.chat(3)}, k.chat(4)
	s := k.start(t, fields{"chats": listed}, options{})
	s.ended()
	s.delivers(listed...)
	assert.NotContains(t, k.Ledger().Chats, other)
}

func TestScopeIDAndSecret_AreWhatIsAskedWith(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{ScopeID: "channel-1_account-2", Secret: "another secret, of this channel"})
	chat := k.chat(2)
	s := k.start(t, fields{"chats": []string{chat}, "channel_secret": "another secret, of this channel"}, options{})
	s.ended()
	s.delivers(chat)
	assert.Equal(t, "channel-1_account-2", s.out.delivered()[0].meta["kommo_scope_id"])
	assert.NotContains(t, s.logs.String(), "another secret")
}

func TestPageSize_IsTheLimitOfEachRequest(t *testing.T) {
	t.Parallel()
	for size, want := range map[int][][2]int{ // offset and limit; the last looks behind the end
		7:  {{0, 7}, {6, 7}, {12, 7}, {18, 7}, {19, 7}},
		50: {{0, 50}, {19, 50}},
		1:  nil, // sent as 2
	} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			k := newKommo(t, sandbox.Config{})
			chat := k.chat(20)
			s := k.start(t, fields{"chats": []string{chat}, "page_size": size}, options{})
			s.ended()
			s.delivers(chat)
			var got [][2]int
			for _, p := range k.pages(chat) {
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
	k := newKommo(t, sandbox.Config{})
	chat := k.chat(3)
	s := k.start(t, fields{"chats": []string{chat}}, options{})
	s.ended()
	assert.Equal(t, 2, k.requests(), "a page, and a look behind the end")
}

func TestPollInterval_ReadsAgainThisLongAfterTheLastPass(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	chat := k.chat(3)
	const interval = 60 * time.Millisecond
	s := k.start(t, fields{"chats": []string{chat}, "poll_interval": interval.String()}, options{})
	s.delivers(chat)
	k.say(chat, noon.Add(time.Hour))
	s.delivers(chat)
	k.say(chat, noon.Add(2*time.Hour))
	s.delivers(chat)
	s.until("five polls", func() bool { return k.requests() >= 7 })
	at := k.Arrivals()
	for i, page := range k.pages(chat)[:7] {
		if i > 0 && page.Offset == 0 { // any other is a look behind the end
			assert.GreaterOrEqual(t, at[i].Sub(at[i-1]), interval-5*time.Millisecond, "request %d", i)
		}
	}
	assert.False(t, s.hasEnded())
}

// The acknowledgement of the last messages may come long after the pass that read
// them; that must not look like the end of everything.
func TestPollInterval_ASlowOutputDoesNotEndTheInput(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	chat := k.chat(3)
	g := newGate(t)
	s := k.start(t, fields{"chats": []string{chat}, "poll_interval": "1ms"}, options{write: g.hold})
	s.until("the pass has ended", func() bool { return s.metrics.get("kommo_chat_history_chats{state=delivering}") == 1 })
	g.open()
	s.delivers(chat)
	k.say(chat, noon.Add(time.Hour))
	s.delivers(chat)
}

func TestStartFrom_LatestDeliversOnlyWhatArrives(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	chat := k.chat(120)
	s := k.start(t, fields{"chats": []string{chat}, "start_from": "latest", "poll_interval": "5ms", "lookback": "0s"}, options{})
	s.until("two polls", func() bool { return k.requests() >= 3 })
	assert.Empty(t, s.out.delivered())
	// The second of the last message that is there already: its time decides nothing.
	want := []string{k.say(chat, noon.Add(119*time.Second)), k.say(chat, noon.Add(time.Hour))}
	s.until("the new ones are delivered", func() bool { return len(s.out.delivered()) >= 2 })
	for i, m := range s.out.delivered() {
		assert.Equal(t, want[i], m.id)
	}
	for _, p := range k.pages(chat) {
		assert.Zero(t, p.Offset, "nobody asks for what is older")
	}
}

func TestStartFrom_LatestGoesOnFromACheckpoint(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	chat := k.chat(3)
	c := newCache()
	conf := fields{"chats": []string{chat}, "start_from": "latest", "checkpoint_cache": "progress"}
	first := k.start(t, conf, options{cache: c})
	first.ended()
	assert.Empty(t, first.out.delivered())

	id := k.say(chat, noon.Add(time.Hour)) // while nobody reads
	second := k.start(t, conf, options{cache: c})
	second.ended()
	require.Len(t, second.out.delivered(), 1)
	assert.Equal(t, id, second.out.delivered()[0].id)
}

func TestSince_NoRequestForOlderPages(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	chat := k.chat(1000) // one a second
	since := noon.Add(930 * time.Second)
	s := k.start(t, fields{"chats": []string{chat}, "since": since.Format(time.RFC3339)}, options{})
	s.ended()
	assert.Len(t, s.out.delivered(), 70)
	assert.Equal(t, since.Unix(), s.out.delivered()[0].meta["kommo_timestamp"])
	assert.Equal(t, 3, k.requests(), "70 messages are two pages, and a time is believed after 50 in a row")
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
			k := newKommo(t, sandbox.Config{})
			chat := k.chat(60)
			c := newCache()
			conf := fields{"chats": []string{chat}, "lookback": lookback, "checkpoint_cache": "progress"}
			s := k.start(t, conf, options{cache: c})
			s.ended()
			require.Len(t, s.out.delivered(), 60)

			// In their places, so many seconds behind the newest.
			k.Insert(chat, 3, sandbox.Text("late-3", noon.Add(56500*time.Millisecond), "private words, late"))
			k.Insert(chat, 13, sandbox.Text("late-12", noon.Add(47500*time.Millisecond), "private words, rather late"))
			k.Insert(chat, 22, sandbox.Text("late-20", noon.Add(39500*time.Millisecond), "private words, very late"))
			for range 2 {
				s = k.start(t, conf, options{cache: c})
				s.ended()
				var got []string
				for _, m := range s.out.delivered() {
					got = append(got, m.id)
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
			k := newKommo(t, sandbox.Config{})
			var ids []string
			for range 9 {
				ids = append(ids, k.chat(60))
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
			s := k.start(t, fields{"chats": ids, "parallel_chats": parallel}, options{})
			s.ended()
			s.delivers(ids...)
			assert.Equal(t, int64(parallel), peak.Load())
		})
	}
}

func TestParallelChats_OneThatWaitsForItsAcknowledgementsDoesNotCount(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	var ids []string
	for range 8 {
		ids = append(ids, k.chat(3))
	}
	g := newGate(t)
	s := k.start(t, fields{"chats": ids, "parallel_chats": 1}, options{write: g.hold})
	s.until("all chats are out, and none is acknowledged", func() bool { return s.out.out() == 24 })
	assert.Empty(t, s.out.delivered())
	g.open()
	s.ended()
	s.delivers(ids...)
}

func TestCheckpointLimit_BoundsWhatIsOut(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	var ids []string
	for range 10 {
		ids = append(ids, k.chat(5))
	}
	g := newGate(t)
	s := k.start(t, fields{"chats": ids, "checkpoint_limit": 12, "parallel_chats": 1}, options{write: g.hold})
	s.until("the limit is used up", func() bool { return s.out.out() == 12 })
	time.Sleep(50 * time.Millisecond) // for one too many to come
	assert.Equal(t, 12, s.out.out())
	assert.Equal(t, 6, k.requests(), "three chats, each with a look behind its end: beyond the limit reading waits")
	g.open()
	s.ended()
	s.delivers(ids...)
}

func TestPreserveOrder_OneBatchOfAChatAtATime(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	slow, quick := k.chat(200), k.chat(200)
	g := newGate(t)
	s := k.start(t, fields{"chats": []string{slow, quick}, "page_size": 10, "max_buffered_pages": 2}, options{
		write: func(ctx context.Context, batch []message) error {
			if batch[0].chat == slow {
				return g.hold(ctx, batch)
			}
			return nil
		},
	})
	s.until("the other chat is delivered", func() bool { return len(s.out.of(quick)) == 200 })
	outOfSlow := 0
	for _, b := range s.out.came() {
		if b[0].chat == slow {
			outOfSlow++
		}
	}
	assert.Equal(t, 1, outOfSlow)
	g.open()
	s.ended()
	s.delivers(slow, quick)
}

func TestPreserveOrder_FalseLetsSeveralBatchesOfAChatBeOut(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	chat := k.chat(200)
	g := newGate(t)
	s := k.start(t, fields{"chats": []string{chat}, "page_size": 10, "max_buffered_pages": 2, "preserve_order": false},
		options{write: g.hold})
	s.until("all of the chat is out", func() bool { return s.out.out() == 200 })
	assert.Greater(t, len(s.out.came()), 5)
	assert.Empty(t, s.out.delivered())
	g.open()
	s.ended()
	assert.Len(t, s.out.delivered(), 200)
}

func TestPreserveOrder_FalseCheckpointsOnlyWithoutAGap(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	chat := k.chat(100)
	c := newCache()
	conf := fields{
		"chats": []string{chat}, "page_size": 10, "max_buffered_pages": 2, "preserve_order": false,
		"checkpoint_cache": "progress", "checkpoint_interval": "1ms",
	}
	oneOfThem := string(k.Messages(chat)[30])
	isHeld := func(batch []message) bool {
		return slices.ContainsFunc(batch, func(m message) bool { return m.body == oneOfThem })
	}
	s := k.start(t, conf, options{cache: c, write: func(ctx context.Context, batch []message) error {
		if isHeld(batch) {
			return holdAll(ctx, batch)
		}
		return nil
	}})
	s.until("all is out", func() bool { return s.out.out() == 100 })
	held := s.out.came()[slices.IndexFunc(s.out.came(), isHeld)]
	s.until("all but one batch is acknowledged", func() bool {
		return len(s.out.delivered()) == 100-len(held) && len(c.writes(k.key(chat))) > 0
	})
	before := slices.IndexFunc(k.Messages(chat), func(raw json.RawMessage) bool { return string(raw) == held[0].body })
	s.crash()

	again := k.start(t, conf, options{cache: c})
	again.ended()
	assert.Len(t, again.out.delivered(), 100-before, "everything from the gap on")
	assert.Equal(t, held[0], again.out.delivered()[0])
}

func TestMaxBufferedPages_BoundsABatchAndLetsTheFirstLeaveEarly(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	chat := k.chat(600)
	atFirst := -1
	s := k.start(t, fields{"chats": []string{chat}, "page_size": 10, "max_buffered_pages": 3, "checkpoint_limit": 30}, options{
		write: func(context.Context, []message) error {
			if atFirst < 0 {
				atFirst = k.requests()
			}
			return nil
		},
		maxInFlight: 1,
	})
	s.ended()
	s.delivers(chat)
	for _, b := range s.out.came() {
		assert.LessOrEqual(t, len(b), 30)
	}
	assert.Less(t, atFirst, 35, "of %d requests", k.requests())
	assert.Less(t, k.requests(), 67+2*8+4)
}

func TestMaxBufferedPages_AChatThatFitsIsOneBatch(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	chat := k.chat(300)
	s := k.start(t, fields{"chats": []string{chat}}, options{})
	s.ended()
	s.delivers(chat)
	assert.Len(t, s.out.came(), 1)
	assert.Equal(t, 7+1, k.requests(), "ceil(300/49), and a look behind the end")
}

func TestRequestsPerSecond_IsNeverExceeded(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	chat := k.chat(2)
	// Retries count as well: most requests here are retries.
	k.fail(t, sandbox.Fault{Kind: sandbox.FaultStatus, Status: 500, Count: 30})
	began := time.Now()
	s := k.start(t, fields{"chats": []string{chat, k.chat(1), k.chat(1)}, "requests_per_second": 20}, options{})
	s.ended()
	assert.Equal(t, 36, k.requests(), "a page and a look behind it for each chat, and the retries")
	assert.LessOrEqual(t, k.Ledger().PeakPerSecond, 21)
	assert.GreaterOrEqual(t, time.Since(began), 35*50*time.Millisecond)
}

func TestBurst_MayLeaveAtOnce(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	var ids []string
	for range 3 { // of two requests each
		ids = append(ids, k.chat(1))
	}
	s := k.start(t, fields{"chats": ids, "requests_per_second": 4, "burst": 4}, options{})
	s.ended()
	at := k.Arrivals()
	require.Len(t, at, 6)
	assert.Less(t, at[3].Sub(at[0]), 200*time.Millisecond)
	assert.GreaterOrEqual(t, at[5].Sub(at[0]), 450*time.Millisecond)
}

func TestRateLimit_IsAskedBeforeEachRequest(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	chat := k.chat(120)
	var asked, granted atomic.Int64
	k.OnRequest(func(r sandbox.Request) { assert.LessOrEqual(t, int64(r.N), granted.Load()) })
	k.fail(t, sandbox.Fault{Kind: sandbox.FaultStatus, Status: 502, Count: 2})
	s := k.start(t, fields{"chats": []string{chat}, "rate_limit": "shared"}, options{limit: func() (time.Duration, error) {
		if asked.Add(1)%2 == 1 {
			return time.Millisecond, nil
		}
		granted.Add(1)
		return 0, nil
	}})
	s.ended()
	s.delivers(chat)
	assert.Equal(t, int64(k.requests()), granted.Load())
	assert.Equal(t, 6, k.requests(), "three pages, a look behind the end, and two retries")
}

func TestRateLimit_OneThatFailsIsAskedAgain(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	chat := k.chat(3)
	var asked atomic.Int64
	s := k.start(t, fields{"chats": []string{chat}, "rate_limit": "shared"}, options{limit: func() (time.Duration, error) {
		if asked.Add(1) <= 2 {
			return 0, errors.New("the limit's store is gone")
		}
		return 0, nil
	}})
	s.ended()
	s.delivers(chat)
	assert.True(t, s.logs.has(slog.LevelError, "No request can be sent; next try in ", `"shared"`, "the limit's store is gone"), s.logs)
	assert.Len(t, s.logs.complaints(), 2, "it is no failure of a chat: %s", s.logs)
}

func TestTimeout_BoundsOneAttempt(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	chat := k.chat(3)
	k.fail(t, sandbox.Fault{Kind: sandbox.FaultDelay, Delay: time.Minute, Count: 2})
	s := k.start(t, fields{"chats": []string{chat}, "timeout": "100ms"}, options{})
	s.ended()
	s.delivers(chat)
	assert.Equal(t, int64(2), s.metrics.get("kommo_chat_history_requests_total{outcome=timeout}"))
	assert.True(t, s.logs.has(slog.LevelWarn, "no complete answer", "check the network, or raise timeout"), s.logs)
}

func TestTimeout_DoesNotCountTheWaitForTheLimiter(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	ids := []string{k.chat(1), k.chat(1), k.chat(1), k.chat(1)}
	s := k.start(t, fields{"chats": ids, "requests_per_second": 8, "timeout": "200ms"}, options{})
	s.ended()
	assert.Zero(t, s.metrics.get("kommo_chat_history_requests_total{outcome=timeout}"), s.logs)
	assert.Equal(t, 8, k.requests())
}

func TestBackoff_Intervals(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	// Beside one that is read, so that it is no failure of the whole API.
	bad, good := k.chat(1), k.chat(0)
	var at []time.Time
	k.OnRequest(func(r sandbox.Request) {
		if r.Chat == bad {
			at = append(at, time.Now())
		}
	})
	k.fail(t, sandbox.Fault{Kind: sandbox.FaultStatus, Status: 500, Chat: bad, Count: 8})
	s := k.start(t, fields{
		"chats":   []string{good, bad},
		"backoff": fields{"initial_interval": "40ms", "max_interval": "60ms"},
	}, options{})
	s.ended()
	require.Len(t, at, 10)
	for i := 1; i < 9; i++ {
		assert.GreaterOrEqual(t, at[i].Sub(at[i-1]), 19*time.Millisecond, "half of initial_interval, for jitter")
	}
	assert.GreaterOrEqual(t, at[4].Sub(at[3]), 40*time.Millisecond, "after four attempts the chat gives its place up")
	assert.GreaterOrEqual(t, at[8].Sub(at[7]), 60*time.Millisecond, "and for longer each time")
	waits := regexp.MustCompile(`next in (\S+):`).FindAllStringSubmatch(s.logs.String(), -1)
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
	k := newKommo(t, sandbox.Config{})
	bad, good := k.chat(3), k.chat(60)
	k.fail(t, sandbox.Fault{Kind: sandbox.FaultStatus, Status: 500, Chat: bad})
	s := k.start(t, fields{
		"chats": []string{bad, good},
		// Three waits of half of that at least are more than the time.
		"backoff": fields{"initial_interval": "30ms", "max_interval": "30ms", "max_elapsed_time": "40ms"},
	}, options{})
	s.until("the bad chat failed twice", func() bool {
		return len(k.pages(bad)) > 4 && len(s.out.of(good)) == 60
	})
	assert.True(t, s.logs.has(slog.LevelError, "giving up after", bad, "next in 30ms"), s.logs)
	assert.False(t, s.logs.has(slog.LevelError, "giving up after 4 attempts"), s.logs)
	assert.Equal(t, 1, strings.Count(s.logs.String(), "giving up after"), "once, until it has been read")
	assert.False(t, s.hasEnded())
	k.ClearFaults()
	s.ended()
	s.delivers(bad, good)
}

func TestCheckpointCache_KeysAreOnePerScopeAndChat(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ field, prefix string }{
		"by default": {"", "kommo_chat_history"},
		"configured": {"into/the:warehouse.2", "into/the:warehouse.2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKommo(t, sandbox.Config{})
			ids := []string{k.chat(3), k.chat(120)}
			k.Append("odd+chat/é", k.Messages(ids[0])...)
			ids = append(ids, "odd+chat/é")
			c := newCache()
			conf := fields{"chats": ids, "checkpoint_cache": "progress", "lookback": "0s"}
			if tc.field != "" {
				conf["checkpoint_cache_key"] = tc.field
			}
			s := k.start(t, conf, options{cache: c})
			s.ended()
			s.delivers(ids...)
			want := []string{}
			for _, id := range []string{ids[0], ids[1], "odd=2bchat=2f=c3=a9"} {
				want = append(want, tc.prefix+"."+k.ScopeID()+"."+id)
			}
			slices.Sort(want)
			assert.Equal(t, want, c.keys())
			for _, key := range c.keys() {
				assert.Less(t, len(c.get(key)), 800, "a small value, of eight ids: %s", c.get(key))
				assert.Contains(t, c.get(key), `"version":1`)
				assert.NotContains(t, c.get(key), "private words")
			}
		})
	}
}

func TestCheckpointCache_ARestartGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	ids := []string{k.chat(70), k.chat(3)}
	c := newCache()
	conf := fields{"chats": ids, "checkpoint_cache": "progress", "lookback": "0s"}
	s := k.start(t, conf, options{cache: c})
	s.ended()
	s.delivers(ids...)

	k.ResetLedger()
	s = k.start(t, conf, options{cache: c})
	s.ended()
	assert.Empty(t, s.out.delivered(), "nothing is read twice")
	assert.Equal(t, 2, k.requests())

	want := []string{k.say(ids[0], noon.Add(69*time.Second)), k.say(ids[0], noon.Add(time.Hour))}
	s = k.start(t, conf, options{cache: c})
	s.ended()
	var got []string
	for _, m := range s.out.delivered() {
		got = append(got, m.id)
	}
	assert.Equal(t, want, got)
}

func TestCheckpointCache_OnlyWhatIsAcknowledgedIsRemembered(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	taken, held := k.chat(3), k.chat(3)
	c := newCache()
	conf := fields{"chats": []string{taken, held}, "checkpoint_cache": "progress"}
	s := k.start(t, conf, options{cache: c, write: func(ctx context.Context, batch []message) error {
		if batch[0].chat == held {
			return holdAll(ctx, batch)
		}
		return nil
	}})
	s.until("one is taken, one is out", func() bool { return s.out.out() == 6 && len(s.out.delivered()) == 3 })
	s.crash()
	s = k.start(t, conf, options{cache: c})
	s.ended()
	s.delivers(held)
}

func TestCheckpointInterval_BoundsTheWritesOfAChat(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	chat := k.chat(2)
	c := newCache()
	const interval = 100 * time.Millisecond
	s := k.start(t, fields{
		"chats": []string{chat}, "poll_interval": "1ms", "checkpoint_cache": "progress", "checkpoint_interval": interval.String(),
	}, options{cache: c})
	for i := range 40 {
		s.delivers(chat)
		k.say(chat, noon.Add(time.Hour+time.Duration(i)*time.Second))
	}
	s.delivers(chat)
	s.until("three writes", func() bool { return len(c.writes(k.key(chat))) >= 2 })
	writes := c.writes(k.key(chat))
	assert.Less(t, writes[1].at.Sub(writes[0].at), time.Second)
	for i := 1; i < len(writes); i++ {
		assert.GreaterOrEqual(t, writes[i].at.Sub(writes[i-1].at), interval-5*time.Millisecond)
	}
}

func TestCheckpointInterval_ACleanStopWritesWhatIsLeft(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	chat := k.chat(2)
	c := newCache()
	conf := fields{
		"chats": []string{chat}, "poll_interval": "1ms", "checkpoint_cache": "progress", "checkpoint_interval": "1h",
	}
	s := k.start(t, conf, options{cache: c})
	s.delivers(chat)
	s.until("the first write", func() bool { return len(c.writes(k.key(chat))) == 1 })
	k.say(chat, noon.Add(time.Hour))
	k.say(chat, noon.Add(2*time.Hour))
	s.delivers(chat)
	require.Len(t, c.writes(k.key(chat)), 1)
	s.stop()
	assert.Len(t, c.writes(k.key(chat)), 2)

	s = k.start(t, conf.without("poll_interval"), options{cache: c})
	s.ended()
	assert.Empty(t, s.out.delivered())
}

func TestAutoReplayNacks_ARejectedBatchComesAgain(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	chat := k.chat(60)
	c := newCache()
	var rejected atomic.Int64
	s := k.start(t, fields{
		"chats": []string{chat}, "page_size": 10, "max_buffered_pages": 1, "checkpoint_cache": "progress", "checkpoint_interval": "0s",
	}, options{cache: c, write: func(context.Context, []message) error {
		if rejected.Add(1) <= 3 {
			assert.Empty(t, c.keys(), "nothing was delivered yet")
			return errors.New("the output is full")
		}
		return nil
	}})
	s.ended()
	s.delivers(chat)
	came := s.out.came()
	for i := range 4 {
		assert.Equal(t, came[0], came[i], "the next batch waits until this one is delivered")
	}
}

func TestAutoReplayNacks_FalseCountsARejectedBatchAsDelivered(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	chat := k.chat(60)
	c := newCache()
	conf := fields{"chats": []string{chat}, "auto_replay_nacks": false, "checkpoint_cache": "progress"}
	s := k.start(t, conf, options{cache: c, write: func(context.Context, []message) error { return errors.New("the output is full") }})
	s.ended()
	assert.Equal(t, 60, s.out.out(), "each came once")
	assert.Empty(t, s.out.delivered())

	s = k.start(t, conf, options{cache: c})
	s.ended()
	assert.Empty(t, s.out.delivered())
}

func TestAutoReplayNacks_FalseDoesNotCountWhatAStopRejected(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	chat := k.chat(60)
	c := newCache()
	conf := fields{"chats": []string{chat}, "auto_replay_nacks": false, "checkpoint_cache": "progress"}
	s := k.start(t, conf, options{cache: c, write: holdAll})
	s.until("the batch is out", func() bool { return s.out.out() == 60 })
	s.crash()
	s = k.start(t, conf, options{cache: c})
	s.ended()
	s.delivers(chat)
}
