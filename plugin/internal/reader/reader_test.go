// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"context"
	"errors"
	"io"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
	"github.com/kommo-connect/kommo-connect/plugin/internal/chat/chattest"
)

func TestReader_OnePassEndsAfterAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Delay = 100 * time.Millisecond
		chats := []string{"a", "b", "c", "empty", "long"}
		for i, c := range chats[:3] {
			m.Fill(c, 3+7*i, 1500)
		}
		m.Fill("long", 130, 1500)
		g := newRig(t, m, nil).start(chats...)
		got, ended := g.drain(time.Hour)
		require.True(t, ended)
		for _, c := range chats {
			assert.Equal(t, m.IDs(c), got[c], c)
		}
		g.close()
		assert.False(t, g.store.twice)
		assert.Equal(t, 1, m.Beside)

		got, ended = g.start(chats...).drain(time.Hour)
		assert.True(t, ended)
		assert.Empty(t, got, "a second run reads nothing twice")
		g.close()
	})
}

func TestReader_EndsOnlyWhenAllIsAcknowledgedAndSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Fill("a", 3, 1500)
		g := newRig(t, m, nil)
		broken := true
		g.store.failSave = func(string) error {
			if broken {
				return errors.New("no cache")
			}
			return nil
		}
		g.start("a")
		b := g.within(time.Second)
		assert.Nil(t, g.next(), "not acknowledged")
		b.Ack()
		time.Sleep(time.Hour)
		assert.Nil(t, g.next(), "not saved")
		g.store.mu.Lock()
		broken = false
		g.store.mu.Unlock()
		_, err := g.r.Next(t.Context())
		require.ErrorIs(t, err, io.EOF)
		assert.Equal(t, 1, g.store.saveCount("a"))
		g.close()
	})
}

func TestReader_PollsAfterTheLastAcknowledgement(t *testing.T) {
	for _, ordered := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			m := chattest.NewModel()
			m.Fill("a", 7, 1500)
			g := newRig(t, m, func(c *Config) { c.Poll = time.Minute; c.PreserveOrder = ordered }).start("a")
			b := g.within(time.Second)
			require.Len(t, b.Items, 7)
			m.Change(func() { m.Fill("a", 2, 1500) })
			asked := m.Count()

			wait := time.Minute
			if ordered {
				// The pass ends with its acknowledgement: until then it
				// is neither read again nor is this the input's end.
				require.Nil(t, g.next())
				time.Sleep(10 * time.Minute)
				require.Equal(t, asked, m.Count())
				b.Ack()
				start := time.Now()
				b = g.within(time.Hour)
				assert.Equal(t, wait, time.Since(start))
			} else {
				start := time.Now()
				next := g.within(time.Hour)
				assert.LessOrEqual(t, time.Since(start), wait)
				b.Ack()
				b = next
			}
			assert.Equal(t, m.IDs("a")[7:], chattest.IDsOf(b.Items))
			b.Ack()

			asked = m.Count()
			time.Sleep(10*time.Minute + time.Second)
			synctest.Wait()
			assert.Equal(t, 10, m.Count()-asked, "a quiet chat costs one request a poll")
			g.close()
		})
	}
}

func TestReader_Latest(t *testing.T) {
	for _, lookback := range []time.Duration{0, 3 * time.Second, time.Hour} {
		for _, n := range []int{0, 1, 4, 5, 200} {
			synctest.Test(t, func(t *testing.T) {
				m := chattest.NewModel()
				m.Fill("a", n, 400)
				g := newRig(t, m, func(c *Config) { c.Poll = time.Minute; c.Latest = true; c.Lookback = lookback }).start("a")
				require.Nil(t, g.next())
				m.Change(func() { m.Fill("a", 3, 100) })
				b := g.within(time.Hour)
				assert.Equal(t, m.IDs("a")[n:], chattest.IDsOf(b.Items))
				b.Ack()
				g.close()

				// What arrives while nothing runs is delivered by the next run.
				m.Fill("a", 30, 700)
				got, _ := g.start("a").drain(time.Hour)
				assert.Equal(t, m.IDs("a")[n+3:], got["a"])
				g.close()
			})
		}
	}
}

