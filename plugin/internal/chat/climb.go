// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
)

// mostLost is how often a climb begins anew because nothing of what it passed is
// left. After that the pass itself does.
const mostLost = 8

// start finds where to begin in a chat that is longer than the buffer: what
// stands at the chat's end, or around what was delivered last. That is only where
// to look: how far down it is read from there decides walkFrom, as it does at the
// top.
func (p *pass) start(ctx context.Context, k *kept) (*kept, error) {
	for range mostLost {
		page, at, found, err := p.boundary(ctx, k)
		if err == nil && !found {
			// With nothing of what was delivered in sight, not even a time says how
			// far it was: what was read before is left out as it is met.
			page, at, err = p.bottom(ctx, k)
		}
		var low *kept
		if err == nil {
			if low, _, err = p.walkFrom(ctx, page, at, true); err == nil {
				p.watch.begin(low, k)
				return low, nil
			}
		}
		if !errors.Is(err, errLost) {
			return nil, err
		}
		p.anew++
	}
	return nil, fmt.Errorf("beginning %d times: %w", mostLost, ErrNoProgress)
}

// boundary looks for a page with something that was delivered, or with the time to
// begin from: in doubling steps from the deepest kept position until everything
// is past, then by halves. found is false where there is neither.
func (p *pass) boundary(ctx context.Context, k *kept) (page []Item, at int, found bool, err error) {
	anchored := len(p.seen) > 0
	if !anchored && p.floor <= 0 || anchored && k.olds >= oldRun {
		// Nothing can be past; or more than a page that looks past stands above what
		// was delivered, so that no time leads there.
		return nil, 0, false, nil
	}
	deepest := k.base + len(k.items) - 1
	b := newBracket(deepest, 0)
	at = b.deeper(deepest)
	for range 2 * stuckAfter {
		if page, err = p.fetch(ctx, at); err != nil {
			return nil, 0, false, err
		}
		if b.repeats(page, at) {
			// The times may have led past the chat's end.
			if past, err := p.repeatsBelow(ctx, page, at); past || err != nil {
				return nil, 0, false, err
			}
		}
		news := 0
		for i := range page {
			it := &page[i]
			if it.ID != "" && p.delivered(it) {
				p.met = true
				return page, at, true, nil
			}
			if it.ID != "" && !p.past(it) {
				news++
			}
		}
		last := at + len(page) - 1
		if n, ok := b.gap(); !anchored && news > 0 && p.enoughAtEnd(page) ||
			ok && n < p.pageSize && len(page) > 0 && at <= b.above && at+p.pageSize > b.below {
			return page, at, !anchored, nil
		}
		switch {
		case news > 0:
			at = b.deeper(last)
		case at > 0:
			at = b.higher(at)
		default:
			return nil, 0, false, nil
		}
		at = p.middle(b, at)
	}
	return nil, 0, false, p.stuck(2 * stuckAfter)
}

// mostNameless is how many pages are asked for above the chat's last one until one shows a message.
const mostNameless = 8

