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
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// What every input that reads messages does, on good days and bad ones. What one of them
// alone does is tested beside it.

var each = pipetest.EachHistory

type (
	history = pipetest.History
	fields  = pipetest.Fields
	options = pipetest.Options
	message = pipetest.Message
)

func TestHistories_ReadEveryChatOnceAndEnd(t *testing.T) {
	t.Parallel()
	each(t, sandbox.Config{}, func(t *testing.T, h *history) {
		t.Helper()
		ids := []string{h.Chat(1), h.Chat(130), h.Chat(600), h.Chat(0)}
		s := h.Start(t, ids, nil, options{})
		s.Ended()
		s.Delivers(ids...)
		assert.Equal(t, []string{"1 " + h.Noun + " has no message, or is unknown to the API; " + emptyAdvice[h.Noun] + ": " + ids[3]}, s.Logs.Complaints())
	})
}

var emptyAdvice = map[string]string{
	"chat": "check that these are ids of the Chats API, not the integration's own",
	"talk": "check that these are ids of talks, talk_id in the CRM API, and not of chats, contacts or leads",
}

// Faults after which the same request works: nothing is lost, nothing is repeated,
// and one line says what happened.
func TestHistories_TransientFaultsLoseNothing(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault   sandbox.Fault
		outcome string
		log     string
	}{
		"500":          {sandbox.Fault{Kind: sandbox.FaultStatus, Status: 500}, "server_error", "500 Internal Server Error"},
		"502 as HTML":  {sandbox.Fault{Kind: sandbox.FaultStatus, Status: 502}, "server_error", "502 Bad Gateway (an HTML page)"},
		"503":          {sandbox.Fault{Kind: sandbox.FaultStatus, Status: 503, Body: sandbox.BodyEmpty}, "server_error", "503 Service Unavailable"},
		"reset":        {sandbox.Fault{Kind: sandbox.FaultReset}, "unreachable", "_url, proxy_url and the network"},
		"close":        {sandbox.Fault{Kind: sandbox.FaultClose}, "unreachable", "_url, proxy_url and the network"},
		"timeout":      {sandbox.Fault{Kind: sandbox.FaultDelay, Delay: time.Minute}, "timeout", "check the network, or raise timeout"},
		"cut, length":  {sandbox.Fault{Kind: sandbox.FaultCutLength}, "broken_body", "it breaks off after"},
		"cut, chunked": {sandbox.Fault{Kind: sandbox.FaultCutChunked}, "broken_body", "it breaks off after"},
		"cut JSON":     {sandbox.Fault{Kind: sandbox.FaultCutJSON}, "broken_body", "decoding "},
		"HTML":         {sandbox.Fault{Kind: sandbox.FaultHTML}, "broken_body", "it is an HTML page"},
		"429":          {sandbox.Fault{Kind: sandbox.FaultStatus, Status: 429}, "throttled", "lower requests_per_second"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, sandbox.Config{}, func(t *testing.T, h *history) {
				t.Helper()
				ids := []string{h.Chat(120), h.Chat(40)}
				fault := tc.fault
				fault.After, fault.Count = 1, 4
				h.Fail(t, fault)
				s := h.Start(t, ids, fields{"timeout": "500ms", "page_size": 25}, options{})
				s.Ended()
				s.Delivers(ids...)
				if count := h.Metric(s, "requests_total{outcome="+tc.outcome+"}"); tc.outcome == "unreachable" {
					// Where a connection ends that had been used before, the HTTP client
					// sends a GET again of its own account.
					assert.Positive(t, count)
				} else {
					assert.Equal(t, int64(4), count)
				}
				assert.True(t, s.Logs.Has(slog.LevelWarn, "next in", tc.log), s.Logs)
				assert.Empty(t, s.Logs.Lines(slog.LevelError))
			})
		})
	}
}

func TestHistories_CutBodyIsNotAShortPage(t *testing.T) {
	t.Parallel()
	for _, kind := range []sandbox.FaultKind{sandbox.FaultCutLength, sandbox.FaultCutChunked, sandbox.FaultCutJSON} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			each(t, sandbox.Config{}, func(t *testing.T, h *history) {
				t.Helper()
				chat := h.Chat(500)
				h.Fail(t, sandbox.Fault{Kind: kind, Probability: 0.5})
				s := h.Start(t, []string{chat}, fields{"page_size": 10, "max_buffered_pages": 3}, options{})
				s.Ended()
				s.Delivers(chat)
			})
		})
	}
}

