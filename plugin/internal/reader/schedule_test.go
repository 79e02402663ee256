// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
	"github.com/kommo-connect/kommo-connect/plugin/internal/chat/chattest"
)

func manyChats(m *chattest.Model, chats, messages int) (names []string) {
	for i := range chats {
		names = append(names, fmt.Sprintf("chat%03d", i))
		m.Fill(names[i], messages, 1500)
	}
	return names
}

func TestReader_FetchesSideBySideWithinParallelChats(t *testing.T) {
	for _, parallel := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			m := chattest.NewModel()
			m.Delay = 100 * time.Millisecond
			chats := manyChats(m, 20, 33)
			g := newRig(t, m, func(c *Config) { c.ParallelChats = parallel }).start(chats...)
			start := time.Now()
			got, ended := g.drain(time.Hour)
			require.True(t, ended)
			for _, c := range chats {
				require.Equal(t, m.IDs(c), got[c])
			}
			assert.Equal(t, parallel, m.Most)
			assert.Equal(t, 1, m.Beside)
			idle := time.Since(start) - time.Duration(m.Count())*m.Delay/time.Duration(parallel)
			assert.Less(t, idle, 2*time.Second, "a place was left empty")
			g.close()
		})
	}
}

// A chat that waits for its acknowledgements, even in the middle of its pass,
// leaves its place to others.
func TestReader_WaitingForAcknowledgementsTakesNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		chats := manyChats(m, 6, 100)
		g := newRig(t, m, func(c *Config) {
			c.ParallelChats, c.MaxBufferedPages = 1, 2
			c.CheckpointLimit = 200
		}).start(chats...)
		out := map[string]*Batch{}
		for range chats {
			b := g.within(time.Second)
			require.Nil(t, out[b.Chat], "one batch of a chat at a time")
			out[b.Chat] = b
		}
		require.Nil(t, g.next())
		// One is acknowledged: it goes on, though the others never are.
		b := out[chats[2]]
		for n := len(b.Items); ; n += len(b.Items) {
			b.Ack()
			if n == 100 {
				break
			}
			b = g.within(time.Second)
			require.Equal(t, chats[2], b.Chat)
		}
		g.close()
	})
}

func TestReader_HoldsNoMoreThanTheCheckpointLimit(t *testing.T) {
	for _, c := range []struct{ limit, page, pages, parallel int }{
		{1, 50, 100, 4}, {1, 2, 1, 1}, {7, 50, 2, 4}, {64, 5, 4, 2}, {300, 50, 3, 8},
	} {
		for _, ordered := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				m := chattest.NewModel()
				m.Delay = 10 * time.Millisecond
				chats := manyChats(m, 12, 160)
				g := newRig(t, m, func(cfg *Config) {
					cfg.CheckpointLimit, cfg.PageSize, cfg.MaxBufferedPages, cfg.ParallelChats = c.limit, c.page, c.pages, c.parallel
					cfg.PreserveOrder = ordered
				}).start(chats...)
				got := map[string][]string{}
				var out []*Batch
				most := 0
				for {
					synctest.Wait()
					s := g.r.Stats()
					require.LessOrEqual(t, s.Unacked+s.Held, c.limit)
					require.GreaterOrEqual(t, s.Held, 0)
					most = max(most, s.Unacked+s.Held)
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					b, err := g.r.Next(ctx)
					cancel()
					if err == nil {
						got[b.Chat] = append(got[b.Chat], chattest.IDsOf(b.Items)...)
						out = append(out, b)
						continue
					}
					// Nothing more without an acknowledgement.
					for _, b := range out {
						b.Ack()
					}
					out = nil
					if errors.Is(err, io.EOF) {
						break
					}
				}
				assert.GreaterOrEqual(t, most, c.limit-c.limit/4, "the limit is made use of, but for what is rationed")
				for _, c := range chats {
					require.Equal(t, m.IDs(c), got[c])
				}
				g.close()
			})
		}
	}
}

