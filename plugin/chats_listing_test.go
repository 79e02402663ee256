// SPDX-License-Identifier: Apache-2.0

package plugin_test

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

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

func TestChats_EntryVerbatimWithTypedMetadata(t *testing.T) {
	t.Parallel()
	k := newAccount(t, sandbox.Config{})
	k.talks(1)
	k.SetTalk(sandbox.Talk{ID: 7, ChatID: "plain", UpdatedAt: noon.Unix() - 1})
	s := k.lists(t, nil, options{})
	s.ended()
	got := s.out.delivered()
	require.Len(t, got, 2)
	for i, listed := range k.Talks() {
		body, err := json.Marshal(listed)
		require.NoError(t, err)
		assert.Equal(t, string(body), got[i].body)
	}
	assert.Equal(t, map[string]any{
		"kommo_chat_id": talkChat(0), "kommo_talk_id": int64(1), "kommo_contact_id": int64(500),
		"kommo_origin": ownOrigin, "kommo_updated_at": noon.Unix(),
	}, got[0].meta)
	assert.Equal(t, map[string]any{"kommo_chat_id": "plain", "kommo_talk_id": int64(7), "kommo_updated_at": noon.Unix() - 1}, got[1].meta)
	assert.Empty(t, s.logs.complaints())
	assert.Equal(t, []string{
		"kommo_chats_api_up", "kommo_chats_checkpoint_errors_total", "kommo_chats_limiter_wait_ns", "kommo_chats_listed_total",
		"kommo_chats_newest_update_timestamp", "kommo_chats_request_duration_ns",
	}, slices.DeleteFunc(s.metrics.names(), func(n string) bool {
		return n == "kommo_chats_throttled_total" || len(n) > 27 && n[:27] == "kommo_chats_requests_total{"
	}))
	assert.Equal(t, int64(2), s.metrics.get("kommo_chats_listed_total"))
	assert.Equal(t, noon.Unix(), s.metrics.get("kommo_chats_newest_update_timestamp"))
	// The second request, for what follows a page that is not full, is answered 204.
	assert.Equal(t, int64(1), s.metrics.get("kommo_chats_requests_total{outcome=ok}"))
	assert.Equal(t, int64(2), s.metrics.get("kommo_chats_request_duration_ns"))
	assert.Equal(t, int64(2), s.metrics.get("kommo_chats_limiter_wait_ns"))
	assert.Zero(t, s.metrics.get("kommo_chats_throttled_total"))
}

func TestChats_EmptyAccountEnds(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"talks", "contact_chats"} {
		k := newAccount(t, sandbox.Config{})
		s := k.lists(t, fields{"source": source}, options{})
		s.ended()
		assert.Empty(t, s.named())
		assert.Equal(t, 1, k.requests())
		assert.Empty(t, s.logs.complaints())
	}
}

func TestChats_ChangedOnesAgain(t *testing.T) {
	t.Parallel()
	k := newAccount(t, sandbox.Config{})
	k.talks(30)
	s := k.lists(t, fields{"poll_interval": "1ms", "page_size": 10}, options{})
	s.until("all are listed", func() bool { return len(s.named()) == 30 })
	k.touchTalk(3, 100)
	s.until("the changed one is listed", func() bool { return len(s.named()) == 31 })
	k.SetTalk(talk(101))
	k.touchTalk(29, 102)
	s.until("the new and the changed one are listed", func() bool { return len(s.named()) == 33 })
	before := k.requests()
	s.until("some more polls", func() bool { return k.requests() > before+20 })
	assert.ElementsMatch(t, append(talkChats(upTo(30)...), talkChats(3, 29, 101)...), s.named())
	assert.Empty(t, s.logs.complaints())
}

