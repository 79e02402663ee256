// SPDX-License-Identifier: Apache-2.0

package history

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// withoutNulls returns the ids of those entries that can be messages.
func withoutNulls(ids []string) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return id == "" })
}

// blank takes the ids of runs of a chat's entries away.
func blank(rnd *rand.Rand, items []Item, runs, most int) {
	for range runs {
		at := rnd.IntN(len(items))
		for i := at; i < min(len(items), at+1+rnd.IntN(most)); i++ {
			items[i].ID = ""
		}
	}
}

func TestPass_EntriesWithoutIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel()
		size := rapid.IntRange(2, 12).Draw(t, "page size")
		pages := rapid.IntRange(1, 6).Draw(t, "buffered pages")
		m.fillQuickly("a", rapid.IntRange(1, 300).Draw(t, "messages"), 700)
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		blank(rnd, m.chats["a"], rapid.IntRange(0, 8).Draw(t, "runs"), 3*size)
		got, p, err := run(m, size, pages, nil)
		require.NoError(t, err)
		want := withoutNulls(m.ids("a"))
		require.Equal(t, want, append([]string{}, got...))
		require.GreaterOrEqual(t, p.odd, len(m.chats["a"])-len(want), "each is counted")
	})
}

// A single entry without identity here and there is no reason to lose a message
// while the chat changes.
func TestPass_SingleEntriesWithoutIdentityInAChangingChat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel()
		size := rapid.IntRange(4, 12).Draw(t, "page size")
		storm := newChaos(t, m, size, 30)
		m.arrive("a", rapid.IntRange(1, 300).Draw(t, "messages"), storm.gap)
		for i := range m.chats["a"] {
			if i%5 == 2 {
				m.chats["a"][i].ID = ""
			}
		}
		pages := rapid.IntRange(1, 6).Draw(t, "buffered pages")
		before := withoutNulls(m.ids("a"))
		m.before = storm.strike
		got, _, err := run(m, size, pages, nil)
		require.NoError(t, err)
		requireOnce(t, got)
		requireStayed(t, before, withoutNulls(m.ids("a")), got)
	})
}

func TestReader_NothingButEntriesWithoutIdentity(t *testing.T) {
	for _, n := range []int{1, 5, 6, 60, 200} {
		synctest.Test(t, func(t *testing.T) {
			m := newModel()
			m.fillQuickly("a", n, 700)
			blank(rand.New(rand.NewPCG(0, 0)), m.chats["a"], 1, 1)
			for i := range m.chats["a"] {
				m.chats["a"][i].ID = ""
			}
			g := newRig(t, m, func(c *Config) { c.Poll = time.Minute }).start("a")
			got, ended := g.drain(10*time.Minute + time.Second)
			assert.False(t, ended)
			assert.Empty(t, got)
			assert.Empty(t, g.failed)
			assert.GreaterOrEqual(t, g.odd["a"], n)
			assert.Less(t, g.odd["a"], 2*n+2, "told once, not with each poll")
			assert.LessOrEqual(t, m.count(), 11*2*bound(n, 5, 4))
			g.close()
		})
	}
}

// Times that are missing, for single messages and for whole pages, lose nothing
// and repeat nothing within a pass.
func TestPass_WithoutTimes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel()
		size := rapid.IntRange(2, 12).Draw(t, "page size")
		pages := rapid.IntRange(1, 6).Draw(t, "buffered pages")
		m.fillQuickly("a", rapid.IntRange(1, 300).Draw(t, "messages"), 700)
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		items := m.chats["a"]
		for range rapid.IntRange(0, 8).Draw(t, "runs") {
			at := rnd.IntN(len(items))
			for i := at; i < min(len(items), at+1+rnd.IntN(3*size)); i++ {
				items[i].Time = 0
			}
		}
		got, _, err := run(m, size, pages, nil)
		require.NoError(t, err)
		require.Equal(t, m.ids("a"), got)
	})
}

