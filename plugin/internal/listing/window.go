// SPDX-License-Identifier: Apache-2.0

package listing

// window returns the page to ask for when the first covered rows of the list
// have been read: one with both the last of them and the next, and as many more
// as can be.
//
// Pages begin at multiples of their limit, so for them to overlap the limit has
// to vary. It is at most size, but for a few rows more where nothing smaller
// does; that happens only below a size of 25, and where covered is a multiple of
// every number up to it.
func window(covered, size int) (page, limit int) {
	if covered == 0 {
		return 1, size
	}
	last := covered - 1
	gain := 0
	for l := size; l > gain+1; l-- {
		if g := l - 1 - last%l; g > gain {
			limit, gain = l, g
		}
	}
	for l := size + 1; gain == 0; l++ {
		limit, gain = l, l-1-last%l
	}
	return last/limit + 1, limit
}
