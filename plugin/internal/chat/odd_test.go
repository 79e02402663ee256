// SPDX-License-Identifier: Apache-2.0

package chat_test

import (
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
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

// withoutNulls returns the ids of those entries that can be messages.
func withoutNulls(ids []string) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return id == "" })
}

// blank takes the ids of runs of a chat's entries away.
func blank(rnd *rand.Rand, items []chat.Item, runs, most int) {
	for range runs {
		at := rnd.IntN(len(items))
		for i := at; i < min(len(items), at+1+rnd.IntN(most)); i++ {
			items[i].ID = ""
		}
	}
}

func TestPass_EntriesWithoutIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := chattest.NewModel()
		size := rapid.IntRange(2, 12).Draw(t, "page size")
		pages := rapid.IntRange(1, 6).Draw(t, "buffered pages")
		m.Fill("a", rapid.IntRange(1, 300).Draw(t, "messages"), 700)
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		blank(rnd, m.Chats["a"], rapid.IntRange(0, 8).Draw(t, "runs"), 3*size)
		got, found, err := run(m, size, pages, readAhead(t))
		require.NoError(t, err)
		want := withoutNulls(m.IDs("a"))
		require.Equal(t, want, append([]string{}, got...))
		require.GreaterOrEqual(t, found.Odd, len(m.Chats["a"])-len(want), "each is counted")
	})
}

// A single entry without identity here and there is no reason to lose a message
// while the chat changes.
func TestPass_SingleEntriesWithoutIdentityInAChangingChat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := chattest.NewModel()
		size := rapid.IntRange(4, 12).Draw(t, "page size")
		storm := chattest.NewChaos(t, m, size, 30)
		m.Arrive("a", rapid.IntRange(1, 300).Draw(t, "messages"), storm.Gap)
		for i := range m.Chats["a"] {
			if i%5 == 2 {
				m.Chats["a"][i].ID = ""
			}
		}
		pages := rapid.IntRange(1, 6).Draw(t, "buffered pages")
		before := withoutNulls(m.IDs("a"))
		m.Before = storm.Strike
		got, _, err := run(m, size, pages, readAhead(t))
		require.NoError(t, err)
		chattest.RequireOnce(t, got)
		chattest.RequireStayed(t, before, withoutNulls(m.IDs("a")), got)
	})
}

// The last pages show nothing with an id, and the chat moves under them. A climb that began there would
// have only positions to go by.
func TestPass_NothingToRecogniseAtTheEndOfAChatThatMoves(t *testing.T) {
	m := chattest.NewModel()
	m.Arrive("a", 12, func() int64 { return 0 })
	for _, i := range []int{2, 7, 11} {
		m.Chats["a"][i].ID = ""
	}
	stays := m.Chats["a"][8].ID
	m.Before = func(string) {
		switch m.Requests {
		case 2:
			m.Remove("a", 9, 2) // below
		case 5:
			m.Remove("a", 3, 2)
		case 6:
			m.Arrive("a", 2, func() int64 { return 0 })
		}
	}
	got, _, err := run(m, 4, 1, nil)
	require.NoError(t, err)
	require.Contains(t, got, stays)
}

// Times that are missing, for single messages and for whole pages, lose nothing
// and repeat nothing within a pass.
func TestPass_WithoutTimes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := chattest.NewModel()
		size := rapid.IntRange(2, 12).Draw(t, "page size")
		pages := rapid.IntRange(1, 6).Draw(t, "buffered pages")
		m.Fill("a", rapid.IntRange(1, 300).Draw(t, "messages"), 700)
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		items := m.Chats["a"]
		for range rapid.IntRange(0, 8).Draw(t, "runs") {
			at := rnd.IntN(len(items))
			for i := at; i < min(len(items), at+1+rnd.IntN(3*size)); i++ {
				items[i].Time = 0
			}
		}
		got, _, err := run(m, size, pages, readAhead(t))
		require.NoError(t, err)
		require.Equal(t, m.IDs("a"), got)
	})
}

