// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Two looks that contradict each other: the list has changed since the first,
// and only the second counts.
func TestBracket_Contradiction(t *testing.T) {
	b := newBracket(8, 1)
	require.Equal(t, 108, b.deeper(100))
	require.Equal(t, 104, b.higher(108))
	require.Equal(t, 115, b.deeper(107), "108 is no longer below it")
	b = newBracket(8, 1)
	require.Equal(t, 92, b.higher(100))
	require.Equal(t, 96, b.deeper(92))
	require.Equal(t, 85, b.higher(93), "92 is no longer above it")
	require.Equal(t, 69, b.higher(85), "and the steps double")
	require.Equal(t, 0, b.higher(5))
}
