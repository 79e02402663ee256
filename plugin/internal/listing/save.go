// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"errors"

	"github.com/kommo-connect/kommo-connect/plugin/internal/checkpoint"

	"context"
	"fmt"
	"maps"
	"slices"
)

// StoreError is an access to the Store that failed.
type StoreError struct{ Err error }

// Error is that of the Store.
func (e *StoreError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *StoreError) Unwrap() error { return e.Err }

// load reads the Store until all of it has been read once.
func (l *Lister) load(ctx context.Context) error {
	values := 1
	if l.conf.Once {
		values = shards
	}
	for ; l.loaded < values; l.loaded++ {
		if l.conf.Store == nil {
			continue
		}
		name := l.conf.Name
		if l.conf.Once {
			name = l.shardName(l.loaded)
		}
		value, err := l.conf.Store.Load(ctx, name)
		if errors.Is(err, checkpoint.ErrNone) {
			continue
		}
		if err != nil {
			return &StoreError{err}
		}
		l.saves.wrote(name, value)
		if l.conf.Once {
			err = l.restoreShard(value)
		} else {
			err = l.restore(name, value)
		}
		if err != nil && l.conf.Hooks.Corrupt != nil {
			l.conf.Hooks.Corrupt(name, err)
		}
	}
	return nil
}

func (l *Lister) shardName(n int) string { return fmt.Sprintf("%s-%02d", l.conf.Name, n) }

func (l *Lister) restoreShard(value []byte) error {
	ids, err := decodeShard(value)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.firsts.restore(ids)
	return nil
}

func (l *Lister) restore(name string, value []byte) error {
	s, origins, since, err := decodeState(value)
	if err != nil {
		return err
	}
	if !slices.Equal(origins, l.conf.Origins) || since > sinceOf(l.conf.Since) {
		// What it passed over would be missing.
		if l.conf.Hooks.Restarted != nil {
			l.conf.Hooks.Restarted(name)
		}
		return nil
	}
	u := &l.updates
	u.watermark, u.swept, u.sweptAt, u.newestFirst = s.watermark, s.swept, s.sweptAt, s.newestFirst
	u.stamps = maps.Clone(s.stamps)
	l.lies = s.lies
	if p := s.place; p != nil {
		u.started, u.whole, u.newest, u.order = p.started, p.whole, p.newest, p.order
		// Two pages, as the front has to be read again.
		l.pass = pass{covered: p.covered, marks: p.marks, loose: p.loose, pages: 2}
		l.front, l.place = p.front, p
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked = s
	return nil
}

// Save writes what was acknowledged since it was last saved, and after a listing
// also what the Store has lost. An error of the Store is a [*StoreError]; the next Save tries again.
func (l *Lister) Save(ctx context.Context) error {
	if l.conf.Store == nil {
		return nil
	}
	if err := l.verify(ctx); err != nil {
		return err
	}
	if l.conf.Once {
		return l.saveShards(ctx)
	}
	l.mu.Lock()
	if !l.dirty {
		l.mu.Unlock()
		return nil
	}
	l.dirty = false
	s := l.acked
	s.stamps = maps.Clone(s.stamps)
	l.mu.Unlock()

	value, err := encodeState(s, l.conf.Origins, sinceOf(l.conf.Since))
	if err == nil {
		err = l.conf.Store.Save(ctx, l.conf.Name, value)
	}
	if err != nil {
		delete(l.saves.sums, l.conf.Name) // it may have been written all the same
		l.mu.Lock()
		l.dirty = true
		l.mu.Unlock()
		return &StoreError{err}
	}
	l.saves.wrote(l.conf.Name, value)
	return nil
}

func (l *Lister) saveShards(ctx context.Context) error {
	for n := range shards {
		l.mu.Lock()
		if !l.firsts.dirty[n] {
			l.mu.Unlock()
			continue
		}
		l.firsts.dirty[n] = false
		ids := l.firsts.shard(n)
		l.mu.Unlock()

		value, err := encodeShard(ids)
		if err == nil {
			err = l.conf.Store.Save(ctx, l.shardName(n), value)
		}
		if err != nil {
			delete(l.saves.sums, l.shardName(n))
			l.mu.Lock()
			l.firsts.dirty[n] = true
			l.mu.Unlock()
			return &StoreError{err}
		}
		l.saves.wrote(l.shardName(n), value)
	}
	return nil
}
