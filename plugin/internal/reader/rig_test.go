// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
	"github.com/kommo-connect/kommo-connect/plugin/internal/chat/chattest"
	"github.com/kommo-connect/kommo-connect/plugin/internal/evidence"
)

// rig is a Reader over a model, with what the tests look at. It lives in a
// bubble of virtual time.
type rig struct {
	t     require.TestingT
	m     *chattest.Model
	store *testStore
	cfg   Config
	r     *Reader

	mu      sync.Mutex
	corrupt map[string]int
	failed  map[string]int           // ChatFailed
	retryIn map[string]time.Duration // the last one told
	errs    map[string]error
	unsaved map[string]int // CheckpointFailed
	odd     map[string]int
}

func newRig(t require.TestingT, m *chattest.Model, with func(*Config)) *rig {
	g := &rig{
		t: t, m: m, store: newTestStore(),
		corrupt: map[string]int{}, failed: map[string]int{}, retryIn: map[string]time.Duration{},
		errs: map[string]error{}, unsaved: map[string]int{}, odd: map[string]int{},
	}
	g.cfg = Config{
		NewPass: chat.FromNewest(m, &evidence.Server{}), Store: g.store,
		PageSize: 5, MaxBufferedPages: 4, ParallelChats: 4, CheckpointLimit: 1000, PreserveOrder: true,
		CheckpointInterval: time.Second, FirstRetry: 30 * time.Second, Retry: 30 * time.Second, RetryNotOurs: time.Hour,
		Hooks: Hooks{
			CheckpointCorrupt: func(chat string, _ error) { g.note(func() { g.corrupt[chat]++ }) },
			CheckpointFailed:  func(chat string, _ error, _ time.Duration) { g.note(func() { g.unsaved[chat]++ }) },
			ChatFailed: func(chat string, err error, _ int, retryIn time.Duration) {
				g.note(func() { g.failed[chat]++; g.errs[chat] = err; g.retryIn[chat] = retryIn })
			},
			Odd: func(chat string, n int) { g.note(func() { g.odd[chat] += n }) },
		},
	}
	if with != nil {
		with(&g.cfg)
	}
	return g
}

func (g *rig) note(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

// start makes a new Reader over the same model and store, as a restart does.
func (g *rig) start(chats ...string) *rig {
	var err error
	g.r, err = NewReader(g.cfg)
	require.NoError(g.t, err)
	if t, ok := g.t.(*testing.T); ok {
		// A test that fails must not leave its bubble with goroutines.
		r := g.r
		t.Cleanup(func() { _ = r.Close(context.Background()) })
	}
	g.r.Start()
	for _, c := range chats {
		g.r.Add(c, nil)
	}
	if !g.cfg.OncePerAdd {
		g.r.AllAdded()
	}
	return g
}

func (g *rig) close() { require.NoError(g.t, g.r.Close(context.Background())) }

// next returns the batch that is there once nothing moves any more without
// time passing, or nil.
func (g *rig) next() *Batch {
	ctx, cancel := context.WithTimeout(context.Background(), time.Nanosecond)
	defer cancel()
	b, err := g.r.Next(ctx)
	if err == nil {
		return b
	}
	require.ErrorIs(g.t, err, context.DeadlineExceeded)
	return nil
}

// within returns the next batch, which must come within a time.
func (g *rig) within(d time.Duration) *Batch {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	b, err := g.r.Next(ctx)
	require.NoError(g.t, err)
	return b
}

// drain takes and acknowledges all there is until the end of the input, or
// until nothing has come for a time. It returns what came, by chat.
func (g *rig) drain(quiet time.Duration) (got map[string][]string, ended bool) {
	got = map[string][]string{}
	for {
		ctx, cancel := context.WithTimeout(context.Background(), quiet)
		b, err := g.r.Next(ctx)
		cancel()
		switch {
		case err == nil:
			got[b.Chat] = append(got[b.Chat], chattest.IDsOf(b.Items)...)
			b.Ack()
			synctest.Wait() // for what follows from it at once
		case errors.Is(err, io.EOF):
			return got, true
		default:
			require.ErrorIs(g.t, err, context.DeadlineExceeded)
			return got, false
		}
	}
}

// testStore is a Store that counts, can fail, and checks its own contract.
type testStore struct {
	MemoryStore

	mu       sync.Mutex
	busy     map[string]bool
	twice    bool // a chat was loaded or saved twice at once
	loads    map[string]int
	saves    map[string][]time.Time // those that were written
	tries    map[string][]time.Time // of Save
	failLoad func(chat string) error
	failSave func(chat string) error
	delay    time.Duration
}

func newTestStore() *testStore {
	return &testStore{
		busy: map[string]bool{}, loads: map[string]int{},
		saves: map[string][]time.Time{}, tries: map[string][]time.Time{},
	}
}

func (s *testStore) enter(id string) (leave func()) {
	s.mu.Lock()
	s.twice = s.twice || s.busy[id]
	s.busy[id] = true
	s.mu.Unlock()
	time.Sleep(s.delay)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.busy, id)
	}
}

func (s *testStore) Load(ctx context.Context, id string) ([]byte, error) {
	leave := s.enter(id)
	defer leave()
	s.mu.Lock()
	s.loads[id]++
	fail := s.failLoad
	s.mu.Unlock()
	if fail != nil {
		if err := fail(id); err != nil {
			return nil, err
		}
	}
	return s.MemoryStore.Load(ctx, id)
}

func (s *testStore) Save(ctx context.Context, id string, value []byte) error {
	leave := s.enter(id)
	defer leave()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("saving: %w", err)
	}
	s.mu.Lock()
	s.tries[id] = append(s.tries[id], time.Now())
	fail := s.failSave
	s.mu.Unlock()
	if fail != nil {
		if err := fail(id); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.saves[id] = append(s.saves[id], time.Now())
	s.mu.Unlock()
	return s.MemoryStore.Save(ctx, id, value)
}

// failSaves has every Save fail from now on, or none if err is nil.
func (s *testStore) failSaves(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failSave = func(string) error { return err }
}

func (s *testStore) saveCount(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.saves[id])
}

// checkpoint returns what is stored of a chat.
func (s *testStore) checkpoint(t require.TestingT, id string) chat.Checkpoint {
	v, err := s.MemoryStore.Load(context.Background(), id)
	require.NoError(t, err)
	c, err := chat.DecodeCheckpoint(v)
	require.NoError(t, err)
	return c
}