func TestReader_NoTimesAtAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel()
		m.fillQuickly("a", 100, 700)
		untimed := func() {
			for i := range m.chats["a"] {
				m.chats["a"][i].Time = 0
			}
		}
		untimed()
		g := newRig(t, m, func(c *Config) { c.Poll = time.Minute }).start("a")
		got, _ := g.drain(time.Hour)
		assert.Equal(t, m.ids("a"), got["a"])
		m.change(func() { m.fillQuickly("a", 33, 700); untimed() })
		got, _ = g.drain(time.Hour)
		assert.Equal(t, m.ids("a")[100:], got["a"])
		g.close()
		got, _ = g.start("a").drain(time.Hour)
		assert.Empty(t, got)
		g.close()
	})
}

// An API that knows the time of some messages only to the second, and orders
// those of one second as it likes.
func TestPass_UnorderedWithinASecond(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel()
		size := rapid.IntRange(6, 12).Draw(t, "page size")
		pages := rapid.IntRange(1, 6).Draw(t, "buffered pages")
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		storm := newChaos(t, m, size, 20)
		storm.gap = func() int64 { return rnd.Int64N(600) }
		m.arrive("a", rapid.IntRange(20, 300).Draw(t, "messages"), storm.gap)
		items := m.chats["a"]
		for i := range items {
			if rnd.IntN(2) == 0 {
				items[i].Time = second(items[i].Time) * tick
			}
		}
		for i := 1; i < len(items); i++ {
			if second(items[i-1].Time) == second(items[i].Time) && rnd.IntN(2) == 0 {
				items[i-1], items[i] = items[i], items[i-1]
			}
		}
		before := m.ids("a")
		m.before = storm.strike

		var j journal
		for range 3 {
			_, _, err := run(m, size, pages, func(p *pass) { j.follow(p, 0, -1) })
			require.NoError(t, err)
		}
		requireOnce(t, j.got)
		requireStayed(t, before, m.ids("a"), j.got)
	})
}

// Where an import that is older than the checkpoint is listed by the API is not
// known. Where it arrives, it is new without any lookback.
func TestReader_LateMessagesListedWhereTheyArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel()
		m.fillQuickly("a", 30, 700)
		g := newRig(t, m, func(c *Config) { c.Poll = time.Minute }).start("a")
		g.drain(10 * time.Second)
		for range 5 {
			var id string
			m.change(func() { id = m.put("a", 0, m.now-1_000_000) })
			got, _ := g.drain(10 * time.Minute)
			assert.Equal(t, []string{id}, got["a"])
			m.change(func() { m.fillQuickly("a", 2, 700) })
			got, _ = g.drain(10 * time.Minute)
			assert.Len(t, got["a"], 2)
		}
		g.close()
		got, _ := g.start("a").drain(10 * time.Minute)
		assert.Empty(t, got, "and not delivered again")
		g.close()
		assert.Empty(t, g.failed)
	})
}

// A time in the far future, as an import can bring, must not cost a message that
// is listed above it.
func TestReader_TimeInTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel()
		m.fillQuickly("a", 8, 700)
		m.put("a", 0, m.now+1e12)
		g := newRig(t, m, func(c *Config) { c.Poll = time.Minute }).start("a")
		got, _ := g.drain(10 * time.Second)
		require.Len(t, got["a"], 9)
		m.change(func() { m.fillQuickly("a", 3, 700) })
		got, _ = g.drain(10 * time.Minute)
		assert.Equal(t, m.ids("a")[9:], got["a"])
		g.close()
	})
}

func TestPass_PagesLongerThanAskedFor(t *testing.T) {
	for _, n := range []int{1, 4, 5, 6, 30, 200, 1000} {
		m := newModel()
		m.fillQuickly("a", n, 700)
		m.bend = func(_ string, offset, limit int, page []Item) []Item {
			all := m.chats["a"]
			if offset >= len(all) {
				return page
			}
			return slices.Clone(all[offset:min(len(all), offset+max(limit, 20))])
		}
		got, _, err := run(m, 5, 4, nil)
		require.NoError(t, err)
		require.Equal(t, m.ids("a"), got)
	}
}

