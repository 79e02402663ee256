// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
	"github.com/kommo-connect/kommo-connect/plugin/internal/chat/chattest"
)

// changing is a rig over a chat whose messages have hashes, with a consumer.
func changing(t *testing.T, with func(*Config)) (*rig, *chattest.Consumer, *chattest.Edits) {
	t.Helper()
	m := chattest.NewModel()
	m.Now = time.Now().Add(-time.Minute).UnixMilli()
	m.Fill("a", 20, 100)
	edits := &chattest.Edits{}
	edits.Version(m.Chats["a"])
	consumer := chattest.NewConsumer(t, func(id string) bool { return !slices.Contains(m.IDs("a"), id) })
	g := newRig(t, m, func(c *Config) {
		c.NewPass = chat.FromNewest(m, chattest.Trusting())
		c.PageSize, c.Changes, c.Lookback = 50, 15*time.Minute, time.Hour
		if with != nil {
			with(c)
		}
	})
	return g, consumer, edits
}

// take acknowledges what comes within a time.
func (g *rig) take(c *chattest.Consumer, d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	for {
		b, err := g.r.Next(ctx)
		if err != nil {
			if errors.Is(err, io.EOF) {
				<-ctx.Done()
			}
			return
		}
		c.Take(b.Items)
		b.Ack()
	}
}

// What is found in a chat that is read for its changes alone keeps the input from its end until
// that is saved.
func TestReader_WhatIsFoundBesideIsSavedBeforeTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, consumer, _ := changing(t, func(c *Config) { c.OncePerAdd = true })
		g.start("a").take(consumer, 10*time.Minute)
		last := g.m.Put("a", 0, g.m.Now)
		b := g.within(10 * time.Minute)
		require.Equal(t, []string{last}, chattest.IDsOf(b.Items))
		g.store.failSaves(errors.New("down"))
		g.r.AllAdded()
		require.Nil(t, g.next(), "it is out")
		b.Ack()
		require.Nil(t, g.next(), "it is not saved")
		time.Sleep(time.Minute)
		require.Nil(t, g.next(), "nor now")
		g.store.failSaves(nil)
		_, ended := g.drain(time.Hour)
		require.True(t, ended)
		seen := g.store.checkpoint(t, "a").Seen
		require.Equal(t, last, seen[len(seen)-1].ID)
		g.close()
	})
}

// So does a checkpoint that the Store has lost meanwhile.
func TestReader_WhatVanishedBesideIsSavedBeforeTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, consumer, _ := changing(t, func(c *Config) { c.OncePerAdd = true })
		g.start("a").take(consumer, 10*time.Minute)
		want := g.store.checkpoint(t, "a")
		g.store.failSaves(errors.New("down"))
		g.store.forget()
		g.take(consumer, 10*time.Minute)
		g.r.AllAdded()
		require.Nil(t, g.next(), "it is not saved")
		g.store.failSaves(nil)
		_, ended := g.drain(time.Hour)
		require.True(t, ended)
		require.Equal(t, want, g.store.checkpoint(t, "a"))
		g.close()
	})
}

// A chat that was named once is read again by itself, one request each time, until its
// messages have left the lookback.
func TestReader_ReadsAgainWhatMayChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, consumer, edits := changing(t, func(c *Config) { c.OncePerAdd = true })
		g.start()
		done := 0
		g.r.Add("a", func(err error) { assert.NoError(t, err); done++ })
		g.take(consumer, 10*time.Minute)
		assert.Equal(t, 1, g.m.Count())
		assert.Equal(t, 1, done, "whoever named it does not wait for its changes")
		saves := g.store.saveCount("a")

		g.take(consumer, 10*time.Minute)
		assert.Equal(t, 2, g.m.Count(), "after 15 minutes")
		assert.Equal(t, saves, g.store.saveCount("a"), "nothing has happened")

		g.m.Change(func() { g.m.Chats["a"] = edits.Edit(rand.New(rand.NewPCG(1, 1)), g.m.Chats["a"], 1) })
		g.take(consumer, 15*time.Minute)
		assert.Equal(t, 3, g.m.Count())
		assert.Equal(t, 1, consumer.Updates)

		// Deleted when it is about to leave the lookback: that is found nevertheless.
		g.m.Change(func() { g.m.Remove("a", 10, 1) })
		g.take(consumer, 15*time.Minute)
		assert.Zero(t, consumer.Deletes)
		g.take(consumer, 15*time.Minute)
		assert.Equal(t, 1, consumer.Deletes)
		assert.Equal(t, chattest.Hashes(g.m.Chats["a"]), consumer.Has)

		asked := g.m.Count()
		g.take(consumer, 24*time.Hour)
		assert.LessOrEqual(t, g.m.Count(), asked+1)
		assert.Empty(t, g.r.chats, "it is forgotten")
		assert.Zero(t, g.r.watching)
		g.close()
	})
}

