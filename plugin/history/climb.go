// SPDX-License-Identifier: Apache-2.0

package history

import (
	"context"
	"slices"
)

// locate finds where to begin in a chat that is longer than the buffer: a page
// that holds the oldest item that is new, and so either the chat's end or an
// item that is past. From the deepest kept position it doubles the position
// until nothing new is there, then halves the gap down to one page. Single
// items are enough to ask for, and what they say is a hint: the chat changes
// meanwhile, so only the page itself decides.
func (p *pass) locate(ctx context.Context, k *kept) (page []Item, at int, err error) {
	deepest := k.base + len(k.items) - 1
	b := newBracket(deepest, 0)
	at = b.deeper(deepest)
	limit := 1
	for range 2 * stuckAfter {
		page, err = p.fetch(ctx, at, limit)
		if err != nil {
			return nil, 0, err
		}
		over := len(page) == 0 || p.past(&page[0])
		switch {
		case limit == 1 && over:
			at = b.higher(at)
		case limit == 1:
			at = b.deeper(at)
		case over && at > 0:
			p.onRealigned()
			b = newBracket(p.pageSize-1, 0)
			at = b.higher(at)
		case len(page) >= limit && !p.past(&page[len(page)-1]):
			p.onRealigned()
			b = newBracket(p.pageSize-1, 0)
			at = b.deeper(at + limit - 1)
		default:
			// With nothing to recognise in it, the climb would have only
			// positions to go by: rather begin with a fuller page.
			higher := max(0, at+len(page)-(p.pageSize-1))
			if !nameless(page) || higher >= at {
				return page, at, nil
			}
			at = higher
			continue
		}
		limit = 1
		if n, ok := b.gap(); ok && n < p.pageSize {
			// In the middle of the page, so that it takes a few changes to
			// leave it, and that the climb begins with something to
			// recognise.
			at, limit = max(0, b.above-(p.pageSize-1-n)/2), p.pageSize
		} else if at == 0 {
			limit = p.pageSize
		}
	}
	return nil, 0, p.stuck(2 * stuckAfter)
}

func nameless(page []Item) bool {
	return !slices.ContainsFunc(page, func(it Item) bool { return it.ID != "" })
}

// climb reads from the place that locate found toward the newest message, until
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
func (p *pass) climb(ctx context.Context, k *kept) error {
	page, at, err := p.locate(ctx, k)
	if err != nil {
		return err
	}
	t := newTrail(4 * p.pageSize)
	cut, slack, lowest := len(page), 0, at
	for idle := 0; ; {
		unread := page[:cut]
		meets := -1
		for i := range unread {
			if _, ok := k.index[unread[i].ID]; ok && unread[i].ID != "" {
				meets = i
			}
		}
		if err := p.emitUnread(ctx, t, unread[meets+1:]); err != nil {
			return err
		}
		if meets >= 0 {
			return p.emitKept(ctx, k)
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
		t.trim()
		f := &frontier{cut: t.cut, time: t.edge, tiesAreNewer: true, step: max(4, 2*slack)}
		want := at + edge
		offset := max(0, want-(p.pageSize-1)+slack)
		if offset >= at {
			// The slack leaves no room.
			slack = 0
			offset = max(0, want-(p.pageSize-1))
		}
		if edge == len(page) || offset >= at {
			// No item with an identity would be in both pages, so only
			// positions are left to go by.
			slack = 0
			offset = max(0, at-(p.pageSize-1))
			read := at - offset
			f.cut = func(page []Item) (int, bool) {
				if cut, ok := t.cut(page); ok {
					return cut, true
				}
				return min(read, len(page)), true
			}
		}
		page, at, cut, err = p.seek(ctx, f, offset)
		if err != nil {
			return err
		}
		if moved := at + cut - want; moved > 0 {
			slack = min(moved, p.pageSize/2)
		} else {
			slack /= 2
		}
	}
}

// emitUnread emits what is wanted of a part of a page, oldest first, and adds it
// to the trail.
func (p *pass) emitUnread(ctx context.Context, t *trail, unread []Item) error {
	out := make([]Item, 0, len(unread))
	for i := len(unread) - 1; i >= 0; i-- {
		it := &unread[i]
		switch {
		case it.ID == "":
			p.odd++
		case t.push(it.ID, it.Time) && p.wanted(it) && !p.past(it):
			out = append(out, *it)
		}
	}
	return p.emit(ctx, out)
}

// trail remembers the ids that the climb has passed: those of its last pages,
// and all that share the second of the newest, for a later page can hold more
// of that second, and no time could tell them apart. What an earlier pass has
// delivered is not in it until it has been passed: between those items late
// ones may stand that are new.
type trail struct {
	passed []Seen // oldest first
	ids    map[string]bool
	keep   int
	edge   int64 // time of the newest, by its place
}

func newTrail(keep int) *trail { return &trail{ids: make(map[string]bool, keep), keep: keep} }

// push adds the next newer item. It returns false for one that is there.
func (t *trail) push(id string, time int64) bool {
	if t.ids[id] {
		return false
	}
	t.ids[id] = true
	t.passed = append(t.passed, Seen{ID: id, Time: time})
	t.edge = time
	return true
}

// trim forgets what no page can overlap any more.
func (t *trail) trim() {
	drop := 0
	for drop < len(t.passed)-t.keep && second(t.passed[drop].Time) != second(t.edge) {
		delete(t.ids, t.passed[drop].ID)
		drop++
	}
	// Moved to the front rather than sliced off, so that the trail stays as
	// small as what it holds.
	t.passed = append(t.passed[:0], t.passed[drop:]...)
}

// cut finds the newest passed item in a page: what stands before it has not
// been read yet.
func (t *trail) cut(page []Item) (int, bool) {
	for i := range page {
		if t.ids[page[i].ID] {
			return i, true
		}
	}
	return 0, false
}
