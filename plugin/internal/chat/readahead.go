// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"context"
	"slices"
)

// readAhead asks for the next pages of a climb before they are needed. Where each should
// lie follows from the one before, as long as the chat does not move.
//
// A page is believed less than one that was asked for alone: it is used only if the
// newest item passed is in it (frontier.follows). Between two of these requests the chat
// changes too, and the events are these:
//
//   - a message is deleted above: the pages asked for after that end with more items
//     that are known.
//   - a message arrives: the pages asked for after that lie above the item that the
//     first of them should end with. The ordinary seek fills the gap, and then they
//     fit, since all were moved by the same.
//   - so much arrives that the first of them does not fit after that either: all are
//     dropped.
//
// How many are asked for grows by one with each page that was used, and begins with one
// again where pages are dropped. So no more pages are dropped than are used.
type readAhead struct {
	p      *pass
	parent context.Context
	ctx    context.Context // of the requests
	cancel context.CancelFunc
	width  int // how many pages are asked for at once; 1: only the one that is needed
	top    int // a page that holds this position is the last one that is asked for
	slack  int // by how much more than one item the pages overlap
	want   int // where the item is expected that the next page has to have
	pages  []*early
	given  bool // what next returned was the first of pages
}

// early is a page that was asked for ahead.
type early struct {
	at   int
	wait func() // until page and err are there
	page Page
	err  error

	looked bool // it was the next, and did not fit
	items  []Item
}

// newReadAhead returns what reads ahead up to a position. close has to be called in the
// end.
func (p *pass) newReadAhead(ctx context.Context, top int) *readAhead {
	a := &readAhead{p: p, parent: ctx, width: 1, top: top}
	a.ctx, a.cancel = context.WithCancel(ctx)
	return a
}

// next returns the page that a seek looks at first, and where it was asked for: the next
// of those asked for ahead, or else one at offset.
func (a *readAhead) next(ctx context.Context, f *frontier, offset int) (page []Item, at int, err error) {
	a.given = false
	if f.blind != nil || a.p.server.Misleads() {
		a.drop() // positions are all there is to go by, or they say little
	}
	if len(a.pages) > 0 && a.pages[0].looked {
		if e := a.pages[0]; f.follows(e.items) {
			a.given = true
			return e.items, e.at, nil
		}
		a.drop()
	}
	if len(a.pages) == 0 || a.want < a.pages[0].at+a.p.span {
		a.begin(offset)
		a.given = len(a.pages) > 0
	}
	if !a.given {
		page, err = a.p.fetch(ctx, offset)
		return page, offset, err
	}
	e := a.pages[0]
	if e.items, err = a.p.fetchEarly(ctx, e.at, e); err != nil {
		return nil, 0, err
	}
	if e.err != nil {
		a.width = 1 // it took another request
	}
	e.looked = true
	if cut, ok := f.cut(e.items); ok && !f.last(&e.items[cut]) {
		a.given = false
		a.drop()
		page, err = a.p.fetch(ctx, offset)
		return page, offset, err
	}
	return e.items, e.at, nil
}

// begin asks for as many pages as there should be. The first is at offset, unless there
// are some.
func (a *readAhead) begin(offset int) {
	for a.width > 1 && len(a.pages) < a.width {
		e := &early{at: offset}
		if n := len(a.pages); n > 0 {
			last := a.pages[n-1].at
			if last <= a.top {
				return
			}
			e.at = max(0, last-max(1, a.p.span-1-a.slack))
		}
		ctx := a.ctx
		e.wait = a.p.begin(func() { e.page, e.err = a.p.src.Page(ctx, a.p.chat, e.at, a.p.pageSize) })
		a.pages = append(a.pages, e)
	}
}

// used takes it that the page which next returned was used.
func (a *readAhead) used() {
	a.width = min(a.width+1, max(1, a.p.readAhead))
	if a.given {
		a.pages = slices.Delete(a.pages, 0, 1)
	}
}

// drop gives up all pages that were asked for, and waits until no request is under way.
func (a *readAhead) drop() {
	a.width = 1
	if len(a.pages) == 0 {
		return
	}
	a.cancel()
	for _, e := range a.pages {
		e.wait()
	}
	a.pages = nil
	a.ctx, a.cancel = context.WithCancel(a.parent)
}

// close ends it.
func (a *readAhead) close() {
	a.drop()
	a.cancel()
}