func TestHistories_RetryAfterPausesEveryRequest(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]sandbox.Fault{
		"seconds":          {Status: 429, RetryAfter: time.Second},
		"date":             {Status: 429, RetryAfter: time.Second, RetryAfterDate: true},
		"503 with seconds": {Status: 503, RetryAfter: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, sandbox.Config{}, func(t *testing.T, h *history) {
				t.Helper()
				ids := h.Chats(12, 60)
				fault.Kind, fault.Count = sandbox.FaultStatus, 1
				h.Fail(t, fault)
				s := h.Start(t, ids, fields{"parallel_chats": 1}, options{})
				s.Ended()
				s.Delivers(ids...)
				at := h.Arrivals()
				assert.GreaterOrEqual(t, at[1].Sub(at[0]), time.Second-10*time.Millisecond, "nobody asked during the pause")
				assert.Equal(t, int64(1), h.Metric(s, "throttled_total"))
			})
		})
	}
}

func TestHistories_ABlockedAddressIsSaid(t *testing.T) {
	t.Parallel()
	each(t, sandbox.Config{}, func(t *testing.T, h *history) {
		t.Helper()
		chat := h.Chat(3)
		h.Fail(t, sandbox.Fault{Kind: sandbox.FaultStatus, Status: 403, Body: sandbox.BodyHTML, Count: 2})
		s := h.Start(t, []string{chat}, nil, options{})
		s.Ended()
		s.Delivers(chat)
		assert.True(t, s.Logs.Has(slog.LevelError, "403", "this address may be blocked for overload", "lower requests_per_second"), s.Logs)
	})
}

func TestHistories_ARejectedChatStopsNeitherTheOthersNorTheInput(t *testing.T) {
	t.Parallel()
	each(t, sandbox.Config{}, func(t *testing.T, h *history) {
		t.Helper()
		bad := h.Chat(3)
		good := []string{h.Chat(60), h.Chat(3), h.Chat(120)}
		h.Fail(t, h.Of(sandbox.Fault{Kind: sandbox.FaultStatus, Status: 400}, bad))
		const again = 150 * time.Millisecond
		began := time.Now()
		s := h.Start(t, append([]string{bad}, good...), fields{
			"backoff": fields{"initial_interval": again.String(), "max_interval": again.String()},
		}, options{})
		h.Count(s, "chats{state=done}", 3)
		s.Delivers(good...)
		s.Until("the bad one was tried again", func() bool { return h.Asked(bad) >= 3 })
		assert.GreaterOrEqual(t, time.Since(began), 2*again, "no sooner than it says")
		assert.False(t, s.HasEnded())
		assert.True(t, s.Logs.Has(slog.LevelError, bad, "400", "next in 150ms"), s.Logs)
		assert.Len(t, s.Logs.Complaints(), 1, "said once")
		h.Count(s, "chats{state=failing}", 1)

		h.ClearFaults()
		s.Ended()
		s.Delivers(append(good, bad)...)
	})
}

func TestHistories_ChatsThatFailForGoodStopNoOther(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]sandbox.Fault{
		"500":      {Kind: sandbox.FaultStatus, Status: 500},
		"not JSON": {Kind: sandbox.FaultHTML},
		"cut":      {Kind: sandbox.FaultCutLength},
		"nothing":  {Kind: sandbox.FaultHang},
		"400":      {Kind: sandbox.FaultStatus, Status: 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, sandbox.Config{}, func(t *testing.T, h *history) {
				t.Helper()
				all := h.Chats(50, 3)
				bad, good := all[:4], all[4:]
				h.Fail(t, h.Of(fault, bad...))
				s := h.Start(t, all, fields{"parallel_chats": 4, "timeout": "50ms"}, options{})
				s.Until("the others are done and these are failing, and said to be", func() bool {
					return len(s.Logs.Lines(slog.LevelError)) >= 4 && h.Metric(s, "chats{state=done}") == 46 && h.Metric(s, "chats{state=failing}") == 4
				})
				s.Delivers(good...)
				for _, chat := range bad {
					told := slices.DeleteFunc(s.Logs.Complaints(), func(line string) bool {
						return !strings.Contains(line, "A "+h.Noun+" could not be read") || !strings.Contains(line, chat)
					})
					assert.Len(t, told, 1, "told once: %s", chat)
				}
				assert.Equal(t, int64(1), h.Metric(s, "api_up"))
				assert.False(t, s.HasEnded())
				h.ClearFaults()
				s.Ended()
				s.Delivers(all...)
			})
		})
	}
}

