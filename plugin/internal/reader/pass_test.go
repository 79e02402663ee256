// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"context"
	"errors"
	"fmt"
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

// scripted is a pass that does what a test says.
type scripted struct {
	start chat.Start
	run   func(ctx context.Context, s chat.Start) (chat.Result, error)
}

func (p scripted) Run(ctx context.Context) (chat.Result, error) { return p.run(ctx, p.start) }

func passes(run func(ctx context.Context, s chat.Start) (chat.Result, error)) func(*Config) {
	return func(c *Config) {
		c.NewPass = func(s chat.Start) chat.Pass { return scripted{s, run} }
	}
}

// What a pass counted is told although it failed, and once for a chat.
func TestReader_CountsOfAFailedPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fail := true
		g := newRig(t, chattest.NewModel(), passes(func(context.Context, chat.Start) (chat.Result, error) {
			if fail {
				fail = false
				return chat.Result{Entries: 5, Odd: 2, WrongTimes: 3}, errors.New("500")
			}
			return chat.Result{Entries: 50, Odd: 20, WrongTimes: 30}, nil
		}))
		wrong := 0
		g.cfg.Hooks.WrongTimes = func(_ string, n int) { wrong += n }
		_, ended := g.start("a").drain(time.Hour)
		require.True(t, ended)
		assert.Equal(t, map[string]int{"a": 1}, g.failed)
		assert.Equal(t, map[string]int{"a": 2}, g.odd)
		assert.Equal(t, 3, wrong)
		g.close()
	})
}

// When a pass finds that short pages mislead, the chats whose end was believed are read
// once more from their beginning, and so is one that is being read just then.
func TestReader_DoubtsEndsThatWereBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		times := map[string]int{}
		item := chat.Item{ID: "m", Time: 1_700_000_000_000}
		g := newRig(t, chattest.NewModel(), passes(func(ctx context.Context, s chat.Start) (chat.Result, error) {
			mu.Lock()
			times[s.Chat]++
			again := times[s.Chat] == 2
			mu.Unlock()
			switch {
			case s.Chat == "looked behind", again:
				assert.False(t, s.Known, "from the beginning")
				return chat.Result{Entries: 1}, s.Emit(ctx, []chat.Item{item}, item.Time)
			case s.Chat == "misleading":
				time.Sleep(time.Second)
				s.OnShortPages()
				return chat.Result{Entries: 1}, nil
			case s.Chat == "slow":
				time.Sleep(2 * time.Second)
			}
			s.OnBelieved()
			return chat.Result{Entries: 1}, s.Emit(ctx, []chat.Item{item}, item.Time)
		}))
		again := -1
		g.cfg.Hooks.ShortPages = func(n int) { again = n }
		_, ended := g.start("believed", "looked behind", "slow", "misleading").drain(time.Hour)
		require.True(t, ended)
		assert.Equal(t, map[string]int{"believed": 2, "looked behind": 1, "slow": 2, "misleading": 1}, times)
		assert.Equal(t, 1, again, "of those that had been read")
		g.close()
	})
}

// A doubted chat brings what was missed and nothing twice, also when a pass fails on the way, and then
// its checkpoint has all of it in the order of the chat.
func TestReader_ADoubtedChatKeepsWhatWasKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		item := func(n int64) chat.Item {
			return chat.Item{ID: fmt.Sprint("m", n), Time: 1_700_000_000_000 + n*1000}
		}
		times := 0
		g := newRig(t, chattest.NewModel(), passes(func(ctx context.Context, s chat.Start) (chat.Result, error) {
			emit := func(n ...int64) error {
				var items []chat.Item
				for _, n := range n {
					items = append(items, item(n))
				}
				return s.Emit(ctx, items, item(n[len(n)-1]).Time)
			}
			if s.Chat == "misleading" {
				time.Sleep(time.Second)
				s.OnShortPages()
				return chat.Result{Entries: 1}, nil
			}
			switch times++; times {
			case 1:
				s.OnBelieved()
				return chat.Result{Entries: 2}, emit(4, 5)
			case 2:
				assert.False(t, s.Known, "from the beginning")
				assert.NoError(t, emit(1, 2))
				time.Sleep(time.Minute) // it is acknowledged meanwhile
				return chat.Result{Entries: 2}, errors.New("500")
			default:
				assert.Equal(t, chat.SeenOf([]chat.Item{item(1), item(2)}), s.From.Seen)
				return chat.Result{Entries: 4}, emit(3, 4, 5, 6)
			}
		}))
		g.cfg.Lookback = time.Hour
		got, ended := g.start("a", "misleading").drain(time.Hour)
		require.True(t, ended)
		assert.Equal(t, []string{"m4", "m5", "m1", "m2", "m3", "m6"}, got["a"])
		assert.Equal(t, chat.SeenOf([]chat.Item{item(1), item(2), item(3), item(4), item(5), item(6)}), g.store.checkpoint(t, "a").Seen)
		g.close()
	})
}