// The place to begin from is kept even when nothing was delivered before the
// restart.
func TestReader_LatestIsRememberedWithoutAnyMessage(t *testing.T) {
	for _, n := range []int{0, 8} {
		synctest.Test(t, func(t *testing.T) {
			m := chattest.NewModel()
			m.Fill("a", n, 400)
			g := newRig(t, m, func(c *Config) { c.Latest = true }).start("a")
			got, ended := g.drain(time.Hour)
			require.True(t, ended)
			require.Empty(t, got)
			g.close()
			m.Fill("a", 9, 0)
			got, _ = g.start("a").drain(time.Hour)
			assert.Equal(t, m.IDs("a")[n:], got["a"])
			g.close()
		})
	}
}

func TestReader_SinceAsksForNothingOlder(t *testing.T) {
	for _, newer := range []int{0, 1, 4, 5, 6, 40, 300} {
		synctest.Test(t, func(t *testing.T) {
			m := chattest.NewModel()
			m.Fill("a", 500, 700)
			since := m.Now + 1
			m.Fill("a", newer, 700)
			g := newRig(t, m, func(c *Config) { c.Since, c.PageSize = time.UnixMilli(since), 50 })
			pages := 0
			m.Bend = func(_ string, _, _ int, page []chat.Item) []chat.Item {
				if len(page) > 0 && page[0].Time/1000 < since/1000 {
					pages++
				}
				return page
			}
			got, ended := g.start("a").drain(time.Hour)
			require.True(t, ended)
			assert.Equal(t, m.IDs("a")[500:], append([]string{}, got["a"]...))
			// Fifty in a row are proof, and with more than the buffer holds they are
			// found by a search.
			most := 1
			if newer > 200 {
				most = 4
			}
			assert.LessOrEqual(t, pages, most, "pages that hold only older messages, with %d newer", newer)
			g.close()
		})
	}
}

// A message sent before 1970 is a wrong time, and no reason to lose it.
func TestReader_NegativeTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Put("b", 0, -62_135_596_800_000)
		m.Put("b", 0, -5)
		m.Put("b", 0, m.Now)
		g := newRig(t, m, func(c *Config) { c.Poll = time.Minute }).start("b")
		got, _ := g.drain(time.Hour)
		assert.Equal(t, m.IDs("b"), got["b"])
		g.close()
	})
}

func TestReader_Lookback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Fill("a", 60, 1000)
		g := newRig(t, m, func(c *Config) { c.Poll = time.Minute; c.Lookback = 20 * time.Second }).start("a")
		got, _ := g.drain(10 * time.Second)
		require.Len(t, got["a"], 60)
		top := m.Now

		late := func(ago time.Duration) (id string) {
			m.Change(func() { at := top - ago.Milliseconds(); id = m.Put("a", m.Place("a", at), at) })
			return id
		}
		first, tie := late(5*time.Second+1), late(10*time.Second)
		late(25 * time.Second) // too late
		got, _ = g.drain(time.Hour)
		assert.ElementsMatch(t, []string{first, tie}, got["a"])
		g.close()

		// Across a restart, with the lookback as it was, raised, lowered and
		// raised again: each late message once, and nothing twice.
		for _, lookback := range []time.Duration{20 * time.Second, time.Hour, 0, 12 * time.Second, time.Hour} {
			g.cfg.Lookback = lookback
			got, _ = g.start("a").drain(time.Hour)
			assert.Empty(t, got["a"], "lookback %s", lookback)
			if lookback == 20*time.Second {
				id := late(15 * time.Second)
				got, _ = g.drain(time.Hour)
				assert.Equal(t, []string{id}, got["a"])
			}
			m.Change(func() { m.Arrive("a", 3, func() int64 { return 10 }) })
			got, _ = g.drain(time.Hour)
			assert.Len(t, got["a"], 3)
			g.close()
		}
	})
}

