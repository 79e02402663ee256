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
		c := chat.Checkpoint{Time: rapid.Int64Min(0).Draw(t, "time"), From: rapid.Int64Min(0).Draw(t, "from")}
		for range rapid.IntRange(0, 5).Draw(t, "seen") {
			id := rapid.OneOf(rapid.StringN(1, 60, -1),
				rapid.StringMatching("[0-9a-fA-F]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")).Draw(t, "id")
			c.Seen = append(c.Seen, chat.Seen{ID: id, Time: rapid.Int64().Draw(t, "time"), Untimed: rapid.Bool().Draw(t, "untimed")})
		}
		require.Equal(t, c, pack(&c).unpack())
	})
}
