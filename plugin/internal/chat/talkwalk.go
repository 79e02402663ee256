// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// spot is a page of the API: its number, from 1, and how many entries it is asked for.
type spot struct{ page, limit int }

func (s spot) start() int { return (s.page - 1) * s.limit }
func (s spot) end() int   { return s.page * s.limit }

// cover returns the page of at most limit entries that has a position and as much as
// possible of what follows. The pages of one limit do not overlap; those of different
// ones do. Where each limit has a page that ends with the position, as small ones may, it
// is the one right behind.
func cover(position, limit int) spot {
	best, most := 1, 0
	for l := limit; l > most; l-- {
		if gain := l - 1 - position%l; gain > most {
			best, most = l, gain
		}
	}
	if most == 0 {
		best, position = limit, position+1
		for position%best != 0 {
			best--
		}
	}
	return spot{position/best + 1, best}
}

// read reads a period whole, if it fits. Where the order of the pages does not say where a
// message stands that arrives meanwhile, it is read twice.
func (p *talkPass) read(ctx context.Context, w period) (l *talkList, whole bool, err error) {
	l, whole, err = p.walk(ctx, w)
	if err != nil || !whole || l.pages <= 1 || !l.blind && (l.oldestFirst() || l.newestFirst()) {
		return l, whole, err
	}
	// What the second reading alone has may have arrived after something that it passed
	// before that came, and would then be emitted first. But nothing that is missing in
	// both is older than what the first one has.
	past := w.to != 0 && w.to < second(p.now) // all that arrives there is late
	again, whole, err := p.walk(ctx, w)
	if err != nil || !whole {
		return again, whole, err
	}
	newest := int64(0)
	for i := range l.items {
		// What claims to be of the future says nothing of when it came.
		if t := second(l.items[i].Time); t <= second(p.date) {
			newest = max(newest, t)
		}
	}
	for i := range again.items {
		it := &again.items[i]
		switch {
		case l.has(it.ID):
		case past || second(it.Time) <= newest:
			l.index[it.ID] = len(l.items)
			l.items = append(l.items, *it)
		default:
			l.left = true
		}
	}
	l.met = l.met || again.met
	l.outside = l.outside || again.outside
	return l, true, nil
}

// walk reads the pages of a period one after the other, until the talk's end or until
// more than may be held is new.
func (p *talkPass) walk(ctx context.Context, w period) (*talkList, bool, error) {
	for range mostLost {
		l, whole, err := p.walkOnce(ctx, w)
		switch {
		case errors.Is(err, errLimited):
		case errors.Is(err, errLost):
			p.OnRealigned()
		default:
			return l, whole, err
		}
	}
	return nil, false, fmt.Errorf("reading a talk %d times: %w", mostLost, numbersError{})
}

// walkOnce is one try of walk. Each page overlaps what was read before. As long as the
// API keeps its order, whatever it is, a page that has anything of that leaves no gap,
// however much was inserted or deleted meanwhile.
func (p *talkPass) walkOnce(ctx context.Context, w period) (l *talkList, whole bool, err error) {
	p.now = 0
	l = newTalkList()
	at := spot{1, p.limit}
	page, more, err := p.ask(ctx, w, at)
	if err != nil {
		return nil, false, err
	}
	fresh := l.add(p, w, page)
	same := 0
	for idle := 0; ; {
		if p.enough(l) {
			return l, true, nil
		}
		if l.news > p.MaxKept || p.Latest && !p.Known && l.outside {
			return l, false, nil
		}
		if idle++; fresh > 0 {
			idle = 0
		}
		if idle >= stuckAfter {
			return nil, false, fmt.Errorf("%d requests in a row: %w", idle, numbersError{})
		}
		if len(page) < at.limit {
			e, err := p.talkEnd(ctx, w, l, page, at, more)
			if err != nil {
				return nil, false, err
			}
			if e.is {
				return l, true, nil
			}
			if e.next != nil {
				page, at, more, fresh = e.next, e.at, e.more, l.add(p, w, e.next)
				continue
			}
		}
		before, beforeAt := page, at
		if page, more, at, err = p.following(ctx, w, l, page, at); err != nil {
			return nil, false, err
		}
		if fresh = l.add(p, w, page); fresh == 0 && at != beforeAt && showsSame(page, before) {
			same++
		} else {
			same = 0
		}
		if same == mostSame {
			// The last page comes again and again, or all numbers are ignored.
			deep, _, err := p.ask(ctx, w, spot{at.page + 16, at.limit})
			if err != nil {
				return nil, false, err
			}
			if _, last := l.shared(page); showsSame(deep, page) && last == len(l.items)-1 && len(l.items) > len(page) {
				return l, true, nil
			}
		}
	}
}

