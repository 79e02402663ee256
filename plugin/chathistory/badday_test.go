// SPDX-License-Identifier: Apache-2.0

package chathistory_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

func TestInput_RetryAfterPausesTheOtherChatsToo(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	var ids []string
	for range 40 {
		ids = append(ids, k.Chat(60))
	}
	k.Fail(t, sandbox.Fault{Kind: sandbox.FaultStatus, Status: 429, RetryAfter: time.Second, After: 6, Count: 1})
	s := k.Start(t, pipetest.Fields{"chats": ids, "parallel_chats": 4}, pipetest.Options{})
	s.Until("the pause has begun", func() bool { return s.Metrics.Get("kommo_chat_history_throttled_total") == 1 })
	began, before := time.Now(), k.Requests()
	s.Ended()
	s.Delivers(ids...)
	during := 0
	for _, at := range k.Arrivals()[before:] {
		if at.Sub(began) < 700*time.Millisecond {
			during++
		}
	}
	assert.LessOrEqual(t, during, 3, "those of the other three that were under way")
	assert.Greater(t, k.Requests()-before, 40, "there was more to ask for")
}

func TestInput_429WithoutRetryAfterBacksOff(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	var ids []string
	for range 8 {
		ids = append(ids, k.Chat(3))
	}
	k.Fail(t, sandbox.Fault{Kind: sandbox.FaultStatus, Status: 429, Count: 1})
	s := k.Start(t, pipetest.Fields{
		"chats": ids, "parallel_chats": 1, "backoff": pipetest.Fields{"initial_interval": "200ms", "max_interval": "1s"},
	}, pipetest.Options{})
	s.Ended()
	s.Delivers(ids...)
	at := k.Arrivals()
	assert.GreaterOrEqual(t, at[1].Sub(at[0]), 95*time.Millisecond, "half of initial_interval, for jitter")
}

// With many chats there is always one whose turn it is: what bounds the requests
// must not be each chat's own wait.
func TestInput_WrongSecretIsSaidAndAsksSlowly(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	var ids []string
	for range 200 {
		ids = append(ids, k.Chat(3))
	}
	s := k.Start(t, pipetest.Fields{
		"chats": ids, "channel_secret": "not the secret of the channel",
		"backoff": pipetest.Fields{"initial_interval": "1ms", "max_interval": "100ms"},
	}, pipetest.Options{})
	s.Until("it is said", func() bool { return s.Logs.Has(slog.LevelError, "The API answers no request") })
	assert.LessOrEqual(t, k.Requests(), 14, "ten chats are enough to know it, with those that are under way")
	began, before := time.Now(), k.Requests()
	time.Sleep(time.Second)
	asked := k.Requests() - before
	assert.Less(t, asked, 5*int(time.Since(began)/(100*time.Millisecond))+20, "requests in %s", time.Since(began))

	host := strings.TrimPrefix(k.URL, "http://")
	assert.True(t, s.Logs.Has(slog.LevelError, host, "channel_secret", "scope_id", "belongs to this channel", "the clocks agree", "at least every 100ms"), s.Logs)
	assert.False(t, s.HasEnded())
	assert.LessOrEqual(t, len(s.Logs.Complaints()), 3, "the first two may have been chats of other channels: %s", s.Logs)
	assert.Zero(t, s.Metrics.Get("kommo_chat_history_api_up"))
	assert.NotContains(t, s.Logs.String(), "not the secret of the channel")
	assert.Empty(t, s.Out.Came())
}

func TestInput_AClockThatIsOffWorks(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{20 * time.Minute, -20 * time.Minute} {
		t.Run(off.String(), func(t *testing.T) {
			t.Parallel()
			k := pipetest.NewKommo(t, sandbox.Config{Now: func() time.Time { return time.Now().Add(off) }})
			ids := []string{k.Chat(120), k.Chat(3), k.Chat(3)}
			s := k.Start(t, pipetest.Fields{"chats": ids, "parallel_chats": 1}, pipetest.Options{})
			s.Ended()
			s.Delivers(ids...)
			assert.Equal(t, 1, k.Ledger().Refused["date_window"], "one is enough to learn it")
			assert.Empty(t, s.Logs.Complaints())
		})
	}
}

