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
)

// erring is a clock that gives messages their time, and now and then a wrong one.
type erring struct {
	m      *chattest.Model
	rnd    *rand.Rand
	byTime bool             // the API sorts by the time that it shows; else by arrival
	chance int              // of a wrong time, in percent
	keys   map[string]int64 // by which it sorts
	late   map[string]bool
	sent   map[string]int64 // what it shows; nil: nobody asks
	behind time.Duration    // how late is too late
}

// arrive adds messages as the API would list them.
func (e *erring) arrive(n int) {
	for range n {
		e.m.Now += e.rnd.Int64N(40_000)
		sent := e.m.Now
		if e.rnd.IntN(100) < e.chance {
			const hour, year = 3_600_000, 365 * 24 * 3_600_000
			sent = []int64{
				sent - e.rnd.Int64N(5000), sent + e.rnd.Int64N(5000), // two clocks
				sent + hour, sent + 80*year, sent - hour, sent - 10*year,
				1000, sent / 1000, 0,
			}[e.rnd.IntN(9)]
		}
		// The API knows all times, whether it shows them or not.
		key, at := sent, 0
		if sent == 0 {
			key = e.m.Now
		}
		if e.byTime {
			at = slices.IndexFunc(e.m.Chats["a"], func(it chat.Item) bool { return e.keys[it.ID] <= key })
			if at < 0 {
				at = len(e.m.Chats["a"])
			}
		}
		id := e.m.Put("a", at, sent)
		e.keys[id] = key
		if e.sent != nil {
			e.sent[id] = sent
		}
		e.late[id] = e.byTime && chat.Second(key) <= chat.Second(e.m.Now-e.behind.Milliseconds())
	}
}

// Whatever the clocks do, in whichever order the API lists, and wherever the
// reading is cut off: all that stays comes out, but for what came too late for the
// lookback in an API that sorts by time.
func TestPass_ClocksThatErr(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := chattest.NewModel()
		size := rapid.IntRange(2, 12).Draw(t, "page size")
		pages := rapid.IntRange(1, 6).Draw(t, "buffered pages")
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		lookback := time.Duration(rapid.IntRange(0, 3).Draw(t, "lookback")) * time.Minute
		e := &erring{
			m: m, rnd: rnd, keys: map[string]int64{}, late: map[string]bool{}, behind: lookback,
			byTime: rapid.Bool().Draw(t, "by time"), chance: rapid.IntRange(0, 40).Draw(t, "chance"),
		}
		m.Bend = listTwice(m, rapid.IntRange(0, 30).Draw(t, "listed twice"))
		e.arrive(rapid.IntRange(1, 300).Draw(t, "messages"))
		before := m.IDs("a")
		changes := 24
		m.Before = func(string) {
			switch n := len(m.Chats["a"]); {
			case changes == 0:
			case rnd.IntN(100) < 20:
				e.arrive(1 + rnd.IntN(size))
				changes--
			case n > 0 && rnd.IntN(100) < 10:
				m.Remove("a", rnd.IntN(n), 1+rnd.IntN(3))
				changes--
			}
		}
		m.Skew = []int64{0, -5000, 60_000}[rnd.IntN(3)]
		var j journal
		server := chattest.Trusting()
		server.Ordered(nil, 1<<30) // this is about times, not about the order
		ahead := readAhead(t)
		crashes := rapid.IntRange(0, 5).Draw(t, "crashes")
		for i := range crashes + 6 {
			last := i >= crashes
			had := len(j.got)
			left := rnd.IntN(200)
			if last {
				left = -1
			}
			_, _, err := runAt(server, m, size, pages, func(s *chat.Start) {
				j.follow(s, lookback, left)
				ahead(s)
			})
			if last {
				require.NoError(t, err)
			}
			if i == crashes+5 {
				require.Empty(t, j.got[had:], "at rest nothing comes again for ever")
			}
			// Between two runs more arrives, and the newest of what was delivered may go.
			if i < crashes {
				e.arrive(rnd.IntN(2 * size))
			} else {
				changes = 0
			}
		}
		// A wrong time can bring a message again after a crash, but lose none.
		if e.chance == 0 {
			chattest.RequireOnce(t, j.got)
		}
		end := m.IDs("a")
		for _, id := range end {
			if !slices.Contains(j.got, id) {
				require.True(t, e.late[id] && !slices.Contains(before, id), "%s never came; by time: %v", id, e.byTime)
			}
		}
		if !e.byTime && e.chance == 0 {
			chattest.RequireStayed(t, before, end, j.got)
		}
	})
}

// Without a time, too, a message comes once and in order, as long as no page is
// without any.
func TestPass_SomeWithoutATime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := chattest.NewModel()
		size := rapid.IntRange(4, 12).Draw(t, "page size")
		pages := rapid.IntRange(1, 6).Draw(t, "buffered pages")
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		lookback := time.Duration(rapid.IntRange(0, 20).Draw(t, "lookback")) * time.Minute
		chance := rapid.IntRange(1, 60).Draw(t, "chance")
		var j journal
		row := 0 // so many without a time
		for range 60 {
			for range rnd.IntN(4 * size) {
				m.Now += rnd.Int64N(40_000)
				sent := m.Now
				if row++; row <= size-2 && rnd.IntN(100) < chance {
					sent = 0
				} else {
					row = 0
				}
				m.Put("a", 0, sent)
			}
			_, _, err := run(m, size, pages, func(s *chat.Start) { j.follow(s, lookback, -1) })
			require.NoError(t, err)
			require.Equal(t, m.IDs("a"), j.got)
		}
	})
}

// Late, and without a time: it comes, since what stands above it is within the
// lookback.
func TestPass_LateWithoutATime(t *testing.T) {
	m := chattest.NewModel()
	m.Put("a", 0, m.Now-3_600_000)
	for age := range int64(2 * chat.Anchors) {
		m.Put("a", 0, m.Now-20_000+age)
	}
	var j journal
	pass := func() []string {
		had := len(j.got)
		_, _, err := run(m, 50, 3, func(s *chat.Start) { j.follow(s, time.Minute, -1) })
		require.NoError(t, err)
		return j.got[had:]
	}
	require.Len(t, pass(), 1+2*chat.Anchors)
	late := m.Put("a", 2*chat.Anchors, 0)
	require.Equal(t, []string{late}, pass())
	require.Empty(t, pass())
}
