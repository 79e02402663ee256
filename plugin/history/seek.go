// SPDX-License-Identifier: Apache-2.0

package history

import (
	"context"
	"errors"
)

// frontier is the edge of what has been read, as a page behind it is held
// against.
type frontier struct {
	// cut finds an item that was read before in a page, and returns where the
	// page is to be cut: what stands before the cut is on the newer side of the
	// edge, what stands behind it on the older.
	cut func(page []Item) (int, bool)
	// time is the sending time of the item at the edge, in Unix milliseconds.
	// It decides only where the items themselves can't, since none of those
	// read before is left.
	time int64
	// tiesAreNewer says on which side of the edge an unread item of the same
	// second is.
	tiesAreNewer bool
	// known: where nothing is recognised, give up with errLost rather than let
	// the times decide.
	known bool
	// step is how far to look deeper at first.
	step int
}

// errLost is returned by seek when nothing of what was read before is left.
var errLost = errors.New("nothing of what was read before is left")

// newer says on which side of the edge an unread item is by its time.
func (f *frontier) newer(it *Item) bool {
	if f.tiesAreNewer {
		return second(it.Time) >= second(f.time)
	}
	return second(it.Time) > second(f.time)
}

// mostDoubts is how often seek looks deeper before it lets the times decide.
const mostDoubts = 3

// seek returns a page that the edge lies in, the position of its first item,
// and where the edge cuts it. It asks at offset first, and moves on as long as
// nothing of the page is known: by doubling steps while the edge stays on one
// side, and by halving what lies between once it was overstepped.
//
// When everything that overlapped has been deleted there is nothing to
// recognise, and the times decide. They are not believed at once, for the
// overlap may just have moved, and where imports are listed as they arrive, the
// times go up and down: the first pages that could be cut by time are answered
// with a look deeper, by more each time.
func (p *pass) seek(ctx context.Context, f *frontier, offset int) (page []Item, at, cut int, err error) {
	b := newBracket(p.pageSize-1, 1)
	doubts := 0
	for tries := 1; ; tries++ {
		page, err = p.fetch(ctx, offset, p.pageSize)
		if err != nil {
			return nil, 0, 0, err
		}
		if cut, ok := f.cut(page); ok {
			return page, offset, cut, nil
		}

		var newer, older int
		byTime := len(page) // the first that is on the older side
		for i := range page {
			switch {
			case page[i].ID == "":
			case f.newer(&page[i]):
				newer++
			default:
				if older++; older == 1 {
					byTime = i
				}
			}
		}
		ended := len(page) < p.pageSize
		if older == 0 && ended && (newer > 0 || offset == 0) {
			// The chat's end, and the edge is not above it: all that was
			// read before, and what was behind it, has been deleted.
			if f.known && newer > 0 {
				return nil, 0, 0, errLost
			}
			return page, offset, len(page), nil
		}
		straddles := older > 0 && (newer > 0 || offset == 0)
		if straddles && (doubts == mostDoubts || ended) {
			if f.known {
				return nil, 0, 0, errLost
			}
			return page, offset, byTime, nil
		}
		if tries >= stuckAfter {
			return nil, 0, 0, p.stuck(tries)
		}
		p.onRealigned()

		switch {
		case straddles:
			offset += max(1, p.pageSize/2) << doubts
			doubts++
		case newer > 0:
			if b.fresh() {
				b.step = f.step
			}
			offset = b.deeper(offset)
		default:
			offset = b.higher(offset)
		}
	}
}

// bracket narrows down a position in a list that may change meanwhile: in
// doubling steps until it lies between two offsets, then by halves.
type bracket struct {
	above, below int // the nearest offsets known to be on either side; -1: none
	step         int // the next step while there is only one of them
	first        int
	// tight is the gap at which the two sides contradict each other: the list
	// has changed since one of them was looked at, and the later one counts.
	tight int
}

// newBracket returns a bracket that begins with a step. Whole pages overlap, so
// that two of them next to each other can't lie on different sides (tight 1);
// single items can (tight 0).
func newBracket(step, tight int) *bracket {
	return &bracket{above: -1, below: -1, step: step, first: step, tight: tight}
}

func (b *bracket) fresh() bool { return b.above < 0 && b.below < 0 }

// gap is how far the two sides are apart; ok is false while one is missing.
func (b *bracket) gap() (n int, ok bool) { return b.below - b.above, b.above >= 0 && b.below >= 0 }

// deeper takes that the position lies behind the offset, and returns where to
// look next.
func (b *bracket) deeper(offset int) int {
	b.above = offset
	if n, ok := b.gap(); ok && n <= b.tight {
		b.below, b.step = -1, b.first
	}
	return b.next()
}

// higher takes that the position lies before the offset, and returns where to
// look next.
func (b *bracket) higher(offset int) int {
	b.below = offset
	if n, ok := b.gap(); ok && n <= b.tight {
		b.above, b.step = -1, b.first
	}
	return b.next()
}

func (b *bracket) next() int {
	if n, ok := b.gap(); ok {
		return b.above + n/2
	}
	step := b.step
	b.step *= 2
	if b.below < 0 {
		return b.above + step
	}
	return max(0, b.below-step)
}