func TestReader_PreserveOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Fill("a", 90, 1500)
		m.Fill("b", 90, 1500)
		g := newRig(t, m, func(c *Config) { c.MaxBufferedPages = 2 }).start("a", "b")
		var held *Batch
		got := map[string][]string{}
		for b := g.within(time.Second); b != nil; b = g.next() {
			got[b.Chat] = append(got[b.Chat], chattest.IDsOf(b.Items)...)
			if b.Chat == "a" {
				require.Nil(t, held, "the next batch left before the one before it was acknowledged")
				held = b
				continue
			}
			b.Ack()
		}
		assert.Equal(t, m.IDs("b"), got["b"])
		assert.Less(t, len(got["a"]), 90)
		held.Ack()
		held.Ack() // twice counts once
		rest, ended := g.drain(time.Hour)
		require.True(t, ended)
		assert.Equal(t, m.IDs("a"), append(got["a"], rest["a"]...))
		assert.Zero(t, g.r.Stats().Unacked)
		g.close()
	})
}

// Without preserve order, several batches are out, and the checkpoint covers
// only what is acknowledged without a gap.
func TestReader_ChecksPointsOnlyWithoutAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Fill("a", 90, 1500)
		g := newRig(t, m, func(c *Config) {
			c.PreserveOrder = false
			c.MaxBufferedPages = 2
			c.CheckpointInterval = 0
			c.Poll = 24 * time.Hour
		}).start("a")
		var out []*Batch
		total := 0
		for b := g.within(time.Second); b != nil; b = g.next() {
			out = append(out, b)
			total += len(b.Items)
		}
		require.Greater(t, len(out), 3)
		require.Equal(t, 90, total)
		var order []int
		for i := range out {
			order = append(order, i)
		}
		rand.New(rand.NewPCG(1, 2)).Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		newest := make([]int64, len(out))
		for i, b := range out {
			newest[i] = b.Items[len(b.Items)-1].Time
		}
		acked := map[int]bool{}
		for _, i := range order {
			out[i].Ack()
			acked[i] = true
			synctest.Wait()
			gapless := 0
			for acked[gapless] {
				gapless++
			}
			if gapless == 0 {
				require.Zero(t, g.store.saveCount("a"))
				continue
			}
			require.Equal(t, newest[gapless-1], g.store.checkpoint(t, "a").Time)
		}
		g.close()
	})
}

func TestReader_FailingChatIsTriedAgainAndHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		chats := manyChats(m, 3, 12)
		refused := errors.New("400: no such chat")
		broken := true
		m.Fail = func(chat string, _, _ int) error {
			if broken && chat == "chat001" {
				return refused
			}
			return nil
		}
		g := newRig(t, m, func(c *Config) { c.ParallelChats = 1 }).start(chats...)
		got, ended := g.drain(10*time.Minute + time.Second)
		assert.False(t, ended, "an input with a failing chat does not end")
		assert.Len(t, got["chat000"], 12)
		assert.Len(t, got["chat002"], 12)
		synctest.Wait()
		assert.Equal(t, 21, g.failed["chat001"], "once at the start, and each 30s since")
		assert.Equal(t, 30*time.Second, g.retryIn["chat001"])
		require.ErrorIs(t, g.errs["chat001"], refused)
		assert.Equal(t, 1, g.r.Stats().Chats[Failing])

		m.Change(func() { broken = false })
		got, ended = g.drain(time.Hour)
		assert.True(t, ended)
		assert.Equal(t, m.IDs("chat001"), got["chat001"])
		g.close()
	})
}

// A pass that fails in its middle goes on from there.
func TestReader_FailureInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Fill("a", 400, 1500)
		n := 0
		m.Fail = func(string, int, int) error {
			if n++; n%40 == 0 {
				return errors.New("reset")
			}
			return nil
		}
		g := newRig(t, m, nil).start("a")
		got, ended := g.drain(time.Hour)
		require.True(t, ended)
		assert.Equal(t, m.IDs("a"), got["a"])
		assert.NotZero(t, g.failed["a"])
		g.close()
	})
}

type outcome struct {
	done []error
	at   []time.Time
}

func (o *outcome) cb(g *rig) func(error) {
	return func(err error) {
		g.note(func() { o.done = append(o.done, err); o.at = append(o.at, time.Now()) })
	}
}

func named(c *Config) { c.OncePerAdd = true }

