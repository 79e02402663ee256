// SPDX-License-Identifier: Apache-2.0

package chat_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
	"github.com/kommo-connect/kommo-connect/plugin/internal/chat/chattest"
	"github.com/kommo-connect/kommo-connect/plugin/internal/evidence"
)

// talk makes one pass over a talk.
func talk(server *evidence.Server, src chat.TalkSource, size, maxPages int, with func(*chat.Start)) ([]string, chat.Result, error) {
	var got []string
	s := chat.Start{
		Chat: "1", PageSize: size, MaxKept: size * maxPages, Now: time.UnixMilli(1_700_000_000_000),
		Emit: func(_ context.Context, items []chat.Item, _ int64) error {
			got = append(got, chattest.IDsOf(items)...)
			return nil
		},
		Call:         func(ctx context.Context, request func(context.Context) error) error { return request(ctx) },
		OnRealigned:  func() {},
		OnShortPages: func() {},
	}
	if with != nil {
		with(&s)
	}
	found, err := chat.FromTalks(src, server)(s).Run(context.Background())
	return got, found, err
}

// talkBound is how many requests n messages of news may take.
func talkBound(n, size int) int {
	if n < size {
		return 1
	}
	return (n+199)/200 + 2
}

func TestTalk_RequestsOfAQuietTalk(t *testing.T) {
	for _, order := range []string{"newest", "oldest"} {
		for _, next := range []string{"", "missing", "always"} {
			for _, n := range []int{0, 1, 100, 249, 250, 251, 400, 500, 501, 1000, 5000, 20_000, 25_000, 25_001, 26_000, 50_000, 100_000} {
				m := chattest.NewTalk()
				m.Order, m.Next = order, next
				m.Arrive(n, func() int64 { return 700 })
				got, _, err := talk(chattest.Trusting(), m, 250, 100, nil)
				require.NoError(t, err)
				require.Equal(t, m.IDs(), append([]string{}, got...), "%d messages, %s first", n, order)
				bound := talkBound(n, 250)
				if next == "always" && n < 250 {
					bound += 2
				}
				require.LessOrEqual(t, m.Requests, bound, "%d messages, %s first, next %s", n, order, next)
			}
		}
	}
}

// requireTooMany checks that a pass was right to give up: so much is of one second, or the
// filter is not kept.
func requireTooMany(t require.TestingT, m *chattest.Talk, kept int, err error) {
	require.ErrorIs(t, err, chat.ErrTooManyKept)
	require.ErrorContains(t, err, "max_buffered_pages")
	require.Greater(t, len(m.Items), kept-50)
	if m.KeepFrom && m.KeepTo {
		seconds := map[int64]int{}
		most := 0
		for _, it := range m.Items {
			seconds[chat.Second(it.Time)]++
			most = max(most, seconds[chat.Second(it.Time)])
		}
		require.Greater(t, most, kept-50)
	}
}

// requireTimes checks that nothing is older than what came before it, by whole seconds.
func requireTimes(t require.TestingT, m *chattest.Talk, got []string, but map[string]bool) {
	at, last := map[string]int64{}, int64(0)
	for _, it := range m.Items {
		at[it.ID] = chat.Second(it.Time)
	}
	for _, id := range got {
		if s, ok := at[id]; ok && !but[id] {
			require.GreaterOrEqual(t, s, last, "%s in %v", id, got)
			last = s
		}
	}
}

// Whatever the order, the filter, the links, and whatever arrives, shows up late and
// vanishes between any two requests, over passes that are cut off anywhere: what stays
// comes out once, in the order of time.
func TestTalk_EverythingThatStaysComesOutOnceInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := chattest.DrawTalk(t)
		size := rapid.IntRange(2, 12).Draw(t, "page size")
		pages := rapid.SampledFrom([]int{1, 2, 3, 5, 8, 1000}).Draw(t, "buffered pages")
		lookback := time.Duration(rapid.IntRange(0, 3).Draw(t, "lookback")) * 1700 * time.Millisecond
		storm := chattest.NewTalkChaos(t, m, 2*size, 40, lookback.Milliseconds())
		m.Arrive(rapid.IntRange(0, 200).Draw(t, "messages"), storm.Gap)
		limits := rapid.SampledFrom([]string{"", "caps", "caps and shifts", "hides"}).Draw(t, "short pages")
		switch limits {
		case "caps", "caps and shifts":
			m.Cap = rapid.IntRange(2, size).Draw(t, "cap")
			m.CapShifts = limits == "caps and shifts"
		case "hides":
			every := rapid.IntRange(2, 5).Draw(t, "every")
			m.Hides = func(it chat.Item) bool { return int(it.Time/100+int64(it.ID[len(it.ID)-1]))%every == 0 }
		}
		m.Fail = func() error {
			require.Less(t, m.Requests, 20_000)
			return nil
		}
		server := &evidence.Server{}
		var j journal
		passes := rapid.IntRange(1, 4).Draw(t, "passes")
		for i := range passes + 1 {
			m.Before = storm.Strike
			left := rapid.IntRange(0, 200).Draw(t, "crash after")
			if i == passes {
				m.Before, left = nil, -1
			}
			_, _, err := talk(server, m, size, pages, func(s *chat.Start) { j.follow(s, lookback, left) })
			if err != nil && errors.Is(err, chat.ErrTooManyKept) {
				requireTooMany(t, m, size*pages, err)
				return
			}
			if i == passes {
				require.NoError(t, err)
			}
		}
		chattest.RequireOnce(t, j.got)
		requireTimes(t, m, j.got, storm.Late)
		var want []string
		for _, it := range m.Items {
			if m.Hides == nil || !m.Hides(it) {
				want = append(want, it.ID)
			}
		}
		require.Subset(t, j.got, want)
	})
}