// bottom looks for the chat's last page in the same way.
func (p *pass) bottom(ctx context.Context, k *kept) (page []Item, at int, err error) {
	deepest := k.base + len(k.items) - 1
	b := newBracket(deepest, 0)
	at = b.deeper(deepest)
	fuller := 0 // the last page was found, and so many above it were asked for
	for range 2 * stuckAfter {
		if page, err = p.fetch(ctx, at); err != nil {
			return nil, 0, err
		}
		if len(page) == 0 && p.server.Misleads() {
			var behind []Item
			if behind, err = p.fetch(ctx, at+p.pageSize); err != nil {
				return nil, 0, err
			}
			if len(behind) > 0 {
				page, at = behind, at+p.pageSize
			}
		}
		if fuller > 0 && len(page) > 0 {
			if !nameless(page) || at == 0 || fuller == mostNameless {
				return page, at, nil
			}
			at, fuller = max(0, at-max(1, p.pageSize-1)), fuller+1
			continue
		}
		if shallower := min(at, b.at); b.repeats(page, at) {
			if past, err := p.repeatsBelow(ctx, page, at); past || err != nil {
				return page, shallower, err
			}
		}
		last := at + len(page) - 1
		n, ok := b.gap()
		switch {
		case len(page) == 0 && at == 0:
			return page, 0, nil
		case len(page) == 0:
			at = b.higher(at)
		case len(page) < p.pageSize && !p.server.Misleads(), ok && n <= p.pageSize && at+p.pageSize >= b.below:
			// With nothing to recognise in it, the climb would have only positions to
			// go by, and without a time nothing says how old it is: rather begin with a
			// fuller page.
			higher := max(0, last-(p.pageSize-2))
			if !nameless(page) || higher >= at {
				return page, at, nil
			}
			at, fuller = higher, 1
			continue
		default:
			at = b.deeper(last)
		}
		at = p.middle(b, at)
	}
	return nil, 0, p.stuck(2 * stuckAfter)
}

// middle moves a position so that the page there has both sides of a bracket that
// is narrow enough in its middle: it takes a few changes of the chat then to miss
// them.
func (p *pass) middle(b *bracket, at int) int {
	if n, ok := b.gap(); ok && n < p.pageSize {
		return max(0, b.above-(p.pageSize-1-n)/2)
	}
	return at
}

// nameless says that a page has no message that shows an identity and a time.
func nameless(page []Item) bool {
	return !slices.ContainsFunc(page, func(it Item) bool { return it.ID != "" && !it.untimed })
}

// climb reads from the place that start found toward the newest message, until
// it meets what the walk kept, and emits each page as it comes.
//
// Each page is asked for so that it ends with the newest item of the one
// before. Between two requests the chat changes, and the events are these:
//
//   - a message is deleted above: the page ends with more items that are known.
//   - a message arrives: everything moves down, the page ends above the item
//     it should end with, and what lies between would be skipped. It is not
//     used; seek steps down to the missing item, and the pages after it are
//     asked for with as much overlap as the chat has just moved.
//   - all that was passed is gone: what is left below has not been read, so the
//     climb begins anew.
func (p *pass) climb(ctx context.Context, k *kept) error {
	p.again = k.again
	low, err := p.start(ctx, k)
	if err != nil {
		return err
	}
	t := newTrail()
	ahead := p.newReadAhead(ctx, k.base+len(k.items)-1)
	defer ahead.close()
	page, at, cut := low.items, low.base, len(low.items)
	slack, lowest, lost := 0, at, 0
	mark, markAt := "", 0 // the newest message that was passed, and where
	for idle := 0; ; {
		unread := page[:cut]
		meets, met := k.find(unread)
		if lost > 0 && !p.above {
			// What was delivered is passed once more.
			for _, it := range slices.Backward(page[cut:]) {
				p.sort(nil, &it, true)
			}
		}
		if err := p.emitUnread(ctx, t, unread[meets+1:]); err != nil {
			return err
		}
		if meets >= 0 {
			return p.emitKept(ctx, t, k, met+1)
		}
		if at == 0 {
			// The top, and nothing of what was kept is left there.
			return nil
		}
		if idle++; len(unread) > 0 || at < lowest {
			idle = 0
		}
		lowest = min(lowest, at)
		if idle >= stuckAfter {
			return p.stuck(idle)
		}

		// The next page ends with the newest item that has an identity.
		edge := 0
		for edge < cut && page[edge].ID == "" {
			edge++
		}
		if edge < len(page) && page[edge].ID != "" {
			mark, markAt = page[edge].ID, at+edge
		}
		f := &frontier{cut: t.cut, last: t.last, time: min(median(t.edge), p.now), tiesAreNewer: true, step: max(4, 2*slack), hidden: max(0, p.pageSize-len(page)), ahead: ahead}
		want := at + edge
		offset := max(0, want-(p.span-1)+slack)
		if offset >= at {
			// The slack leaves no room.
			slack = 0
			offset = max(0, want-(p.span-1))
		}
		if edge == len(page) || offset >= at {
			// No item with an identity would be in both pages, so only
			// positions are left to go by.
			slack = 0
			offset = max(0, at-(p.span-1))
			read := at - offset
			f.mark, f.markAt = mark, markAt
			f.blind = func(page []Item) int {
				for i := read; i < min(read+edge, len(page)); i++ {
					if page[i].ID != "" {
						return -1
					}
				}
				return min(read, len(page))
			}
		}
		if cut == 0 && len(page) < p.pageSize && p.server.Misleads() {
			// Above what was passed nothing is shown, as far as this page goes. The next one
			// ends where it begins, even if the server never gives more than it has so far.
			offset = max(0, at-p.fullest)
			f.mark, f.markAt = mark, markAt
			f.blind = func(page []Item) int { return len(page) }
		}
		ahead.slack, ahead.want = slack, want
		page, at, cut, err = p.seek(ctx, f, offset)
		if errors.Is(err, errLost) && t.forgot {
			return fmt.Errorf("the last %d messages that were read have all been deleted meanwhile: reading on from the checkpoint: %w", trailLength, err)
		}
		if errors.Is(err, errLost) && lost < mostLost {
			lost++
			ahead.drop()
			p.above, p.met = false, false
			if low, err = p.start(ctx, k); err == nil {
				page, at, cut = low.items, low.base, len(low.items)
				lowest, slack = at, 0
				continue
			}
		}
		if err != nil {
			return err
		}
		if moved := at + cut - want; moved > 0 {
			slack = min(moved, p.span/2)
		} else {
			slack /= 2
		}
	}
}

