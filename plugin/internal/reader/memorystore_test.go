// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"context"
	"sync"

	"github.com/kommo-connect/kommo-connect/plugin/internal/checkpoint"
)

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
		return nil, checkpoint.ErrNone
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

func (m *MemoryStore) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values = nil
}
