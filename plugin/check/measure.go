// SPDX-License-Identifier: Apache-2.0

package check

import "context"

// measure returns how many entries a list has, about, by doubling and halving, its last page
// with some, and the page behind that. That is nil where the list is too long for it.
func (l *list) measure(ctx context.Context, p *pages, from int64) (length int, last, end *page, err error) {
	if !p.more {
		return len(p.first.entries), &p.first, p.end, nil
	}
	step := len(p.first.entries)
	if !l.linked {
		step = l.most // an offset counts what is hidden too
	}
	last = &p.first
	full, err := lastPage(func(n int) (bool, error) {
		got, err := l.ask(ctx, query{offset: (n - 1) * l.most, limit: l.most, from: from})
		switch {
		case err != nil:
			return false, err
		case len(got.entries) > 0:
			last = &got
			return true, nil
		}
		end = &got
		return false, nil
	})
	return (full-1)*step + len(last.entries), last, end, err
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
