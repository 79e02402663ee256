// SPDX-License-Identifier: Apache-2.0

package chat_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
	"github.com/kommo-connect/kommo-connect/plugin/internal/chat/chattest"
	"github.com/kommo-connect/kommo-connect/plugin/internal/evidence"
)

// run makes one pass over a chat of a server that is trusted, and returns what it
// emitted, oldest first.
func run(src chat.Source, size, maxPages int, with func(*chat.Start)) ([]string, chat.Result, error) {
	return runAt(chattest.Trusting(), src, size, maxPages, with)
}

func runAt(server *evidence.Server, src chat.Source, size, maxPages int, with func(*chat.Start)) ([]string, chat.Result, error) {
	var got []string
	s := chat.Start{
		Chat: "a", PageSize: size, MaxKept: size * maxPages, Now: time.Now(),
		Emit: func(_ context.Context, items []chat.Item, _ int64) error {
			got = append(got, chattest.IDsOf(items)...)
			return nil
		},
		Call:         func(ctx context.Context, request func(context.Context) error) error { return request(ctx) },
		Begin:        chattest.AtOnce,
		OnRealigned:  func() {},
		OnShortPages: func() {},
		OnBelieved:   func() {},
	}
	if with != nil {
		with(&s)
	}
	found, err := chat.FromNewest(src, server)(s).Run(context.Background())
	return got, found, err
}

func TestPass_RequestsOfAQuietChat(t *testing.T) {
	for _, c := range []struct{ size, maxPages int }{{50, 100}, {50, 1}, {50, 3}, {7, 4}, {2, 1}, {3, 2}} {
		for _, n := range []int{0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 48, 49, 50, 51, 98, 99, 100, 101, 148, 149, 150, 151, 300, 1000, 4900, 4901, 4999, 5000, 5001, 5050, 9800, 20_000, 100_003} {
			if n > 5050 && c.size < 50 {
				continue
			}
			m := chattest.NewModel()
			m.Fill("a", n, 700)
			got, _, err := run(m, c.size, c.maxPages, nil)
			require.NoError(t, err)
			require.Equal(t, m.IDs("a"), append([]string(nil), got...), "%d messages in pages of %d, %d buffered", n, c.size, c.maxPages)
			require.LessOrEqual(t, m.Requests, chattest.Bound(n, c.size, c.maxPages), "%d messages in pages of %d, %d buffered", n, c.size, c.maxPages)
			alone := m.Requests
			for _, pages := range []int{2, 7, 100} {
				m.Requests = 0
				got, _, err := run(m, c.size, c.maxPages, func(s *chat.Start) { s.ReadAhead = pages })
				require.NoError(t, err)
				require.Equal(t, m.IDs("a"), append([]string(nil), got...))
				require.Equal(t, alone, m.Requests, "%d messages in pages of %d, %d buffered, %d read ahead", n, c.size, c.maxPages, pages)
			}
		}
	}
}

// readAhead draws how far a pass reads ahead, and in which order those requests are made.
func readAhead(t *rapid.T) func(*chat.Start) {
	pages := rapid.IntRange(1, 9).Draw(t, "read ahead")
	begin := chattest.AnyOrder(rapid.Uint64().Draw(t, "order of requests"))
	return func(s *chat.Start) { s.ReadAhead, s.Begin = pages, begin }
}

// Whatever arrives and vanishes between any two requests, all that stays comes
// out once and in order.
func TestPass_EverythingThatStaysComesOutOnceInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := chattest.NewModel()
		size := rapid.IntRange(2, 12).Draw(t, "page size")
		storm := chattest.NewChaos(t, m, 4*size, 40)
		m.Arrive("a", rapid.IntRange(0, 400).Draw(t, "messages"), storm.Gap)
		pages := rapid.IntRange(1, 8).Draw(t, "buffered pages")
		before := m.IDs("a")
		m.Before = storm.Strike
		ahead := readAhead(t)
		got, _, err := run(m, size, pages, ahead)
		require.NoError(t, err)

		chattest.RequireOnce(t, got)
		chattest.RequireStayed(t, before, m.IDs("a"), got)
		require.True(t, slices.IsSorted(got), "what arrived meanwhile is in order too: %v", got)
	})
}

