// SPDX-License-Identifier: Apache-2.0

package chat_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
	"github.com/kommo-connect/kommo-connect/plugin/internal/chat/chattest"
	"github.com/kommo-connect/kommo-connect/plugin/internal/evidence"
)

// Past its end a chat may show its last page again, whole or cut, as servers do that
// bound the offset.
func TestPass_LastPageAgainPastTheEnd(t *testing.T) {
	bends := map[string]func(all []chat.Item, offset, limit int) int{
		"the last page": func(all []chat.Item, offset, limit int) int {
			if offset >= len(all) {
				return len(all) - limit
			}
			return offset
		},
		"a bounded offset": func(all []chat.Item, offset, limit int) int { return min(offset, len(all)-limit) },
		"the last message": func(all []chat.Item, offset, _ int) int { return min(offset, len(all)-1) },
	}
	for name, bend := range bends {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				m := chattest.NewModel()
				size := rapid.IntRange(2, 12).Draw(t, "page size")
				pages := rapid.IntRange(1, 6).Draw(t, "buffered pages")
				n := rapid.IntRange(size+1, 400).Draw(t, "messages")
				m.Fill("a", n, 700)
				m.Bend = func(name string, offset, limit int, _ []chat.Item) []chat.Item {
					all := m.Chats[name]
					at := max(0, bend(all, offset, limit))
					return append([]chat.Item{}, all[at:min(at+limit, len(all))]...)
				}
				server := &evidence.Server{}
				if rapid.Bool().Draw(t, "ends are believed") {
					server = chattest.Trusting()
				}
				got, _, err := runAt(server, m, size, pages, readAhead(t))
				require.NoError(t, err, fmt.Sprint(n))
				require.Equal(t, m.IDs("a"), got)
				require.LessOrEqual(t, m.Count(), 3*chattest.Bound(n, size, pages)+16)
			})
		})
	}
}