// What was believed of a chat outlasts a process that ends before it is read again, and a pass that fails.
func TestReader_DoubtsOutlastTheProcess(t *testing.T) {
	for name, failing := range map[string]bool{"believed by a whole pass": false, "by one that failed": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var life, doubted int
				item := func(n int64) []chat.Item {
					return []chat.Item{{ID: fmt.Sprint("m", n), Time: 1_700_000_000_000 + n*1000}}
				}
				g := newRig(t, chattest.NewModel(), passes(func(ctx context.Context, s chat.Start) (chat.Result, error) {
					mu.Lock()
					defer mu.Unlock()
					switch {
					case s.Chat == "misleading" && life == 1:
						mu.Unlock()
						time.Sleep(time.Minute)
						mu.Lock()
						s.OnShortPages()
						return chat.Result{Entries: 1}, s.Emit(ctx, item(1), s.Now.UnixMilli())
					case s.Chat == "misleading":
						return chat.Result{Entries: 1}, nil
					case life == 1 && s.Known:
						return chat.Result{Entries: 1}, nil
					case life == 1 && s.ShortPages:
						return chat.Result{}, errors.New("500") // until the process ends
					case life == 1:
						s.OnBelieved()
						err := s.Emit(ctx, item(2), s.Now.UnixMilli())
						if failing && err == nil {
							err = errors.New("500")
						}
						return chat.Result{Entries: 1}, err
					case s.Known:
						return chat.Result{Entries: 1}, nil
					}
					assert.True(t, s.ShortPages)
					doubted++
					return chat.Result{Entries: 2}, s.Emit(ctx, append(item(1), item(2)...), s.Now.UnixMilli())
				}))
				for life = 1; life <= 2; life++ {
					got, ended := g.start("believed", "misleading").drain(10 * time.Minute)
					require.Equal(t, life == 2, ended)
					require.Equal(t, []string{"", "m2", "m1"}[life], got["believed"][0])
					g.close()
				}
				require.Equal(t, 1, doubted)
				cp := g.store.checkpoint(t, "believed")
				assert.False(t, cp.Believed)
				assert.Len(t, cp.Seen, 2)
			})
		})
	}
}

// What an earlier process believed is read again where this one finds out.
func TestReader_DoubtsWhatAnEarlierProcessBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fresh := 0
		g := newRig(t, chattest.NewModel(), passes(func(ctx context.Context, s chat.Start) (chat.Result, error) {
			switch {
			case s.Chat == "misleading":
				time.Sleep(time.Minute) // the others have ended
				s.OnShortPages()
				return chat.Result{Entries: 1}, nil
			case s.Known:
				return chat.Result{Entries: 1}, nil
			}
			if fresh++; !s.ShortPages {
				s.OnBelieved()
			}
			return chat.Result{Entries: 1}, s.Emit(ctx, []chat.Item{{ID: "m", Time: 1}}, s.Now.UnixMilli())
		}))
		g.start("a").drain(time.Hour)
		g.close()
		again := -1
		g.cfg.Hooks.ShortPages = func(n int) { again = n }
		_, ended := g.start("a", "misleading").drain(time.Hour)
		require.True(t, ended)
		g.close()
		assert.Equal(t, 1, again)
		assert.Equal(t, 2, fresh)
		assert.False(t, g.store.checkpoint(t, "a").Believed)
	})
}

// It is in each checkpoint that is written before the chat is read again, and in that of a chat
// whose end was not believed at first.
func TestReader_KeepsWhatWasBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, chattest.NewModel(), passes(func(ctx context.Context, s chat.Start) (chat.Result, error) {
			switch {
			case s.Chat == "misleading":
				time.Sleep(time.Minute)
				s.OnShortPages()
				return chat.Result{Entries: 1}, nil
			case s.Known:
				s.OnBelieved()
				return chat.Result{Entries: 1}, nil
			case s.Chat == "out":
				s.OnBelieved()
			}
			for n := range int64(2) {
				if err := s.Emit(ctx, []chat.Item{{ID: fmt.Sprint("m", n), Time: 1 + n}}, s.Now.UnixMilli()); err != nil {
					return chat.Result{}, err
				}
				time.Sleep(time.Second)
			}
			return chat.Result{Entries: 2}, nil
		}))
		g.cfg.Poll = 10 * time.Second
		g.start("at first not").drain(5 * time.Second)
		assert.False(t, g.store.checkpoint(t, "at first not").Believed)
		g.drain(20 * time.Second)
		assert.True(t, g.store.checkpoint(t, "at first not").Believed)
		g.close()

		g.start("out", "misleading")
		first := g.within(time.Second)
		time.Sleep(2 * time.Minute)
		first.Ack()
		g.within(time.Second) // and it stays out
		time.Sleep(time.Minute)
		cp := g.store.checkpoint(t, "out")
		assert.Len(t, cp.Seen, 1)
		assert.True(t, cp.Believed)
		g.close()
	})
}

