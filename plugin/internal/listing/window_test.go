// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWindow_HoldsTheLastAndTheNextRow(t *testing.T) {
	t.Parallel()
	for size := 1; size <= 250; size++ {
		for covered := 1; covered < 6000; covered++ {
			page, limit := window(covered, size)
			from, to := (page-1)*limit, page*limit
			if from > covered-1 || to <= covered {
				require.Fail(t, "no overlap", "size %d, covered %d: %d to %d", size, covered, from, to)
			}
			if limit > max(size, 25) {
				require.Fail(t, "too large", "size %d, covered %d: %d", size, covered, limit)
			}
		}
	}
}

// What it costs that pages overlap, against pages that don't.
func TestWindow_Cost(t *testing.T) {
	t.Parallel()
	for rows, most := range map[int]int{250: 1, 500: 3, 10_000: 43, 100_000: 440, 1_000_000: 4400, 10_000_000: 44_000} {
		pages := 0
		for covered := 0; covered < rows; pages++ {
			page, limit := window(covered, 250)
			covered = page * limit
		}
		t.Logf("%d rows: %d pages, %d without overlap", rows, pages, (rows+249)/250)
		assert.LessOrEqual(t, pages, most, rows)
	}
}
