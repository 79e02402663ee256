// SPDX-License-Identifier: Apache-2.0

package chatlist_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

func TestChats_EntryVerbatimWithTypedMetadata(t *testing.T) {
	t.Parallel()
	k := pipetest.NewAccount(t, sandbox.Config{})
	addTalks(k, 1)
	k.SetTalk(sandbox.Talk{ID: 7, ChatID: "plain", UpdatedAt: pipetest.Noon.Unix() - 1})
	s := k.Lists(t, nil, pipetest.Options{})
	s.Ended()
	got := s.Out.Delivered()
	require.Len(t, got, 2)
	for i, listed := range k.Talks() {
		body, err := json.Marshal(listed)
		require.NoError(t, err)
		assert.Equal(t, string(body), got[i].Body)
	}
	assert.Equal(t, map[string]any{
		"kommo_chat_id": talkChat(0), "kommo_talk_id": int64(1), "kommo_contact_id": int64(500),
		"kommo_origin": ownOrigin, "kommo_updated_at": pipetest.Noon.Unix(),
	}, got[0].Meta)
	assert.Equal(t, map[string]any{"kommo_chat_id": "plain", "kommo_talk_id": int64(7), "kommo_updated_at": pipetest.Noon.Unix() - 1}, got[1].Meta)
	assert.Empty(t, s.Logs.Complaints())
	assert.Equal(t, []string{
		"kommo_chats_api_up", "kommo_chats_checkpoint_errors_total", "kommo_chats_limiter_wait_ns", "kommo_chats_listed_total",
		"kommo_chats_newest_update_timestamp", "kommo_chats_request_duration_ns",
	}, slices.DeleteFunc(s.Metrics.Names(), func(n string) bool {
		return n == "kommo_chats_throttled_total" || len(n) > 27 && n[:27] == "kommo_chats_requests_total{"
	}))
	assert.Equal(t, int64(2), s.Metrics.Get("kommo_chats_listed_total"))
	assert.Equal(t, pipetest.Noon.Unix(), s.Metrics.Get("kommo_chats_newest_update_timestamp"))
	// The second request, for what follows a page that is not full, is answered 204.
	assert.Equal(t, int64(1), s.Metrics.Get("kommo_chats_requests_total{outcome=ok}"))
	assert.Equal(t, int64(2), s.Metrics.Get("kommo_chats_request_duration_ns"))
	assert.Equal(t, int64(2), s.Metrics.Get("kommo_chats_limiter_wait_ns"))
	assert.Zero(t, s.Metrics.Get("kommo_chats_throttled_total"))
}

func TestChats_EmptyAccountEnds(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"talks", "contact_chats"} {
		k := pipetest.NewAccount(t, sandbox.Config{})
		s := k.Lists(t, pipetest.Fields{"source": source}, pipetest.Options{})
		s.Ended()
		assert.Empty(t, s.Chats())
		assert.Equal(t, 1, k.Requests())
		assert.Empty(t, s.Logs.Complaints())
	}
}

func TestChats_ChangedOnesAgain(t *testing.T) {
	t.Parallel()
	k := pipetest.NewAccount(t, sandbox.Config{})
	addTalks(k, 30)
	s := k.Lists(t, pipetest.Fields{"poll_interval": "1ms", "page_size": 10}, pipetest.Options{})
	s.Until("all are listed", func() bool { return len(s.Chats()) == 30 })
	touchTalk(k, 3, 100)
	s.Until("the changed one is listed", func() bool { return len(s.Chats()) == 31 })
	k.SetTalk(talk(101))
	touchTalk(k, 29, 102)
	s.Until("the new and the changed one are listed", func() bool { return len(s.Chats()) == 33 })
	before := k.Requests()
	s.Until("some more polls", func() bool { return k.Requests() > before+20 })
	assert.ElementsMatch(t, append(talkChats(upTo(30)...), talkChats(3, 29, 101)...), s.Chats())
	assert.Empty(t, s.Logs.Complaints())
}