func TestReader_ServerThatIgnoresTheOffset(t *testing.T) {
	for _, known := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			m := newModel()
			m.fillQuickly("a", 7, 700)
			g := newRig(t, m, func(c *Config) { c.Poll = time.Minute })
			if known {
				g.start("a").drain(time.Second)
				g.close()
			}
			m.fillQuickly("a", 400, 700)
			m.bend = func(_ string, _, limit int, _ []Item) []Item {
				return slices.Clone(m.chats["a"][:limit])
			}
			before := m.count()
			got, _ := g.start("a").drain(5*time.Minute + time.Second)
			assert.Empty(t, got)
			assert.Equal(t, 11, g.failed["a"], "retried each 30s")
			require.ErrorIs(t, g.errs["a"], ErrNoProgress)
			assert.LessOrEqual(t, m.count()-before, 11*(2*stuckAfter+10))
			m.change(func() { m.bend = nil })
			got, _ = g.drain(time.Hour)
			if known {
				assert.Equal(t, m.ids("a")[7:], got["a"])
			} else {
				assert.Equal(t, m.ids("a"), got["a"])
			}
			g.close()
		})
	}
}

func TestReader_OldestFirstIsRefused(t *testing.T) {
	for _, n := range []int{2, 3, 6, 15, 100} {
		for _, gap := range []int64{1, 300, 1500} {
			// Within a second the server may order as it likes, and a few steps
			// prove nothing.
			refused := n >= 15 && gap == 1500 || n == 100 && gap == 300
			synctest.Test(t, func(t *testing.T) {
				m := newModel()
				m.fillQuickly("a", n, gap)
				slices.Reverse(m.chats["a"])
				g := newRig(t, m, func(c *Config) { c.Poll = time.Minute }).start("a")
				got, ended := g.drain(5*time.Minute + time.Second)
				assert.False(t, ended)
				if refused {
					assert.Empty(t, got, "%d messages %dms apart", n, gap)
					require.ErrorIs(t, g.errs["a"], ErrOldestFirst)
					assert.Equal(t, 11, g.failed["a"])
					assert.LessOrEqual(t, m.count(), 11*4)
				} else {
					assert.ElementsMatch(t, m.ids("a"), got["a"])
					assert.Empty(t, g.errs)
				}
				g.close()
			})
		}
	}
}

// Thousands of messages vanish at once, at any moment of a pass: finding the
// place again takes a logarithmic number of requests.
func TestPass_MassDeletion(t *testing.T) {
	for _, c := range []struct{ at, n int }{{0, 3000}, {0, 9990}, {100, 5000}, {2000, 6000}, {9000, 1000}, {0, 20_000}} {
		for after := 1; after < 260; after += 23 {
			m := newModel()
			m.fillQuickly("a", 10_000, 700)
			before := m.ids("a")
			m.before = func(string) {
				if m.requests == after {
					m.remove("a", c.at, c.n)
				}
			}
			var j journal
			err := errLost
			for errors.Is(err, errLost) { // as a Reader does
				_, _, err = run(m, 50, 10, func(p *pass) { j.follow(p, 0, -1) })
			}
			require.NoError(t, err)
			requireOnce(t, j.got)
			requireStayed(t, before, m.ids("a"), j.got)
			require.LessOrEqual(t, m.requests, 2*bound(10_000, 50, 10)+40,
				"%d deleted from %d on, before request %d", c.n, c.at, after)
		}
	}
}

// A chat that grows with every request is climbed without many more requests
// than pages.
func TestPass_GrowingChat(t *testing.T) {
	for grow := 1; grow <= 5; grow++ {
		m := newModel()
		m.fillQuickly("a", 10_000, 700)
		before := m.ids("a")
		m.before = func(string) { m.fillQuickly("a", grow, 700) }
		got, _, err := run(m, 50, 10, nil)
		require.NoError(t, err)
		require.Equal(t, before, got[:len(before)])
		require.LessOrEqual(t, m.requests, 10_000/49*3/2, "%d with each request", grow)
	}
}

// A burst of arrivals during the climb costs a few requests, not one per page.
func TestPass_Burst(t *testing.T) {
	for _, burst := range []int{60, 1000, 5000} {
		m := newModel()
		m.fillQuickly("a", 10_000, 700)
		before := m.ids("a")
		m.before = func(string) {
			if m.requests == 100 {
				m.fillQuickly("a", burst, 700)
			}
		}
		got, _, err := run(m, 50, 10, nil)
		require.NoError(t, err)
		require.Equal(t, before, got[:10_000])
		require.LessOrEqual(t, m.requests, bound(10_000, 50, 10)+bound(burst, 50, 10)+30, fmt.Sprint(burst))
	}
}