func TestReader_NamedChatIsDoneWhenAcknowledged(t *testing.T) {
	for _, ordered := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			m := chattest.NewModel()
			m.Fill("a", 70, 1500)
			g := newRig(t, m, func(c *Config) { c.OncePerAdd = true; c.MaxBufferedPages = 2; c.PreserveOrder = ordered }).start()
			var a, empty outcome
			g.r.Add("a", a.cb(g))
			g.r.Add("empty", empty.cb(g))
			var last *Batch
			for b := g.within(time.Second); b != nil; b = g.next() {
				synctest.Wait()
				require.Empty(t, a.done)
				if last != nil {
					last.Ack()
				}
				last = b
				if ordered {
					last.Ack()
				}
			}
			if !ordered {
				time.Sleep(time.Hour)
				require.Empty(t, a.done, "one batch is not acknowledged")
				last.Ack()
			}
			time.Sleep(time.Second) // until it is saved
			synctest.Wait()
			assert.Equal(t, []error{nil}, a.done)
			assert.Equal(t, []error{nil}, empty.done)
			time.Sleep(time.Minute)
			synctest.Wait()
			g.r.mu.Lock()
			assert.Empty(t, g.r.chats, "forgotten chats leave nothing")
			assert.Zero(t, len(g.r.sleeping.h)+len(g.r.dirty.h)+len(g.r.ready)+len(g.r.offers)+g.r.open)
			g.r.mu.Unlock()
			assert.Equal(t, [states]int{}, g.r.Stats().Chats)
			assert.Nil(t, g.next())
			g.r.AllAdded()
			_, err := g.r.Next(t.Context())
			require.ErrorIs(t, err, io.EOF)
			g.close()
			assert.Len(t, a.done, 1)
		})
	}
}

func TestReader_NamedChatThatFailsIsRetriedInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Fill("a", 3, 1500)
		rejected := errors.New("404")
		m.Fail = func(string, int, int) error { return rejected }
		g := newRig(t, m, named).start()
		var o outcome
		g.r.Add("a", o.cb(g))
		time.Sleep(time.Minute - time.Second)
		g.r.Add("a", o.cb(g))
		synctest.Wait()
		require.Empty(t, o.done)
		assert.Equal(t, 2, m.Count())
		assert.Equal(t, map[string]int{"a": 2}, g.failed)
		assert.Equal(t, 1, g.r.Stats().Chats[Failing])

		m.Change(func() { m.Fail = nil })
		g.r.AllAdded()
		got, ended := g.drain(time.Hour)
		assert.True(t, ended)
		assert.Len(t, got["a"], 3)
		synctest.Wait()
		assert.Equal(t, []error{nil, nil}, o.done)
		g.close()
	})
}

// Chats that fail, or are not ours, leave room for others to be named; and of
// those that are not ours the oldest are given up in the end.
func TestReader_RoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		rejected, letGo := errors.New("404"), 0
		m.Fail = func(id string, _, _ int) error {
			switch id[:3] {
			case "our":
				return nil
			case "404":
				return rejected
			}
			return fmt.Errorf("403: %w", chat.ErrNotOurs)
		}
		g := newRig(t, m, func(c *Config) {
			named(c)
			c.CheckpointLimit = 50
			c.Hooks.LetGo = func(string) { letGo++ }
		}).start()
		room := func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			return g.r.Room(ctx) == nil
		}
		var ours, foreign, failing outcome
		for i := range 200 {
			require.True(t, room())
			g.r.Add(fmt.Sprint("404-", i), failing.cb(g))
		}
		for i := range 4500 {
			require.True(t, room())
			g.r.Add(fmt.Sprint("foreign-", i), foreign.cb(g))
			synctest.Wait()
		}
		m.Fill("ours", 3, 1500)
		require.True(t, room())
		g.r.Add("ours", ours.cb(g))
		b := g.within(time.Minute)
		for range 49 {
			require.True(t, room())
			g.r.Add("ours", nil)
			g.r.Add("ours", ours.cb(g))
		}
		assert.False(t, room(), "fifty wait for their chat")
		b.Ack()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		assert.True(t, room())
		assert.Len(t, ours.done, 50)
		assert.Len(t, foreign.done, 4500-4096)
		assert.Equal(t, 4500-4096, letGo)
		assert.Empty(t, failing.done)
		asked := func() (n int) {
			m.Change(func() { n = m.Asked["foreign-4499"] })
			return n
		}
		for _, rest := range []time.Duration{time.Minute, 4 * time.Minute, 16 * time.Minute, time.Hour, time.Hour} {
			before := asked()
			time.Sleep(rest - 30*time.Second)
			assert.Equal(t, before, asked(), "left alone for %s", rest)
			time.Sleep(30 * time.Second)
			synctest.Wait()
			assert.Equal(t, before+1, asked(), "after %s", rest)
		}
		g.close()
		synctest.Wait()
		assert.Len(t, failing.done, 200)
		assert.Len(t, foreign.done, 4500)
	})
}

