// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
	"github.com/kommo-connect/kommo-connect/plugin/internal/chat/chattest"
)

func TestReader_NothingButEntriesWithoutIdentity(t *testing.T) {
	for _, n := range []int{1, 5, 6, 60, 200} {
		synctest.Test(t, func(t *testing.T) {
			m := chattest.NewModel()
			m.Fill("a", n, 700)
			for i := range m.Chats["a"] {
				m.Chats["a"][i].ID = ""
			}
			g := newRig(t, m, func(c *Config) { c.Poll = time.Minute }).start("a")
			got, ended := g.drain(10*time.Minute + time.Second)
			assert.False(t, ended)
			assert.Empty(t, got)
			assert.Empty(t, g.failed)
			assert.GreaterOrEqual(t, g.odd["a"], n)
			assert.Less(t, g.odd["a"], 2*n+2, "told once, not with each poll")
			assert.LessOrEqual(t, m.Count(), 11*2*chattest.Bound(n, 5, 4))
			g.close()
		})
	}
}

func TestReader_NoTimesAtAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Fill("a", 100, 700)
		untimed := func() {
			for i := range m.Chats["a"] {
				m.Chats["a"][i].Time = 0
			}
		}
		untimed()
		g := newRig(t, m, func(c *Config) { c.Poll = time.Minute }).start("a")
		got, _ := g.drain(time.Hour)
		assert.Equal(t, m.IDs("a"), got["a"])
		m.Change(func() { m.Fill("a", 33, 700); untimed() })
		got, _ = g.drain(time.Hour)
		assert.Equal(t, m.IDs("a")[100:], got["a"])
		g.close()
		got, _ = g.start("a").drain(time.Hour)
		assert.Empty(t, got)
		g.close()
	})
}

// Where an import that is older than the checkpoint is listed by the API is not
// known. Where it arrives, it is new without any lookback.
func TestReader_LateMessagesListedWhereTheyArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Fill("a", 30, 700)
		g := newRig(t, m, func(c *Config) { c.Poll = time.Minute }).start("a")
		g.drain(10 * time.Second)
		for range 5 {
			var id string
			m.Change(func() { id = m.Put("a", 0, m.Now-1_000_000) })
			got, _ := g.drain(10 * time.Minute)
			assert.Equal(t, []string{id}, got["a"])
			m.Change(func() { m.Fill("a", 2, 700) })
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
		m := chattest.NewModel()
		m.Fill("a", 8, 700)
		m.Put("a", 0, m.Now+1e12)
		g := newRig(t, m, func(c *Config) { c.Poll = time.Minute }).start("a")
		got, _ := g.drain(10 * time.Second)
		require.Len(t, got["a"], 9)
		m.Change(func() { m.Fill("a", 3, 700) })
		got, _ = g.drain(10 * time.Minute)
		assert.Equal(t, m.IDs("a")[9:], got["a"])
		g.close()
	})
}

func TestReader_ServerThatIgnoresTheOffset(t *testing.T) {
	for _, known := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			m := chattest.NewModel()
			m.Fill("a", 7, 700)
			g := newRig(t, m, func(c *Config) { c.Poll = time.Minute })
			if known {
				g.start("a").drain(time.Second)
				g.close()
			}
			m.Fill("a", 400, 700)
			m.Bend = func(_ string, _, limit int, _ []chat.Item) []chat.Item {
				return slices.Clone(m.Chats["a"][:limit])
			}
			before := m.Count()
			got, _ := g.start("a").drain(5*time.Minute + time.Second)
			assert.Empty(t, got)
			assert.Equal(t, 11, g.failed["a"], "retried each 30s")
			require.ErrorIs(t, g.errs["a"], chat.ErrNoProgress)
			assert.LessOrEqual(t, m.Count()-before, 11*(2*64+10))
			m.Change(func() { m.Bend = nil })
			got, _ = g.drain(time.Hour)
			if known {
				assert.Equal(t, m.IDs("a")[7:], got["a"])
			} else {
				assert.Equal(t, m.IDs("a"), got["a"])
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
				m := chattest.NewModel()
				m.Fill("a", n, gap)
				slices.Reverse(m.Chats["a"])
				g := newRig(t, m, func(c *Config) { c.Poll = time.Minute }).start("a")
				got, ended := g.drain(5*time.Minute + time.Second)
				assert.False(t, ended)
				if refused {
					assert.Empty(t, got, "%d messages %dms apart", n, gap)
					require.ErrorIs(t, g.errs["a"], chat.ErrOldestFirst)
					assert.Equal(t, 11, g.failed["a"])
					assert.LessOrEqual(t, m.Count(), 11*4)
				} else {
					assert.ElementsMatch(t, m.IDs("a"), got["a"])
					assert.Empty(t, g.errs)
				}
				g.close()
			})
		}
	}
}

// All messages share one second: only their ids tell them apart.
func TestReader_OneSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Fill("a", 300, 0)
		g := newRig(t, m, func(c *Config) { c.Poll = time.Minute }).start("a")
		got, _ := g.drain(10 * time.Second)
		require.Equal(t, m.IDs("a"), got["a"])
		m.Change(func() { m.Fill("a", 77, 0) })
		got, _ = g.drain(10 * time.Minute)
		require.Equal(t, m.IDs("a")[300:], got["a"])
		g.close()
		got, _ = g.start("a").drain(10 * time.Minute)
		require.Empty(t, got)
		g.close()
	})
}

// A late message amid new ones, where the API lists it where it arrived, does
// not look like the end of what is new.
func TestReader_LateMessageAmidNewOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Fill("a", 30, 700)
		g := newRig(t, m, func(c *Config) { c.Poll = time.Minute }).start("a")
		g.drain(10 * time.Second)
		m.Change(func() {
			m.Fill("a", 8, 700)
			m.Put("a", 0, m.Now-1_000_000)
			m.Fill("a", 2, 700)
		})
		got, _ := g.drain(10 * time.Minute)
		assert.Equal(t, m.IDs("a")[30:], got["a"])
		g.close()
	})
}

// What stands behind the last delivered message needs no look, whatever time it
// claims.
func TestReader_AskedOnceThoughATimeIsInTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Fill("a", 30, 700)
		m.Chats["a"][4].Time += 1e12
		g := newRig(t, m, func(c *Config) { c.Poll = time.Minute }).start("a")
		g.drain(10 * time.Second)
		before := m.Count()
		g.drain(10 * time.Minute)
		assert.LessOrEqual(t, m.Count()-before, 10)
		g.close()
	})
}

// New messages without a time are no old ones.
func TestReader_NewMessagesWithoutTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Fill("a", 30, 700)
		g := newRig(t, m, func(c *Config) { c.Poll = time.Minute }).start("a")
		g.drain(10 * time.Second)
		m.Change(func() {
			for range 12 {
				m.Put("a", 0, 0)
			}
		})
		got, _ := g.drain(10 * time.Minute)
		assert.Equal(t, m.IDs("a")[30:], got["a"])
		g.close()
	})
}