// All messages share one second: only their ids tell them apart.
func TestReader_OneSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel()
		m.fillQuickly("a", 300, 0)
		g := newRig(t, m, func(c *Config) { c.Poll = time.Minute }).start("a")
		got, _ := g.drain(10 * time.Second)
		require.Equal(t, m.ids("a"), got["a"])
		m.change(func() { m.fillQuickly("a", 77, 0) })
		got, _ = g.drain(10 * time.Minute)
		require.Equal(t, m.ids("a")[300:], got["a"])
		g.close()
		got, _ = g.start("a").drain(10 * time.Minute)
		require.Empty(t, got)
		g.close()
	})
}

func TestTrail_StaysSmall(t *testing.T) {
	tr := newTrail()
	for i := range 3 * trailLength {
		it := Item{ID: fmt.Sprint(i)}
		require.True(t, tr.push(&it))
		require.False(t, tr.push(&it))
		require.Equal(t, i >= trailLength, tr.forgot)
		require.LessOrEqual(t, len(tr.passed), trailLength)
		require.Len(t, tr.ids, len(tr.passed))
	}
	require.False(t, tr.has(&Item{ID: "0"}))
	require.True(t, tr.has(&Item{ID: fmt.Sprint(2 * trailLength)}))
}

// More messages of one second arrive between two requests than a page holds:
// neither anything known is in sight nor do the times tell where it went.
func TestPass_FloodWithinOneSecond(t *testing.T) {
	for flood := 1; flood < 60; flood += 3 {
		for after := 2; after < 12; after++ {
			m := newModel()
			m.fillQuickly("a", 40, 0)
			before := m.ids("a")
			m.before = func(string) {
				if m.requests > 1 && m.requests < after {
					m.fillQuickly("a", flood, 0)
				}
			}
			got, _, err := run(m, 9, 1+after%3, nil)
			require.NoError(t, err)
			requireOnce(t, got)
			require.True(t, slices.IsSorted(got), "in order: %v", got)
			requireStayed(t, before, m.ids("a"), got)
		}
	}
}

// A late message amid new ones, where the API lists it where it arrived, does
// not look like the end of what is new.
func TestReader_LateMessageAmidNewOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel()
		m.fillQuickly("a", 30, 700)
		g := newRig(t, m, func(c *Config) { c.Poll = time.Minute }).start("a")
		g.drain(10 * time.Second)
		m.change(func() {
			m.fillQuickly("a", 8, 700)
			m.put("a", 0, m.now-1_000_000)
			m.fillQuickly("a", 2, 700)
		})
		got, _ := g.drain(10 * time.Minute)
		assert.Equal(t, m.ids("a")[30:], got["a"])
		g.close()
	})
}

// What stands behind the last delivered message needs no look, whatever time it
// claims.
func TestReader_AskedOnceThoughATimeIsInTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel()
		m.fillQuickly("a", 30, 700)
		m.chats["a"][4].Time += 1e12
		g := newRig(t, m, func(c *Config) { c.Poll = time.Minute }).start("a")
		g.drain(10 * time.Second)
		before := m.count()
		g.drain(10 * time.Minute)
		assert.LessOrEqual(t, m.count()-before, 10)
		g.close()
	})
}

// All that the climb has just passed vanishes, and what is left of the second is
// known by its ids alone, however long ago it was passed.
func TestPass_DeletionWithinALongSecond(t *testing.T) {
	for after := 20; after < 220; after += 11 {
		m := newModel()
		m.fillQuickly("a", 1000, 0)
		before := m.ids("a")
		at := 0
		m.before = func(string) {
			if m.requests == after {
				m.remove("a", at, 60)
			}
		}
		m.bend = func(_ string, offset, _ int, page []Item) []Item {
			at = offset
			return page
		}
		got, _, err := run(m, 5, 4, nil)
		require.NoError(t, err)
		requireOnce(t, got)
		require.True(t, slices.IsSorted(got))
		requireStayed(t, before, m.ids("a"), got)
	}
}