func TestHistories_ACacheThatFailsForAWhileHoldsTheChatUp(t *testing.T) {
	t.Parallel()
	each(t, sandbox.Config{}, func(t *testing.T, h *history) {
		t.Helper()
		chat := h.Chat(3)
		c := pipetest.NewCache()
		c.SetBroken(errors.New("the cache is gone"))
		s := h.Start(t, []string{chat}, fields{"checkpoint_cache": "progress"}, options{Cache: c})
		h.Count(s, "checkpoint_errors_total", 3)
		assert.Zero(t, h.Requests(), "an unreadable checkpoint is not an empty one")
		assert.True(t, s.Logs.Has(slog.LevelError, "The checkpoint cache failed", h.Key(chat), `"progress"`, "the cache is gone", "next try in"), s.Logs)
		c.SetBroken(nil)
		s.Ended()
		s.Delivers(chat)
	})
}

func TestHistories_ACacheThatCannotBeWrittenLosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	each(t, sandbox.Config{}, func(t *testing.T, h *history) {
		t.Helper()
		chat := h.Chat(60)
		c := pipetest.NewCache()
		conf := fields{"page_size": 10, "max_buffered_pages": 1, "checkpoint_cache": "progress", "checkpoint_interval": "0s"}
		var broken atomic.Bool
		s := h.Start(t, []string{chat}, conf, options{Cache: c, Write: func(context.Context, []message) error {
			if broken.CompareAndSwap(false, true) {
				c.SetBroken(errors.New("the disk is full")) // before the first write
			}
			// Slow enough that the run does not end before the first write has failed.
			time.Sleep(10 * time.Millisecond)
			return nil
		}})
		h.Count(s, "checkpoint_errors_total", 3)
		assert.Less(t, s.Out.Out(), 60, "what can't be remembered is not handed out")
		c.SetBroken(nil)
		s.Ended()
		s.Delivers(chat)
		assert.True(t, s.Logs.Has(slog.LevelError, "writing checkpoint "+h.Key(chat), "the disk is full"), s.Logs)
		h.Restart(t, []string{chat}, conf, options{Cache: c})
	})
}

func TestHistories_ATornCheckpointIsReportedAndReadAgain(t *testing.T) {
	t.Parallel()
	for name, torn := range map[string]string{
		"empty": "", "half": `{"version":1,"ti`, "garbage": "\x00\x01", "newer": `{"version":99}`, "null": "null",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, sandbox.Config{}, func(t *testing.T, h *history) {
				t.Helper()
				bad, good := h.Chat(3), h.Chat(5)
				both := []string{bad, good}
				c := pipetest.NewCache()
				conf := fields{"checkpoint_cache": "progress"}
				s := h.Start(t, both, conf, options{Cache: c})
				s.Ended()
				c.Put(h.Key(bad), torn)
				// Not even then may the chat be taken for one that was never read.
				conf["start_from"] = "latest"
				s = h.Start(t, both, conf, options{Cache: c})
				s.Ended()
				s.Delivers(bad)
				assert.True(t, s.Logs.Has(slog.LevelError, "Checkpoint "+h.Key(bad)+" can't be read, so "+h.Noun+" "+bad+" is read again from its beginning"), s.Logs)
				assert.Equal(t, int64(1), h.Metric(s, "checkpoint_errors_total"))
				h.Restart(t, both, conf, options{Cache: c})
			})
		})
	}
}