// An API that knows the time of some messages only to the second, and orders
// those of one second as it likes.
func TestPass_UnorderedWithinASecond(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := chattest.NewModel()
		size := rapid.IntRange(6, 12).Draw(t, "page size")
		pages := rapid.IntRange(1, 6).Draw(t, "buffered pages")
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		storm := chattest.NewChaos(t, m, size, 20)
		storm.Gap = func() int64 { return rnd.Int64N(600) }
		m.Arrive("a", rapid.IntRange(20, 300).Draw(t, "messages"), storm.Gap)
		items := m.Chats["a"]
		for i := range items {
			if rnd.IntN(2) == 0 {
				items[i].Time = chat.Second(items[i].Time) * chat.Tick
			}
		}
		for i := 1; i < len(items); i++ {
			if chat.Second(items[i-1].Time) == chat.Second(items[i].Time) && rnd.IntN(2) == 0 {
				items[i-1], items[i] = items[i], items[i-1]
			}
		}
		before := m.IDs("a")
		m.Before = storm.Strike

		var j journal
		for range 3 {
			_, _, err := run(m, size, pages, func(s *chat.Start) { j.follow(s, 0, -1) })
			require.NoError(t, err)
		}
		chattest.RequireOnce(t, j.got)
		chattest.RequireStayed(t, before, m.IDs("a"), j.got)
	})
}

func TestPass_PagesLongerThanAskedFor(t *testing.T) {
	for _, n := range []int{1, 4, 5, 6, 30, 200, 1000} {
		m := chattest.NewModel()
		m.Fill("a", n, 700)
		m.Bend = func(_ string, offset, limit int, page []chat.Item) []chat.Item {
			all := m.Chats["a"]
			if offset >= len(all) {
				return page
			}
			return slices.Clone(all[offset:min(len(all), offset+max(limit, 20))])
		}
		got, _, err := run(m, 5, 4, nil)
		require.NoError(t, err)
		require.Equal(t, m.IDs("a"), got)
	}
}

// Thousands of messages vanish at once, at any moment of a pass: finding the
// place again takes a logarithmic number of requests.
func TestPass_MassDeletion(t *testing.T) {
	for _, c := range []struct{ at, n int }{{0, 3000}, {0, 9990}, {100, 5000}, {2000, 6000}, {9000, 1000}, {0, 20_000}} {
		for after := 1; after < 260; after += 23 {
			m := chattest.NewModel()
			m.Fill("a", 10_000, 700)
			before := m.IDs("a")
			m.Before = func(string) {
				if m.Requests == after {
					m.Remove("a", c.at, c.n)
				}
			}
			var j journal
			err := chat.ErrLost
			for errors.Is(err, chat.ErrLost) { // as a Reader does
				_, _, err = run(m, 50, 10, func(s *chat.Start) {
					j.follow(s, 0, -1)
					s.ReadAhead = after % 10
				})
			}
			require.NoError(t, err)
			chattest.RequireOnce(t, j.got)
			chattest.RequireStayed(t, before, m.IDs("a"), j.got)
			require.LessOrEqual(t, m.Requests, 2*chattest.Bound(10_000, 50, 10)+40,
				"%d deleted from %d on, before request %d", c.n, c.at, after)
		}
	}
}

// A chat that grows with every request is climbed without many more requests
// than pages.
func TestPass_GrowingChat(t *testing.T) {
	for grow := 1; grow <= 10; grow++ {
		m := chattest.NewModel()
		m.Fill("a", 10_000, 700)
		before := m.IDs("a")
		m.Before = func(string) { m.Fill("a", 1+(grow-1)%5, 700) }
		got, _, err := run(m, 50, 10, func(s *chat.Start) { s.ReadAhead = 8 * (grow / 6) })
		require.NoError(t, err)
		require.Equal(t, before, got[:len(before)])
		require.LessOrEqual(t, m.Requests, 10_000/49*3/2, "%d with each request", grow)
	}
}

