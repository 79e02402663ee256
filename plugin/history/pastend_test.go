// SPDX-License-Identifier: Apache-2.0

package history

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Past its end a chat may show its last page again, whole or cut, as servers do that
// bound the offset.
func TestPass_LastPageAgainPastTheEnd(t *testing.T) {
	bends := map[string]func(all []Item, offset, limit int) int{
		"the last page": func(all []Item, offset, limit int) int {
			if offset >= len(all) {
				return len(all) - limit
			}
			return offset
		},
		"a bounded offset": func(all []Item, offset, limit int) int { return min(offset, len(all)-limit) },
		"the last message": func(all []Item, offset, _ int) int { return min(offset, len(all)-1) },
	}
	for name, bend := range bends {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				m := newModel()
				size := rapid.IntRange(2, 12).Draw(t, "page size")
				pages := rapid.IntRange(1, 6).Draw(t, "buffered pages")
				n := rapid.IntRange(size+1, 400).Draw(t, "messages")
				m.fillQuickly("a", n, 700)
				m.bend = func(chat string, offset, limit int, _ []Item) []Item {
					all := m.chats[chat]
					at := max(0, bend(all, offset, limit))
					return append([]Item{}, all[at:min(at+limit, len(all))]...)
				}
				server := newEvidence()
				if rapid.Bool().Draw(t, "ends are believed") {
					server = trusting()
				}
				got, _, err := run(m, size, pages, func(p *pass) { p.server = server })
				require.NoError(t, err, fmt.Sprint(n))
				require.Equal(t, m.ids("a"), got)
				require.LessOrEqual(t, m.count(), 3*bound(n, size, pages)+16)
			})
		})
	}
}
