// SPDX-License-Identifier: Apache-2.0

package history

import (
	"context"
	"errors"
	"slices"
)

// kept is what the walk has seen, newest first, every entry in its place.
type kept struct {
	items []Item
	index map[string]int // id to its first place in items
	base  int            // the position of items[0] in the API's list, as far as known
}

func (k *kept) add(items []Item) {
	for i := range items {
		if id := items[i].ID; id != "" {
			if _, dup := k.index[id]; !dup {
				k.index[id] = len(k.items)
			}
		}
		k.items = append(k.items, items[i])
	}
}

// cut finds the oldest of the kept items in a page: what stands behind it has
// not been read yet.
func (k *kept) cut(page []Item) (int, bool) {
	for i, it := range slices.Backward(page) {
		if _, ok := k.index[it.ID]; ok && it.ID != "" {
			return i + 1, true
		}
	}
	return 0, false
}

// edge returns how many of the last kept entries the next page should repeat
// for its place to be recognised, and the time of the oldest item among them.
// Entries without an identity can't be recognised; with nothing else in the
// last page's worth, ok is false.
func (k *kept) edge(pageSize int) (overlap int, time int64, ok bool) {
	for overlap = 1; overlap <= len(k.items) && overlap < pageSize; overlap++ {
		if it := &k.items[len(k.items)-overlap]; it.ID != "" {
			return overlap, it.Time, true
		}
	}
	return 1, k.items[len(k.items)-1].Time, false
}

// walk reads from the newest page toward older ones until the checkpoint, the
// time to begin from or the chat's end is in sight (complete), or until the
// buffer is full.
//
// Each page is asked for so that it begins with the last item of the one
// before. Between two requests the chat changes, and the events are these:
//
//   - n messages arrive: everything moves n positions down, the page begins
//     with n more items that are known, and brings n less that are new.
//   - n messages above are deleted: everything moves n positions up, the page
//     begins n items too deep, and none of its items is known. It is not used,
//     since n items would be skipped; seek steps back to the missing item.
//   - the overlapping item itself is deleted: likewise, and on the next try an
//     item before it is recognised.
//   - all that was read before is gone: nothing tells where to go on, not even
//     the times, for what stands there may have arrived in the same second. The
//     walk begins anew, since nothing has been emitted yet.
func (p *pass) walk(ctx context.Context) (k *kept, complete bool, err error) {
	for range stuckAfter {
		k, complete, err = p.walkOnce(ctx)
		if !errors.Is(err, errLost) {
			return k, complete, err
		}
	}
	return nil, false, p.stuck(stuckAfter)
}

func (p *pass) walkOnce(ctx context.Context) (k *kept, complete bool, err error) {
	k = &kept{index: map[string]int{}}
	page, err := p.fetch(ctx, 0, p.pageSize)
	if err != nil {
		return nil, false, err
	}
	if len(page) == 0 {
		return k, true, nil
	}
	if p.latest && !p.known {
		// Nothing is delivered; what counts is which ids are there now.
		p.floor = max(0, second(page[0].Time-p.lookback.Milliseconds()))
	}

	fresh := page
	for idle := 0; ; {
		k.add(fresh)
		if len(page) < p.pageSize || p.reached(fresh) {
			return k, true, nil
		}
		// Not yet when it is just full: that may have been all.
		if len(k.items) > p.maxKept {
			return k, false, nil
		}
		if idle++; len(fresh) > 0 {
			idle = 0
		}
		if idle >= stuckAfter {
			return nil, false, p.stuck(idle)
		}

		overlap, edgeTime, ok := k.edge(p.pageSize)
		f := &frontier{cut: k.cut, time: edgeTime, step: p.pageSize - 1, known: true}
		if !ok {
			f.cut = func(page []Item) (int, bool) {
				if cut, ok := k.cut(page); ok {
					return cut, true
				}
				return min(overlap, len(page)), true
			}
		}
		var at, cut int
		page, at, cut, err = p.seek(ctx, f, k.base+len(k.items)-overlap)
		if err != nil {
			return nil, false, err
		}
		k.base = at + cut - len(k.items)
		fresh = page[cut:]
	}
}

// reached says that what the walk looks for is in sight: the rest of the chat
// was delivered before, or is too old. Items are expected to get older; the
// last one counts, so that a single late message in between ends nothing, but
// once the checkpoint's own item has been met any older one will do.
func (p *pass) reached(fresh []Item) bool {
	met := false
	for i := range fresh {
		met = met || (fresh[i].ID != "" && p.seen[fresh[i].ID])
		if met && p.past(&fresh[i]) {
			return true
		}
	}
	return len(fresh) > 0 && p.past(&fresh[len(fresh)-1])
}