// A kill between truncating and writing leaves an empty value in the file cache;
// what was to be written is under a spare key then.
func TestHistories_ATornCheckpointWithItsSpareIsNoLoss(t *testing.T) {
	t.Parallel()
	each(t, sandbox.Config{}, func(t *testing.T, h *history) {
		t.Helper()
		chat := h.Chat(60)
		c := pipetest.NewCache()
		conf := fields{"checkpoint_cache": "progress"}
		s := h.Start(t, []string{chat}, conf, options{Cache: c})
		s.Ended()
		require.Equal(t, []string{h.Key(chat)}, c.Keys(), "at rest there is no spare")
		c.Put(h.Key(chat)+".next", c.Value(h.Key(chat)))
		c.Put(h.Key(chat), "")

		late := h.Say(chat, pipetest.Noon.Add(time.Hour))
		s = h.Start(t, []string{chat}, conf, options{Cache: c})
		s.Ended()
		require.Len(t, s.Out.Delivered(), 1)
		assert.Equal(t, late, s.Out.Delivered()[0].ID)
		assert.Empty(t, s.Logs.Complaints())
		assert.Equal(t, []string{h.Key(chat)}, c.Keys())
	})
}

func TestHistories_NullItemsAreLeftOutAndReportedOnce(t *testing.T) {
	t.Parallel()
	each(t, sandbox.Config{}, func(t *testing.T, h *history) {
		t.Helper()
		chat := h.Chat(120) // with 12 nulls
		h.Fail(t, sandbox.Fault{Kind: sandbox.FaultNullItems})
		s := h.Start(t, []string{chat}, fields{"poll_interval": "5ms"}, options{})
		s.Delivers(chat)
		h.Say(chat, pipetest.Noon.Add(time.Hour))
		s.Delivers(chat)
		var said []string
		for _, line := range s.Logs.Complaints() {
			if strings.Contains(line, "entries that are not JSON objects") {
				said = append(said, line)
			}
		}
		require.Len(t, said, 1)
		assert.Contains(t, said[0], chat)
	})
}

func TestHistories_ABodyThatIsTooLargeIsRefused(t *testing.T) {
	t.Parallel()
	each(t, sandbox.Config{}, func(t *testing.T, h *history) {
		t.Helper()
		huge, good := h.Chat(3), h.Chat(60)
		fault := h.Of(sandbox.Fault{Kind: sandbox.FaultHuge, Size: 20 << 20, Count: 1}, huge)
		h.Fail(t, fault)
		s := h.Start(t, []string{huge, good}, nil, options{})
		s.Ended()
		s.Delivers(huge, good)
		assert.True(t, s.Logs.Has(slog.LevelError, huge, "longer than 16777216 bytes", "next in"), s.Logs)
		assert.Equal(t, int64(1), h.Metric(s, "requests_total{outcome=too_large}"))
	})
}

func TestHistories_RedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	each(t, sandbox.Config{}, func(t *testing.T, h *history) {
		t.Helper()
		var followed atomic.Int64
		elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
		defer elsewhere.Close()
		chat := h.Chat(3)
		h.Fail(t, sandbox.Fault{Kind: sandbox.FaultRedirect, Location: elsewhere.URL + "/somewhere?token=private-token", Count: 2})
		s := h.Start(t, []string{chat}, nil, options{})
		s.Ended()
		s.Delivers(chat)
		assert.Zero(t, followed.Load(), "a token or a signature is for one host")
		assert.True(t, s.Logs.Has(slog.LevelError, "redirects are not followed", strings.TrimPrefix(elsewhere.URL, "http://")), s.Logs)
		assert.NotContains(t, s.Logs.String(), "private-token")
	})
}

func TestHistories_ManyFailingChatsFillNoDisk(t *testing.T) {
	t.Parallel()
	each(t, sandbox.Config{}, func(t *testing.T, h *history) {
		t.Helper()
		ids := h.Chats(100, 1)
		h.Fail(t, sandbox.Fault{Kind: sandbox.FaultStatus, Status: 400})
		s := h.Start(t, ids, nil, options{})
		s.Until("each was tried", func() bool { return h.Requests() >= 200 })
		assert.LessOrEqual(t, len(s.Logs.Complaints()), 20+1, "some of chats, and that it is all of them")
		assert.NotEmpty(t, s.Logs.Complaints())
	})
}