// A page that was asked for early may show what had gone when another page was read.
func TestPass_EarlyPagesOfAChatThatShrinks(t *testing.T) {
	for seed := uint64(1200); seed < 1300; seed++ { // 1244 has shown it
		m := chattest.NewModel()
		m.Fill("a", 150, 0)
		rnd := rand.New(rand.NewPCG(seed, 0))
		left := 24
		m.Before = func(string) {
			if left > 0 && rnd.IntN(3) == 0 {
				left--
				m.Fill("a", 1+rnd.IntN(27), 0)
			}
			if n := len(m.Chats["a"]); n > 0 && left > 0 && rnd.IntN(3) == 0 {
				left--
				m.Remove("a", rnd.IntN(n), 1+rnd.IntN(27))
			}
		}
		got, _, err := run(m, 7, 2, func(s *chat.Start) { s.ReadAhead, s.Begin = 3, chattest.AnyOrder(seed) })
		require.NoError(t, err)
		require.True(t, slices.IsSorted(got), "seed %d: %v", seed, got)
	}
}

// A pass that is cut off anywhere leaves what it emitted without a gap: the next
// one, from a checkpoint of that, completes it.
func TestPass_GoesOnBehindAnyCrash(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := chattest.NewModel()
		size := rapid.IntRange(2, 12).Draw(t, "page size")
		storm := chattest.NewChaos(t, m, 3*size, 25)
		m.Arrive("a", rapid.IntRange(1, 300).Draw(t, "messages"), storm.Gap)
		pages := rapid.IntRange(1, 6).Draw(t, "buffered pages")
		lookback := time.Duration(rapid.IntRange(0, 3).Draw(t, "lookback")) * 700 * time.Millisecond
		m.Before = storm.Strike

		before := m.IDs("a")
		ahead := readAhead(t)
		var j journal
		passes := rapid.IntRange(1, 6).Draw(t, "passes")
		for i := range passes {
			last := i == passes-1
			left := rapid.IntRange(0, 200).Draw(t, "crash after")
			if last {
				left = -1
			}
			_, _, err := run(m, size, pages, func(s *chat.Start) {
				j.follow(s, lookback, left)
				ahead(s)
			})
			if last {
				require.NoError(t, err)
			}
			value, err := chat.EncodeCheckpoint(j.cp)
			require.NoError(t, err)
			if j.known {
				j.cp, err = chat.DecodeCheckpoint(value)
				require.NoError(t, err)
			}
		}
		chattest.RequireOnce(t, j.got)
		chattest.RequireStayed(t, before, m.IDs("a"), j.got)
	})
}

// journal is what passes that follow on each other have emitted, and the checkpoint
// behind that, as a reader has them.
type journal struct {
	got   []string
	cp    chat.Checkpoint
	known bool
}

// follow has a pass go on from the journal and emit into it, and cuts it off after so
// many items: below 0 never.
func (j *journal) follow(s *chat.Start, lookback time.Duration, left int) {
	s.From, s.Known, s.Lookback = j.cp, j.known, lookback
	cut := left >= 0
	s.Emit = func(_ context.Context, items []chat.Item, now int64) error {
		if cut {
			items = items[:min(left, len(items))]
			left -= len(items)
		}
		j.got = append(j.got, chattest.IDsOf(items)...)
		j.cp.Advance(chat.SeenOf(items), lookback, now)
		j.known = j.known || len(items) > 0
		if cut && left <= 0 {
			return errors.New("crash")
		}
		return nil
	}
}

// Who keeps checkpoints is told of each end that was not proved, of a chat that was not read before.
func TestPass_TellsWhatItBelieves(t *testing.T) {
	for name, c := range map[string]struct {
		messages int
		with     func(m *chattest.Model, s *chat.Start)
		believes bool
	}{
		"short":  {3, nil, true},
		"empty":  {0, nil, true},
		"latest": {3, func(_ *chattest.Model, s *chat.Start) { s.Latest = true }, false},
		"known": {3, func(m *chattest.Model, s *chat.Start) {
			s.Known = true
			s.From.Seen = []chat.Seen{{ID: m.IDs("a")[0]}}
		}, false},
		"short pages are known to mislead": {3, func(_ *chattest.Model, s *chat.Start) { s.ShortPages = true }, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := chattest.NewModel()
			m.Fill("a", c.messages, 1000)
			believed := false
			server := &evidence.Server{}
			_, _, err := runAt(server, m, 50, 4, func(s *chat.Start) {
				s.OnBelieved = func() { believed = true }
				if c.with != nil {
					c.with(m, s)
				}
				require.False(t, server.Misleads())
			})
			require.NoError(t, err)
			require.Equal(t, c.believes, believed)
			require.Equal(t, name == "short pages are known to mislead", server.Misleads())
		})
	}
}