func TestChats_Fields(t *testing.T) {
	t.Parallel()
	t.Run("origins", func(t *testing.T) {
		t.Parallel()
		k := newAccount(t, sandbox.Config{})
		k.talks(3)
		foreign := talk(5)
		foreign.Origin = "telegram"
		k.SetTalk(foreign)
		foreign = talk(6)
		foreign.Origin = "waba"
		k.SetTalk(foreign)
		s := k.lists(t, fields{"origins": []string{"waba", ownOrigin}}, options{})
		s.ended()
		assert.Equal(t, talkChats(0, 1, 2, 6), s.namedSorted())
	})
	t.Run("updated_since", func(t *testing.T) {
		t.Parallel()
		k := newAccount(t, sandbox.Config{})
		k.talks(10)
		s := k.lists(t, fields{"updated_since": noon.Add(7 * time.Minute).Format(time.RFC3339)}, options{})
		s.ended()
		assert.Equal(t, talkChats(7, 8, 9), s.namedSorted())
	})
	t.Run("page_size", func(t *testing.T) {
		t.Parallel()
		for _, size := range []int{1, 2, 7, 49, 50, 51} {
			k := newAccount(t, sandbox.Config{})
			k.talks(50)
			k.OnRequest(func(r sandbox.Request) { assert.LessOrEqual(t, r.Limit, max(size, 10)) })
			s := k.lists(t, fields{"page_size": size}, options{})
			s.ended()
			assert.Equal(t, talkChats(upTo(50)...), s.namedSorted(), size)
		}
	})
	t.Run("source", func(t *testing.T) {
		t.Parallel()
		k := newAccount(t, sandbox.Config{})
		for i := range 5 {
			k.Append(talkChat(i))
		}
		s := k.lists(t, fields{"source": "contact_chats", "page_size": 3, "poll_interval": "1ms"}, options{})
		s.until("all are listed", func() bool { return len(s.named()) == 5 })
		assert.Equal(t, map[string]any{"kommo_chat_id": talkChat(0), "kommo_contact_id": int64(2_000_000)}, s.out.of(talkChat(0))[0].meta)
		assert.JSONEq(t, `{"id":4000000,"contact_id":2000000,"chat_id":"`+talkChat(0)+`"}`, s.out.of(talkChat(0))[0].body)
		k.Append(talkChat(9))
		s.until("the new one is listed", func() bool { return len(s.named()) == 6 })
		assert.ElementsMatch(t, talkChats(0, 1, 2, 3, 4, 9), s.named())
		assert.Zero(t, k.Ledger().ByEndpoint[sandbox.EndpointTalks])
	})
	t.Run("requests_per_second and burst", func(t *testing.T) {
		t.Parallel()
		k := newAccount(t, sandbox.Config{})
		k.talks(50)
		began := time.Now()
		s := k.lists(t, fields{"page_size": 10, "requests_per_second": 100, "burst": 3}, options{})
		s.ended()
		assert.GreaterOrEqual(t, time.Since(began), time.Duration(k.requests()-3)*10*time.Millisecond)
	})
	t.Run("rate_limit", func(t *testing.T) {
		t.Parallel()
		k := newAccount(t, sandbox.Config{})
		k.talks(3)
		asked := make(chan int, 100)
		s := k.lists(t, fields{"rate_limit": "shared"}, options{limit: func() (time.Duration, error) {
			asked <- 1
			switch len(asked) {
			case 1:
				return 0, errors.New("the limit is out of order")
			case 2:
				return time.Millisecond, nil
			}
			return 0, nil
		}})
		s.ended()
		assert.Len(t, asked, 4)
		assert.Len(t, s.named(), 3)
		assert.True(t, s.logs.has(8, "the limit is out of order", "rate_limit"))
	})
	t.Run("timeout", func(t *testing.T) {
		t.Parallel()
		k := newAccount(t, sandbox.Config{})
		k.talks(3)
		k.fail(t, sandbox.Fault{Kind: sandbox.FaultDelay, Delay: time.Minute, Count: 1})
		s := k.lists(t, fields{"timeout": "50ms"}, options{})
		s.ended()
		assert.Len(t, s.named(), 3)
		assert.Equal(t, int64(1), s.metrics.get("kommo_chats_requests_total{outcome=timeout}"))
	})
	t.Run("checkpoint_cache_key", func(t *testing.T) {
		t.Parallel()
		k := newAccount(t, sandbox.Config{})
		k.talks(3)
		c := newCache()
		k.lists(t, fields{"checkpoint_cache": "progress", "checkpoint_cache_key": "mine"}, options{cache: c}).ended()
		require.Len(t, c.keys(), 1)
		assert.Regexp(t, `^mine\.127=2e0=2e0=2e1=3a\d+\.talks$`, c.keys()[0])
		s := k.lists(t, fields{"checkpoint_cache": "progress"}, options{cache: c})
		s.ended()
		assert.Len(t, s.named(), 3, "another prefix, another checkpoint")
		assert.Len(t, c.keys(), 2)
		s = k.lists(t, fields{"checkpoint_cache": "progress"}, options{cache: c})
		s.ended()
		assert.Empty(t, s.named())
	})
	t.Run("checkpoint_interval", func(t *testing.T) {
		t.Parallel()
		k := newAccount(t, sandbox.Config{})
		k.talks(100)
		c := newCache()
		s := k.lists(t, fields{"checkpoint_cache": "progress", "checkpoint_interval": "1h", "page_size": 10}, options{cache: c})
		s.ended()
		assert.LessOrEqual(t, len(c.writes(c.keys()[0])), 2, "the first, and the one of the clean stop")
		s = k.lists(t, fields{"checkpoint_cache": "progress"}, options{cache: c})
		s.ended()
		assert.Empty(t, s.named())
	})
	t.Run("auto_replay_nacks", func(t *testing.T) {
		t.Parallel()
		for _, replay := range []bool{true, false} {
			k := newAccount(t, sandbox.Config{})
			k.talks(3)
			rejected := make(chan struct{})
			s := k.lists(t, fields{"auto_replay_nacks": replay}, options{write: func(context.Context, []message) error {
				select {
				case <-rejected:
					return nil
				default:
					close(rejected)
					return errors.New("no")
				}
			}})
			s.ended()
			assert.Equal(t, replay, len(s.named()) == 3)
		}
	})
}

