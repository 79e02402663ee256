// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
	"github.com/kommo-connect/kommo-connect/plugin/internal/chat/chattest"
	"github.com/kommo-connect/kommo-connect/plugin/internal/evidence"
)

// A message of the old time that arrives on top of a page of others like it, before a
// reread from a later time, is not lost.
func TestReread_LosesNothingThatLooksOld(t *testing.T) {
	for _, pages := range []int{1, 4, 100} {
		for name, again := range map[string]func(m *chattest.Model) time.Time{
			"from a time": func(m *chattest.Model) time.Time { return time.UnixMilli(m.Now - 30_000) },
			"all, since":  func(*chattest.Model) time.Time { return time.Time{} },
		} {
			t.Run(fmt.Sprintf("%s, %d pages", name, pages), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := chattest.NewModel()
					m.Fill("a", 60, 1000)
					began := m.Now
					g := newRig(t, m, func(c *Config) { named(c); c.MaxBufferedPages, c.Since = pages, time.UnixMilli(began-70_000) }).start()
					told := make(chan error, 2)
					g.r.Add("a", func(err error) { told <- err })
					g.drain(time.Hour)
					require.NoError(t, <-told)

					late := []string{m.Put("a", 0, began+1)}
					for range 80 {
						late = append(late, m.Put("a", 0, began-60_000))
					}
					g.r.Reread("a", again(m), func(err error) { told <- err })
					got, _ := g.drain(time.Hour)
					require.NoError(t, <-told)
					for _, id := range late {
						require.Contains(t, got["a"], id)
					}
					g.close()
				})
			})
		}
	}
}

// The last messages that were delivered claim to be old, and all that is younger was deleted.
func TestReread_GoesOnAboveWhatClaimsToBeOld(t *testing.T) {
	for name, n := range map[string]int{"one": 1, "more than is buffered": 60} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := chattest.NewModel()
				m.Fill("a", 20, 1000)
				for range 9 {
					m.Put("a", 0, m.Now-1e9)
				}
				g := newRig(t, m, func(c *Config) { named(c); c.MaxBufferedPages = 2 }).start()
				g.r.Add("a", nil)
				g.drain(time.Hour)
				m.Remove("a", 9, 15)
				var late []string
				for range n {
					late = append(late, m.Put("a", 0, m.Now-2e9))
				}
				g.r.Reread("a", time.UnixMilli(m.Now-1000), nil)
				got, _ := g.drain(time.Hour)
				require.Equal(t, late, got["a"])
				g.close()
			})
		})
	}
}

func TestReread_FromATimeInALongChatIsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Fill("a", 5000, 1000)
		g := newRig(t, m, func(c *Config) { named(c); c.PageSize = 50 }).start()
		g.r.Add("a", nil)
		g.drain(time.Hour)
		before := m.Count()
		g.r.Reread("a", time.UnixMilli(m.Now-499_000), nil)
		got, _ := g.drain(time.Hour)
		require.Equal(t, m.IDs("a")[4500:], got["a"])
		require.LessOrEqual(t, m.Count()-before, 11+2*8)
		g.close()
	})
}

func TestReread_OfAChatThatIsReadFromItsLatest(t *testing.T) {
	for name, c := range map[string]struct {
		ago  time.Duration
		want int
	}{"from a time": {time.Hour, 6}, "all": {0, 20}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := chattest.NewModel()
				m.Now = time.Now().Add(-time.Hour * 17).UnixMilli()
				m.Fill("a", 20, time.Hour.Milliseconds())
				m.Now -= 3 * time.Hour.Milliseconds()
				for i := range m.Chats["a"] {
					m.Chats["a"][i].Time -= 3 * time.Hour.Milliseconds()
				}
				g := newRig(t, m, func(c *Config) { named(c); c.Latest = true }).start()
				from := time.Time{}
				if c.ago > 0 {
					from = time.UnixMilli(m.Chats["a"][5].Time)
				}
				g.r.Reread("a", from, nil)
				got, _ := g.drain(time.Hour)
				require.Equal(t, m.IDs("a")[20-c.want:], got["a"])
				m.Arrive("a", 2, func() int64 { return 1000 })
				g.r.Add("a", nil)
				got, _ = g.drain(time.Hour)
				require.Equal(t, m.IDs("a")[20:], got["a"])
				g.close()
			})
		})
	}
}