// enough says that the rest of the talk is older than what is looked for: the newest
// message comes first, and many in a row are old. So not the whole talk is read where the
// filter is not kept.
func (p *talkPass) enough(l *talkList) bool {
	return l.newestFirst() && l.olds >= oldRun
}

// following returns the page that goes on behind a page, and where it is.
func (p *talkPass) following(ctx context.Context, w period, l *talkList, page []Item, at spot) (next []Item, more bool, where spot, err error) {
	edge := at.start() + max(0, min(len(page), at.limit)-1)
	jump := 0 // so much of what was read stands behind the page
	if i, place := l.shared(page); i >= 0 {
		edge = at.start() + min(i, at.limit-1)
		jump = len(l.items) - 1 - place
	}
	where = cover(edge+jump, p.limit)
	if where.end() <= at.end() {
		where = spot{at.page + 1, at.limit} // what ends it has no id, or is not shown
	}
	if next, more, err = p.ask(ctx, w, where); err != nil {
		return nil, false, where, err
	}
	if i, _ := l.shared(next); i >= 0 {
		return next, more, where, nil
	}
	// Nothing is known of it. If the page before it has not changed, it stands right
	// behind that, if that is where it was asked for.
	again, more2, err := p.ask(ctx, w, at)
	if err != nil {
		return nil, false, where, err
	}
	end := at.end()
	if showsSame(again, page) && where.start() > end {
		// What was read reaches less far behind it than it seemed.
		where = spot{at.page + 1, at.limit}
		if next, more, err = p.ask(ctx, w, where); err != nil {
			return nil, false, where, err
		}
		if i, _ := l.shared(next); i >= 0 {
			return next, more, where, nil
		}
		if again, more2, err = p.ask(ctx, w, at); err != nil {
			return nil, false, where, err
		}
	}
	if showsSame(again, page) && where.start() <= end {
		l.blind = true
		return next, more, where, nil
	}
	p.OnRealigned()
	if i, _ := l.shared(again); i >= 0 && !showsSame(again, page) {
		return again, more2, at, nil
	}
	return p.search(ctx, w, l, edge)
}

// showsSame reports whether two pages show the same messages. What has no id, or comes twice,
// stands where it likes.
func showsSame(a, b []Item) bool {
	in := func(page []Item) func(Item) bool {
		ids := make(map[string]bool, len(page))
		for i := range page {
			ids[page[i].ID] = true
		}
		return func(it Item) bool { return it.ID != "" && !ids[it.ID] }
	}
	return !slices.ContainsFunc(a, in(b)) && !slices.ContainsFunc(b, in(a))
}

// messagesOf returns how many messages a page shows, each once, and 1 at least. Some servers put
// something of their own into each answer, beside what was asked for.
func messagesOf(page []Item) int {
	ids := map[string]bool{}
	for i := range page {
		if page[i].ID != "" {
			ids[page[i].ID] = true
		}
	}
	return max(1, len(ids))
}

// search looks for something that was read, around a position and in steps that double.
func (p *talkPass) search(ctx context.Context, w period, l *talkList, position int) (page []Item, more bool, at spot, err error) {
	up, down := true, true
	for step := 0; (up || down) && step < mostStep; step = max(2*step, max(1, p.limit-1)) {
		for _, there := range []int{position - step, position + step} {
			if there < position && !up || there > position && !down {
				continue
			}
			at = cover(max(0, there), p.limit)
			if page, more, err = p.ask(ctx, w, at); err != nil {
				return nil, false, at, err
			}
			if i, _ := l.shared(page); i >= 0 {
				return page, more, at, nil
			}
			if there <= 0 {
				up = false
			}
			if there > position && len(page) == 0 {
				down = false
			}
		}
	}
	return nil, false, at, errLost
}

// talkEnd is what a look at a short page of a talk has shown.
type talkEnd struct {
	is   bool   // it ends the talk
	next []Item // this stands behind it,
	at   spot   // there
	more bool
}

// errLimited is returned where pages have turned out to be shorter than asked because of a
// limit of the server's. p.limit is that now, and what was read may have gaps.
var errLimited = errors.New("the server gives less at a time than it was asked for")