// What a server has stamped whose clock is ahead claims to be of the future, and so moves no checkpoint.
func TestReader_LooksAfterWhatIsOfTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, consumer, edits := changing(t, func(c *Config) { c.OncePerAdd = true })
		g.m.Chats["a"] = nil
		g.m.Now = time.Now().Add(time.Minute).UnixMilli()
		g.m.Fill("a", 5, 100)
		edits.Version(g.m.Chats["a"])
		g.m.Now = time.Now().UnixMilli()
		g.start("a")
		g.take(consumer, 10*time.Minute)
		g.m.Change(func() { g.m.Chats["a"] = edits.Edit(rand.New(rand.NewPCG(1, 1)), g.m.Chats["a"], 1) })
		g.take(consumer, 10*time.Minute)
		assert.Equal(t, 1, consumer.Updates)
		g.take(consumer, 3*time.Hour)
		assert.Empty(t, g.r.chats, "it is forgotten")
		g.close()
	})
}

// A chat that is looked after for its changes does not keep the input from its end, and
// is read at once when it is named again.
func TestReader_WhatMayChangeKeepsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, consumer, _ := changing(t, func(c *Config) { c.OncePerAdd = true })
		g.start("a")
		g.take(consumer, 2*time.Minute)
		done := false
		g.r.Add("a", func(error) { done = true })
		g.take(consumer, 2*time.Second)
		assert.Equal(t, 2, g.m.Count())
		assert.True(t, done)
		g.r.AllAdded()
		_, ended := g.drain(time.Second)
		assert.True(t, ended)
		assert.Equal(t, 2, g.m.Count())
		g.close()
	})
}

// A chat that is polled rarely is read for its changes in between.
func TestReader_ChangesBetweenPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, consumer, _ := changing(t, func(c *Config) { c.Poll = 12 * time.Hour })
		g.start("a")
		g.take(consumer, 12*time.Hour)
		assert.InDelta(t, 6, g.m.Count(), 1, "an hour at 15 minutes, and one more")
		g.close()
	})
}

// Chats that are looked after for their changes leave the turn to those that were added.
func TestReader_ChangesComeSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, consumer, _ := changing(t, func(c *Config) { c.OncePerAdd, c.ParallelChats, c.Changes = true, 1, time.Minute })
		names := manyChats(g.m, 60, 3)
		g.start(names[:30]...)
		g.take(consumer, 50*time.Second)
		for _, n := range names {
			g.m.Change(func() { g.m.Chats[n][0].Time = time.Now().UnixMilli() })
		}
		g.m.Delay = time.Second
		g.take(consumer, 9*time.Second)
		for _, n := range names[30:] {
			g.r.Add(n, nil)
		}
		g.take(consumer, 42*time.Second)
		named := 0
		for _, n := range names[30:] {
			g.m.Change(func() { named += min(1, g.m.Asked[n]) })
		}
		assert.InDelta(t, 30, named, 1, "one pass in four was for the others")
		g.close()
	})
}

// No more chats are looked after than the memory for them allows, and that is told.
func TestReader_TooManyThatMayChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		g, consumer, _ := changing(t, func(c *Config) {
			c.OncePerAdd = true
			c.Hooks.NotWatched = func(chat string) { told = append(told, chat) }
		})
		g.start()
		g.r.watching = mostWatching - 10
		g.r.Add("a", nil)
		g.take(consumer, time.Minute)
		assert.Equal(t, []string{"a"}, told)
		assert.Empty(t, g.r.chats)
		g.close()
	})
}

