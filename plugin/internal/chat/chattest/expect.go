// SPDX-License-Identifier: Apache-2.0

package chattest

import (
	"math"

	"github.com/stretchr/testify/require"
)

// Bound is how many requests a pass over n unchanging messages may take
// (issue 2, "Figures"), for pages of size.
func Bound(n, size, maxPages int) int {
	if n < size {
		return 1
	}
	pages := (n + size - 2) / (size - 1)
	if n <= maxPages*size {
		return pages + 1
	}
	return pages + int(2*math.Log2(float64(n)/float64(size))) + 4
}

// RequireOnce checks that no id came twice.
func RequireOnce(t require.TestingT, got []string) {
	seen := map[string]bool{}
	for _, id := range got {
		require.False(t, seen[id], "%s came twice: %v", id, got)
		seen[id] = true
	}
}

// RequireStayed checks that what was there before and after came out, in order.
// What came or went meanwhile may come out or not; and where everything around
// it was deleted and it shares its second with all of that, nothing tells its
// place.
func RequireStayed(t require.TestingT, before, after, got []string) {
	stayed, last := map[string]bool{}, map[string]bool{}
	for _, id := range after {
		last[id] = true
	}
	for _, id := range before {
		stayed[id] = last[id]
	}
	var want, have []string
	for _, id := range before {
		if stayed[id] {
			want = append(want, id)
		}
	}
	for _, id := range got {
		if stayed[id] {
			have = append(have, id)
		}
	}
	require.Equal(t, want, have)
}
