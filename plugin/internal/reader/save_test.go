// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
	"github.com/kommo-connect/kommo-connect/plugin/internal/chat/chattest"
	"github.com/kommo-connect/kommo-connect/plugin/internal/checkpoint"
)

func TestReader_SavesAtMostOncePerIntervalAndChat(t *testing.T) {
	for _, interval := range []time.Duration{0, time.Second, 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			m := chattest.NewModel()
			m.Fill("a", 400, 1500)
			m.Fill("b", 400, 1500)
			g := newRig(t, m, func(c *Config) {
				c.CheckpointInterval = interval
				c.MaxBufferedPages = 1
				c.CheckpointLimit = 5
				c.Poll = time.Hour // without it a chat's end is written at once
			}).start("a", "b")
			batches, newest := map[string]int{}, map[string]int64{}
			for range 2 * 80 {
				b := g.within(time.Second)
				batches[b.Chat]++
				newest[b.Chat] = b.Items[len(b.Items)-1].Time
				b.Ack()
				time.Sleep(300 * time.Millisecond)
			}
			time.Sleep(interval)
			synctest.Wait()
			for _, c := range []string{"a", "b"} {
				at := g.store.saves[c]
				for i := 1; i < len(at); i++ {
					require.GreaterOrEqual(t, at[i].Sub(at[i-1]), interval)
					require.LessOrEqual(t, at[i].Sub(at[i-1]), interval+700*time.Millisecond)
				}
				if interval == 0 {
					require.Len(t, at, batches[c], "nothing to wait for")
				}
				assert.Equal(t, newest[c], g.store.checkpoint(t, c).Time, "the last one too")
			}
			before := g.store.saveCount("a")
			g.close()
			assert.Equal(t, before, g.store.saveCount("a"), "nothing new is not written")
		})
	}
}

func TestReader_CloseWritesWhatIsAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		chats := manyChats(m, 40, 3)
		g := newRig(t, m, func(c *Config) { c.CheckpointInterval = time.Hour; c.Poll = time.Minute }).start(chats...)
		g.drain(time.Second) // the first is written at once
		m.Change(func() {
			for _, c := range chats {
				m.Fill(c, 2, 1500)
			}
		})
		var held *Batch
		for range chats {
			b := g.within(time.Hour)
			if b.Chat == chats[7] {
				held = b
				continue
			}
			b.Ack()
		}
		require.NotNil(t, held)
		require.Equal(t, 1, g.store.saveCount(chats[0]))
		g.store.delay = 100 * time.Millisecond
		start := time.Now()
		g.close()
		assert.Less(t, time.Since(start), 2*time.Second, "several are written at once")
		for i, c := range chats {
			want := m.Chats[c][0].Time
			if i == 7 {
				want = m.Chats[c][2].Time
			}
			assert.Equal(t, want, g.store.checkpoint(t, c).Time, c)
		}
		held.Ack() // too late, and harmless
		g.store.delay = 0
		got, _ := g.start(chats...).drain(time.Second)
		assert.Equal(t, map[string][]string{chats[7]: m.IDs(chats[7])[3:]}, got)
		g.close()
	})
}

func TestReader_CloseAtAnyMoment(t *testing.T) {
	for after := range 60 {
		synctest.Test(t, func(t *testing.T) {
			m := chattest.NewModel()
			m.Delay = 10 * time.Millisecond
			chats := manyChats(m, 5, 60)
			g := newRig(t, m, func(c *Config) { c.MaxBufferedPages = 2; c.CheckpointLimit = 30; c.PreserveOrder = after%2 == 0 })
			g.store.delay = 3 * time.Millisecond
			g.start(chats...)
			var consumers sync.WaitGroup
			got := map[string][]string{}
			consumers.Go(func() {
				for {
					b, err := g.r.Next(t.Context())
					if err != nil {
						assert.ErrorIs(t, err, ErrClosed)
						return
					}
					got[b.Chat] = append(got[b.Chat], chattest.IDsOf(b.Items)...)
					time.Sleep(7 * time.Millisecond)
					b.Ack()
				}
			})
			time.Sleep(time.Duration(after) * 5 * time.Millisecond)
			for range 3 {
				consumers.Go(func() { assert.NoError(t, g.r.Close(t.Context())) })
			}
			consumers.Wait()
			g.close()
			// Whatever was acknowledged before Close is not repeated, and
			// nothing is lost.
			saved := map[string]chat.Checkpoint{}
			for _, c := range chats {
				if v, err := g.store.MemoryStore.Load(t.Context(), c); err == nil {
					saved[c], err = chat.DecodeCheckpoint(v)
					require.NoError(t, err)
				}
			}
			rest, ended := g.start(chats...).drain(time.Hour)
			require.True(t, ended)
			g.close()
			for _, c := range chats {
				all := got[c]
				if len(rest[c]) > 0 {
					for len(all) > 0 && all[len(all)-1] >= rest[c][0] {
						all = all[:len(all)-1] // out at the Close
					}
				}
				require.Equal(t, m.IDs(c), append(all, rest[c]...), c)
			}
			assert.False(t, g.store.twice)
		})
	}
}

