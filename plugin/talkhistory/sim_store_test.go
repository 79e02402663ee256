// SPDX-License-Identifier: Apache-2.0

package talkhistory_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// simStore is the cache of the checkpoints. It outlives the processes.
type simStore struct {
	w       *simWorld
	values  map[string]string
	faults  []simStoreFault
	writing []*simWrite
	calls   int
	trouble time.Duration // when it failed last
	forgot  bool
	started time.Duration // when it was kept where the account begins
}

// simWrite is a Set that goes on.
type simWrite struct {
	l          *simLife
	key, value string
}

// simStoreFault is something that goes wrong from a time, or at one.
type simStoreFault struct {
	from, to time.Duration
	kind     int
	pick     uint64
	done     bool
}

const (
	storeFails = iota
	storeHangs
	storeForgetsAll
	storeForgetsOne
)

func (s *simStore) setup(w *simWorld) {
	*s = simStore{w: w, values: map[string]string{}, trouble: -time.Hour, started: never - time.Hour}
	r := w.rnd("store")
	add := func(kind int) {
		f := simStoreFault{from: between(r, 0, w.cfg.chaos), kind: kind, pick: r.Uint64()}
		f.to = f.from + between(r, 0, w.cfg.chaos/3)
		s.faults = append(s.faults, f)
	}
	if w.cfg.storeFails {
		add(storeFails)
		add(storeHangs)
	}
	if w.cfg.storeForget {
		add(storeForgetsOne)
		add(oneOf(r, storeForgetsOne, storeForgetsAll))
	}
}

var errStoreFails = errors.New("the store does not work")

// state lets happen what is due, and says what the store does now. Caller holds mu.
func (s *simStore) state() (fails, hangs bool) {
	now := s.w.now()
	for i := range s.faults {
		f := &s.faults[i]
		switch {
		case now < f.from || f.done:
		case f.kind == storeFails || f.kind == storeHangs:
			if now < f.to && !s.w.calm {
				s.trouble = now
				fails, hangs = fails || f.kind == storeFails, hangs || f.kind == storeHangs
			}
		default:
			f.done = true
			keys := make([]string, 0, len(s.values))
			for k := range s.values {
				keys = append(keys, k)
			}
			slices.Sort(keys)
			if f.kind == storeForgetsOne && len(keys) > 0 {
				keys = keys[f.pick%uint64(len(keys)):][:1]
			}
			for _, k := range keys {
				delete(s.values, k)
				s.forgot = true
			}
			s.w.note("the store forgets %v", keys)
		}
	}
	return fails, hangs
}

// call is what every access goes through.
func (s *simStore) call(ctx context.Context, l *simLife, then func() error) error {
	w := s.w
	w.mu.Lock()
	s.calls++
	r := w.rnd("store", s.calls)
	d := between(r, 0, 20*time.Millisecond)
	if _, hangs := s.state(); hangs {
		d = 1000 * time.Hour
	}
	w.mu.Unlock()
	if err := simSleep(ctx, d); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.gone {
		return errSimGone
	}
	if fails, _ := s.state(); fails {
		return errStoreFails
	}
	return then()
}

// kill leaves what was being written done or not. Caller holds mu.
func (s *simStore) kill(l *simLife) {
	for i, write := range s.writing {
		if write.l == l && chance(s.w.rnd("torn", l.n, i), 50) {
			s.values[write.key] = write.value
		}
	}
	s.writing = slices.DeleteFunc(s.writing, func(o *simWrite) bool { return o.l == l })
}

// Get implements service.Cache.
func (l *simLife) Get(ctx context.Context, key string) (value []byte, err error) {
	err = l.w.store.call(ctx, l, func() error {
		v, ok := l.w.store.values[key]
		if !ok {
			return service.ErrKeyNotFound
		}
		value = []byte(v)
		return nil
	})
	return value, err
}

// Set implements service.Cache.
func (l *simLife) Set(ctx context.Context, key string, value []byte, _ *time.Duration) error {
	s := &l.w.store
	write := &simWrite{l, key, string(value)}
	l.w.mu.Lock()
	s.writing = append(s.writing, write)
	l.w.mu.Unlock()
	err := s.call(ctx, l, func() error {
		s.values[key] = string(value)
		if strings.HasSuffix(key, ".latest") {
			s.started = min(s.started, l.w.now())
		}
		return nil
	})
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	s.writing = slices.DeleteFunc(s.writing, func(o *simWrite) bool { return o == write })
	return err
}

// Add implements service.Cache.
func (l *simLife) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	return l.Set(ctx, key, value, ttl)
}

// Delete implements service.Cache.
func (l *simLife) Delete(ctx context.Context, key string) error {
	return l.w.store.call(ctx, l, func() error {
		delete(l.w.store.values, key)
		return nil
	})
}

// Close implements service.Cache.
func (*simLife) Close(context.Context) error { return nil }
