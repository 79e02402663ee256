// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
)

func TestPack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := chat.Checkpoint{Time: rapid.Int64Min(0).Draw(t, "time"), From: rapid.Int64Min(0).Draw(t, "from"),
			Believed: rapid.Bool().Draw(t, "believed"), ShortPages: rapid.Bool().Draw(t, "short pages")}
		for range rapid.IntRange(0, 5).Draw(t, "seen") {
			id := rapid.OneOf(rapid.StringN(1, 60, -1),
				rapid.StringMatching("[0-9a-fA-F]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")).Draw(t, "id")
			s := chat.Seen{ID: id, Time: rapid.Int64().Draw(t, "time"), Untimed: rapid.Bool().Draw(t, "untimed")}
			if rapid.Bool().Draw(t, "changes") {
				s.Unplaced, s.Mark = rapid.Bool().Draw(t, "unplaced"), chat.Mark(rapid.Uint8Range(0, 3).Draw(t, "mark"))
				s.Hash = chat.Hash(rapid.Uint64().Draw(t, "hash"))
			}
			c.Seen = append(c.Seen, s)
		}
		require.Equal(t, c, pack(&c).unpack())
		require.Equal(t, c.Believed, pack(&c).believed())
	})
}