// Whatever is sent, changed and deleted between any two requests, in whichever order
// acknowledgements come or not, and wherever the process is killed: no message is deleted
// that is there, and in the end the consumer has what the API has.
func TestReader_ChangesAcrossCrashes(t *testing.T) {
	checkInBubbles(t, func(t *rapid.T) {
		m := chattest.NewModel()
		m.Now = time.Now().UnixMilli()
		seed := rapid.Uint64().Draw(t, "seed")
		rnd := rand.New(rand.NewPCG(seed, 1))
		inModel := rand.New(rand.NewPCG(seed, 2)) // which a lock of its own guards, as it does calm
		size := rapid.IntRange(2, 10).Draw(t, "page size")
		storm := chattest.NewChaos(t, m, 2*size, 20)
		m.Arrive("a", rapid.IntRange(0, 100).Draw(t, "messages"), storm.Gap)
		edits := &chattest.Edits{}
		calm := false
		m.Before = func(string) {
			if !calm {
				storm.Strike("a")
				if inModel.IntN(100) < 20 && len(m.Chats["a"]) > 0 {
					m.Chats["a"] = edits.Edit(inModel, m.Chats["a"], 1+inModel.IntN(3))
				}
			}
			m.Chats["a"] = slices.Clone(m.Chats["a"])
			edits.Version(m.Chats["a"])
		}
		failures := rapid.IntRange(0, 10).Draw(t, "failures")
		m.Fail = func(string, int, int) error {
			if failures > 0 && inModel.IntN(10) == 0 {
				failures--
				return errors.New("500")
			}
			return nil
		}
		consumer := chattest.NewConsumer(t, func(id string) bool { return !slices.Contains(m.IDs("a"), id) })
		once := rapid.Bool().Draw(t, "named once")
		memory := newTestStore()
		lost := map[string]bool{} // delivered, and in no checkpoint when a process was killed
		runs := rapid.IntRange(1, 4).Draw(t, "runs")
		for i := range runs {
			store := &crashStore{Store: memory}
			last := i == runs-1
			r, err := NewReader(Config{
				NewPass: chat.FromNewest(m, chattest.Trusting()), Store: store,
				PageSize: size, MaxBufferedPages: rapid.IntRange(1, 6).Draw(t, "buffered pages"),
				ParallelChats: 2, CheckpointLimit: rapid.IntRange(1, 80).Draw(t, "limit"), PreserveOrder: true,
				CheckpointInterval: time.Duration(rapid.IntRange(0, 30).Draw(t, "interval")) * 100 * time.Millisecond,
				FirstRetry:         time.Second, Retry: time.Second, RetryNotOurs: time.Hour,
				Lookback: 1000 * time.Hour, Changes: 2 * time.Second, OncePerAdd: once, Poll: 3 * time.Second,
			})
			require.NoError(t, err)
			r.Start()
			r.Add("a", nil)
			end := time.Now().Add(time.Duration(rapid.IntRange(1, 20_000).Draw(t, "killed after")) * time.Millisecond)
			var out []*Batch
			for time.Now().Before(end) || last {
				if last && !calm && !time.Now().Before(end) {
					m.Change(func() { calm = true })
					end = time.Now().Add(time.Minute)
				} else if calm && time.Now().After(end) {
					break
				}
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+rnd.IntN(300))*time.Millisecond)
				b, err := r.Next(ctx)
				cancel()
				if err == nil {
					m.Change(func() { consumer.Take(b.Items) })
					for i := range b.Items {
						delete(lost, b.Items[i].ID)
					}
					out = append(out, b)
				}
				if len(out) > 0 && (calm || rnd.IntN(2) == 0) {
					out[0].Ack()
					out = out[1:]
				}
			}
			synctest.Wait()
			store.gone.Store(true)
			_ = r.Close(context.Background())
			known := map[string]bool{}
			if value, err := memory.MemoryStore.Load(context.Background(), "a"); err == nil {
				cp, err := chat.DecodeCheckpoint(value)
				require.NoError(t, err)
				for _, s := range cp.Seen {
					known[s.ID] = true
				}
			}
			for id := range consumer.Has {
				lost[id] = lost[id] || !known[id]
			}
		}
		require.Equal(t, chattest.Hashes(m.Chats["a"]),
			chattest.Without(consumer.Has, func(id string) bool { return lost[id] && consumer.Deleted(id) }))
	})
}
