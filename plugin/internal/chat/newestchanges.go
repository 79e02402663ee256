// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"context"
	"slices"
)

// take is sort for a pass that may look for changes too. A message that has changed comes
// out at its place in the chat.
func (p *pass) take(out []Item, it *Item, passed bool) []Item {
	if p.watch == nil {
		return p.sort(out, it, passed)
	}
	out = p.update(out, it)
	n := len(out)
	out = p.sort(out, it, passed)
	if len(out) > n {
		out[n].late = !p.watch.top
	}
	p.watch.pass(it, len(out) > n || passed)
	return out
}

// watched says of a walk that has reached what it looks for that it has also gone over all
// that may have changed, or as far as may be held.
func (p *pass) watched(k *kept) bool {
	if p.watch == nil {
		return true
	}
	if k.news == 0 {
		k.news = len(k.items)
	}
	return len(k.items) > p.maxKept || p.watch.over(p, k)
}

// look takes an item that was read for what may have changed in it: nothing there is new.
func (p *pass) look(out []Item, it *Item) []Item {
	out = p.update(out, it)
	p.watch.pass(it, !p.past(it))
	return out
}

// update appends an item that is met to out if it has changed.
func (p *pass) update(out []Item, it *Item) []Item {
	if !p.watch.meet(it) {
		return out
	}
	changed := *it
	changed.Op = Update
	return append(out, changed)
}

// emitDeleted emits what has vanished, now that the pass has gone through the chat from
// a place up to the newest message. k is what it read first.
func (p *pass) emitDeleted(ctx context.Context, k *kept) error {
	w := p.watch
	if w == nil {
		return nil
	}
	if k.news > 0 && !k.ended && len(k.items) > p.maxKept {
		w.giveUp()
	}
	deleted := w.missing(func(i int) bool { return w.ended || w.passed(i) })
	byEnd := func(it Item) bool { return !w.passed(w.place[it.ID]) }
	if slices.ContainsFunc(deleted, byEnd) {
		// A short page that is no end would make all that stands behind it look deleted.
		ended, err := p.endsAt(ctx, k)
		if err != nil {
			return err
		}
		if !ended {
			deleted = slices.DeleteFunc(deleted, byEnd)
		}
	}
	if len(deleted) == 0 {
		return nil
	}
	p.emitted += len(deleted)
	return p.emit(ctx, deleted, p.now)
}

// endsAt reports whether nothing that was not met stands behind the stretch. Past the end
// some servers give their last page again.
func (p *pass) endsAt(ctx context.Context, k *kept) (bool, error) {
	page, err := p.fetch(ctx, p.watch.end)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(page, func(it Item) bool {
		_, kept := k.index[it.ID]
		i, delivered := p.watch.place[it.ID]
		return it.ID != "" && !kept && (!delivered || !p.watch.met[i])
	}), nil
}