// Named again while it is read, waits or is delivered: one more pass, not two,
// and never two at once.
func TestReader_NamedAgain(t *testing.T) {
	for _, ordered := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			m := chattest.NewModel()
			m.Delay = time.Second
			m.Fill("a", 4, 1500)
			g := newRig(t, m, func(c *Config) { c.OncePerAdd = true; c.PreserveOrder = ordered; c.ParallelChats = 2 }).start()
			var first, again outcome
			g.r.Add("a", first.cb(g))
			time.Sleep(100 * time.Millisecond)
			require.Equal(t, 1, g.r.Stats().Chats[Reading])
			for range 5 {
				g.r.Add("a", again.cb(g))
			}
			b := g.within(5 * time.Second)
			m.Change(func() { m.Fill("a", 2, 1500) })
			time.Sleep(10 * time.Second)
			require.Empty(t, again.done)
			b.Ack()
			b = g.within(5 * time.Second)
			require.Len(t, b.Items, 2)
			synctest.Wait()
			assert.Empty(t, again.done)
			for range 3 {
				g.r.Add("a", again.cb(g)) // while delivering
			}
			g.r.AllAdded()
			if ordered {
				assert.Nil(t, g.next(), "no end while a pass is still to come")
			}
			b.Ack()
			_, ended := g.drain(time.Minute)
			require.True(t, ended)
			synctest.Wait()
			assert.Len(t, first.done, 1)
			assert.Len(t, again.done, 8)
			for _, err := range append(first.done, again.done...) {
				assert.NoError(t, err)
			}
			assert.Equal(t, 3+1, m.Count(), "one pass each for the first, those in between, and the last; and a look behind the first page")
			assert.Equal(t, 1, m.Beside)
			g.close()
		})
	}
}

func TestReader_NamedDuringCloseIsNotAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Delay = time.Second
		for _, c := range []string{"done", "out", "reading", "late"} {
			m.Fill(c, 3, 1500)
		}
		g := newRig(t, m, func(c *Config) { c.OncePerAdd = true; c.ParallelChats = 2 }).start()
		o := map[string]*outcome{}
		for _, c := range []string{"done", "out"} {
			o[c] = &outcome{}
			g.r.Add(c, o[c].cb(g))
		}
		for range 2 {
			if b := g.within(5 * time.Second); b.Chat == "done" {
				b.Ack()
			}
		}
		time.Sleep(time.Second)
		for _, c := range []string{"reading", "waiting"} {
			o[c] = &outcome{}
			g.r.Add(c, o[c].cb(g))
		}
		time.Sleep(100 * time.Millisecond)
		g.close()
		o["late"] = &outcome{}
		g.r.Add("late", o["late"].cb(g))
		synctest.Wait()
		assert.Equal(t, []error{nil}, o["done"].done)
		for _, c := range []string{"out", "reading", "waiting", "late"} {
			require.Len(t, o[c].done, 1, c)
			assert.ErrorIs(t, o[c].done[0], ErrClosed, c)
		}
		_, err := g.r.Next(t.Context())
		assert.ErrorIs(t, err, ErrClosed)
	})
}

// A chat that changes all the time must not keep a Reader of many chats from
// the others.
func TestReader_LargeChatsDoNotStarveSmallOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Delay = 100 * time.Millisecond
		for i := range 4 {
			m.Fill(fmt.Sprint("large", i), 20_000, 700)
		}
		small := manyChats(m, 30, 5)
		g := newRig(t, m, func(c *Config) {
			c.PageSize, c.MaxBufferedPages, c.ParallelChats, c.CheckpointLimit = 50, 10, 5, 500
		}).start(append([]string{"large0", "large1", "large2", "large3"}, small...)...)
		start := time.Now()
		left := len(small)
		for left > 0 {
			b := g.within(time.Minute)
			if b.Chat[:4] == "chat" {
				left--
			}
			b.Ack()
		}
		assert.Less(t, time.Since(start), time.Minute)
		g.close()
	})
}