func TestChats_SeveralTalksOfOneChat(t *testing.T) {
	t.Parallel()
	k := newAccount(t, sandbox.Config{})
	for i := range 6 {
		tk := talk(i)
		tk.ChatID = talkChat(i % 2)
		k.SetTalk(tk)
	}
	s := k.lists(t, fields{"page_size": 2, "poll_interval": "1ms"}, options{})
	s.until("both are listed", func() bool { return len(s.named()) == 2 })
	assert.Equal(t, noon.Add(5*time.Minute).Unix(), s.out.of(talkChat(1))[0].meta["kommo_updated_at"], "for the latest")
	k.touchTalk(0, 50)
	s.until("one is listed again", func() bool { return len(s.named()) == 3 })
	assert.Equal(t, int64(1), s.out.of(talkChat(0))[1].meta["kommo_talk_id"])
}

// Talks move to the front between any two requests, and there are new ones.
func TestChats_TouchedWhileListing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		k := newAccount(t, sandbox.Config{})
		n := rapid.IntRange(1, 40).Draw(rt, "talks")
		k.talks(n)
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
					k.touchTalk(i, minutes)
				}
			}
		})
		once := rapid.Bool().Draw(rt, "once")
		conf := fields{"page_size": rapid.IntRange(2, 10).Draw(rt, "page size")}
		if !once {
			conf["poll_interval"] = "1ms"
		}
		s := k.lists(t, conf, options{})
		if once {
			s.ended()
			for i := range n {
				require.NotEmpty(rt, s.out.of(talkChat(i)), "talk %d", i)
			}
			return
		}
		s.until("each talk is listed as it is in the end", func() bool {
			if k.requests() <= len(script) {
				return false
			}
			// The output writes batches side by side, so the last to come need not be it.
			type row struct{ chat, updated any }
			listed := map[row]bool{}
			for _, m := range s.out.delivered() {
				listed[row{m.chat, m.meta["kommo_updated_at"]}] = true
			}
			for _, tk := range k.Talks() {
				if !listed[row{tk.ChatID, tk.UpdatedAt}] {
					return false
				}
			}
			return true
		})
		s.stop()
	})
}

// One account was told of about 250 talks and of no next page.
func TestChats_ListThatIsCutOff(t *testing.T) {
	t.Parallel()
	k := newAccount(t, sandbox.Config{TalksCap: 20})
	k.talks(30)
	s := k.lists(t, fields{"page_size": 20, "poll_interval": "1ms"}, options{})
	s.until("the newest are listed", func() bool { return len(s.named()) == 20 })
	k.touchTalk(0, 100)
	s.until("an old one comes up", func() bool { return len(s.named()) == 21 })
	assert.ElementsMatch(t, append(talkChats(upTo(30)[10:]...), talkChat(0)), s.named())
}

