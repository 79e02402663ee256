// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"math"
	"slices"
	"strings"
)

// talkList is what a walk has read of a talk, in the API's own order.
type talkList struct {
	items []Item         // those with an id, each once
	index map[string]int // id to its place in items
	pages int            // pages that brought something

	news    int  // what may have to be emitted, and so is held whole
	met     bool // something that was delivered is among them
	odd     int
	outside bool // something is not of the period that was asked for
	blind   bool // two pages were joined by their positions alone
	left    bool // something that came meanwhile is left to the next pass, and all that is newer

	oldest int64 // second of the oldest item whose time tells its place

	// How often the times go from one item to the next, by whole seconds.
	up, down int
	last     int64 // second of the last item that shows a time
	olds     int   // how many items in a row, at the end, are older than all that is looked for
}

func newTalkList() *talkList { return &talkList{index: map[string]int{}, oldest: math.MaxInt64} }

func (l *talkList) has(id string) bool {
	_, ok := l.index[id]
	return ok
}

// add takes the entries of a page that were not read before, and returns how many there
// are.
func (l *talkList) add(p *talkPass, w period, page []Item) (fresh int) {
	for i := range page {
		it := page[i]
		if it.ID == "" {
			l.odd++
			continue
		}
		if l.has(it.ID) {
			continue
		}
		fresh++
		_, was := p.back[it.ID]
		l.met = l.met || was || p.seen[it.ID]
		l.outside = l.outside || !w.keeps(&it)
		l.step(p, &it)
		p.watch.see(&it)
		if !p.mayBeNew(w, &it) {
			// Only its place counts. Its value and its id may keep the page in memory.
			it = Item{ID: strings.Clone(it.ID), Time: it.Time}
		} else {
			l.news++
		}
		l.index[it.ID] = len(l.items)
		l.items = append(l.items, it)
	}
	if fresh > 0 {
		l.pages++
	}
	return fresh
}

// step counts the step from the last item to this one.
func (l *talkList) step(p *talkPass, it *Item) {
	if it.Time == 0 {
		return
	}
	s := second(it.Time)
	if !it.Implausible {
		l.oldest = min(l.oldest, s)
	}
	if l.last != 0 && s > l.last {
		l.up++
	} else if l.last != 0 && s < l.last {
		l.down++
	}
	l.last = s
	if l.olds++; s >= p.begin {
		l.olds = 0
	}
}

// surely is how many steps in one direction, and none in the other, make an order.
const surely = 12

// oldestFirst and newestFirst say that the API has shown to list in that order.
func (l *talkList) oldestFirst() bool { return l.up >= surely && l.down == 0 }
func (l *talkList) newestFirst() bool { return l.down >= surely && l.up == 0 }

// shared returns the last entry of a page that was read before: where it is in the page,
// and in the list; -1 if there is none.
func (l *talkList) shared(page []Item) (i, at int) {
	for i, it := range slices.Backward(page) {
		if at, ok := l.index[it.ID]; ok && it.ID != "" {
			return i, at
		}
	}
	return -1, -1
}

// sorted returns the items oldest first. Those of one second are as the API lists them,
// or by their milliseconds where all of them have some. An item without a time gets that
// of the newer one next to it, or of the older one if there is none, or else the given
// one, in milliseconds.
func (l *talkList) sorted(otherwise int64) []Item {
	out := slices.Clone(l.items)
	if l.down > 8*l.up {
		slices.Reverse(out)
	}
	next := int64(0)
	for i := range slices.Backward(out) {
		if out[i].Time != 0 {
			next = out[i].Time
		} else if next != 0 {
			out[i].Time, out[i].untimed = next, true
		}
	}
	for i := range out {
		if out[i].Time != 0 {
			otherwise = out[i].Time
		} else {
			out[i].Time, out[i].untimed = otherwise, true
		}
	}
	slices.SortStableFunc(out, func(a, b Item) int { return int(second(a.Time) - second(b.Time)) })
	for from := 0; from < len(out); {
		to, exact := from, true
		for ; to < len(out) && second(out[to].Time) == second(out[from].Time); to++ {
			exact = exact && out[to].Time%tick != 0 && !out[to].untimed
		}
		if exact {
			slices.SortStableFunc(out[from:to], func(a, b Item) int { return int(a.Time - b.Time) })
		}
		from = to
	}
	return out
}