func TestPass_KeepsNoMoreThanTheBuffer(t *testing.T) {
	m := newModel()
	m.fillQuickly("a", 10_000, 700)
	pages, searching := 0, false
	m.bend = func(_ string, offset, _ int, page []Item) []Item {
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

// Two looks that contradict each other: the list has changed since the first,
// and only the second counts.
func TestBracket_Contradiction(t *testing.T) {
	b := newBracket(8, 1)
	require.Equal(t, 108, b.deeper(100))
	require.Equal(t, 104, b.higher(108))
	require.Equal(t, 115, b.deeper(107), "108 is no longer below it")
	b = newBracket(8, 1)
	require.Equal(t, 92, b.higher(100))
	require.Equal(t, 96, b.deeper(92))
	require.Equal(t, 85, b.higher(93), "92 is no longer above it")
	require.Equal(t, 69, b.higher(85), "and the steps double")
	require.Equal(t, 0, b.higher(5))
}

// An API that lists imports where they arrive, with any time: the order is that
// of the list.
func TestPass_TimesOutOfOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel()
		size := rapid.IntRange(5, 12).Draw(t, "page size")
		storm := newChaos(t, m, size/2, 30)
		n := rapid.IntRange(1, 300).Draw(t, "messages")
		m.arrive("a", n, storm.gap)
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		for range n / 10 {
			m.chats["a"][rnd.IntN(n)].Time -= rnd.Int64N(1_000_000)
		}
		before := m.ids("a")
		m.before = storm.strike
		got, _, err := run(m, size, rapid.IntRange(1, 6).Draw(t, "buffered pages"), nil)
		require.NoError(t, err)
		requireOnce(t, got)
		requireStayed(t, before, m.ids("a"), got)
	})
}

// The oldest entries have no identity, and messages arrive at every request:
// there is something to recognise all the same.
func TestPass_EndsWithoutIdentityInAGrowingChat(t *testing.T) {
	for nulls := 1; nulls < 4; nulls++ {
		for n := 30; n < 60; n++ {
			m := newModel()
			m.fillQuickly("a", n, 700)
			items := m.chats["a"]
			for i := range nulls {
				items[n-1-i].ID = ""
			}
			want := withoutNulls(m.ids("a"))
			m.before = func(string) {
				if m.requests < 40 {
					m.fillQuickly("a", 1, 700)
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
		m := newModel()
		m.fillQuickly("a", n, 700)
		m.chats["a"] = slices.Insert(m.chats["a"], 2, m.chats["a"][0], m.chats["a"][1])
		want := m.ids("a")
		want = append(want[:n-2:n-2], want[n:]...)
		got, _, err := run(m, 5, 4, nil)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

// New messages without a time are no old ones.
func TestReader_NewMessagesWithoutTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel()
		m.fillQuickly("a", 30, 700)
		g := newRig(t, m, func(c *Config) { c.Poll = time.Minute }).start("a")
		g.drain(10 * time.Second)
		m.change(func() {
			for range 12 {
				m.put("a", 0, 0)
			}
		})
		got, _ := g.drain(10 * time.Minute)
		assert.Equal(t, m.ids("a")[30:], got["a"])
		g.close()
	})
}

// The item where the walk goes on is a late one and vanishes: that what stands
// behind it is newer by its time does not make it known.
func TestPass_TheEdgeIsLateAndVanishes(t *testing.T) {
	for n := 6; n < 30; n++ {
		m := newModel()
		m.fillQuickly("a", n, 700)
		m.chats["a"][4].Time -= 1_000_000
		before := m.ids("a")
		m.before = func(string) {
			if m.requests == 2 {
				m.remove("a", 4, 1)
			}
		}
		got, _, err := run(m, 5, 10, nil)
		require.NoError(t, err)
		requireOnce(t, got)
		requireStayed(t, before, m.ids("a"), got)
	}
}

// An API that sorts by time lists a message that is late between those that were read,
// and the next page is recognised by one above it: what follows there is not the next
// older one.
func TestPass_ArrivesBetweenWhatWasRead(t *testing.T) {
	m := newModel()
	for i := range int64(5) {
		m.put("a", 0, m.now+10_000*i)
	}
	m.before = func(string) {
		if m.requests == 2 {
			m.put("a", 1, m.now+35_000)
			for i := range int64(7) {
				m.put("a", 0, m.now+50_000+i)
			}
		}
	}
	got, _, err := run(m, 5, 10, nil)
	require.NoError(t, err)
	require.Equal(t, m.ids("a"), got)
}