func TestInput_AWrongSecretWithAClockThatIsOffTellsBoth(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{Now: func() time.Time { return time.Now().Add(20 * time.Minute) }})
	s := k.Start(t, pipetest.Fields{"chats": []string{k.Chat(3)}, "channel_secret": "wrong"}, pipetest.Options{})
	s.Until("it is said", func() bool {
		return s.Logs.Has(slog.LevelError, "the server's clock is ", "ahead of this machine's, which is allowed for", "channel_secret")
	})
}

func TestInput_AnUnknownChatIsNamed(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	unknown, known := pipetest.ChatID(0), k.Chat(3)
	s := k.Start(t, pipetest.Fields{"chats": []string{unknown, known}}, pipetest.Options{})
	s.Ended()
	s.Delivers(known)
	assert.Equal(t, []string{"1 chat has no message, or is unknown to the API; " +
		"check that these are ids of the Chats API, not the integration's own: " + unknown}, s.Logs.Complaints())
	assert.Equal(t, int64(1), s.Metrics.Get("kommo_chat_history_requests_total{outcome=empty}"))
	assert.Len(t, k.Pages(unknown), 1)
}

func TestInput_PastEndHoweverItIsAnswered(t *testing.T) {
	t.Parallel()
	for _, style := range []sandbox.PastEnd{
		sandbox.PastEndNoContent, sandbox.PastEndEmptyList, sandbox.PastEndEmptyObject, sandbox.PastEndNull,
	} {
		t.Run(string(style), func(t *testing.T) {
			t.Parallel()
			k := pipetest.NewKommo(t, sandbox.Config{PastEnd: style})
			ids := []string{k.Chat(50), k.Chat(99), k.Chat(148), k.Chat(400)}
			s := k.Start(t, pipetest.Fields{"chats": ids, "max_buffered_pages": 2}, pipetest.Options{})
			s.Ended()
			s.Delivers(ids...)
			assert.Empty(t, s.Logs.Complaints())
		})
	}
}

func TestInput_ARejectedChatStopsNeitherTheOthersNorTheInput(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 404} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			k := pipetest.NewKommo(t, sandbox.Config{})
			bad := k.Chat(3)
			good := []string{k.Chat(60), k.Chat(3), k.Chat(120)}
			k.Fail(t, sandbox.Fault{Kind: sandbox.FaultStatus, Status: status, Chat: bad})
			const again = 150 * time.Millisecond
			began := time.Now()
			s := k.Start(t, pipetest.Fields{
				"chats": append([]string{bad}, good...), "backoff": pipetest.Fields{"initial_interval": again.String(), "max_interval": again.String()},
			}, pipetest.Options{})
			s.Until("the others are done", func() bool { return s.Metrics.Get("kommo_chat_history_chats{state=done}") == 3 })
			s.Delivers(good...)
			s.Until("the bad one was tried again", func() bool { return len(k.Pages(bad)) >= 3 })
			assert.GreaterOrEqual(t, time.Since(began), 2*again, "no sooner than it says")
			assert.False(t, s.HasEnded())
			assert.True(t, s.Logs.Has(slog.LevelError, bad, fmt.Sprint(status), "next in 150ms"), s.Logs)
			assert.Len(t, s.Logs.Complaints(), 1, "said once")
			s.Until("it counts as failing", func() bool { return s.Metrics.Get("kommo_chat_history_chats{state=failing}") == 1 })

			k.ClearFaults()
			s.Ended()
			s.Delivers(append(good, bad)...)
		})
	}
}

func TestInput_AnUnreachableHostIsSaidAndWaitedFor(t *testing.T) {
	t.Parallel()
	k := pipetest.UnstartedKommo(t, sandbox.Config{})
	ids := []string{k.Chat(60), k.Chat(3)}
	address := k.HTTP.Listener.Addr().String()
	require.NoError(t, k.HTTP.Listener.Close())
	k.URL = "http://" + address
	s := k.Start(t, pipetest.Fields{"chats": ids, "backoff": pipetest.Fields{"initial_interval": "10ms", "max_interval": "50ms"}}, pipetest.Options{})
	s.Until("it is said", func() bool {
		return s.Logs.Has(slog.LevelWarn, address, "check base_url, proxy_url and the network", "refused")
	})
	began, before := time.Now(), s.Metrics.Get("kommo_chat_history_requests_total{outcome=unreachable}")
	time.Sleep(500 * time.Millisecond)
	tried := s.Metrics.Get("kommo_chat_history_requests_total{outcome=unreachable}") - before
	assert.Less(t, tried, 2*(int64(time.Since(began)/(25*time.Millisecond))+2), "no spin")
	assert.Less(t, len(s.Logs.Complaints()), 10)

	var err error
	k.HTTP.Listener, err = net.Listen("tcp", address)
	if err != nil {
		t.Skip("somebody else took the address meanwhile: ", err)
	}
	k.HTTP.Start()
	s.Ended()
	s.Delivers(ids...)
}

