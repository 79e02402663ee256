// SPDX-License-Identifier: Apache-2.0

package reader

import "slices"

// mostRemembered is how many chats a memory that is bounded has at most; 300 bytes
// for each are usual.
const mostRemembered = 1 << 16

// memory has the checkpoints of chats that were forgotten, so that a Store which loses
// them makes no chat look as if it was never read. Where it is
// bounded it forgets those that were remembered longest ago. Its owner's lock
// guards it.
type memory struct {
	bounded       bool
	recent, older map[string]packed
}

func (m *memory) remember(id string, kept packed) {
	if kept == "" {
		return
	}
	if m.bounded && len(m.recent) >= mostRemembered/2 {
		m.older, m.recent = m.recent, nil
	}
	if m.recent == nil {
		m.recent = map[string]packed{}
	}
	m.recent[id] = kept
}

// believed returns the chats whose checkpoints say that their end was, in order.
func (m *memory) believed() []string {
	var ids []string
	for _, part := range []map[string]packed{m.recent, m.older} {
		for id, kept := range part {
			if kept.believed() && kept == m.recall(id) {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	return ids
}

func (m *memory) recall(id string) packed {
	if kept, ok := m.recent[id]; ok {
		return kept
	}
	return m.older[id]
}