func TestChats_Fields(t *testing.T) {
	t.Parallel()
	t.Run("origins", func(t *testing.T) {
		t.Parallel()
		k := pipetest.NewAccount(t, sandbox.Config{})
		addTalks(k, 3)
		foreign := talk(5)
		foreign.Origin = "telegram"
		k.SetTalk(foreign)
		foreign = talk(6)
		foreign.Origin = "waba"
		k.SetTalk(foreign)
		s := k.Lists(t, pipetest.Fields{"origins": []string{"waba", ownOrigin}}, pipetest.Options{})
		s.Ended()
		assert.Equal(t, talkChats(0, 1, 2, 6), s.ChatsSorted())
	})
	t.Run("updated_since", func(t *testing.T) {
		t.Parallel()
		k := pipetest.NewAccount(t, sandbox.Config{})
		addTalks(k, 10)
		s := k.Lists(t, pipetest.Fields{"updated_since": pipetest.Noon.Add(7 * time.Minute).Format(time.RFC3339)}, pipetest.Options{})
		s.Ended()
		assert.Equal(t, talkChats(7, 8, 9), s.ChatsSorted())
	})
	t.Run("page_size", func(t *testing.T) {
		t.Parallel()
		for _, size := range []int{1, 2, 7, 49, 50, 51} {
			k := pipetest.NewAccount(t, sandbox.Config{})
			addTalks(k, 50)
			k.OnRequest(func(r sandbox.Request) { assert.LessOrEqual(t, r.Limit, max(size, 10)) })
			s := k.Lists(t, pipetest.Fields{"page_size": size}, pipetest.Options{})
			s.Ended()
			assert.Equal(t, talkChats(upTo(50)...), s.ChatsSorted(), size)
		}
	})
	t.Run("source", func(t *testing.T) {
		t.Parallel()
		k := pipetest.NewAccount(t, sandbox.Config{})
		for i := range 5 {
			k.Append(talkChat(i))
		}
		s := k.Lists(t, pipetest.Fields{"source": "contact_chats", "page_size": 3, "poll_interval": "1ms"}, pipetest.Options{})
		s.Until("all are listed", func() bool { return len(s.Chats()) == 5 })
		assert.Equal(t, map[string]any{"kommo_chat_id": talkChat(0), "kommo_contact_id": int64(2_000_000)}, s.Out.Of(talkChat(0))[0].Meta)
		assert.JSONEq(t, `{"id":4000000,"contact_id":2000000,"chat_id":"`+talkChat(0)+`"}`, s.Out.Of(talkChat(0))[0].Body)
		k.Append(talkChat(9))
		s.Until("the new one is listed", func() bool { return len(s.Chats()) == 6 })
		assert.ElementsMatch(t, talkChats(0, 1, 2, 3, 4, 9), s.Chats())
		assert.Zero(t, k.Ledger().ByEndpoint[sandbox.EndpointTalks])
	})
	t.Run("requests_per_second and burst", func(t *testing.T) {
		t.Parallel()
		k := pipetest.NewAccount(t, sandbox.Config{})
		addTalks(k, 50)
		began := time.Now()
		s := k.Lists(t, pipetest.Fields{"page_size": 10, "requests_per_second": 100, "burst": 3}, pipetest.Options{})
		s.Ended()
		assert.GreaterOrEqual(t, time.Since(began), time.Duration(k.Requests()-3)*10*time.Millisecond)
	})
	t.Run("rate_limit", func(t *testing.T) {
		t.Parallel()
		k := pipetest.NewAccount(t, sandbox.Config{})
		addTalks(k, 3)
		asked := make(chan int, 100)
		s := k.Lists(t, pipetest.Fields{"rate_limit": "shared"}, pipetest.Options{Limit: func() (time.Duration, error) {
			asked <- 1
			switch len(asked) {
			case 1:
				return 0, errors.New("the limit is out of order")
			case 2:
				return time.Millisecond, nil
			}
			return 0, nil
		}})
		s.Ended()
		assert.Len(t, asked, 4)
		assert.Len(t, s.Chats(), 3)
		assert.True(t, s.Logs.Has(8, "the limit is out of order", "rate_limit"))
	})
	t.Run("timeout", func(t *testing.T) {
		t.Parallel()
		k := pipetest.NewAccount(t, sandbox.Config{})
		addTalks(k, 3)
		k.Fail(t, sandbox.Fault{Kind: sandbox.FaultDelay, Delay: time.Minute, Count: 1})
		s := k.Lists(t, pipetest.Fields{"timeout": "50ms"}, pipetest.Options{})
		s.Ended()
		assert.Len(t, s.Chats(), 3)
		assert.Equal(t, int64(1), s.Metrics.Get("kommo_chats_requests_total{outcome=timeout}"))
	})
	t.Run("checkpoint_cache_key", func(t *testing.T) {
		t.Parallel()
		k := pipetest.NewAccount(t, sandbox.Config{})
		addTalks(k, 3)
		c := pipetest.NewCache()
		k.Lists(t, pipetest.Fields{"checkpoint_cache": "progress", "checkpoint_cache_key": "mine"}, pipetest.Options{Cache: c}).Ended()
		require.Len(t, c.Keys(), 1)
		assert.Regexp(t, `^mine\.127=2e0=2e0=2e1=3a\d+\.talks$`, c.Keys()[0])
		s := k.Lists(t, pipetest.Fields{"checkpoint_cache": "progress"}, pipetest.Options{Cache: c})
		s.Ended()
		assert.Len(t, s.Chats(), 3, "another prefix, another checkpoint")
		assert.Len(t, c.Keys(), 2)
		s = k.Lists(t, pipetest.Fields{"checkpoint_cache": "progress"}, pipetest.Options{Cache: c})
		s.Ended()
		assert.Empty(t, s.Chats())
	})
	t.Run("checkpoint_interval", func(t *testing.T) {
		t.Parallel()
		k := pipetest.NewAccount(t, sandbox.Config{})
		addTalks(k, 100)
		c := pipetest.NewCache()
		s := k.Lists(t, pipetest.Fields{"checkpoint_cache": "progress", "checkpoint_interval": "1h", "page_size": 10}, pipetest.Options{Cache: c})
		s.Ended()
		assert.LessOrEqual(t, len(c.Writes(c.Keys()[0])), 2, "the first, and the one of the clean stop")
		s = k.Lists(t, pipetest.Fields{"checkpoint_cache": "progress"}, pipetest.Options{Cache: c})
		s.Ended()
		assert.Empty(t, s.Chats())
	})
	t.Run("auto_replay_nacks", func(t *testing.T) {
		t.Parallel()
		for _, replay := range []bool{true, false} {
			k := pipetest.NewAccount(t, sandbox.Config{})
			addTalks(k, 3)
			rejected := make(chan struct{})
			s := k.Lists(t, pipetest.Fields{"auto_replay_nacks": replay}, pipetest.Options{Write: func(context.Context, []pipetest.Message) error {
				select {
				case <-rejected:
					return nil
				default:
					close(rejected)
					return errors.New("no")
				}
			}})
			s.Ended()
			assert.Equal(t, replay, len(s.Chats()) == 3)
		}
	})
}