func TestInput_NullItemsAreLeftOutAndReportedOnce(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(120) // with 12 nulls
	k.Fail(t, sandbox.Fault{Kind: sandbox.FaultNullItems})
	s := k.Start(t, pipetest.Fields{"chats": []string{chat}, "poll_interval": "5ms"}, pipetest.Options{})
	s.Delivers(chat)
	k.Say(chat, pipetest.Noon.Add(time.Hour))
	s.Delivers(chat)
	var said []string
	for _, line := range s.Logs.Complaints() {
		if strings.Contains(line, "entries that are not JSON objects") {
			said = append(said, line)
		}
	}
	require.Len(t, said, 1)
	assert.Contains(t, said[0], chat)
	assert.Contains(t, said[0], " 12 entries")
}

func TestInput_OtherOddItemsAreLeftOut(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(3)
	k.Append(chat, json.RawMessage(`[1,{"message":{"id":"no"}}]`), json.RawMessage(`"text"`), json.RawMessage(`17`), json.RawMessage(`{}`))
	s := k.Start(t, pipetest.Fields{"chats": []string{chat}}, pipetest.Options{})
	s.Ended()
	require.Len(t, s.Out.Delivered(), 4, "an empty object may be a message")
	assert.Equal(t, "{}", s.Out.Delivered()[3].Body)
	assert.True(t, s.Logs.Has(slog.LevelWarn, "Chat "+chat+" holds 3 entries that are not JSON objects"), s.Logs)
}

func TestInput_ItemsWithoutAnIDAreToldApartByTheirBytes(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(0)
	for i := range 130 {
		at := pipetest.Noon.Add(time.Duration(i) * time.Second)
		k.Append(chat, sandbox.Text("", at, fmt.Sprintf("private words without an id, %d", i)))
	}
	c := pipetest.NewCache()
	conf := pipetest.Fields{"chats": []string{chat}, "checkpoint_cache": "progress"}
	s := k.Start(t, conf, pipetest.Options{Cache: c})
	s.Ended()
	s.Delivers(chat)
	assert.Empty(t, s.Logs.Complaints())
	assert.NotContains(t, s.Out.Delivered()[0].Meta, "kommo_message_id")

	s = k.Start(t, conf, pipetest.Options{Cache: c})
	s.Ended()
	assert.Empty(t, s.Out.Delivered())
}

func TestInput_AServerThatAnswersOldestFirstIsRefused(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(120)
	k.Fail(t, sandbox.Fault{Kind: sandbox.FaultOldestFirst})
	s := k.Start(t, pipetest.Fields{"chats": []string{chat}}, pipetest.Options{})
	s.Until("it is said", func() bool {
		return s.Logs.Has(slog.LevelError, "oldest message first", "check that base_url names the Chats API")
	})
	assert.Empty(t, s.Out.Came())
	assert.False(t, s.HasEnded())
	k.ClearFaults()
	s.Ended()
	s.Delivers(chat)
}

func TestInput_EveryBadDayAtOnce(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	ids := k.Seed(42, 4, 300)
	require.NoError(t, k.SetFaults(
		sandbox.Fault{Kind: sandbox.FaultStatus, Status: 500, Probability: 0.05},
		sandbox.Fault{Kind: sandbox.FaultStatus, Status: 429, Probability: 0.05, Count: 2}, // each slows all that follows
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
	s := k.Start(t, pipetest.Fields{
		"chats": ids, "page_size": 10, "max_buffered_pages": 3, "checkpoint_cache": "progress",
	}, pipetest.Options{Cache: c, Write: func(context.Context, []pipetest.Message) error {
		if n.Add(1)%7 == 0 {
			return errors.New("the output is full")
		}
		return nil
	}})
	s.Ended()
	s.Delivers(ids...)
}