func TestNewReader_Validates(t *testing.T) {
	valid := newRig(t, chattest.NewModel(), nil).cfg
	for name, breakIt := range map[string]func(*Config){
		"NewPass":            func(c *Config) { c.NewPass = nil },
		"PageSize":           func(c *Config) { c.PageSize = 1 },
		"MaxBufferedPages":   func(c *Config) { c.MaxBufferedPages = 0 },
		"ParallelChats":      func(c *Config) { c.ParallelChats = 0 },
		"CheckpointLimit":    func(c *Config) { c.CheckpointLimit = 0 },
		"Poll":               func(c *Config) { c.Poll = -1 },
		"Lookback":           func(c *Config) { c.Lookback = -1 },
		"CheckpointInterval": func(c *Config) { c.CheckpointInterval = -1 },
		"FirstRetry":         func(c *Config) { c.FirstRetry = 0 },
		"Retry":              func(c *Config) { c.Retry = 0 },
		"RetryNotOurs":       func(c *Config) { c.RetryNotOurs = 0 },
	} {
		cfg := valid
		breakIt(&cfg)
		_, err := NewReader(cfg)
		assert.ErrorContains(t, err, name)
	}
}

// A bound that is meant as "none" must not wrap around.
func TestReader_HugeLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Fill("a", 100, 700)
		g := newRig(t, m, func(c *Config) {
			c.MaxBufferedPages, c.CheckpointLimit = 1<<61, math.MaxInt // times 5 wraps around
			c.Lookback, c.CheckpointInterval, c.Poll = math.MaxInt64, math.MaxInt64, math.MaxInt64
		}).start("a")
		b := g.within(time.Second)
		assert.Equal(t, m.IDs("a"), chattest.IDsOf(b.Items))
		b.Ack()
		assert.Nil(t, g.next())
		g.close()
	})
}

func TestReader_NextEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, chattest.NewModel(), func(c *Config) { c.OncePerAdd = true }).start()
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("gone"))
		_, err := g.r.Next(ctx)
		require.ErrorIs(t, err, context.Canceled)
		g.close()
	})
}

func TestReader_Stats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Fill("a", 47, 700)
		g := newRig(t, m, func(c *Config) { c.MaxBufferedPages = 2; c.ParallelChats = 1 })
		counts := map[State]int{}
		g.cfg.Hooks.State = func(s State, n int) { counts[s] = n }
		g.start("a", "b")
		b := g.within(time.Second)
		synctest.Wait()
		s := g.r.Stats()
		assert.EqualValues(t, len(b.Items), s.Messages)
		assert.Equal(t, len(b.Items), s.Unacked)
		assert.Positive(t, s.Held)
		assert.LessOrEqual(t, s.Held, 2*g.cfg.MaxBufferedPages*g.cfg.PageSize)
		b.Ack()
		_, ended := g.drain(time.Hour)
		require.True(t, ended)
		synctest.Wait()
		s = g.r.Stats()
		assert.EqualValues(t, 47, s.Messages)
		assert.Zero(t, s.Unacked+s.Held)
		assert.Equal(t, 2, s.Chats[Done])
		for st, n := range s.Chats {
			assert.Equal(t, n, counts[State(st)], State(st).String())
		}
		g.close()
	})
}

// Late messages between delivered ones are found in a long way back too, where
// what is new does not fit the buffer.
func TestReader_LookbackLongerThanTheBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Fill("a", 200, 1000)
		g := newRig(t, m, func(c *Config) { c.Lookback = 100 * time.Second; c.MaxBufferedPages = 2 }).start("a")
		got, _ := g.drain(time.Hour)
		require.Len(t, got["a"], 200)
		g.close()
		var late []string
		for _, ago := range []int64{3, 12, 40, 41, 77} {
			late = append(late, m.Put("a", m.Place("a", m.Now-ago*1000), m.Now-ago*1000))
		}
		m.Fill("a", 60, 1000)
		newest := m.IDs("a")[205:]
		got, _ = g.start("a").drain(time.Hour)
		assert.ElementsMatch(t, append(late, newest...), got["a"])
		g.close()
		got, _ = g.start("a").drain(time.Hour)
		assert.Empty(t, got)
		g.close()
	})
}