func TestChats_SeveralTalksOfOneChat(t *testing.T) {
	t.Parallel()
	k := pipetest.NewAccount(t, sandbox.Config{})
	for i := range 6 {
		tk := talk(i)
		tk.ChatID = talkChat(i % 2)
		k.SetTalk(tk)
	}
	s := k.Lists(t, pipetest.Fields{"page_size": 2, "poll_interval": "1ms"}, pipetest.Options{})
	s.Until("both are listed", func() bool { return len(s.Chats()) == 2 })
	assert.Equal(t, pipetest.Noon.Add(5*time.Minute).Unix(), s.Out.Of(talkChat(1))[0].Meta["kommo_updated_at"], "for the latest")
	touchTalk(k, 0, 50)
	s.Until("one is listed again", func() bool { return len(s.Chats()) == 3 })
	assert.Equal(t, int64(1), s.Out.Of(talkChat(0))[1].Meta["kommo_talk_id"])
}

// Talks move to the front between any two requests, and there are new ones.
func TestChats_TouchedWhileListing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		k := pipetest.NewAccount(t, sandbox.Config{})
		n := rapid.IntRange(1, 40).Draw(rt, "talks")
		addTalks(k, n)
		minutes := n
		script := rapid.SliceOfN(rapid.SliceOfN(rapid.IntRange(-1, n-1), 0, 3), 1, 30).Draw(rt, "touches before each request")
		k.OnRequest(func(r sandbox.Request) {
			if r.N > len(script) {
				return
			}
			for _, i := range script[r.N-1] {
				minutes++
				if i < 0 {
					k.SetTalk(talk(minutes))
				} else {
					touchTalk(k, i, minutes)
				}
			}
		})
		once := rapid.Bool().Draw(rt, "once")
		conf := pipetest.Fields{"page_size": rapid.IntRange(2, 10).Draw(rt, "page size")}
		if !once {
			conf["poll_interval"] = "1ms"
		}
		s := k.Lists(t, conf, pipetest.Options{})
		if once {
			s.Ended()
			for i := range n {
				require.NotEmpty(rt, s.Out.Of(talkChat(i)), "talk %d", i)
			}
			return
		}
		s.Until("each talk is listed as it is in the end", func() bool {
			if k.Requests() <= len(script) {
				return false
			}
			// The output writes batches side by side, so the last to come need not be it.
			type row struct{ chat, updated any }
			listed := map[row]bool{}
			for _, m := range s.Out.Delivered() {
				listed[row{m.Chat, m.Meta["kommo_updated_at"]}] = true
			}
			for _, tk := range k.Talks() {
				if !listed[row{tk.ChatID, tk.UpdatedAt}] {
					return false
				}
			}
			return true
		})
		s.Stop()
	})
}

