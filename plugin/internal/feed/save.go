// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"context"
	"errors"
	"slices"

	"github.com/kommo-connect/kommo-connect/plugin/internal/listing"
)

// The names of the checkpoints: that of the feed, which every [Discovery] has, and those
// of what NewTalks and NewIDs read before.
const (
	NameEvents = "events"
	NameTalks  = "talks"
	NameStart  = "start"
)

// CheckCheckpoint returns why a value that a Store kept is not a whole checkpoint, or nil
// if it is one.
func CheckCheckpoint(value []byte) error {
	if _, err := decodeStart(value); err == nil {
		return nil
	}
	if _, _, _, err := decodeEvents(value); err == nil {
		return nil
	}
	return listing.CheckCheckpoint(value)
}

// load reads the Store until it has been read once.
func (e *Events) load(ctx context.Context) error {
	if e.loaded {
		return nil
	}
	b, err := e.value.load(ctx)
	if err != nil {
		return err
	}
	e.loaded = true
	e.pos = max(e.since, e.from)
	e.begin()
	if b == nil {
		e.empty = true
		return nil
	}
	saved, err := e.restore(b)
	switch {
	case errors.Is(err, errOther):
		if e.conf.Hooks.Restarted != nil {
			e.conf.Hooks.Restarted(e.value.name)
		}
		return nil
	case err != nil:
		if e.conf.Hooks.Corrupt != nil {
			e.conf.Hooks.Corrupt(e.value.name, err)
		}
		return nil
	}
	e.pos, e.ends.lies = max(saved.pos, e.since), saved.lies
	for _, m := range saved.known {
		e.seen[m.key] = m.at
		e.newest = max(e.newest, m.at)
	}
	e.ledger.mu.Lock()
	e.ledger.saved = saved
	e.ledger.mu.Unlock()
	e.begin()
	return nil
}

func (e *Events) restore(b []byte) (progress, error) {
	saved, origins, since, err := decodeEvents(b)
	if err == nil && (!slices.Equal(origins, e.origins) || since > e.since) {
		return progress{}, errOther // what it passed over would be missing
	}
	return saved, err
}

// Save implements [Discovery]. After a listing it looks whether the Store still has what
// was written last, and writes it again if not.
func (e *Events) Save(ctx context.Context) error {
	if e.conf.Store == nil {
		return nil
	}
	l := &e.ledger
	l.mu.Lock()
	ended := l.ended
	l.mu.Unlock()
	lost := false
	if ended {
		var err error
		if lost, err = e.value.lost(ctx); err != nil {
			return err
		}
		if lost && e.conf.Hooks.Lost != nil {
			e.conf.Hooks.Lost(e.value.name)
		}
	}
	l.mu.Lock()
	if ended {
		l.ended = false
	}
	l.dirty = l.dirty || lost
	dirty, saved := l.dirty, l.saved
	l.dirty = false
	l.mu.Unlock()
	if !dirty {
		return nil
	}
	b, err := encodeEvents(saved, e.origins, e.since)
	if err == nil {
		err = e.value.save(ctx, b)
	}
	if err != nil {
		l.mu.Lock()
		l.dirty = true
		l.mu.Unlock()
	}
	return err
}

// Unacked implements [Discovery].
func (e *Events) Unacked() int { return e.ledger.unacked() }