// So does what was believed of one that nobody waits for any more, and the next who adds it has it
// read again.
func TestReader_DoubtsWhatIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		fresh := map[string]int{}
		g := newRig(t, chattest.NewModel(), passes(func(ctx context.Context, s chat.Start) (chat.Result, error) {
			if s.Chat == "misleading" {
				s.OnShortPages()
				return chat.Result{Entries: 1}, nil
			}
			mu.Lock()
			defer mu.Unlock()
			if s.Known {
				return chat.Result{Entries: 1}, nil
			}
			if fresh[s.Chat]++; !s.ShortPages {
				s.OnBelieved()
			}
			return chat.Result{Entries: 1}, s.Emit(ctx, []chat.Item{{ID: "m", Time: 1}}, s.Now.UnixMilli())
		}))
		g.cfg.OncePerAdd = true
		g.start("a", "b").drain(time.Minute)
		g.r.Add("misleading", nil)
		g.drain(time.Minute)
		assert.Equal(t, map[string]int{"a": 2, "b": 2}, fresh)
		g.close()
	})
}

// A chat that looked empty is read again too, and one that is empty gets no checkpoint by that.
func TestReader_DoubtsAnEmptyChat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var passed []bool // by ShortPages
		g := newRig(t, chattest.NewModel(), passes(func(_ context.Context, s chat.Start) (chat.Result, error) {
			if s.Chat == "misleading" {
				time.Sleep(time.Second)
				s.OnShortPages()
				return chat.Result{Entries: 1}, nil
			}
			if passed = append(passed, s.ShortPages); !s.ShortPages {
				s.OnBelieved()
			}
			return chat.Result{}, nil
		}))
		_, ended := g.start("empty", "misleading").drain(time.Hour)
		require.True(t, ended)
		assert.Equal(t, []bool{false, true}, passed)
		g.close()
		_, err := g.store.MemoryStore.Load(context.Background(), "empty")
		assert.ErrorIs(t, err, checkpoint.ErrNone)
	})
}

// A pass may say where the next one goes on without emitting anything.
func TestReader_SavesTheCheckpointThatAPassSets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := chat.Checkpoint{Time: 5000, From: 4000, Seen: []chat.Seen{{ID: "m", Time: 5000}}}
		var from []chat.Checkpoint
		g := newRig(t, chattest.NewModel(), passes(func(_ context.Context, s chat.Start) (chat.Result, error) {
			from = append(from, s.From)
			return chat.Result{Checkpoint: set, Set: len(from) == 1}, nil
		}))
		for range 2 {
			_, ended := g.start("a").drain(time.Hour)
			require.True(t, ended)
			g.close()
		}
		assert.Equal(t, []chat.Checkpoint{{}, set}, from)
		assert.Equal(t, set, g.store.checkpoint(t, "a"))
	})
}

// A call that fails for now, of a pass that has begun, is made again, and meanwhile
// another chat has the place.
func TestReader_AFailingCallLeavesItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("503")
		var order []string
		g := newRig(t, chattest.NewModel(), passes(func(ctx context.Context, s chat.Start) (chat.Result, error) {
			for i := range 3 {
				fails := s.Chat == "a" && i == 1
				err := s.Call(ctx, func(context.Context) error {
					order = append(order, s.Chat)
					if fails {
						fails = false
						return down
					}
					time.Sleep(time.Second)
					return nil
				})
				if err != nil {
					return chat.Result{}, err
				}
			}
			return chat.Result{Entries: 1}, nil
		}))
		g.cfg.ParallelChats = 1
		g.cfg.Transient = func(err error) bool { return errors.Is(err, down) }
		g.start("a")
		time.Sleep(time.Millisecond)
		g.r.Add("b", nil)
		_, ended := g.drain(time.Hour)
		require.True(t, ended)
		assert.Equal(t, []string{"a", "a", "b", "b", "b", "a", "a"}, order, "the failed call is made again, and no other")
		assert.Equal(t, map[string]int{"a": 1}, g.failed)
		g.close()
	})
}
