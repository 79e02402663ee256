// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"errors"

	"github.com/kommo-connect/kommo-connect/plugin/internal/checkpoint"

	"context"
)

// StoreError is an access to the Store that failed.
type StoreError struct{ Err error }

// Error is that of the Store.
func (e *StoreError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *StoreError) Unwrap() error { return e.Err }

// load reads the Store until all of it has been read once.
func (l *Lister) load(ctx context.Context) error {
	if l.conf.Store == nil {
		return nil
	}
	for ; l.loaded < len(l.values); l.loaded++ {
		name := l.values[l.loaded]
		value, err := l.conf.Store.Load(ctx, name)
		if errors.Is(err, checkpoint.ErrNone) {
			continue
		}
		if err != nil {
			return &StoreError{err}
		}
		l.saves.wrote(name, value)
		switch err := l.restore(value); {
		case errors.Is(err, errOther):
			if l.conf.Hooks.Restarted != nil {
				l.conf.Hooks.Restarted(name)
			}
		case err != nil && l.conf.Hooks.Corrupt != nil:
			l.conf.Hooks.Corrupt(name, err)
		}
	}
	return nil
}

// restore takes the value that is loaded next.
func (l *Lister) restore(value []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	was, err := l.memory.restore(l.loaded, value)
	if err != nil {
		return err
	}
	l.lies = l.lies || was.lies
	if p := was.place; p != nil {
		// Two pages, as the front has to be read again.
		l.lap = lap{covered: p.covered, marks: p.marks, loose: p.loose, pages: 2}
		l.front, l.place = p.front, p
	}
	return nil
}

// Save writes what was acknowledged since it was last saved, and after a listing
// also what the Store has lost. An error of the Store is a [*StoreError]; the next
// Save tries again.
func (l *Lister) Save(ctx context.Context) error {
	if l.conf.Store == nil {
		return nil
	}
	if err := l.verify(ctx); err != nil {
		return err
	}
	for i, name := range l.values {
		l.mu.Lock()
		encode := l.memory.unsaved(i)
		l.mu.Unlock()
		if encode == nil {
			continue
		}
		value, err := encode()
		if err == nil {
			err = l.conf.Store.Save(ctx, name, value)
		}
		if err != nil {
			delete(l.saves.sums, name) // it may have been written all the same
			l.mu.Lock()
			l.memory.spoiled(i)
			l.mu.Unlock()
			return &StoreError{err}
		}
		l.saves.wrote(name, value)
	}
	return nil
}