// One account was told of about 250 talks and of no next page.
func TestChats_ListThatIsCutOff(t *testing.T) {
	t.Parallel()
	k := pipetest.NewAccount(t, sandbox.Config{TalksCap: 20})
	addTalks(k, 30)
	s := k.Lists(t, pipetest.Fields{"page_size": 20, "poll_interval": "1ms"}, pipetest.Options{})
	s.Until("the newest are listed", func() bool { return len(s.Chats()) == 20 })
	touchTalk(k, 0, 100)
	s.Until("an old one comes up", func() bool { return len(s.Chats()) == 21 })
	assert.ElementsMatch(t, append(talkChats(upTo(30)[10:]...), talkChat(0)), s.Chats())
}

func TestChats_CrashInTheMiddle(t *testing.T) {
	t.Parallel()
	k := pipetest.NewAccount(t, sandbox.Config{})
	addTalks(k, 60)
	c := pipetest.NewCache()
	conf := pipetest.Fields{"page_size": 10, "checkpoint_cache": "progress"}
	batches := atomic.Int64{}
	s := k.Lists(t, conf, pipetest.Options{Cache: c, MaxInFlight: 1, Write: func(ctx context.Context, b []pipetest.Message) error {
		if batches.Add(1) > 3 {
			return pipetest.HoldAll(ctx, b)
		}
		return nil
	}})
	s.Until("three batches are saved", func() bool {
		return batches.Load() == 4 && len(c.Keys()) == 1 && len(c.Writes(c.Keys()[0])) >= 1
	})
	s.Crash()
	done := map[string]bool{}
	for _, chat := range s.Chats() {
		done[chat] = true
	}
	require.NotEmpty(t, done)
	require.Less(t, len(done), 60)
	touchTalk(k, 59, 200) // done before, and changed since
	touchTalk(k, 1, 201)  // not done before
	before := k.Requests()
	s = k.Lists(t, conf, pipetest.Options{Cache: c})
	s.Ended()
	again := 0
	for _, chat := range s.Chats() {
		if done[chat] {
			again++
		}
	}
	for i := range 60 {
		assert.True(t, done[talkChat(i)] || slices.Contains(s.Chats(), talkChat(i)), "talk %d", i)
	}
	assert.Contains(t, s.Chats(), talkChat(59))
	assert.LessOrEqual(t, again, 11, "no more than the changed one and what was not saved yet")
	assert.Less(t, k.Requests()-before, 9, "it goes on where it was")
	s = k.Lists(t, conf, pipetest.Options{Cache: c})
	s.Ended()
	assert.Empty(t, s.Chats())
}