func TestReader_CloseBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, chattest.NewModel(), nil)
		r, err := NewReader(g.cfg)
		require.NoError(t, err)
		var o outcome
		r.Add("a", o.cb(g))
		require.NoError(t, r.Close(t.Context()))
		require.Len(t, o.done, 1)
		require.ErrorIs(t, o.done[0], ErrClosed)
		r.Start() // starts nothing: the bubble would not end
		_, err = r.Next(t.Context())
		require.ErrorIs(t, err, ErrClosed)
		require.NoError(t, r.Close(t.Context()))
	})
}

// A source that does not come back must not hold a Close up for longer than its
// context lasts.
func TestReader_CloseEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		m := chattest.NewModel()
		m.Fail = func(string, int, int) error { <-release; return nil }
		g := newRig(t, m, nil).start("a")
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, g.r.Close(ctx), context.DeadlineExceeded)
		close(release)
		g.close()
	})
}

// The second Close does not return before the first has written.
func TestReader_EveryCloseWaitsForTheWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Fill("a", 5, 1500)
		g := newRig(t, m, func(c *Config) { c.CheckpointInterval = time.Hour; c.Poll = time.Minute }).start("a")
		g.drain(time.Second)
		m.Change(func() { m.Fill("a", 5, 1500) })
		g.drain(time.Hour / 2)
		g.store.delay = time.Second
		go func() { _ = g.r.Close(context.Background()) }()
		time.Sleep(time.Millisecond)
		g.close()
		assert.Equal(t, m.Chats["a"][0].Time, g.store.checkpoint(t, "a").Time)
	})
}

func TestReader_CloseReportsWhatItCouldNotWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Fill("a", 5, 1500)
		g := newRig(t, m, nil)
		full := errors.New("disk full")
		g.store.failSaves(full)
		g.start("a").drain(time.Second)
		require.ErrorIs(t, g.r.Close(t.Context()), full)
		g.store.failSaves(nil)
		g.close()
		assert.Equal(t, 1, g.store.saveCount("a"), "the next Close tries again")
	})
}

func TestReader_StoreThatCanNotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		chats := manyChats(m, 4, 12)
		g := newRig(t, m, func(c *Config) { c.ParallelChats = 1 })
		g.start(chats...).drain(time.Hour)
		g.close()
		m.Fill("chat001", 3, 1500)
		m.Fill("chat002", 3, 1500)
		asked := m.Asked["chat001"]

		down := errors.New("connection refused")
		g.store.failLoad = func(chat string) error {
			if chat == "chat001" {
				return down
			}
			return nil
		}
		g.store.loads = map[string]int{}
		g.start(chats...)
		got, ended := g.drain(10 * time.Minute)
		assert.False(t, ended)
		assert.Equal(t, m.IDs("chat002")[12:], got["chat002"], "others go on, even with one place")
		assert.Empty(t, got["chat001"])
		assert.Equal(t, asked, m.Asked["chat001"], "nothing is known of it, so nothing is asked for")
		assert.InDelta(t, 28, g.store.loads["chat001"], 3, "it is asked less and less often, at most each 30s")
		assert.Equal(t, g.store.loads["chat001"], g.unsaved["chat001"])
		assert.Empty(t, g.failed, "the chat itself has not failed")
		assert.Equal(t, 1, g.r.Stats().Chats[Failing])

		g.store.mu.Lock()
		g.store.failLoad = nil
		g.store.mu.Unlock()
		got, ended = g.drain(time.Hour)
		assert.True(t, ended)
		assert.Equal(t, map[string][]string{"chat001": m.IDs("chat001")[12:]}, got)
		g.close()
	})
}

func TestReader_NamedChatWaitsForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Fill("a", 3, 1500)
		g := newRig(t, m, named)
		tries := 0
		g.store.failLoad = func(string) error {
			if tries++; tries < 9 {
				return errors.New("down")
			}
			return nil
		}
		g.start()
		var o outcome
		g.r.Add("a", o.cb(g))
		time.Sleep(2 * time.Second)
		g.r.Add("a", o.cb(g)) // while it waits for the store
		require.Empty(t, o.done)
		g.r.AllAdded()
		got, ended := g.drain(time.Hour)
		require.True(t, ended)
		assert.Len(t, got["a"], 3)
		synctest.Wait()
		assert.Equal(t, []error{nil, nil}, o.done)
		g.close()
	})
}

