// SPDX-License-Identifier: Apache-2.0

package chat_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
	"github.com/kommo-connect/kommo-connect/plugin/internal/chat/chattest"
)

// requireRewound checks a pass from a checkpoint that was set back: it emits what a pass from the
// checkpoint itself does, and of what was delivered all that is as new as the time.
func requireRewound(t *rapid.T, items []chat.Item, to int64, normal, again []string) {
	for _, id := range normal {
		require.Contains(t, again, id, "it would have come without the reread")
	}
	for _, it := range items {
		if chat.Second(it.Time) >= chat.Second(to) {
			require.Contains(t, again, it.ID)
		}
	}
	chattest.RequireOnce(t, again)
}

// drawLookback draws one in steps that are no whole seconds.
func drawLookback(t *rapid.T) time.Duration {
	return time.Duration(rapid.IntRange(0, 3).Draw(t, "lookback")) * 1700 * time.Millisecond
}

// Whatever times messages claim that came since, and whatever was deleted, a reread leaves
// out nothing that would have come without it.
func TestPass_ARereadLeavesNothingOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := chattest.NewModel()
		size := rapid.IntRange(2, 12).Draw(t, "page size")
		pages := rapid.IntRange(1, 12).Draw(t, "buffered pages")
		gap := rapid.Int64Range(0, 3000)
		sane := rapid.Bool().Draw(t, "right times")
		arrive := func(what string) {
			for range rapid.IntRange(0, 90).Draw(t, what) {
				m.Arrive("a", 1, func() int64 { return gap.Draw(t, "gap") })
				if !sane && rapid.IntRange(0, 3).Draw(t, "wrong") == 0 {
					m.Chats["a"][0].Time -= rapid.Int64Range(0, 200_000).Draw(t, "by")
				}
			}
		}
		arrive("before")
		lookback := drawLookback(t)
		var j journal
		_, _, err := run(m, size, pages, func(s *chat.Start) { j.follow(s, lookback, -1) })
		require.NoError(t, err)
		all := m.Chats["a"]
		to := m.Now - rapid.Int64Range(-2000, 150_000).Draw(t, "back")
		arrive("since")
		if n := len(all); n > 0 {
			m.Remove("a", rapid.IntRange(0, n-1).Draw(t, "at"), rapid.IntRange(0, 20).Draw(t, "deleted"))
		}

		pass := func(from, reached chat.Checkpoint) []string {
			got, _, err := run(m, size, pages, func(s *chat.Start) {
				s.From, s.Known, s.Reached, s.Lookback = from, j.known, reached, lookback
			})
			require.NoError(t, err)
			return got
		}
		normal := pass(j.cp, chat.Checkpoint{})
		again := pass(j.cp.Rewound(to), j.cp)
		var must []chat.Item
		if sane {
			must = m.Chats["a"]
		}
		requireRewound(t, must, to, normal, again)
		order := m.IDs("a")
		require.True(t, slices.IsSortedFunc(again, func(a, b string) int { return slices.Index(order, a) - slices.Index(order, b) }))
	})
}

func TestTalk_ARereadLeavesNothingOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := chattest.DrawTalk(t)
		size := rapid.IntRange(4, 12).Draw(t, "page size")
		gap := rapid.Int64Range(0, 3000)
		m.Arrive(rapid.IntRange(0, 90).Draw(t, "before"), func() int64 { return gap.Draw(t, "gap") })
		lookback := drawLookback(t)
		var j journal
		_, _, err := talk(chattest.Trusting(), m, size, 1000, func(s *chat.Start) { j.follow(s, lookback, -1) })
		require.NoError(t, err)
		to := m.Now - rapid.Int64Range(-2000, 150_000).Draw(t, "back")
		m.Arrive(rapid.IntRange(0, 90).Draw(t, "since"), func() int64 { return gap.Draw(t, "gap") })
		if n := len(m.Items); n > 0 {
			m.Late(rapid.Int64Range(0, 5000).Draw(t, "late"))
			m.Remove(rapid.IntRange(0, n-1).Draw(t, "at"), rapid.IntRange(0, 20).Draw(t, "deleted"))
		}

		pass := func(from, reached chat.Checkpoint) []string {
			got, _, err := talk(chattest.Trusting(), m, size, 1000, func(s *chat.Start) {
				s.From, s.Known, s.Reached, s.Lookback = from, j.known, reached, lookback
			})
			require.NoError(t, err)
			return got
		}
		normal := pass(j.cp, chat.Checkpoint{})
		requireRewound(t, m.Items, to, normal, pass(j.cp.Rewound(to), j.cp))
	})
}