func TestChats_CrashInTheMiddle(t *testing.T) {
	t.Parallel()
	k := newAccount(t, sandbox.Config{})
	k.talks(60)
	c := newCache()
	conf := fields{"page_size": 10, "checkpoint_cache": "progress"}
	batches := atomic.Int64{}
	s := k.lists(t, conf, options{cache: c, maxInFlight: 1, write: func(ctx context.Context, b []message) error {
		if batches.Add(1) > 3 {
			return holdAll(ctx, b)
		}
		return nil
	}})
	s.until("three batches are saved", func() bool {
		return batches.Load() == 4 && len(c.keys()) == 1 && len(c.writes(c.keys()[0])) >= 1
	})
	s.crash()
	done := map[string]bool{}
	for _, chat := range s.named() {
		done[chat] = true
	}
	require.NotEmpty(t, done)
	require.Less(t, len(done), 60)
	k.touchTalk(59, 200) // done before, and changed since
	k.touchTalk(1, 201)  // not done before
	before := k.requests()
	s = k.lists(t, conf, options{cache: c})
	s.ended()
	again := 0
	for _, chat := range s.named() {
		if done[chat] {
			again++
		}
	}
	for i := range 60 {
		assert.True(t, done[talkChat(i)] || slices.Contains(s.named(), talkChat(i)), "talk %d", i)
	}
	assert.Contains(t, s.named(), talkChat(59))
	assert.LessOrEqual(t, again, 11, "no more than the changed one and what was not saved yet")
	assert.Less(t, k.requests()-before, 9, "it goes on where it was")
	s = k.lists(t, conf, options{cache: c})
	s.ended()
	assert.Empty(t, s.named())
}

func TestChats_ContactChatsAfterARestart(t *testing.T) {
	t.Parallel()
	k := newAccount(t, sandbox.Config{})
	for i := range 100 {
		k.Append(talkChat(i))
	}
	c := newCache()
	conf := fields{"source": "contact_chats", "checkpoint_cache": "progress", "page_size": 40}
	s := k.lists(t, conf, options{cache: c})
	s.ended()
	assert.Equal(t, talkChats(upTo(100)...), s.namedSorted())
	k.Append("not-a-uuid")
	s = k.lists(t, conf, options{cache: c})
	s.ended()
	assert.Equal(t, []string{"not-a-uuid"}, s.named())
	s = k.lists(t, conf, options{cache: c})
	s.ended()
	assert.Empty(t, s.named())
	assert.LessOrEqual(t, len(c.keys()), 64)
}

func TestChats_CheckpointThatDoesNotFit(t *testing.T) {
	t.Parallel()
	k := newAccount(t, sandbox.Config{})
	k.talks(3)
	c := newCache()
	conf := fields{"checkpoint_cache": "progress"}
	k.lists(t, conf, options{cache: c}).ended()
	good := c.get(c.keys()[0])
	for _, bad := range []string{"", good[:len(good)/2], `{"version":2,"named":[]}`, "null", `{"version":1,"chats":""}`} {
		c.put(c.keys()[0], bad)
		s := k.lists(t, conf, options{cache: c})
		s.ended()
		assert.Len(t, s.named(), 3, bad)
		assert.True(t, s.logs.has(8, "Checkpoint kommo_chats.", ".talks can't be read, so its chats are delivered again"), bad)
		assert.Equal(t, int64(1), s.metrics.get("kommo_chats_checkpoint_errors_total"))
	}
	s := k.lists(t, fields{"checkpoint_cache": "progress", "origins": []string{ownOrigin}}, options{cache: c})
	s.ended()
	assert.Len(t, s.named(), 3)
	assert.True(t, s.logs.has(4, "was made for other origins"))
	s = k.lists(t, fields{"checkpoint_cache": "progress", "origins": []string{ownOrigin}}, options{cache: c})
	s.ended()
	assert.Empty(t, s.named())
}

func TestChats_CacheThatFails(t *testing.T) {
	t.Parallel()
	k := newAccount(t, sandbox.Config{})
	k.talks(30)
	c := newCache()
	c.setBroken(errors.New("the cache is out of order"))
	s := k.lists(t, fields{"checkpoint_cache": "progress", "poll_interval": "1ms", "page_size": 10}, options{cache: c})
	s.until("it is reported", func() bool { return s.logs.has(8, "the cache is out of order", "next try in") })
	assert.Zero(t, k.requests(), "nothing is known about where to begin")
	c.setBroken(nil)
	s.until("all are listed", func() bool { return len(s.named()) == 30 })
	c.setBroken(errors.New("the cache is full"))
	k.touchTalk(4, 100)
	s.until("it is reported", func() bool { return s.logs.has(8, "listing waits until it works again", "the cache is full") })
	at := k.requests()
	errs := s.metrics.get("kommo_chats_checkpoint_errors_total")
	s.until("some more tries", func() bool { return s.metrics.get("kommo_chats_checkpoint_errors_total") > errs+3 })
	assert.LessOrEqual(t, k.requests(), at+1)
	c.setBroken(nil)
	k.touchTalk(5, 101)
	s.until("it goes on", func() bool { return len(s.named()) == 32 })
}

