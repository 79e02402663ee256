// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"context"
	"slices"
)

// emitDeleted emits what has vanished from a period that was read whole.
//
// Nothing tells where a message is listed, so that only the filter decides whether it
// should be there. That may mean another time than the messages show. So a message is
// missing only where one that is no newer is shown, for then the filter lets it pass. If
// there is none, or its own time may not be what the filter goes by, more is asked for: an hour further
// back, a day, a month, and then all. What only that shows is not looked for again: it would take as much
// each time.
func (p *talkPass) emitDeleted(ctx context.Context, w period, l *talkList) error {
	if p.watch == nil {
		return nil
	}
	within := func(i int) bool {
		return p.watch.watches(i) && second(p.watch.of[i].Time) >= p.begin
	}
	passed := func(i int) bool {
		return within(i) && (w.from == 0 || p.watch.tells(i) && l.oldest <= second(p.watch.of[i].Time))
	}
	unseen := p.watch.unseen(within)
	defer p.watch.leave(unseen)
	for _, back := range []int64{day / 24, day, 30 * day, farthest} {
		if !p.watch.any(func(i int) bool { return within(i) && !passed(i) }) {
			break
		}
		w = period{from: max(0, p.begin-back)}
		all, whole, err := p.walk(ctx, w)
		if err != nil {
			return err
		}
		if !whole {
			p.watch.giveUp()
			return nil // of the others this is left to the next pass
		}
		l = all
	}
	if p.none {
		return nil // that is no answer about its messages
	}
	deleted := p.watch.missing(passed)
	if len(deleted) == 0 {
		return nil
	}
	if !p.enough(l) {
		if ends, err := p.endsWith(ctx, w, l); err != nil || !ends {
			return err
		}
	}
	return p.Emit(ctx, deleted, p.now)
}

// endsWith reports whether nothing stands behind what was read of a period: a short page that
// is no end would make all that does look deleted.
func (p *talkPass) endsWith(ctx context.Context, w period, l *talkList) (bool, error) {
	read := len(l.items) + l.odd
	at := cover(read, p.limit)
	if read > 0 && read <= p.limit {
		at = spot{2, read}
	}
	page, _, err := p.ask(ctx, w, at)
	return !slices.ContainsFunc(page, func(it Item) bool { return it.ID != "" && !l.has(it.ID) }), err
}
