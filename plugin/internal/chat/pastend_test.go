// SPDX-License-Identifier: Apache-2.0

package chat_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
	"github.com/kommo-connect/kommo-connect/plugin/internal/chat/chattest"
	"github.com/kommo-connect/kommo-connect/plugin/internal/evidence"
)

// Past its end a chat may show its last page again, whole or cut, as servers do that
// bound the offset.
func TestPass_LastPageAgainPastTheEnd(t *testing.T) {
	bends := map[string]func(all []chat.Item, offset, limit int) int{
		"the last page": func(all []chat.Item, offset, limit int) int {
			if offset >= len(all) {
				return len(all) - limit
			}
			return offset
		},
		"a bounded offset": func(all []chat.Item, offset, limit int) int { return min(offset, len(all)-limit) },
		"the last message": func(all []chat.Item, offset, _ int) int { return min(offset, len(all)-1) },
	}
	for name, bend := range bends {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				m := chattest.NewModel()
				size := rapid.IntRange(2, 12).Draw(t, "page size")
				pages := rapid.IntRange(1, 6).Draw(t, "buffered pages")
				n := rapid.IntRange(size+1, 400).Draw(t, "messages")
				m.Fill("a", n, 700)
				m.Bend = func(name string, offset, limit int, _ []chat.Item) []chat.Item {
					all := m.Chats[name]
					at := max(0, bend(all, offset, limit))
					return append([]chat.Item{}, all[at:min(at+limit, len(all))]...)
				}
				server := &evidence.Server{}
				if rapid.Bool().Draw(t, "ends are believed") {
					server = chattest.Trusting()
				}
				got, _, err := runAt(server, m, size, pages, readAhead(t))
				require.NoError(t, err, fmt.Sprint(n))
				require.Equal(t, m.IDs("a"), got)
				require.LessOrEqual(t, m.Count(), 3*chattest.Bound(n, size, pages)+16)
			})
		})
	}
}

// A server that answers every offset above a bound as if it were that has no end to show.
func TestPass_BoundOffset(t *testing.T) {
	for _, n := range []int{60, 199, 500} {
		for _, size := range []int{10, 50} {
			m := chattest.NewModel()
			m.Fill("a", n, 700)
			m.Bend = func(name string, offset, limit int, _ []chat.Item) []chat.Item {
				all := m.Chats[name]
				at := min(offset, 100, len(all))
				return append([]chat.Item{}, all[at:min(at+limit, len(all))]...)
			}
			got, _, err := run(m, size, 3, nil)
			if n <= 100 {
				require.NoError(t, err)
				require.Equal(t, m.IDs("a"), got)
				continue
			}
			require.ErrorIs(t, err, chat.ErrNoProgress, "%d in pages of %d", n, size)
			require.Empty(t, got)
		}
	}
}

// Where a server hides half a page, and so many arrive that the last known message shows
// once more further down, that is not the end of the chat.
func TestPass_AKnownMessageFurtherDownIsNoEnd(t *testing.T) {
	m := chattest.NewModel()
	m.Fill("a", 90, 700)
	all := m.IDs("a") // oldest first
	hidden := all[90-11-8 : 90-11]
	m.Before = func(string) {
		arrivals := map[int]int{2: 14, 3: 12} // before the look right behind the first page, and the one behind that
		m.Arrive("a", arrivals[m.Requests], func() int64 { return 700 })
	}
	m.Bend = func(_ string, _, _ int, page []chat.Item) []chat.Item {
		return slices.DeleteFunc(slices.Clone(page), func(it chat.Item) bool { return slices.Contains(hidden, it.ID) })
	}
	got, _, err := runAt(misleading(), m, 15, 10, nil)
	require.NoError(t, err)
	require.Equal(t, slices.Concat(all[:90-11-8], all[90-11:]), got)
}
