// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"errors"

	"github.com/kommo-connect/kommo-connect/plugin/internal/checkpoint"

	"context"
	"crypto/sha256"
)

// saves remembers what is in the Store, so that it shows if that has gone: a Redis
// that lost its data, a key that has expired, a value that is torn or that somebody
// has put back. The zero value is ready.
type saves struct {
	sums map[string][sha256.Size]byte // of the values, by their names
	due  bool                         // a listing has ended since it was looked at
	turn int                          // which shard to look at
}

// wrote notes a value that is in the Store now.
func (s *saves) wrote(name string, value []byte) {
	if s.sums == nil {
		s.sums = map[string][sha256.Size]byte{}
	}
	s.sums[name] = sha256.Sum256(value)
}

// verify looks, once after each listing, whether the Store still has what was
// written last, and has it written again if not. What this process has named and
// what of that was acknowledged it knows by itself.
//
// Of many values it looks at one in turn, and at all if that one has gone.
func (l *Lister) verify(ctx context.Context) error {
	l.mu.Lock()
	due := l.saves.due
	l.mu.Unlock()
	if !due {
		return nil
	}
	names := map[string]int{l.conf.Name: 0}
	if l.conf.Once {
		names = map[string]int{}
		for range shards {
			l.saves.turn = (l.saves.turn + 1) % shards
			name := l.shardName(l.saves.turn)
			if _, ok := l.saves.sums[name]; ok {
				names[name] = l.saves.turn
				break
			}
		}
	}
	lost, err := l.lost(ctx, names)
	if err == nil && l.conf.Once && len(lost) > 0 {
		for n := range shards {
			names[l.shardName(n)] = n
		}
		lost, err = l.lost(ctx, names)
	}
	if err != nil {
		return &StoreError{err}
	}
	l.mu.Lock()
	l.saves.due = false
	for _, name := range lost {
		if l.conf.Once {
			l.firsts.dirty[names[name]] = true
		} else {
			l.dirty = true
		}
	}
	l.mu.Unlock()
	for _, name := range lost {
		delete(l.saves.sums, name)
	}
	if len(lost) > 0 && l.conf.Hooks.Lost != nil {
		l.conf.Hooks.Lost(lost[0])
	}
	return nil
}

// lost returns those names whose values are not as they were written.
func (l *Lister) lost(ctx context.Context, names map[string]int) (lost []string, err error) {
	for name := range names {
		sum, ok := l.saves.sums[name]
		if !ok {
			continue
		}
		value, err := l.conf.Store.Load(ctx, name)
		none := errors.Is(err, checkpoint.ErrNone)
		if err != nil && !none {
			return nil, err
		}
		if none || sha256.Sum256(value) != sum {
			lost = append(lost, name)
		}
	}
	return lost, nil
}
