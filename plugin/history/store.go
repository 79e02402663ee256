// SPDX-License-Identifier: Apache-2.0

package history

import (
	"context"
	"errors"
	"sync"
)

// Store keeps checkpoints across restarts, a small value for each chat.
//
// Load returns ErrNoCheckpoint for a chat that has none; every other error
// means that nothing is known, and Load is called again later. Save replaces
// the chat's value. Both are called from several goroutines, but never twice at
// once for one chat.
type Store interface {
	Load(ctx context.Context, chat string) ([]byte, error)
	Save(ctx context.Context, chat string, value []byte) error
}

// ErrNoCheckpoint is what a Store's Load returns for a chat it has nothing of.
var ErrNoCheckpoint = errors.New("no checkpoint")

// MemoryStore is a Store that lasts as long as the process. The zero value is
// ready.
type MemoryStore struct {
	mu     sync.Mutex
	values map[string]string
}

// Load implements Store.
func (m *MemoryStore) Load(_ context.Context, chat string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.values[chat]
	if !ok {
		return nil, ErrNoCheckpoint
	}
	return []byte(v), nil
}

// Save implements Store.
func (m *MemoryStore) Save(_ context.Context, chat string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil {
		m.values = map[string]string{}
	}
	m.values[chat] = string(value)
	return nil
}