// Passes that have given their place up wait for it when they all may go on.
func TestReader_ResumesWithinParallelChats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Delay = 100 * time.Millisecond
		chats := manyChats(m, 8, 100)
		g := newRig(t, m, func(c *Config) { c.ParallelChats, c.MaxBufferedPages, c.CheckpointLimit = 2, 2, 200 }).start(chats...)
		got := map[string][]string{}
		for {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			var out []*Batch
			b, err := g.r.Next(ctx)
			for ; err == nil; b, err = g.r.Next(ctx) {
				got[b.Chat] = append(got[b.Chat], chattest.IDsOf(b.Items)...)
				out = append(out, b)
			}
			cancel()
			for _, b := range out {
				b.Ack()
			}
			if errors.Is(err, io.EOF) {
				break
			}
		}
		assert.Equal(t, 2, m.Most)
		for _, c := range chats {
			require.Equal(t, m.IDs(c), got[c])
		}
		g.close()
	})
}

// rejectedAndHealthy makes chats of 400 messages, those that an output is to reject first.
func rejectedAndHealthy(m *chattest.Model, rejected, healthy int) (chats []string) {
	for i := range rejected {
		chats = append(chats, fmt.Sprintf("rejected-%d", i))
	}
	for i := range healthy {
		chats = append(chats, fmt.Sprintf("healthy-%d", i))
	}
	for _, c := range chats {
		m.Fill(c, 400, 700)
	}
	return chats
}

// Chats of which nothing is acknowledged, as an output does that retries their messages itself,
// do not keep the others from being read.
func TestReader_RejectedChatsLeaveRoom(t *testing.T) {
	const healthy = 5
	for parallel, rejected := range map[int]int{1: 20, 4: 40} {
		t.Run(fmt.Sprint(parallel), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := chattest.NewModel()
				chats := rejectedAndHealthy(m, rejected, healthy)
				g := newRig(t, m, func(c *Config) {
					c.Poll, c.ParallelChats, c.PageSize, c.MaxBufferedPages = time.Minute, parallel, 50, 100
				}).start(chats...)
				got := map[string]int{}
				for {
					ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
					b, err := g.r.Next(ctx)
					cancel()
					if err != nil {
						require.ErrorIs(t, err, context.DeadlineExceeded)
						break
					}
					if strings.HasPrefix(b.Chat, "healthy") {
						got[b.Chat] += len(b.Items)
						b.Ack()
					}
				}
				for _, c := range chats[rejected:] {
					assert.Equal(t, 400, got[c], c)
				}
				s := g.r.Stats()
				assert.LessOrEqual(t, s.Held+s.Unacked, g.cfg.CheckpointLimit)
				assert.Positive(t, s.Short, "the others wait for their share")
				g.close()
			})
		})
	}
}

// Hundreds of chats whose messages the output rejects leave the others their room, and all of
// them come once it takes them.
func TestReader_ManyRejectedChatsStopNoOther(t *testing.T) {
	const rejected, healthy = 200, 20
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		chats := rejectedAndHealthy(m, rejected, healthy)
		g := newRig(t, m, func(c *Config) {
			named(c)
			c.PageSize, c.MaxBufferedPages, c.CheckpointLimit = 50, 100, 4096
		}).start()
		got, told := map[string][]string{}, 0
		for _, c := range chats {
			g.r.Add(c, func(err error) {
				assert.NoError(t, err)
				assert.Len(t, got[c], 400, "told when all has come")
				told++
			})
		}
		var out []*Batch
		take := func(d time.Duration) bool {
			ctx, cancel := context.WithTimeout(context.Background(), d)
			defer cancel()
			b, err := g.r.Next(ctx)
			if err != nil {
				require.ErrorIs(t, err, context.DeadlineExceeded)
				return false
			}
			got[b.Chat] = append(got[b.Chat], chattest.IDsOf(b.Items)...)
			if strings.HasPrefix(b.Chat, "healthy") {
				b.Ack()
			} else {
				out = append(out, b)
				b.Rejected()
			}
			s := g.r.Stats()
			require.LessOrEqual(t, s.Held+s.Unacked, g.cfg.CheckpointLimit)
			return true
		}
		for take(time.Hour) {
		}
		for _, c := range chats[rejected:] {
			assert.True(t, slices.Equal(m.IDs(c), got[c]), c)
		}
		for len(out) > 0 {
			b := out[0]
			out = out[1:]
			b.Ack()
			for take(2 * time.Second) {
			}
		}
		synctest.Wait()
		assert.Equal(t, rejected+healthy, told)
		for _, c := range chats {
			assert.True(t, slices.Equal(m.IDs(c), got[c]), c)
		}
		g.close()
	})
}
