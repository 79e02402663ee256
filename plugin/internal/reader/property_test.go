// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
	"github.com/kommo-connect/kommo-connect/plugin/internal/chat/chattest"
	"github.com/kommo-connect/kommo-connect/plugin/internal/checkpoint"
	"github.com/kommo-connect/kommo-connect/plugin/internal/evidence"
)

// crashStore is a store of one run: when the process has gone, nothing reaches
// it any more.
type crashStore struct {
	checkpoint.Store

	gone atomic.Bool
}

func (s *crashStore) Save(ctx context.Context, id string, value []byte) error {
	if s.gone.Load() {
		return errors.New("there is no process")
	}
	return s.Store.Save(ctx, id, value)
}

// checkInBubbles is rapid.Check with each case in virtual time of its own.
func checkInBubbles(t *testing.T, property func(*rapid.T)) {
	t.Helper()
	rapid.Check(t, func(rt *rapid.T) {
		// rapid stops a case by a panic, which must not end the bubble's
		// goroutine but this one.
		var stopped any
		synctest.Test(t, func(*testing.T) {
			defer func() { stopped = recover() }()
			property(rt)
		})
		if stopped != nil {
			panic(stopped)
		}
	})
}

// flight is a batch as the pipeline sees it.
type flight struct {
	b     *Batch
	ids   []string
	acked time.Time
}

// journey is what the pipeline gets of a model's chats over several runs.
type journey struct {
	t     *rapid.T
	rnd   *rand.Rand
	m     *chattest.Model
	first map[string][]string        // by chat, each message when it came first
	came  map[string]bool            // by id
	safe  map[string]bool            // by id: acknowledged long enough before a crash
	out   []*flight                  // of this run, not acknowledged
	all   map[string][]*flight       // of this run, by chat
	inRun map[string]map[string]bool // by chat and id
}

func (j *journey) take(b *Batch) {
	f := &flight{b: b, ids: chattest.IDsOf(b.Items)}
	require.NotEmpty(j.t, f.ids)
	if j.inRun[b.Chat] == nil {
		j.inRun[b.Chat] = map[string]bool{}
	}
	if before := j.all[b.Chat]; len(before) > 0 {
		last := before[len(before)-1].ids
		require.Less(j.t, last[len(last)-1], f.ids[0], "in order")
	}
	require.True(j.t, slices.IsSorted(f.ids), "in order: %v", f.ids)
	for _, id := range f.ids {
		require.False(j.t, j.inRun[b.Chat][id], "%s came twice in one run", id)
		j.inRun[b.Chat][id] = true
		require.False(j.t, j.safe[id], "%s came again though it was acknowledged long before the crash", id)
		if !j.came[id] {
			j.came[id] = true
			j.first[b.Chat] = append(j.first[b.Chat], id)
		}
	}
	j.out = append(j.out, f)
	j.all[b.Chat] = append(j.all[b.Chat], f)
}

func (j *journey) ackOne() {
	if len(j.out) == 0 {
		return
	}
	i := j.rnd.IntN(len(j.out))
	j.out[i].acked = time.Now()
	j.out[i].b.Ack()
	j.out = append(j.out[:i], j.out[i+1:]...)
}

// run reads until the end, or until it crashes after so many steps.
func (j *journey) run(cfg Config, chats []string, steps int) {
	j.out, j.all, j.inRun = nil, map[string][]*flight{}, map[string]map[string]bool{}
	store := &crashStore{Store: cfg.Store}
	cfg.Store = store
	r, err := NewReader(cfg)
	require.NoError(j.t, err)
	defer func() {
		store.gone.Store(true)
		_ = r.Close(context.Background())
	}()
	r.Start()
	for _, c := range chats {
		r.Add(c, nil)
	}
	r.AllAdded()
	crashes := steps > 0
	for step := 0; !crashes || step < steps; step++ {
		require.Less(j.t, step, 200_000, "no end")
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(j.rnd.IntN(100))*time.Millisecond)
		b, err := r.Next(ctx)
		cancel()
		switch {
		case err == nil:
			j.take(b)
			if cfg.PreserveOrder {
				for _, f := range j.all[b.Chat][:len(j.all[b.Chat])-1] {
					require.False(j.t, f.acked.IsZero(), "left before the one before it was acknowledged")
				}
			}
		case errors.Is(err, io.EOF) && !crashes:
			for len(j.out) > 0 {
				j.ackOne()
			}
			require.NoError(j.t, r.Close(context.Background()))
			return
		case !errors.Is(err, io.EOF):
			require.ErrorIs(j.t, err, context.DeadlineExceeded)
		}
		s := r.Stats()
		require.LessOrEqual(j.t, s.Held+s.Unacked, cfg.CheckpointLimit)
		if j.rnd.IntN(3) > 0 {
			j.ackOne()
		}
		time.Sleep(time.Duration(j.rnd.IntN(30)) * time.Millisecond)
	}
	synctest.Wait()
	store.gone.Store(true)
	crash := time.Now()
	for _, flights := range j.all {
		for _, f := range flights {
			if f.acked.IsZero() {
				break // and all behind it count as unacknowledged
			}
			if !f.acked.Before(crash.Add(-cfg.CheckpointInterval)) {
				break
			}
			for _, id := range f.ids {
				j.safe[id] = true
			}
		}
	}
}

