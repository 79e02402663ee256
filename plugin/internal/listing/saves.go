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
	turn int                          // which value was looked at last
}

// wrote notes a value that is in the Store now.
func (s *saves) wrote(name string, value []byte) {
	if s.sums == nil {
		s.sums = map[string][sha256.Size]byte{}
	}
	s.sums[name] = sha256.Sum256(value)
}

// verify looks, once after each listing, whether the Store still has what was
// written last, and has it written again if not. What this process has listed and
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
	var lost []int
	turn := l.saves.turn
	for range l.values {
		turn = (turn + 1) % len(l.values)
		sum, ok := l.saves.sums[l.values[turn]]
		if !ok {
			continue
		}
		gone, err := l.gone(ctx, l.values[turn], sum)
		if err != nil {
			return &StoreError{err}
		}
		if gone {
			lost = append(lost, turn)
		} else if len(lost) == 0 {
			break
		}
	}
	l.saves.turn = turn
	l.mu.Lock()
	l.saves.due = false
	for _, i := range lost {
		l.memory.spoiled(i)
	}
	l.mu.Unlock()
	for _, i := range lost {
		delete(l.saves.sums, l.values[i])
	}
	if len(lost) > 0 && l.conf.Hooks.Lost != nil {
		l.conf.Hooks.Lost(l.values[lost[0]])
	}
	return nil
}

// gone tells whether a value is not in the Store as it was written.
func (l *Lister) gone(ctx context.Context, name string, sum [sha256.Size]byte) (bool, error) {
	value, err := l.conf.Store.Load(ctx, name)
	if errors.Is(err, checkpoint.ErrNone) {
		return true, nil
	}
	return sha256.Sum256(value) != sum, err
}