func TestReader_StoreThatCanNotBeWritten(t *testing.T) {
	for _, pages := range []int{2, 100} {
		synctest.Test(t, func(t *testing.T) {
			m := chattest.NewModel()
			m.Fill("a", 300, 1500)
			m.Fill("b", 300, 1500)
			g := newRig(t, m, func(c *Config) {
				c.CheckpointLimit, c.ParallelChats, c.MaxBufferedPages = 40, 1, pages
			})
			full := true
			g.store.failSave = func(chat string) error {
				if full && chat == "a" {
					return errors.New("disk full")
				}
				return nil
			}
			g.start("a")
			begun, _ := g.drain(time.Second)
			g.r.Add("b", nil)
			got, ended := g.drain(10*time.Minute - time.Second)
			require.False(t, ended)
			got["a"] = append(begun["a"], got["a"]...)
			assert.Equal(t, m.IDs("b"), got["b"], "others go on, even with one place and a small limit")
			assert.Less(t, len(got["a"]), 90, "nothing more of a chat whose progress can't be kept")
			tries := len(g.store.tries["a"])
			assert.InDelta(t, 28, tries, 3, "tried less and less often, at most each 30s")
			assert.Equal(t, tries, g.unsaved["a"])

			g.store.mu.Lock()
			full = false
			g.store.mu.Unlock()
			rest, ended := g.drain(time.Hour)
			require.True(t, ended)
			assert.Equal(t, m.IDs("a"), append(got["a"], rest["a"]...))
			g.close()
			assert.Equal(t, m.Chats["a"][0].Time, g.store.checkpoint(t, "a").Time)
		})
	}
}

// With a store that takes nothing at all, reading stops before every chat is
// held in memory.
func TestReader_StoreThatTakesNothingStopsReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		chats := manyChats(m, 50, 100)
		g := newRig(t, m, func(c *Config) { c.ParallelChats, c.MaxBufferedPages, c.CheckpointLimit = 2, 2, 100 })
		full := true
		g.store.failSave = func(string) error {
			if full {
				return errors.New("disk full")
			}
			return nil
		}
		g.start(chats...)
		got, _ := g.drain(10 * time.Minute)
		assert.Less(t, len(got), 30, "chats that were begun")
		g.store.mu.Lock()
		full = false
		g.store.mu.Unlock()
		rest, ended := g.drain(time.Hour)
		require.True(t, ended)
		for _, c := range chats {
			require.Equal(t, m.IDs(c), append(got[c], rest[c]...))
		}
		g.close()
	})
}

func TestReader_CorruptCheckpoint(t *testing.T) {
	whole, err := chat.EncodeCheckpoint(chat.Checkpoint{Time: 1_700_000_003_000, From: 1_700_000_003_000, Seen: []chat.Seen{{ID: "m000002", Time: 1_700_000_003_000}}})
	require.NoError(t, err)
	for name, value := range map[string]string{
		"empty":          "",
		"blank":          " \n",
		"torn":           string(whole[:len(whole)-9]),
		"other version":  `{"version":2,"time_ms":1}`,
		"no version":     `{}`,
		"null":           `null`,
		"trailing bytes": string(whole) + "}",
		"an old tail":    string(whole) + string(whole[10:]),
		"zero bytes":     string(make([]byte, 40)),
		"no id":          `{"version":1,"time_ms":1,"seen":[{"id":"","time_ms":1}]}`,
		"negative":       `{"version":1,"time_ms":-9223372036854775808,"from_ms":0,"seen":[]}`,
	} {
		for _, latest := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				m := chattest.NewModel()
				m.Fill("a", 12, 1500)
				g := newRig(t, m, func(c *Config) { c.Latest = latest; c.Poll = time.Minute })
				require.NoError(t, g.store.MemoryStore.Save(t.Context(), "a", []byte(value)))
				got, _ := g.start("a").drain(time.Hour)
				assert.Equal(t, m.IDs("a"), got["a"], name)
				assert.Equal(t, map[string]int{"a": 1}, g.corrupt, name)
				g.close()
				got, _ = g.start("a").drain(time.Hour)
				assert.Empty(t, got, name)
				assert.Equal(t, 1, g.corrupt["a"], "it has been replaced")
				g.close()
			})
		}
	}
}

// Of a chat without messages a corrupt checkpoint is replaced too: a store that loses it
// must not make the chat look like one that was never read.
func TestReader_CorruptCheckpointOfAnEmptyChat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		g := newRig(t, m, func(c *Config) { c.Latest = true; c.Poll = time.Minute })
		require.NoError(t, g.store.MemoryStore.Save(t.Context(), "a", nil))
		got, _ := g.start("a").drain(time.Hour)
		require.Empty(t, got)
		g.store.MemoryStore.mu.Lock()
		delete(g.store.values, "a")
		g.store.MemoryStore.mu.Unlock()
		m.Change(func() { m.Fill("a", 3, 1500) })
		got, _ = g.drain(time.Hour)
		assert.Equal(t, m.IDs("a"), got["a"])
		assert.Equal(t, 1, g.corrupt["a"])
		g.close()
	})
}