// A burst of arrivals during the climb costs a few requests, not one per page.
func TestPass_Burst(t *testing.T) {
	for _, burst := range []int{3, 60, 1000, 5000} {
		m := chattest.NewModel()
		m.Fill("a", 10_000, 700)
		before := m.IDs("a")
		m.Before = func(string) {
			if m.Requests == 100 {
				m.Fill("a", burst, 700)
			}
		}
		const ahead = 8
		got, _, err := run(m, 50, 10, func(s *chat.Start) { s.ReadAhead = ahead })
		require.NoError(t, err)
		require.Equal(t, before, got[:10_000])
		require.LessOrEqual(t, m.Requests, chattest.Bound(10_000, 50, 10)+chattest.Bound(burst, 50, 10)+30+ahead, fmt.Sprint(burst))
	}
}

// However far a pass reads ahead, no more pages are dropped than are used, though bursts
// come one after the other.
func TestPass_ManyBurstsWhileReadingAhead(t *testing.T) {
	requests := func(ahead int) int {
		m := chattest.NewModel()
		m.Fill("a", 20_000, 700)
		before := m.IDs("a")
		bursts := 0
		m.Before = func(string) {
			if m.Requests > 30 && m.Requests%20 == 0 && bursts < 20 {
				bursts++
				m.Fill("a", 500, 700)
			}
		}
		got, _, err := run(m, 50, 10, func(s *chat.Start) { s.ReadAhead = ahead })
		require.NoError(t, err)
		require.Equal(t, before, got[:len(before)])
		return m.Requests
	}
	alone := requests(1)
	for _, ahead := range []int{2, 10, 100, 1000} {
		require.LessOrEqual(t, requests(ahead), 2*alone, "%d alone, read ahead %d", alone, ahead)
	}
}

// More messages of one second arrive between two requests than a page holds:
// neither anything known is in sight nor do the times tell where it went.
func TestPass_FloodWithinOneSecond(t *testing.T) {
	for flood := 1; flood < 60; flood += 3 {
		for after := 2; after < 12; after++ {
			m := chattest.NewModel()
			m.Fill("a", 40, 0)
			before := m.IDs("a")
			m.Before = func(string) {
				if m.Requests > 1 && m.Requests < after {
					m.Fill("a", flood, 0)
				}
			}
			got, _, err := run(m, 9, 1+after%3, func(s *chat.Start) { s.ReadAhead = flood % 5 })
			require.NoError(t, err)
			chattest.RequireOnce(t, got)
			require.True(t, slices.IsSorted(got), "in order: %v", got)
			chattest.RequireStayed(t, before, m.IDs("a"), got)
		}
	}
}

// All that the climb has just passed vanishes, and what is left of the second is
// known by its ids alone, however long ago it was passed.
func TestPass_DeletionWithinALongSecond(t *testing.T) {
	for after := 20; after < 220; after += 11 {
		m := chattest.NewModel()
		m.Fill("a", 1000, 0)
		before := m.IDs("a")
		at := 0
		m.Before = func(string) {
			if m.Requests == after {
				m.Remove("a", at, 60)
			}
		}
		m.Bend = func(_ string, offset, _ int, page []chat.Item) []chat.Item {
			at = offset
			return page
		}
		got, _, err := run(m, 5, 4, func(s *chat.Start) { s.ReadAhead = after % 5 })
		require.NoError(t, err)
		chattest.RequireOnce(t, got)
		require.True(t, slices.IsSorted(got))
		chattest.RequireStayed(t, before, m.IDs("a"), got)
	}
}

func TestPass_KeepsNoMoreThanTheBuffer(t *testing.T) {
	m := chattest.NewModel()
	m.Fill("a", 10_000, 700)
	pages, searching := 0, false
	m.Bend = func(_ string, offset, _ int, page []chat.Item) []chat.Item {
		searching = searching || offset > 11*50
		if !searching {
			pages++
		}
		return page
	}
	_, _, err := run(m, 50, 10, nil)
	require.NoError(t, err)
	require.LessOrEqual(t, pages, 11)
}