func TestChats_NothingIsSavedThatWasNotAcknowledged(t *testing.T) {
	t.Parallel()
	k := newAccount(t, sandbox.Config{})
	k.talks(30)
	c := newCache()
	conf := fields{"checkpoint_cache": "progress", "page_size": 10, "poll_interval": "1ms"}
	first := make(chan struct{}, 1)
	first <- struct{}{}
	s := k.lists(t, conf, options{cache: c, write: func(ctx context.Context, b []message) error {
		select {
		case <-first:
			return holdAll(ctx, b)
		default:
			return nil
		}
	}})
	s.until("the others are acknowledged, and polls go on", func() bool { return len(s.named()) >= 15 && k.requests() > 30 })
	k.touchTalk(2, 100)
	s.until("a change is listed all the same", func() bool { return len(s.out.of(talkChat(2))) == 2 || k.requests() > 300 })
	held := s.out.came()[0]
	s.crash()
	s = k.lists(t, conf, options{cache: c})
	s.until("what was not acknowledged is listed again", func() bool {
		for _, m := range held {
			if len(s.out.of(m.chat)) == 0 {
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
		"redirect":          {sandbox.Fault{Kind: sandbox.FaultRedirect}, []string{"set api_url to http://elsewhere.invalid"}, true},
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
			k := newAccount(t, sandbox.Config{})
			k.talks(30)
			tc.fault.After = 1
			if tc.fault.Kind == "" {
				tc.fault.Kind = sandbox.FaultStatus
			}
			k.fail(t, tc.fault)
			began := time.Now()
			s := k.lists(t, fields{"page_size": 10}, options{})
			if tc.waits {
				s.until("it is reported", func() bool { return s.logs.has(8, append(tc.parts, "Chats could not be listed")...) })
				s.until("it is tried again", func() bool { return k.requests() > 3 })
				assert.False(t, s.hasEnded(), "a failure must not look like the end")
				k.ClearFaults()
			}
			s.ended()
			assert.Equal(t, talkChats(upTo(30)...), s.namedSorted())
			if !tc.waits && tc.parts != nil {
				assert.True(t, s.logs.has(4, tc.parts...), s.logs)
			}
			if tc.fault.RetryAfter > 0 {
				assert.GreaterOrEqual(t, time.Since(began), tc.fault.RetryAfter)
			}
			if tc.fault.Status == 429 {
				assert.Positive(t, s.metrics.get("kommo_chats_throttled_total"))
			}
		})
	}
}

// A poll that fails must not move the checkpoint, and nothing that changes
// meanwhile is lost.
func TestChats_FailedPollIsNotCaughtUp(t *testing.T) {
	t.Parallel()
	k := newAccount(t, sandbox.Config{})
	k.talks(30)
	s := k.lists(t, fields{"page_size": 10, "poll_interval": "1ms"}, options{})
	s.until("all are listed", func() bool { return len(s.named()) == 30 })
	for i, f := range []sandbox.Fault{{Kind: sandbox.FaultStatus, Status: 401}, {Kind: sandbox.FaultCutJSON}, {Kind: sandbox.FaultHTML}} {
		f.Probability = 0.7
		k.fail(t, f)
		for j := range 10 {
			k.touchTalk(j, 100+10*i+j)
		}
		at := k.requests()
		s.until("some requests fail", func() bool { return k.requests() > at+6 })
		k.ClearFaults()
		s.until(fmt.Sprint("changes are listed after ", f.Kind), func() bool {
			for j := range 10 {
				seen := s.out.of(talkChat(j))
				if len(seen) == 0 || seen[len(seen)-1].meta["kommo_updated_at"] != noon.Add(time.Duration(100+10*i+j)*time.Minute).Unix() {
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
		conf  fields
	}{
		"while waiting for the next poll": {nil, fields{"poll_interval": "1h"}},
		"while a request is under way":    {&sandbox.Fault{Kind: sandbox.FaultDelay, Delay: time.Hour}, fields{"poll_interval": "1ms"}},
		"while refused":                   {&sandbox.Fault{Kind: sandbox.FaultStatus, Status: 401}, fields{"backoff": fields{"initial_interval": "1h", "max_interval": "1h"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newAccount(t, sandbox.Config{})
			k.talks(3)
			if tc.fault != nil {
				k.fail(t, *tc.fault)
			}
			s := k.lists(t, tc.conf, options{})
			s.until("a request came", func() bool { return k.requests() >= 1 })
			began := time.Now()
			s.stop()
			assert.Less(t, time.Since(began), 5*time.Second)
		})
	}
}