func TestHistories_EveryBadDayAtOnce(t *testing.T) {
	t.Parallel()
	each(t, sandbox.Config{}, func(t *testing.T, h *history) {
		t.Helper()
		ids := h.Chats(4, 300)
		require.NoError(t, h.SetFaults(
			sandbox.Fault{Kind: sandbox.FaultStatus, Status: 500, Probability: 0.05},
			sandbox.Fault{Kind: sandbox.FaultStatus, Status: 429, Probability: 0.05, Count: 4}, // each slows all that follows
			sandbox.Fault{Kind: sandbox.FaultReset, Probability: 0.05},
			sandbox.Fault{Kind: sandbox.FaultClose, Probability: 0.05},
			sandbox.Fault{Kind: sandbox.FaultHTML, Probability: 0.05},
			sandbox.Fault{Kind: sandbox.FaultCutJSON, Probability: 0.1},
			sandbox.Fault{Kind: sandbox.FaultCutLength, Probability: 0.1},
			sandbox.Fault{Kind: sandbox.FaultCutChunked, Probability: 0.1},
			sandbox.Fault{Kind: sandbox.FaultNullItems},
			sandbox.Fault{Kind: sandbox.FaultStatus, Status: 403, Probability: 0.02},
		))
		c := pipetest.NewCache()
		var n atomic.Int64
		s := h.Start(t, ids, fields{"page_size": 40, "max_buffered_pages": 4, "checkpoint_cache": "progress"},
			options{Cache: c, Write: func(context.Context, []message) error {
				if n.Add(1)%7 == 0 {
					return errors.New("the output is full")
				}
				return nil
			}})
		s.Ended()
		s.Delivers(ids...)
	})
}

// One that is always rejected costs itself and no other.
func TestHistories_AnOutputThatRejectsAChatCostsThatChat(t *testing.T) {
	t.Parallel()
	each(t, sandbox.Config{}, func(t *testing.T, h *history) {
		t.Helper()
		ids := h.Chats(20, 30)
		var accepts atomic.Bool
		s := h.Start(t, ids, fields{"poll_interval": "5ms"}, options{Bad: func(chat string) bool {
			return !accepts.Load() && slices.Contains(ids[:5], chat)
		}})
		s.Until("the others are delivered", func() bool { return len(s.Out.Delivered()) >= 15*30 })
		s.Delivers(ids[5:]...)
		accepts.Store(true)
		s.Delivers(ids...)
	})
}

// Many that are always rejected cost themselves and no other.
func TestHistories_AnOutputThatRejectsManyChatsCostsThoseChats(t *testing.T) {
	t.Parallel()
	for name, conf := range map[string]fields{
		"by default":       {},
		"with little room": {"checkpoint_limit": 400, "page_size": 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, sandbox.Config{}, func(t *testing.T, h *history) {
				t.Helper()
				ids := h.Chats(80, 100)
				bad, good := ids[:60], ids[60:]
				rejected := map[string]bool{}
				for _, chat := range bad {
					rejected[chat] = true
				}
				var accepts atomic.Bool
				s := h.Start(t, ids, fields{}.With(conf), options{Write: func(_ context.Context, batch []message) error {
					if !accepts.Load() && rejected[batch[0].Chat] {
						return errors.New("no")
					}
					return nil
				}})
				s.Until("the others are delivered", func() bool { return len(s.Out.Delivered()) >= 20*100 })
				s.Delivers(good...)
				assert.False(t, s.HasEnded())
				accepts.Store(true)
				s.Ended()
				s.Delivers(ids...)
			})
		})
	}
}