// An API that lists imports where they arrive, with any time: the order is that
// of the list.
func TestPass_TimesOutOfOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := chattest.NewModel()
		size := rapid.IntRange(5, 12).Draw(t, "page size")
		storm := chattest.NewChaos(t, m, size/2, 30)
		n := rapid.IntRange(1, 300).Draw(t, "messages")
		m.Arrive("a", n, storm.Gap)
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		for range n / 10 {
			m.Chats["a"][rnd.IntN(n)].Time -= rnd.Int64N(1_000_000)
		}
		before := m.IDs("a")
		m.Before = storm.Strike
		got, _, err := run(m, size, rapid.IntRange(1, 6).Draw(t, "buffered pages"), readAhead(t))
		require.NoError(t, err)
		chattest.RequireOnce(t, got)
		chattest.RequireStayed(t, before, m.IDs("a"), got)
	})
}

// The oldest entries have no identity, and messages arrive at every request:
// there is something to recognise all the same.
func TestPass_EndsWithoutIdentityInAGrowingChat(t *testing.T) {
	for nulls := 1; nulls < 4; nulls++ {
		for n := 30; n < 60; n++ {
			m := chattest.NewModel()
			m.Fill("a", n, 700)
			items := m.Chats["a"]
			for i := range nulls {
				items[n-1-i].ID = ""
			}
			want := withoutNulls(m.IDs("a"))
			m.Before = func(string) {
				if m.Requests < 40 {
					m.Fill("a", 1, 700)
				}
			}
			got, _, err := run(m, 6, 2, nil)
			require.NoError(t, err)
			require.Equal(t, want, got[:len(want)])
		}
	}
}

func TestPass_ServerThatRepeatsAnItem(t *testing.T) {
	for _, n := range []int{3, 4, 30, 100} {
		m := chattest.NewModel()
		m.Fill("a", n, 700)
		m.Chats["a"] = slices.Insert(m.Chats["a"], 2, m.Chats["a"][0], m.Chats["a"][1])
		want := m.IDs("a")
		want = append(want[:n-2:n-2], want[n:]...)
		got, _, err := run(m, 5, 4, nil)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

// listTwice returns a model's Bend that lists so many entries in a hundred twice in a row,
// with each request the same ones.
func listTwice(m *chattest.Model, chance int) func(name string, offset, limit int, page []chat.Item) []chat.Item {
	return func(name string, offset, limit int, _ []chat.Item) []chat.Item {
		var all []chat.Item
		for _, it := range m.Chats[name] {
			all = append(all, it)
			if int(crc32.ChecksumIEEE([]byte(it.ID))%100) < chance {
				all = append(all, it)
			}
		}
		return slices.Clone(all[min(offset, len(all)):min(offset+limit, len(all))])
	}
}

// Where a page ends with an entry that is listed twice, and the next one is of the same
// second, nothing has come in between.
func TestPass_ServerThatRepeatsItemsOfOneSecond(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := chattest.NewModel()
		size := rapid.IntRange(2, 12).Draw(t, "page size")
		pages := rapid.IntRange(1, 6).Draw(t, "buffered pages")
		gap := int64(rapid.IntRange(0, 700).Draw(t, "gap"))
		m.Bend = listTwice(m, rapid.IntRange(0, 100).Draw(t, "listed twice"))
		ahead := readAhead(t)
		var j journal
		for range rapid.IntRange(1, 4).Draw(t, "passes") {
			m.Fill("a", rapid.IntRange(0, 100).Draw(t, "messages"), gap)
			// The API lists what claims to be of the future first.
			for range rapid.IntRange(0, size).Draw(t, "of the future") {
				m.Put("a", 0, m.Now+80*365*24*time.Hour.Milliseconds())
			}
			slices.SortStableFunc(m.Chats["a"], func(a, b chat.Item) int { return cmp.Compare(b.Time, a.Time) })
			_, _, err := run(m, size, pages, func(s *chat.Start) {
				j.follow(s, time.Minute, -1)
				ahead(s)
			})
			require.NoError(t, err)
			chattest.RequireOnce(t, j.got)
			require.ElementsMatch(t, m.IDs("a"), j.got)
		}
	})
}