func TestChats_ContactChatsAfterARestart(t *testing.T) {
	t.Parallel()
	k := pipetest.NewAccount(t, sandbox.Config{})
	for i := range 100 {
		k.Append(talkChat(i))
	}
	c := pipetest.NewCache()
	conf := pipetest.Fields{"source": "contact_chats", "checkpoint_cache": "progress", "page_size": 40}
	s := k.Lists(t, conf, pipetest.Options{Cache: c})
	s.Ended()
	assert.Equal(t, talkChats(upTo(100)...), s.ChatsSorted())
	k.Append("not-a-uuid")
	s = k.Lists(t, conf, pipetest.Options{Cache: c})
	s.Ended()
	assert.Equal(t, []string{"not-a-uuid"}, s.Chats())
	s = k.Lists(t, conf, pipetest.Options{Cache: c})
	s.Ended()
	assert.Empty(t, s.Chats())
	assert.LessOrEqual(t, len(c.Keys()), 64)
}

func TestChats_CheckpointThatDoesNotFit(t *testing.T) {
	t.Parallel()
	k := pipetest.NewAccount(t, sandbox.Config{})
	addTalks(k, 3)
	c := pipetest.NewCache()
	conf := pipetest.Fields{"checkpoint_cache": "progress"}
	k.Lists(t, conf, pipetest.Options{Cache: c}).Ended()
	good := c.Value(c.Keys()[0])
	for _, bad := range []string{"", good[:len(good)/2], `{"version":2,"named":[]}`, "null", `{"version":1,"chats":""}`} {
		c.Put(c.Keys()[0], bad)
		s := k.Lists(t, conf, pipetest.Options{Cache: c})
		s.Ended()
		assert.Len(t, s.Chats(), 3, bad)
		assert.True(t, s.Logs.Has(8, "Checkpoint kommo_chats.", ".talks can't be read, so its chats are delivered again"), bad)
		assert.Equal(t, int64(1), s.Metrics.Get("kommo_chats_checkpoint_errors_total"))
	}
	s := k.Lists(t, pipetest.Fields{"checkpoint_cache": "progress", "origins": []string{ownOrigin}}, pipetest.Options{Cache: c})
	s.Ended()
	assert.Len(t, s.Chats(), 3)
	assert.True(t, s.Logs.Has(4, "was made for other origins"))
	s = k.Lists(t, pipetest.Fields{"checkpoint_cache": "progress", "origins": []string{ownOrigin}}, pipetest.Options{Cache: c})
	s.Ended()
	assert.Empty(t, s.Chats())
}

func TestChats_CacheThatFails(t *testing.T) {
	t.Parallel()
	k := pipetest.NewAccount(t, sandbox.Config{})
	addTalks(k, 30)
	c := pipetest.NewCache()
	c.SetBroken(errors.New("the cache is out of order"))
	s := k.Lists(t, pipetest.Fields{"checkpoint_cache": "progress", "poll_interval": "1ms", "page_size": 10}, pipetest.Options{Cache: c})
	s.Until("it is reported", func() bool { return s.Logs.Has(8, "the cache is out of order", "next try in") })
	assert.Zero(t, k.Requests(), "nothing is known about where to begin")
	c.SetBroken(nil)
	s.Until("all are listed", func() bool { return len(s.Chats()) == 30 })
	c.SetBroken(errors.New("the cache is full"))
	touchTalk(k, 4, 100)
	s.Until("it is reported", func() bool { return s.Logs.Has(8, "listing waits until it works again", "the cache is full") })
	at := k.Requests()
	errs := s.Metrics.Get("kommo_chats_checkpoint_errors_total")
	s.Until("some more tries", func() bool { return s.Metrics.Get("kommo_chats_checkpoint_errors_total") > errs+3 })
	assert.LessOrEqual(t, k.Requests(), at+1)
	c.SetBroken(nil)
	touchTalk(k, 5, 101)
	s.Until("it goes on", func() bool { return len(s.Chats()) == 32 })
}