// What was acknowledged and saved does not come again, and what was not does.
func TestHistories_ACrashCostsWhatWasNotAcknowledged(t *testing.T) {
	t.Parallel()
	each(t, sandbox.Config{}, func(t *testing.T, h *history) {
		t.Helper()
		ids := h.Chats(3, 100)
		c := pipetest.NewCache()
		conf := fields{"page_size": 10, "max_buffered_pages": 2, "checkpoint_limit": 40, "checkpoint_cache": "progress", "checkpoint_interval": "0s"}
		var acked atomic.Int64
		s := h.Start(t, ids, conf, options{Cache: c, MaxInFlight: 1, Write: func(ctx context.Context, batch []message) error {
			if acked.Add(int64(len(batch))) > 120 {
				return pipetest.HoldAll(ctx, batch)
			}
			return nil
		}})
		s.Until("it has something in hand", func() bool { return acked.Load() > 120 })
		s.Crash()
		before := s.Out.Delivered()
		assert.NotEmpty(t, before)

		s = h.Start(t, ids, conf, options{Cache: c})
		s.Ended()
		came := map[string]int{}
		for _, m := range append(before, s.Out.Delivered()...) {
			came[m.ID]++
		}
		assert.Len(t, came, 300)
		assert.LessOrEqual(t, len(before)+len(s.Out.Delivered()), 300+40, "no more than was under way")
		h.Restart(t, ids, conf, options{Cache: c})
	})
}

// What this process has saved it knows, whatever becomes of the cache.
func TestHistories_ACacheThatForgetsInMidRun(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(c *pipetest.Cache, key, first string){
		"forgets all": func(c *pipetest.Cache, _, _ string) { c.Forget() },
		"is set back": func(c *pipetest.Cache, key, first string) { c.Put(key, first) },
		"is torn":     func(c *pipetest.Cache, key, _ string) { c.Put(key, "") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, sandbox.Config{}, func(t *testing.T, h *history) {
				t.Helper()
				chat := h.Chat(100)
				c := pipetest.NewCache()
				s := h.Start(t, []string{chat}, fields{
					"poll_interval": "2ms", "checkpoint_cache": "progress", "checkpoint_interval": "1ms",
				}, options{Cache: c})
				var want []string
				for _, raw := range h.Messages(chat) {
					want = append(want, idOf(h, raw))
				}
				s.Until("the first checkpoint is written", func() bool {
					return len(s.Out.Delivered()) == len(want) && c.Value(h.Key(chat)) != ""
				})
				first := c.Value(h.Key(chat))
				for i := range 15 {
					if i == 5 || i == 10 {
						s.Until("its checkpoint is at rest", func() bool { return strings.Contains(c.Value(h.Key(chat)), want[len(want)-1]) })
						before := h.Metric(s, "checkpoint_errors_total")
						lose(c, h.Key(chat), first)
						h.Count(s, "checkpoint_errors_total", before+1)
					}
					want = append(want, h.Say(chat, pipetest.Noon.Add(time.Hour+time.Duration(i)*time.Second)))
					s.Until("it is delivered", func() bool { return len(s.Out.Delivered()) >= len(want) })
				}
				var got []string
				for _, m := range s.Out.Delivered() {
					got = append(got, m.ID)
				}
				assert.Equal(t, want, got)
				s.Stop()
				assert.Contains(t, c.Value(h.Key(chat)), want[len(want)-1], "it is written again")
				assert.Empty(t, s.Logs.Lines(slog.LevelError))
			})
		})
	}
}

func idOf(h *history, raw json.RawMessage) string {
	if h.Noun == "chat" {
		return sandbox.MessageID(raw)
	}
	return sandbox.TalkMessageID(raw)
}

func TestHistories_ARunThatCannotSaveDoesNotEnd(t *testing.T) {
	t.Parallel()
	for _, queued := range []bool{false, true} {
		t.Run(fmt.Sprintf("queued %t", queued), func(t *testing.T) {
			t.Parallel()
			each(t, sandbox.Config{}, func(t *testing.T, h *history) {
				t.Helper()
				chat := h.Chat(3)
				c := pipetest.NewCache()
				q := pipetest.NewQueue(h.Kommo)
				q.Name(chat)
				q.End()
				conf, listed := fields{"checkpoint_cache": "progress", "checkpoint_interval": "1h"}, []string{chat}
				if queued {
					conf, listed = conf.With(h.Queued()), nil
				}
				s := h.Start(t, listed, conf, options{Cache: c, Queue: q, Write: func(context.Context, []message) error {
					c.SetBroken(errors.New("the disk is full"))
					return nil
				}})
				h.Count(s, "checkpoint_errors_total", 3)
				s.Delivers(chat)
				assert.False(t, s.HasEnded())
				assert.Empty(t, q.Answered(chat), "whoever named the chat does not hear that all is well")
				assert.True(t, s.Logs.Has(slog.LevelError, "The checkpoint cache failed", "the disk is full"), s.Logs)
				c.SetBroken(nil)
				s.Ended()
				s.Delivers(chat)
				assert.NotEmpty(t, c.Value(h.Key(chat)))
				if queued {
					assert.Equal(t, []error{nil}, q.Answered(chat))
				}
			})
		})
	}
}