// What is asked for while an earlier reread has come some way and fails takes in the rest
// of that.
func TestReread_OfALaterTimeInTheMiddleOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Fill("a", 100, 1000)
		g := newRig(t, m, func(c *Config) { named(c); c.MaxBufferedPages, c.CheckpointLimit = 2, 10 }).start()
		g.r.Add("a", nil)
		g.drain(time.Hour)
		stored := g.store.checkpoint(t, "a")

		var told []string
		g.r.Reread("a", time.Time{}, func(error) { told = append(told, "all") })
		var got []string
		for len(got) < 20 {
			b := g.within(time.Hour)
			got = append(got, chattest.IDsOf(b.Items)...)
			m.Change(func() {
				if len(got) >= 20 {
					m.Fail = func(string, int, int) error { return errors.New("500") }
				}
			})
			b.Ack()
			synctest.Wait()
		}
		more, _ := g.drain(time.Second)
		got = append(got, more["a"]...)
		g.r.Reread("a", time.UnixMilli(m.Now-10_000), func(error) { told = append(told, "a part") })
		require.Equal(t, stored, g.store.checkpoint(t, "a"), "it stays where it was")
		require.Empty(t, told)
		m.Change(func() { m.Fail = nil })
		more, _ = g.drain(time.Hour)
		got = append(got, more["a"]...)
		slices.Sort(got)
		require.Equal(t, m.IDs("a"), slices.Compact(got), "all of it")
		synctest.Wait()
		require.ElementsMatch(t, []string{"all", "a part"}, told)
		g.close()
	})
}

// want is a naming that was not answered yet.
type want struct {
	from     time.Time // of a reread
	reread   bool
	answered bool
}

func answered(w want) bool { return w.answered }

