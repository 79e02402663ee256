// SPDX-License-Identifier: Apache-2.0

package chat_test

import (
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

// Each answer has an entry more than its limit, somewhere: one that can't be a message, or one that is
// there twice. A quiet talk comes out whole all the same, at a server that gives less than it is
// asked for too.
func TestTalk_AnEntryMoreInEachAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := chattest.DrawTalk(t)
		size := rapid.SampledFrom([]int{20, 50, 250}).Draw(t, "page size")
		m.Cap = rapid.SampledFrom([]int{size, rapid.IntRange(10, size-2).Draw(t, "cap")}).Draw(t, "limit") // one less is hidden by the entry
		m.Arrive(rapid.IntRange(0, 6*m.Cap).Draw(t, "messages"), func() int64 { return 20_000 })
		twice := rapid.Bool().Draw(t, "twice")
		m.Bend = func(page []chat.Item) []chat.Item {
			if len(page) == 0 {
				return page
			}
			it := chat.Item{}
			if twice {
				it = page[rapid.IntRange(0, len(page)-1).Draw(t, "which")]
			}
			return slices.Insert(slices.Clone(page), rapid.IntRange(0, len(page)).Draw(t, "where"), it)
		}
		got, _, err := talk(misleading(), m, size, 100, nil)
		require.NoError(t, err)
		require.ElementsMatch(t, m.IDs(), got)
		require.LessOrEqual(t, m.Requests, 20+6*len(m.Items)/m.Cap*3)
	})
}

// Some messages are listed twice, others with each request, so that all positions shift all the
// time. What one pass does not meet the next ones do.
func TestTalk_SomeMessagesTwiceInAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := chattest.DrawTalk(t)
		size := rapid.SampledFrom([]int{50, 250}).Draw(t, "page size")
		m.Cap = rapid.IntRange(20, size).Draw(t, "cap")
		m.Arrive(rapid.IntRange(0, 6*m.Cap).Draw(t, "messages"), func() int64 { return 20_000 })
		all := m.Items
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		m.Before = func() {
			m.Items = slices.Clone(all)
			for range rapid.IntRange(0, len(all)/4).Draw(t, "twice") {
				i := rnd.IntN(len(m.Items))
				m.Items = slices.Insert(m.Items, i, m.Items[i])
			}
		}
		server := misleading()
		var j journal
		for range 30 { // each by itself has some chance
			if len(j.got) == len(all) {
				break
			}
			if _, _, err := talk(server, m, size, 100, func(s *chat.Start) { j.follow(s, 24*time.Hour, -1) }); err != nil {
				require.ErrorIs(t, err, chat.ErrNoProgress)
			}
		}
		chattest.RequireOnce(t, j.got)
		require.ElementsMatch(t, chattest.IDsOf(all), j.got)
	})
}

// misleading returns a server whose short pages are known to be no sign of the end.
func misleading() *evidence.Server {
	server := &evidence.Server{}
	server.Refute()
	return server
}
