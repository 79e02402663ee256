// SPDX-License-Identifier: Apache-2.0

package check

import (
	"context"
	"slices"
)

// extent is how far a list reaches.
type extent struct {
	length  int     // entries, about
	last    *page   // the last page with entries
	start   int     // its offset
	end     *page   // the page behind it; nil: none is empty
	repeats []entry // the page that comes again behind itself for ever
}

// measure finds the end of a list by doubling and halving. A list without an end is as long
// as what was seen of it.
func (l *list) measure(ctx context.Context, p *pages, from int64) (e extent, err error) {
	e = extent{length: len(p.first.entries), last: &p.first, end: p.end}
	if !p.more {
		return e, nil
	}
	step := len(p.first.entries) // pages may be capped
	ask := func(n int) (page, error) {
		offset := (n - 1) * step
		if l.linked {
			offset = (n - 1) * l.most
		}
		return l.ask(ctx, query{offset: offset, limit: l.most, from: from})
	}
	full, err := lastPage(func(n int) (bool, error) {
		got, err := ask(n)
		switch {
		case err != nil:
			return false, err
		case len(got.entries) == 0:
			e.end = &got
			return false, nil
		case slices.EqualFunc(got.entries, e.last.entries, entry.same):
			e.repeats = got.entries
			return false, nil
		}
		e.last = &got
		return true, nil
	})
	if err != nil {
		return e, err
	}
	if e.repeats != nil {
		// Doubling has found the page twice. Where does it come first?
		e.end = nil
		low, err := halve(full/2, full, func(n int) (bool, error) {
			got, err := ask(n)
			return !slices.EqualFunc(got.entries, e.repeats, entry.same), err
		})
		if err != nil {
			return e, err
		}
		before, err := ask(low)
		if err != nil {
			return e, err
		}
		e.start = low * step // where the two share nothing
		for i, again := range e.repeats {
			if j := slices.IndexFunc(before.entries, again.same); j >= 0 {
				e.start = (low-1)*step + j - i
				break
			}
		}
		e.length = e.start + len(e.repeats)
		return e, nil
	}
	e.start = (full - 1) * step
	e.length = e.start + len(e.last.entries)
	return e, nil
}

// mostPages is at which page measuring ends: of the feed, a million events.
const mostPages = 4096

// lastPage returns the number of the last page with entries, by doubling and halving. One
// more than mostPages stands for more.
func lastPage(has func(page int) (bool, error)) (int, error) {
	low, high := 1, 2 // the first page has some
	for {
		more, err := has(high)
		if err != nil {
			return 0, err
		}
		if !more {
			break
		}
		if low = high; low >= mostPages {
			return low + 1, nil
		}
		high *= 2
	}
	return halve(low, high, has)
}

// halve returns the last page that has something, where low has and high has not.
func halve(low, high int, has func(page int) (bool, error)) (int, error) {
	for high-low > 1 {
		mid := (low + high) / 2
		more, err := has(mid)
		switch {
		case err != nil:
			return 0, err
		case more:
			low = mid
		default:
			high = mid
		}
	}
	return low, nil
}