// The item where the walk goes on is a late one and vanishes: that what stands
// behind it is newer by its time does not make it known.
func TestPass_TheEdgeIsLateAndVanishes(t *testing.T) {
	for n := 6; n < 30; n++ {
		m := chattest.NewModel()
		m.Fill("a", n, 700)
		m.Chats["a"][4].Time -= 1_000_000
		before := m.IDs("a")
		m.Before = func(string) {
			if m.Requests == 2 {
				m.Remove("a", 4, 1)
			}
		}
		got, _, err := run(m, 5, 10, nil)
		require.NoError(t, err)
		chattest.RequireOnce(t, got)
		chattest.RequireStayed(t, before, m.IDs("a"), got)
	}
}

// requireAll reads a chat in pages of 5, to which something happens before the second request, and
// requires all of it.
func requireAll(t *testing.T, m *chattest.Model, second func()) {
	t.Helper()
	m.Before = func(string) {
		if m.Requests == 2 {
			second()
		}
	}
	got, _, err := run(m, 5, 10, nil)
	require.NoError(t, err)
	require.Equal(t, m.IDs("a"), got)
}

// An API that sorts by time lists a message that is late between those that were read,
// and the next page is recognised by one above it: what follows there is not the next
// older one.
func TestPass_ArrivesBetweenWhatWasRead(t *testing.T) {
	m := chattest.NewModel()
	for i := range int64(5) {
		m.Put("a", 0, m.Now+10_000*i)
	}
	requireAll(t, m, func() {
		m.Put("a", 1, m.Now+35_000)
		for i := range int64(7) {
			m.Put("a", 0, m.Now+50_000+i)
		}
	})
}

// So it is where what was kept shows no time, or claims to be of the future: its time does not say that what
// stands there now is older.
func TestPass_ArrivesAboveWhatTellsNoTime(t *testing.T) {
	hour := time.Hour.Milliseconds()
	for name, c := range map[string]struct{ kept, above int64 }{
		"no time, below what claims to be of the future": {0, hour},
		"no time":       {0, -1000},
		"of the future": {hour, 2 * hour},
	} {
		t.Run(name, func(t *testing.T) {
			m := chattest.NewModel()
			for range 3 {
				m.Put("a", 0, m.Now+c.kept)
				if c.kept == 0 {
					m.Chats["a"][0].Time = 0
				}
			}
			for range 2 {
				m.Put("a", 0, m.Now+c.above)
			}
			requireAll(t, m, func() {
				for i := range int64(7) {
					m.Put("a", 2, m.Now-hour+i)
				}
			})
		})
	}
}

// Where all chats are as long, that is believed to be no limit after 32 of them: from then on each takes
// one request.
func TestPass_RequestsOfChatsOfOneLength(t *testing.T) {
	m, server := chattest.NewModel(), &evidence.Server{}
	for i := range 40 {
		name := fmt.Sprint(i)
		m.Fill(name, 5, 700)
		got, _, err := runAt(server, m, 10, 10, func(s *chat.Start) { s.Chat = name })
		require.NoError(t, err)
		require.Equal(t, m.IDs(name), got)
		if i < 32 {
			require.Equal(t, 2, m.Asked[name])
		} else {
			require.Equal(t, 1, m.Asked[name])
		}
	}
}

// A chat that grows by as much as it shrinks between two requests shows something behind a short
// page that does not stand there: no sign that short pages mislead.
func TestPass_GrowsAndShrinksAtAShortPage(t *testing.T) {
	m := chattest.NewModel()
	m.Fill("a", 62, 0)
	short, grown, left := false, false, 3 // the page before, and so many changes
	m.Fail = func(_ string, offset, limit int) error {
		n := len(m.Chats["a"])
		switch {
		case grown:
			m.Remove("a", 0, 12)
		case left > 0 && short && offset >= n:
			m.Arrive("a", 12, func() int64 { return 0 })
			left--
			grown = true
			return nil
		}
		short, grown = offset < n && offset+limit > n, false
		return nil
	}
	before := m.IDs("a")
	server := &evidence.Server{}
	got, _, err := runAt(server, m, 5, 1, nil)
	require.NoError(t, err)
	chattest.RequireOnce(t, got)
	chattest.RequireStayed(t, before, m.IDs("a"), got)
	require.False(t, server.Misleads())
}