// trailLength is how many of the last passed items a trail remembers. All of them
// would have to vanish between two requests for the climb to be lost.
const trailLength = 2000

// trail remembers what a climb has passed last, as a hash of each id: a string
// would keep its page in memory. What an earlier pass has delivered is not in it
// until it has been passed: between those items late ones may stand that are new.
type trail struct {
	seed   maphash.Seed
	passed []uint64 // a ring, once it is full
	oldest int      // in passed
	ids    map[uint64]struct{}
	newest uint64
	edge   []int64 // times of the newest few, by their place
	forgot bool    // it does not have all that was passed
}

func newTrail() *trail {
	return &trail{seed: maphash.MakeSeed(), ids: map[uint64]struct{}{}}
}

// has reports whether an item was passed. A nil trail has none.
func (t *trail) has(it *Item) bool {
	if t == nil {
		return false
	}
	_, ok := t.ids[maphash.String(t.seed, it.ID)]
	return ok
}

// push adds the next newer item. It returns false for one that is there.
func (t *trail) push(it *Item) bool {
	t.edge = append(t.edge[max(0, len(t.edge)-timesAtEdge+1):], it.Time)
	id := maphash.String(t.seed, it.ID)
	t.newest = id
	if _, ok := t.ids[id]; ok {
		return false
	}
	t.ids[id] = struct{}{}
	if len(t.passed) < trailLength {
		t.passed = append(t.passed, id)
		return true
	}
	delete(t.ids, t.passed[t.oldest])
	t.passed[t.oldest] = id
	t.oldest = (t.oldest + 1) % trailLength
	t.forgot = true
	return true
}

// last says of an item that it was passed last.
func (t *trail) last(it *Item) bool { return maphash.String(t.seed, it.ID) == t.newest }

// cut finds the newest passed item in a page: what stands before it has not
// been read yet.
func (t *trail) cut(page []Item) (int, bool) {
	for i := range page {
		if page[i].ID != "" && t.has(&page[i]) {
			return i, true
		}
	}
	return 0, false
}