// Whenever somebody asks for a reread, whatever happens to the chat and to the requests
// meanwhile, and wherever the process is killed: nothing is lost, what was asked for has come
// when that is acknowledged, the order is broken by rereads alone, and the checkpoint never goes back.
func TestReread_LosesNothing(t *testing.T) {
	checkInBubbles(t, func(t *rapid.T) {
		m := chattest.NewModel()
		seed := rapid.Uint64().Draw(t, "seed")
		rnd := rand.New(rand.NewPCG(seed, 1))
		inModel := rand.New(rand.NewPCG(seed, 2)) // which a lock of its own guards
		size := rapid.IntRange(2, 10).Draw(t, "page size")
		storm := chattest.NewChaos(t, m, 2*size, 20)
		m.Arrive("a", rapid.IntRange(0, 120).Draw(t, "messages"), storm.Gap)
		m.Before = storm.Strike
		failures := rapid.IntRange(0, 20).Draw(t, "failures")
		m.Fail = func(string, int, int) error {
			if failures > 0 && inModel.IntN(8) == 0 {
				failures--
				return errors.New("500")
			}
			return nil
		}
		store := newTestStore()
		cfg := Config{
			NewPass: chat.FromNewest(m, &evidence.Server{}), Store: store, OncePerAdd: true,
			PageSize: size, MaxBufferedPages: rapid.IntRange(1, 6).Draw(t, "buffered pages"), ParallelChats: 2,
			CheckpointLimit: rapid.IntRange(1, 80).Draw(t, "limit"), PreserveOrder: rapid.Bool().Draw(t, "order"),
			CheckpointInterval: time.Duration(rapid.IntRange(0, 3).Draw(t, "interval")) * 100 * time.Millisecond,
			Lookback:           time.Duration(rapid.IntRange(0, 2).Draw(t, "lookback")) * 900 * time.Millisecond,
			FirstRetry:         time.Second, Retry: time.Second, RetryNotOurs: time.Hour,
		}
		var came []string    // and was acknowledged, in that order
		var missing []string // did not come again
		var wants []want
		last := int64(0)
		checkpoint := func() {
			if v, err := store.MemoryStore.Load(context.Background(), "a"); err == nil {
				c, err := chat.DecodeCheckpoint(v)
				require.NoError(t, err)
				require.GreaterOrEqual(t, c.Time, last, "the checkpoint goes back")
				last = c.Time
			}
		}
		run := func(steps int) {
			gone := &crashStore{Store: store}
			cfg.Store = gone
			r, err := NewReader(cfg)
			require.NoError(t, err)
			defer func() {
				gone.gone.Store(true)
				_ = r.Close(context.Background())
			}()
			r.Start()
			rereads, newest := 0, ""
			name := func(w want) {
				// A model's ids go up with its times, so the oldest that has to come is known.
				var must []string
				m.Change(func() {
					for _, it := range slices.Backward(m.Chats["a"]) {
						if w.reread && it.Time >= w.from.UnixMilli() {
							must = append(must, it.ID)
						}
					}
				})
				asked := len(came)
				wants = append(wants, w)
				at := len(wants) - 1
				done := func(err error) {
					if err != nil {
						return
					}
					wants[at].answered = true
					m.Change(func() {
						got := map[string]bool{}
						for _, id := range came[asked:] {
							got[id] = true
						}
						stays := m.IDs("a")
						for _, id := range must {
							if !got[id] && slices.Contains(stays, id) {
								missing = append(missing, id)
							}
						}
					})
				}
				if w.reread {
					rereads++
					r.Reread("a", w.from, done)
				} else {
					r.Add("a", done)
				}
			}
			unanswered := slices.DeleteFunc(wants, answered)
			wants = nil
			for _, w := range unanswered {
				name(w)
			}
			var out []*Batch
			over := func() bool { return len(slices.DeleteFunc(slices.Clone(wants), answered)) == 0 }
			for step := 0; step < steps || steps == 0 && (step < 200 || !over()); step++ {
				require.Less(t, step, 10_000, "no end")
				if rnd.IntN(8) == 0 && step < 200 {
					w := want{reread: rnd.IntN(2) == 0}
					m.Change(func() {
						if n := len(m.Chats["a"]); w.reread && n > 0 && rnd.IntN(3) > 0 {
							w.from = time.UnixMilli(m.Chats["a"][rnd.IntN(n)].Time)
						}
					})
					name(w)
				}
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rnd.IntN(100))*time.Millisecond)
				b, err := r.Next(ctx)
				cancel()
				if err == nil {
					for _, it := range b.Items {
						if it.ID < newest {
							rereads--
							require.GreaterOrEqual(t, rereads, 0, "out of order")
						}
						newest = it.ID
					}
					out = append(out, b)
				}
				if len(out) > 0 && rnd.IntN(3) > 0 {
					i := rnd.IntN(len(out))
					came = append(came, chattest.IDsOf(out[i].Items)...)
					out[i].Ack()
					out = slices.Delete(out, i, i+1)
				}
				if rnd.IntN(4) == 0 {
					time.Sleep(time.Duration(rnd.IntN(400)) * time.Millisecond)
				}
				synctest.Wait()
				checkpoint()
				require.Empty(t, missing)
			}
			if steps == 0 {
				require.Empty(t, out)
				require.NoError(t, r.Close(context.Background()))
				checkpoint()
			}
		}
		for range rapid.IntRange(0, 4).Draw(t, "crashes") {
			run(rapid.IntRange(1, 150).Draw(t, "crash after"))
		}
		run(0)
		before := m.IDs("a")
		m.Before = nil
		wants = append(wants, want{})
		run(0) // what has come since it was named last nobody has asked for
		got := map[string]bool{}
		for _, id := range came {
			got[id] = true
		}
		for _, id := range before {
			require.True(t, got[id], "%s never came", id)
		}
	})
}
