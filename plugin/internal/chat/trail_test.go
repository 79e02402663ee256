// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTrail_StaysSmall(t *testing.T) {
	tr := newTrail()
	for i := range 3 * trailLength {
		it := Item{ID: fmt.Sprint(i)}
		require.True(t, tr.push(&it))
		require.False(t, tr.push(&it))
		require.Equal(t, i >= trailLength, tr.forgot)
		require.LessOrEqual(t, len(tr.passed), trailLength)
		require.Len(t, tr.ids, len(tr.passed))
	}
	require.False(t, tr.has(&Item{ID: "0"}))
	require.True(t, tr.has(&Item{ID: fmt.Sprint(2 * trailLength)}))
}