// mayLimit reports whether so many entries may be all that the server gives at a time.
func (p *talkPass) mayLimit(entries int) bool {
	return entries*few > p.PageSize && p.server.Limits(entries)
}

// isLimit decides whether the length of a page, which it had twice with more behind it, is the
// server's limit: then so many are full when no more is asked for, where a server that hides
// entries gives fewer.
func (p *talkPass) isLimit(ctx context.Context, w period, entries, behind int) (bool, error) {
	page, _, err := p.ask(ctx, w, spot{1, entries})
	if err != nil || len(page) < entries || !p.mayLimit(entries) {
		return false, err
	}
	p.limit = messagesOf(page)
	if p.server.Continued(behind + 1) {
		p.OnShortPages()
	}
	return true, nil
}

// few is how many times as much as a page holds has to have room in it for the page to end
// the talk without a proof: no server has a limit that low, and none hides that much.
const few = 10

// talkEnd decides whether a page that is shorter than asked ends the talk, as end does
// for an API that is addressed by offset: it is looked behind, until this server has shown
// often enough that nothing follows.
func (p *talkPass) talkEnd(ctx context.Context, w period, l *talkList, page []Item, at spot, more bool) (talkEnd, error) {
	misleads := p.server.Misleads()
	if at.page == 1 && !misleads && (!more || p.server.LinksAlways()) {
		little := len(page)*few <= p.PageSize
		switch {
		case p.Latest && !p.Known, len(page) == 0:
			return talkEnd{is: true}, nil
		case little && p.server.BelievedFew(p.Chat, len(page)), p.server.Believed(p.Chat, len(page), at.limit):
			p.OnBelieved()
			return talkEnd{is: true}, nil
		}
	}
	var looks []spot
	n := len(page)
	limited := n > 0 && p.mayLimit(n)
	shown := messagesOf(page) // what a server adds of its own takes no place
	if limited {
		looks = append(looks, cover(at.start()+shown-1, shown)) // right behind it
		if at.page == 1 {
			looks[0] = spot{2, shown}
		}
	}
	looks = append(looks, spot{at.page + 1, at.limit})
	for _, look := range looks {
		below, more, err := p.ask(ctx, w, look)
		if err != nil {
			return talkEnd{}, err
		}
		behind, fresh := 0, 0
		for i := range below {
			if below[i].ID != "" && !slices.ContainsFunc(page, func(it Item) bool { return it.ID == below[i].ID }) {
				behind++
				if !l.has(below[i].ID) {
					fresh++
				}
			}
		}
		moved := behind > 0 && fresh == 0
		place, _ := l.shared(below)
		joins := place >= 0
		switch {
		case len(below) == 0 && !misleads:
			continue
		case moved && !limited:
			return talkEnd{}, nil
		}
		// What stands there, or does not, counts if this page has not changed.
		again, moreAgain, err := p.ask(ctx, w, at)
		if err != nil {
			return talkEnd{}, err
		}
		same := showsSame(again, page)
		next := same && fresh > 0 && at.page == 1 && look == spot{2, shown} // nothing lies between
		if limited && behind > 0 && len(again) == n && !next {
			is, err := p.isLimit(ctx, w, n, behind)
			if err == nil && is {
				err = errLimited
			}
			if err != nil {
				return talkEnd{}, err
			}
		}
		switch {
		case moved:
			return talkEnd{}, nil
		case !same && joins && fresh > 0:
			return talkEnd{next: below, at: look, more: more}, nil // whatever has moved
		case !same:
			if i, _ := l.shared(again); i < 0 {
				// The talk has moved so far that this is no place to go on from.
				again, moreAgain, at, err = p.search(ctx, w, l, at.start())
				if err != nil {
					return talkEnd{}, err
				}
			}
			return talkEnd{next: again, at: at, more: moreAgain}, nil
		case fresh == 0:
			continue // past the end some give the last page again
		}
		if p.server.Continued(fresh + 1) {
			p.OnShortPages()
		}
		if next && len(below) >= shown {
			p.limit = shown
		}
		l.blind = l.blind || !joins
		return talkEnd{next: below, at: look, more: more}, nil
	}
	if p.server.Ended(p.Chat, len(page), at.limit); more {
		p.server.EndedLinked()
	}
	return talkEnd{is: true}, nil
}