func TestChats_NothingIsSavedThatWasNotAcknowledged(t *testing.T) {
	t.Parallel()
	k := pipetest.NewAccount(t, sandbox.Config{})
	addTalks(k, 30)
	c := pipetest.NewCache()
	conf := pipetest.Fields{"checkpoint_cache": "progress", "page_size": 10, "poll_interval": "1ms"}
	first := make(chan struct{}, 1)
	first <- struct{}{}
	s := k.Lists(t, conf, pipetest.Options{Cache: c, Write: func(ctx context.Context, b []pipetest.Message) error {
		select {
		case <-first:
			return pipetest.HoldAll(ctx, b)
		default:
			return nil
		}
	}})
	s.Until("the others are acknowledged, and polls go on", func() bool { return len(s.Chats()) >= 15 && k.Requests() > 30 })
	touchTalk(k, 2, 100)
	s.Until("a change is listed all the same", func() bool { return len(s.Out.Of(talkChat(2))) == 2 || k.Requests() > 300 })
	held := s.Out.Came()[0]
	s.Crash()
	s = k.Lists(t, conf, pipetest.Options{Cache: c})
	s.Until("what was not acknowledged is listed again", func() bool {
		for _, m := range held {
			if len(s.Out.Of(m.Chat)) == 0 {
				return false
			}
		}
		return true
	})
}

func TestChats_BadDays(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault sandbox.Fault
		parts []string // of the log line
		waits bool     // it is retried slowly, and reported by the input
	}{
		"401":               {sandbox.Fault{Status: 401}, []string{"status 401", "access_token has expired", "next try in 20ms"}, true},
		"402":               {sandbox.Fault{Status: 402}, []string{"status 402", "tariff"}, true},
		"403, a right":      {sandbox.Fault{Status: 403, Body: sandbox.BodyJSON}, []string{"status 403", "administrator's token"}, true},
		"403, an address":   {sandbox.Fault{Status: 403, Body: sandbox.BodyHTML}, []string{"status 403", "blocked for overload"}, true},
		"404":               {sandbox.Fault{Status: 404}, []string{"status 404", "api_url"}, true},
		"400":               {sandbox.Fault{Status: 400}, []string{"status 400"}, true},
		"redirect":          {sandbox.Fault{Kind: sandbox.FaultRedirect}, []string{"points to another host: set api_url to the API's own address"}, true},
		"429":               {sandbox.Fault{Status: 429, Count: 2}, []string{"status 429"}, false},
		"429, Retry-After":  {sandbox.Fault{Status: 429, Count: 1, RetryAfter: time.Second}, []string{"status 429", "next in 1s"}, false},
		"500":               {sandbox.Fault{Status: 500, Count: 2}, []string{"status 500"}, false},
		"503":               {sandbox.Fault{Status: 503, Count: 2}, []string{"status 503"}, false},
		"reset":             {sandbox.Fault{Kind: sandbox.FaultReset, Count: 2}, []string{"no answer: check api_url"}, false},
		"cut, length":       {sandbox.Fault{Kind: sandbox.FaultCutLength, Count: 2}, []string{"breaks off"}, false},
		"cut, chunked":      {sandbox.Fault{Kind: sandbox.FaultCutChunked, Count: 2}, []string{"breaks off"}, false},
		"cut, JSON":         {sandbox.Fault{Kind: sandbox.FaultCutJSON, Count: 2}, []string{"not a JSON object, or breaks off"}, false},
		"HTML with 200":     {sandbox.Fault{Kind: sandbox.FaultHTML, Count: 2}, []string{"HTML page", "api_url"}, false},
		"more than 16 MiB":  {sandbox.Fault{Kind: sandbox.FaultHuge}, []string{"longer than 16777216 bytes"}, true},
		"a padded answer":   {sandbox.Fault{Kind: sandbox.FaultHuge, Size: 1 << 20, Count: 1}, nil, false},
		"an answer in time": {sandbox.Fault{Kind: sandbox.FaultDelay, Delay: 30 * time.Millisecond, Count: 3}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := pipetest.NewAccount(t, sandbox.Config{})
			addTalks(k, 30)
			tc.fault.After = 1
			if tc.fault.Kind == "" {
				tc.fault.Kind = sandbox.FaultStatus
			}
			k.Fail(t, tc.fault)
			began := time.Now()
			s := k.Lists(t, pipetest.Fields{"page_size": 10}, pipetest.Options{})
			if tc.waits {
				s.Until("it is reported", func() bool { return s.Logs.Has(8, append(tc.parts, "Chats could not be listed")...) })
				s.Until("it is tried again", func() bool { return k.Requests() > 3 })
				assert.False(t, s.HasEnded(), "a failure must not look like the end")
				k.ClearFaults()
			}
			s.Ended()
			assert.Equal(t, talkChats(upTo(30)...), s.ChatsSorted())
			if !tc.waits && tc.parts != nil {
				assert.True(t, s.Logs.Has(4, tc.parts...), s.Logs)
			}
			if tc.fault.RetryAfter > 0 {
				assert.GreaterOrEqual(t, time.Since(began), tc.fault.RetryAfter)
			}
			if tc.fault.Status == 429 {
				assert.Positive(t, s.Metrics.Get("kommo_chats_throttled_total"))
			}
		})
	}
}

