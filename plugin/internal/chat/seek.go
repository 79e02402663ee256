// SPDX-License-Identifier: Apache-2.0

package chat

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
	// time is the sending time of the item at the edge, in Unix milliseconds. It
	// says in which direction to look for it, and decides nothing.
	time int64
	// tiesAreNewer says on which side of the edge an unread item of the same
	// second is.
	tiesAreNewer bool
	// step is how far to look deeper at first.
	step int
	// hidden is how many entries of the page before may not have been shown, so that the edge stands
	// as much deeper.
	hidden int

	// blind, if set, is where to cut a page whose overlap with what was read has no
	// identity, so that only its position tells; -1 if that does not look right
	// either. It counts if mark is still at markAt after the page was read.
	blind  func(page []Item) int
	mark   string // "": nothing with an identity was met
	markAt int

	// ahead, if set, has the page to look at first, and last says whether an item was read last.
	ahead *readAhead
	last  func(it *Item) bool
}

// follows says that a page that was asked for early goes on right behind what was read. One that has
// only what was read before that may have come before a page that was used, and show what has gone since.
func (f *frontier) follows(page []Item) bool {
	cut, ok := f.cut(page)
	return ok && f.last(&page[cut])
}

// errLost is returned by seek when nothing of what was read before is found.
var errLost = errors.New("nothing of what was read before is left")

// deeper says that the edge lies behind a page that nothing is known of, judging
// by the times of most of its items.
func (f *frontier) deeper(page []Item) bool {
	newer := 0
	for i := range page {
		switch {
		case page[i].ID == "":
		case second(page[i].Time) > second(f.time), f.tiesAreNewer && second(page[i].Time) == second(f.time):
			newer++
		default:
			newer--
		}
	}
	return newer > 0
}

// mostTurns is how often a search may find that the list has changed under it, or
// that the times lead nowhere, before it is given up.
const mostTurns = 3

// seek returns a page that the edge lies in, the position of its first item,
// and where the edge cuts it. It asks at offset first, and moves on as long as
// nothing of the page is known: by doubling steps while the edge stays on one
// side, and by halving what lies between once it was overstepped. Only what is
// recognised counts; where the times led to nothing of it, the result is errLost.
func (p *pass) seek(ctx context.Context, f *frontier, offset int) (page []Item, at, cut int, err error) {
	b := newBracket(p.pageSize-1, 1)
	first, held := offset, 0
	for tries := 1; ; tries++ {
		if ahead := f.ahead; ahead != nil && tries == 1 {
			page, offset, err = ahead.next(ctx, f, offset)
			first = offset
		} else {
			page, err = p.fetch(ctx, offset)
		}
		if err != nil {
			return nil, 0, 0, err
		}
		if cut, ok := f.cut(page); ok {
			if f.ahead != nil && tries == 1 {
				f.ahead.used()
			}
			if held > 0 && offset > first {
				// The first page ended above the place because it was shorter than
				// asked, and not because the chat had moved alone.
				p.span = max(2, held)
			}
			return page, offset, cut, nil
		}
		if tries == 1 && len(page) < p.span {
			held = len(page)
		}
		if f.blind != nil {
			if cut, ok, err := p.cutBlind(ctx, f, page); ok || err != nil {
				return page, offset, cut, err
			}
			// The chat has moved. From what is recognised it can be tried again.
			f.blind, offset = nil, f.markAt
			p.onRealigned()
			continue
		}
		if b.turns > mostTurns || len(page) == 0 && offset == 0 {
			return nil, 0, 0, errLost
		}
		if tries >= stuckAfter {
			return nil, 0, 0, p.stuck(tries)
		}
		p.onRealigned()
		// A page of a server that gives less than asked may have ended just above it, and so may one whose
		// place was told by a page with hidden entries.
		missing := max(p.span-len(page), f.hidden)
		cutShort := tries == 1 && len(page) > 0 && missing > 0 && p.server.Misleads()
		if cutShort || f.deeper(page) {
			if b.fresh() {
				b.step = f.step
			}
			if cutShort {
				b.step = missing
			}
			offset = b.deeper(offset)
		} else {
			offset = b.higher(offset)
		}
	}
}

// cutBlind cuts a page by its position alone.
func (p *pass) cutBlind(ctx context.Context, f *frontier, page []Item) (cut int, ok bool, err error) {
	if cut = f.blind(page); cut < 0 || f.mark == "" {
		return cut, cut >= 0, nil
	}
	check, err := p.fetch(ctx, f.markAt)
	return cut, len(check) > 0 && check[0].ID == f.mark, err
}

// mostStep keeps a position from running out of its range where a server's list has no end.
const mostStep = 1 << 30

// bracket narrows down a position in a list that may change meanwhile: in
// doubling steps until it lies between two offsets, then by halves.
type bracket struct {
	above, below int // the nearest offsets known to be on either side; -1: none
	step         int // the next step while there is only one of them
	first        int
	// tight is the gap at which the two sides contradict each other: the list
	// has changed since one of them was looked at, and the later one counts.
	tight int
	// turns counts these contradictions, and the looks at the very top that found
	// the position to be higher still.
	turns int

	// The page that was looked at last, and where.
	page []Item
	at   int
}

// repeats says that a page is the one at another position before it: past the end some
// servers give the last page again.
func (b *bracket) repeats(page []Item, at int) bool {
	same := len(page) > 0 && at != b.at && sameIDs(page, b.page)
	b.page, b.at = page, at
	return same
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
		b.turns++
	}
	return b.next()
}

// higher takes that the position lies before the offset, and returns where to
// look next.
func (b *bracket) higher(offset int) int {
	b.below = offset
	if n, ok := b.gap(); ok && n <= b.tight {
		b.above, b.step = -1, b.first
		b.turns++
	}
	if offset == 0 {
		b.turns++
	}
	return b.next()
}

func (b *bracket) next() int {
	if n, ok := b.gap(); ok {
		return b.above + n/2
	}
	step := b.step
	b.step = min(2*step, mostStep)
	if b.below < 0 {
		return b.above + step
	}
	return max(0, b.below-step)
}