// The first of a page, which was the last of the page before, is as new as it was there.
func TestPass_WithoutTimesAcrossPages(t *testing.T) {
	m := chattest.NewModel()
	m.Fill("a", 9, 1000)
	items := m.Chats["a"]
	for i := range 3 {
		items[3+i].Time = 0
		items[6+i].Time -= 2 * time.Hour.Milliseconds()
	}
	got, _, err := run(m, 3, 10, func(s *chat.Start) {
		s.Known, s.Lookback = true, time.Minute
		s.From.Time, s.From.From = m.Now-time.Hour.Milliseconds(), m.Now-time.Hour.Milliseconds()
		s.From.Seen = []chat.Seen{{ID: "deleted since", Time: s.From.Time}}
	})
	require.NoError(t, err)
	require.Equal(t, m.IDs("a")[3:], got)
}

// Of a chat that hardly shows a time, at a server that hides now this and now that, most comes.
func TestPass_HidesAtRandomWhatTellsNoTime(t *testing.T) {
	for seed := range uint64(10) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		m := chattest.NewModel()
		m.Fill("a", 3000, 700)
		for i := range m.Chats["a"] {
			if rnd.IntN(20) > 0 {
				m.Chats["a"][i].Time = 0
			}
		}
		m.Bend = func(_ string, _, _ int, page []chat.Item) []chat.Item {
			return slices.DeleteFunc(page, func(chat.Item) bool { return rnd.IntN(10) == 0 })
		}
		got, _, err := runAt(misleading(), m, 50, 100, nil)
		require.NoError(t, err)
		chattest.RequireOnce(t, got)
		require.Greater(t, len(got), 2500)
	}
}

// What was there when a chat was first looked at does not come with start_from: latest, however little a
// page shows.
func TestPass_LatestBehindAShortPage(t *testing.T) {
	for name, bend := range map[string]func(page []chat.Item) []chat.Item{
		"capped": func(page []chat.Item) []chat.Item { return page[:min(len(page), 25)] },
		"hidden": func(page []chat.Item) []chat.Item {
			return slices.DeleteFunc(page, func(it chat.Item) bool { return it.ID == "a10" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := chattest.NewModel()
			m.Fill("a", 120, 1000)
			m.Chats["a"][10].ID = "a10"
			m.Bend = func(_ string, _, _ int, page []chat.Item) []chat.Item { return bend(slices.Clone(page)) }
			server := &evidence.Server{}
			latest := func(s *chat.Start) { s.Latest, s.Lookback = true, 100*time.Second }
			_, found, err := runAt(server, m, 50, 4, latest)
			require.NoError(t, err)
			require.True(t, found.Set)
			m.Put("a", 0, m.Now)
			got, _, err := runAt(server, m, 50, 4, func(s *chat.Start) {
				latest(s)
				s.From, s.Known = found.Checkpoint, true
			})
			require.NoError(t, err)
			require.Equal(t, m.IDs("a")[120:], got)
		})
	}
}

// Behind what a server hides stands an entry that is no message, and nothing that was delivered is left.
func TestPass_EndsAtWhatIsNoMessage(t *testing.T) {
	for nulls := 1; nulls < 12; nulls++ {
		m := chattest.NewModel()
		m.Fill("a", nulls+2, 1000)
		hidden := m.IDs("a")[nulls]
		items := m.Chats["a"]
		for i := range nulls {
			items[len(items)-1-i].ID = ""
		}
		m.Bend = func(_ string, _, _ int, page []chat.Item) []chat.Item {
			return slices.DeleteFunc(slices.Clone(page), func(it chat.Item) bool { return it.ID == hidden })
		}
		got, _, err := runAt(misleading(), m, 17, 3, func(s *chat.Start) {
			s.Known = true
			s.From.Seen = []chat.Seen{{ID: "deleted since", Time: m.Now - 10_000}}
		})
		require.NoError(t, err)
		require.Equal(t, []string{items[0].ID}, got)
		require.Less(t, m.Requests, 20)
	}
}