// A poll that fails must not move the checkpoint, and nothing that changes
// meanwhile is lost.
func TestChats_FailedPollIsNotCaughtUp(t *testing.T) {
	t.Parallel()
	k := pipetest.NewAccount(t, sandbox.Config{})
	addTalks(k, 30)
	s := k.Lists(t, pipetest.Fields{"page_size": 10, "poll_interval": "1ms"}, pipetest.Options{})
	s.Until("all are listed", func() bool { return len(s.Chats()) == 30 })
	for i, f := range []sandbox.Fault{{Kind: sandbox.FaultStatus, Status: 401}, {Kind: sandbox.FaultCutJSON}, {Kind: sandbox.FaultHTML}} {
		f.Probability = 0.7
		k.Fail(t, f)
		for j := range 10 {
			touchTalk(k, j, 100+10*i+j)
		}
		at := k.Requests()
		s.Until("some requests fail", func() bool { return k.Requests() > at+6 })
		k.ClearFaults()
		s.Until(fmt.Sprint("changes are listed after ", f.Kind), func() bool {
			for j := range 10 {
				seen := s.Out.Of(talkChat(j))
				if len(seen) == 0 || seen[len(seen)-1].Meta["kommo_updated_at"] != pipetest.Noon.Add(time.Duration(100+10*i+j)*time.Minute).Unix() {
					return false
				}
			}
			return true
		})
	}
}

// Stopping waits for nothing but the request under way.
func TestChats_StopsAtOnce(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault *sandbox.Fault
		conf  pipetest.Fields
	}{
		"while waiting for the next poll": {nil, pipetest.Fields{"poll_interval": "1h"}},
		"while a request is under way":    {&sandbox.Fault{Kind: sandbox.FaultDelay, Delay: time.Hour}, pipetest.Fields{"poll_interval": "1ms"}},
		"while refused":                   {&sandbox.Fault{Kind: sandbox.FaultStatus, Status: 401}, pipetest.Fields{"backoff": pipetest.Fields{"initial_interval": "1h", "max_interval": "1h"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := pipetest.NewAccount(t, sandbox.Config{})
			addTalks(k, 3)
			if tc.fault != nil {
				k.Fail(t, *tc.fault)
			}
			s := k.Lists(t, tc.conf, pipetest.Options{})
			s.Until("a request came", func() bool { return k.Requests() >= 1 })
			began := time.Now()
			s.Stop()
			assert.Less(t, time.Since(began), 5*time.Second)
		})
	}
}