// Whatever happens to the chats between any two requests, in whichever order
// acknowledgements come or not, and wherever the process is killed: every
// message that stays is delivered, first in order, once in a run, and repeated
// only if it was not yet acknowledged and written.
func TestReader_DeliversAllThatStaysAcrossCrashes(t *testing.T) {
	checkInBubbles(t, func(t *rapid.T) {
		m := chattest.NewModel()
		seed := rapid.Uint64().Draw(t, "seed")
		rnd := rand.New(rand.NewPCG(seed, 1))
		size := rapid.IntRange(2, 10).Draw(t, "page size")
		chats := []string{"a", "b", "c", "d"}[:rapid.IntRange(1, 4).Draw(t, "chats")]
		storms := map[string]*chattest.Chaos{}
		before := map[string][]string{}
		for _, c := range chats {
			storms[c] = chattest.NewChaos(t, m, 3*size, 30)
			m.Arrive(c, rapid.IntRange(0, 150).Draw(t, "messages"), storms[c].Gap)
			before[c] = m.IDs(c)
		}
		calm := false
		m.Before = func(chat string) {
			if !calm {
				storms[chat].Strike(chat)
			}
		}
		m.Delay = time.Duration(rapid.IntRange(0, 40).Draw(t, "latency")) * time.Millisecond
		failures := rapid.IntRange(0, 10).Draw(t, "failures")
		luck := rand.New(rand.NewPCG(seed, 2))
		m.Fail = func(string, int, int) error {
			if failures > 0 && luck.IntN(20) == 0 {
				failures--
				return errors.New("500")
			}
			return nil
		}
		store := newTestStore()
		cfg := Config{
			NewPass: chat.FromNewest(m, &evidence.Server{}), Store: store,
			PageSize:           size,
			ReadAhead:          rapid.IntRange(0, 6).Draw(t, "read ahead"),
			MaxBufferedPages:   rapid.IntRange(1, 6).Draw(t, "buffered pages"),
			ParallelChats:      rapid.IntRange(1, 4).Draw(t, "parallel"),
			CheckpointLimit:    rapid.IntRange(1, 80).Draw(t, "limit"),
			PreserveOrder:      rapid.Bool().Draw(t, "order"),
			CheckpointInterval: time.Duration(rapid.IntRange(0, 5).Draw(t, "interval")) * 100 * time.Millisecond,
			FirstRetry:         time.Second,
			Retry:              time.Second,
			RetryNotOurs:       time.Hour,
		}
		j := &journey{t: t, rnd: rnd, m: m, first: map[string][]string{}, came: map[string]bool{}, safe: map[string]bool{}}
		for range rapid.IntRange(0, 4).Draw(t, "crashes") {
			cfg.Lookback = time.Duration(rnd.IntN(3)) * 900 * time.Millisecond
			j.run(cfg, chats, rapid.IntRange(1, 80).Draw(t, "crash after"))
		}
		j.run(cfg, chats, 0)
		require.False(t, store.twice, "the store was asked twice at once for a chat")
		require.LessOrEqual(t, m.Beside, max(1, cfg.ReadAhead), "requests for one chat at once")
		for _, c := range chats {
			chattest.RequireStayed(t, before[c], m.IDs(c), j.first[c])
		}

		// And once the chats are at rest, everything has come.
		calm = true
		j.run(cfg, chats, 0)
		for _, c := range chats {
			for _, id := range m.IDs(c) {
				require.True(t, j.came[id], "%s never came", id)
			}
		}
	})
}

func TestReader_RequestsOfQuietChats(t *testing.T) {
	checkInBubbles(t, func(t *rapid.T) {
		m := chattest.NewModel()
		size := rapid.IntRange(2, 50).Draw(t, "page size")
		pages := rapid.IntRange(1, 6).Draw(t, "buffered pages")
		chats := []string{"a", "b", "c"}
		n := map[string]int{}
		for _, c := range chats {
			n[c] = rapid.IntRange(0, 700).Draw(t, "messages")
			m.Fill(c, n[c], 700)
		}
		g := newRig(t, m, func(c *Config) {
			c.NewPass = chat.FromNewest(m, chattest.Trusting())
			c.PageSize, c.MaxBufferedPages = size, pages
			c.ReadAhead = rapid.IntRange(0, 20).Draw(t, "read ahead")
			c.ParallelChats = rapid.IntRange(1, 3).Draw(t, "parallel")
			c.CheckpointLimit = rapid.IntRange(1, 300).Draw(t, "limit")
			c.PreserveOrder = rapid.Bool().Draw(t, "order")
		})
		g.start(chats...)
		got, ended := g.drain(time.Hour)
		g.close()
		require.True(t, ended)
		for _, c := range chats {
			require.Equal(t, m.IDs(c), got[c])
			require.LessOrEqual(t, m.Asked[c], chattest.Bound(n[c], size, pages))
		}
	})
}