// An input that ends, as a file does, while chats that it named can't be read.
func TestHistories_AQueueThatEndsIsReadToItsLastChat(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]sandbox.Fault{
		"a blocked address": {Kind: sandbox.FaultStatus, Status: 403, Body: sandbox.BodyText, After: 6, Lasts: 300 * time.Millisecond},
		"400s that clear":   {Kind: sandbox.FaultStatus, Status: 400, After: 6, Lasts: 300 * time.Millisecond},
		"no answer":         {Kind: sandbox.FaultClose, After: 6, Lasts: 300 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, sandbox.Config{}, func(t *testing.T, h *history) {
				t.Helper()
				names := h.Chats(40, 3)
				h.Fail(t, fault)
				q := pipetest.NewQueue(h.Kommo)
				for _, name := range names {
					q.Name(name)
				}
				q.End()
				s := h.Start(t, nil, h.Queued(), options{Queue: q})
				s.Ended()
				s.Delivers(names...)
				for _, name := range names {
					assert.Equal(t, []error{nil}, q.Answered(name))
				}
				assert.True(t, q.IsClosed())
			})
		})
	}
}

func TestHistories_AMessageThatNamesNothingIsRejected(t *testing.T) {
	t.Parallel()
	each(t, sandbox.Config{}, func(t *testing.T, h *history) {
		t.Helper()
		chat := h.Chat(3)
		q := pipetest.NewQueue(h.Kommo)
		q.Name(`{"phone":"+1555"}`)
		q.Name(chat)
		q.End()
		s := h.Start(t, nil, h.Queued(), options{Queue: q})
		s.Ended()
		s.Delivers(chat)
		require.Len(t, q.Answered(`{"phone":"+1555"}`), 1)
		require.Error(t, q.Answered(`{"phone":"+1555"}`)[0])
		assert.True(t, s.Logs.Has(slog.LevelError, "A message of "+h.Queue+" is rejected"), s.Logs)
		assert.NotContains(t, s.Logs.String(), "+1555")
	})
}

func TestHistories_AHealthyTailLogsNothing(t *testing.T) {
	t.Parallel()
	each(t, sandbox.Config{}, func(t *testing.T, h *history) {
		t.Helper()
		ids := h.Chats(3, 60)
		s := h.Start(t, ids, fields{"poll_interval": "2ms", "checkpoint_cache": "progress"}, options{Cache: pipetest.NewCache()})
		s.Delivers(ids...)
		for i := range 10 {
			h.Say(ids[i%3], pipetest.Noon.Add(time.Hour+time.Duration(i)*time.Minute))
			s.Delivers(ids...)
		}
		assert.Empty(t, s.Logs.Complaints())
		s.Stop()
		assert.Empty(t, s.Logs.Complaints())
		s.Until("no connection is left", func() bool { return h.Connections() == 0 })
	})
}

// Whatever the page past the end is.
func TestHistories_PastEndHoweverItIsAnswered(t *testing.T) {
	t.Parallel()
	for _, style := range []sandbox.PastEnd{sandbox.PastEndNoContent, sandbox.PastEndEmptyList} {
		t.Run(string(style), func(t *testing.T) {
			t.Parallel()
			each(t, sandbox.Config{PastEnd: style}, func(t *testing.T, h *history) {
				t.Helper()
				ids := []string{h.Chat(50), h.Chat(99), h.Chat(250), h.Chat(600)}
				s := h.Start(t, ids, fields{"max_buffered_pages": 2}, options{})
				s.Ended()
				s.Delivers(ids...)
				assert.Empty(t, s.Logs.Complaints())
			})
		})
	}
}