// A store that answers with neither a value nor an error has a key with nothing
// in it: that is not a chat that was never read.
func TestReader_NilIsNotAMissingCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Fill("a", 3, 1500)
		g := newRig(t, m, func(c *Config) { c.Latest = true; c.Store = nilStore{} }).start("a")
		got, _ := g.drain(time.Minute)
		assert.Equal(t, m.IDs("a"), got["a"])
		assert.Equal(t, 1, g.corrupt["a"])
		g.close()
	})
}

type nilStore struct{}

func (nilStore) Load(context.Context, string) ([]byte, error) { return nil, nil } //nolint:nilnil // that is the case
func (nilStore) Save(context.Context, string, []byte) error   { return nil }

func TestMemoryStore(t *testing.T) {
	var s MemoryStore
	_, err := s.Load(t.Context(), "a")
	require.ErrorIs(t, err, checkpoint.ErrNone)
	value := []byte("1")
	require.NoError(t, s.Save(t.Context(), "a", value))
	value[0] = '2'
	got, err := s.Load(t.Context(), "a")
	require.NoError(t, err)
	assert.Equal(t, "1", string(got))
}

// What waited for a checkpoint to be written leaves when it is, though the pass
// that read it has long ended.
func TestReader_GoesOnWhenTheStoreDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Fill("a", 8, 1500)
		g := newRig(t, m, func(c *Config) { c.MaxBufferedPages = 1 })
		full := true
		g.store.failSave = func(string) error {
			if full {
				return errors.New("disk full")
			}
			return nil
		}
		g.start("a")
		b := g.within(time.Second)
		require.Less(t, len(b.Items), 8)
		time.Sleep(time.Second)
		require.Equal(t, 8-len(b.Items), g.r.Stats().Held)
		got := chattest.IDsOf(b.Items)
		b.Ack()
		time.Sleep(5 * time.Minute)
		require.Nil(t, g.next())
		g.store.mu.Lock()
		full = false
		g.store.mu.Unlock()
		rest, ended := g.drain(time.Minute)
		require.True(t, ended)
		assert.Equal(t, m.IDs("a"), append(got, rest["a"]...))
		g.close()
	})
}

// Acknowledgements that come while a checkpoint is written are written next, and
// not at the same time.
func TestReader_AcknowledgementsDuringAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Fill("a", 100, 1500)
		g := newRig(t, m, func(c *Config) {
			c.MaxBufferedPages, c.CheckpointInterval, c.PreserveOrder, c.Poll = 1, 0, false, time.Hour
		})
		g.store.delay = 10 * time.Millisecond
		g.start("a")
		for n := 0; n < 100; {
			b := g.within(time.Second)
			n += len(b.Items)
			b.Ack()
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		assert.Equal(t, m.Chats["a"][0].Time, g.store.checkpoint(t, "a").Time)
		assert.False(t, g.store.twice)
		g.close()
	})
}

// A checkpoint that is due before the next poll does not wait for it.
func TestReader_WritesBeforeTheNextPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Fill("a", 10, 1500)
		g := newRig(t, m, func(c *Config) { c.MaxBufferedPages, c.Poll = 1, 2*time.Hour }).start("quiet", "a")
		// No call of Next that times out may wake the writers.
		for n := 0; n < 10; {
			b := g.within(time.Second)
			n += len(b.Items)
			b.Ack()
			time.Sleep(time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.Equal(t, m.Chats["a"][0].Time, g.store.checkpoint(t, "a").Time)
		g.close()
	})
}

// An interval that is meant as "only at the end" must not wrap around.
func TestReader_HugeInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Fill("a", 30, 1500)
		g := newRig(t, m, func(c *Config) { c.MaxBufferedPages, c.CheckpointInterval = 1, math.MaxInt64 }).start("a")
		time.Sleep(time.Minute)
		g.drain(time.Minute)
		time.Sleep(time.Hour)
		assert.Equal(t, 2, g.store.saveCount("a"), "at first, and when all is read")
		g.close()
		assert.Equal(t, m.Chats["a"][0].Time, g.store.checkpoint(t, "a").Time)
	})
}

// A write that Close interrupts is made again by Close, and is no failure.
func TestReader_CloseDuringAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Fill("a", 3, 1500)
		g := newRig(t, m, nil)
		g.store.delay = time.Second
		g.start("a")
		g.within(time.Minute).Ack()
		time.Sleep(100 * time.Millisecond)
		g.close()
		assert.Empty(t, g.unsaved)
		assert.Equal(t, m.Chats["a"][0].Time, g.store.checkpoint(t, "a").Time)
	})
}
