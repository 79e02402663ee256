// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"context"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
	"github.com/kommo-connect/kommo-connect/plugin/internal/listing"
)

const (
	// lag is how far, in s, the position stays behind the clock and the latest event.
	// Events show up to two minutes late.
	lag = 150

	// slack is how far, in s, a selection reaches beyond what it is for at both ends,
	// with one second to spare: the time filter may leave its ends out, or be off by a
	// second.
	slack = 2

	// quiet is how long nothing has happened until the position may trail by less.
	quiet = time.Hour

	// maxPages and maxRows are how long a selection may be until it is cut. maxRows
	// counts where pages are small.
	maxPages = 8
	maxRows  = 64
)

// Events is a [Discovery] by the event feed alone. Make it with [NewEvents].
type Events struct {
	conf    Config
	origins []string // sorted
	since   int64
	from    int64 // where to begin without a checkpoint, if that is later
	value   value
	loaded  bool
	empty   bool // no listing has named anything, and none was saved before
	ledger  ledger

	// What is known of the feed, over all listings.
	pos    int64            // everything before it was read
	seen   map[uint64]int64 // the events that are not before it, with their times
	pruned int              // len(seen) when it was pruned last
	newest int64            // the latest event
	order  order
	ends   ends
	// unfiltered says that the time filter is not kept.
	unfiltered bool
	warned     bool // that pages can't be joined

	// Of the listing that is under way.
	started int64   // the server's time at its begin; 0 before the first answer
	base    int64   // pos at its begin
	cursor  int64   // everything before it was read in this listing
	named   talkSet // in this listing
	talks   gathered
	fresh   []moment // the events that were read since talks were named last
	odd     int

	lap *listing.Lap
	sel selection
}

// NewEvents returns a Discovery by the event feed alone: from its beginning, or
// Config.Since, and then what is new.
func NewEvents(conf Config) *Events {
	e := &Events{
		conf: conf, since: sinceOf(conf.Since), seen: map[uint64]int64{}, lap: listing.NewLap(conf.PageSize),
		origins: slices.Compact(slices.Sorted(slices.Values(conf.Origins))),
		value:   value{store: conf.Store, name: NameEvents},
	}
	if e.conf.Gather == 0 {
		e.conf.Gather = defaultGather
	}
	e.pos = e.since
	e.begin()
	return e
}

// begin begins a listing.
func (e *Events) begin() {
	e.started, e.base, e.cursor, e.named, e.odd = 0, e.pos, e.pos, talkSet{}, 0
	e.choose(selection{from: e.pos})
}

// startOver goes back to where the listing began. What was named stays so.
func (e *Events) startOver() {
	e.pos, e.cursor = e.base, e.base
	e.ledger.back(e.base)
	e.choose(selection{from: e.base})
}

// Next implements [Discovery]. It makes one request.
func (e *Events) Next(ctx context.Context) (*Batch, error) {
	if err := e.load(ctx); err != nil {
		return nil, err
	}
	number, limit := e.lap.Next()
	q := crm.EventQuery{Page: number, Limit: limit, Order: "asc"}
	if e.unfiltered {
		q.Order = "desc" // so that the new ones come first
	} else {
		q.From, q.To = e.sel.bounds()
	}
	answer, err := e.conf.API.Events(ctx, q)
	if err != nil {
		return nil, err
	}
	page := e.page(&answer)
	if e.started == 0 {
		e.started = past(&page)
	}
	done, err := e.take(number, limit, &page)
	if err != nil {
		e.startOver()
		return nil, err
	}
	if done || e.talks.events >= e.conf.Gather {
		return e.name(done), nil
	}
	return &Batch{}, nil
}

// take uses a page, and reports whether the listing is complete.
func (e *Events) take(number, limit int, page *listing.Page) (done bool, err error) {
	if !e.unfiltered && e.sel.broken(page.Rows) {
		e.distrust()
		return false, nil
	}
	look := e.ends.look(page, e.allKnown(page.Rows))
	step, err := e.lap.Take(number, limit, page, look)
	if err != nil {
		return false, err
	}
	if e.lap.Loose() && !e.warned {
		e.warned = true
		call(e.conf.Hooks.Loose)
	}
	e.ends.took(page, &step, e.started-lag)
	if !step.Used {
		if e.lap.Pages() == 0 {
			e.sel.rows, e.sel.buffer, e.order.last = 0, nil, 0
		}
		return false, nil
	}
	for i := range step.Rows {
		e.newest = max(e.newest, step.Rows[i].Updated)
	}
	was := e.order
	e.order.look(step.Rows)
	if was.oldestFirst() && !e.order.oldestFirst() || e.unfiltered && was.newestFirst() && !e.order.newestFirst() {
		call(e.conf.Hooks.Disordered)
		e.startOver()
		return false, nil
	}
	e.sel.take(step.Rows, func(r *listing.Row) bool { _, ok := e.seen[keyOf(r)]; return ok })
	return e.judge(page, step.Ended, len(page.Rows) < limit), nil
}

// judge decides what follows from the rows of a selection, as far as they were read.
// ended says that there are no more, and short that the page was not full.
func (e *Events) judge(page *listing.Page, ended, short bool) (done bool) {
	// What shows up late is looked for until the position has passed it. So that moves as if all was read
	// when the listing began: an answer may come minutes after the one before it.
	now := min(e.started, past(page))
	switch {
	case e.sel.wider > 0 && e.sel.met && !e.unfiltered:
		e.distrust()
	case ended && !e.meets():
		return false
	case ended && (e.sel.to == 0 || e.sel.down):
		e.accept()
		e.advance(min(e.newest, now))
		e.trailLess(past(page))
		return true
	case ended:
		e.accept()
		e.cursor = e.sel.to + 1
		e.advance(min(e.cursor, now))
		e.choose(e.sel.next(e.newest, max(maxPages*e.conf.PageSize, maxRows)))
	case e.unfiltered:
		e.accept()
		if e.order.newestFirst() && e.sel.oldest < e.base-slack && e.sel.oldest < e.started-lag {
			e.advance(min(e.newest, now))
			e.trailLess(past(page))
			return true
		}
	case e.order.oldestFirst():
		if e.lap.Pages() == 1 && e.sel.latest > e.sel.from && e.sel.expects && !e.sel.met && e.sel.wider == 0 {
			e.distrust()
			return false
		}
		e.accept()
		e.cursor = max(e.cursor, e.sel.latest)
		e.advance(min(e.cursor, now))
		// The next page of this selection would repeat about as many rows as it has pages.
		long := e.lap.Pages() >= maxPages && e.sel.rows >= maxRows || short || e.sel.overlap() <= e.lap.Pages()
		if e.sel.to == 0 && e.sel.wider == 0 && long && e.sel.rows >= 8*e.sel.overlap() {
			e.choose(selection{from: e.cursor})
		}
	case e.order.newestFirst() && e.sel.span == 0:
		if e.sel.down && e.lap.Pages() == 1 && e.sel.oldest < e.sel.to && !e.meets() {
			return false
		}
		e.accept()
		// The next selection reads the last two seconds again.
		again := 0
		for i := range page.Rows {
			if page.Rows[i].Updated <= e.sel.oldest+1 {
				again++
			}
		}
		// Else the next selection would be this one again, or, below an older event than was asked for,
		// end before it begins.
		further := (!e.sel.down || e.sel.oldest < e.sel.to) && e.sel.oldest >= e.sel.from-slack
		if (e.lap.Pages() >= maxPages && e.sel.rows >= maxRows || short) && 2*again < len(page.Rows) && further {
			e.choose(selection{from: e.sel.from, to: e.sel.oldest, down: true})
		}
	case e.sel.uncut:
		e.accept()
	case e.lap.Pages() >= maxPages && e.sel.rows >= maxRows:
		e.choose(e.sel.half())
	}
	return false
}

// choose begins to read a selection.
func (e *Events) choose(s selection) {
	e.sel = s
	for _, at := range e.seen {
		e.sel.expects = e.sel.expects || (s.from > 0 || s.down) && at >= s.from && (s.to == 0 || at <= s.to)
	}
	e.order.last = 0
	e.lap.Restart()
}

// meets reports whether a selection brought one of the events that are known to be in
// it. If not, they were deleted, or the filter is off by more than a second, which
// shows in what a day more brings.
func (e *Events) meets() bool {
	const day = 24 * 60 * 60
	switch {
	case e.unfiltered || !e.sel.expects:
		return true
	case e.sel.met:
		return true
	case e.sel.down:
		e.distrust() // what was read last is at its end
		return false
	case e.sel.wider == 0:
		wider := e.sel
		wider.wider, wider.rows, wider.buffer = day, 0, nil
		e.choose(wider)
		return false
	}
	for key, at := range e.seen {
		if at >= e.sel.from {
			delete(e.seen, key)
		}
	}
	return true
}

// distrust stops to use the filter.
func (e *Events) distrust() {
	e.unfiltered = true
	e.order = order{}
	call(e.conf.Hooks.Unfiltered)
	e.startOver()
}

// accept takes the rows of the selection that were not taken yet.
func (e *Events) accept() {
	rows := e.sel.buffer
	e.sel.buffer = nil
	keep, overlap := e.pos, int64(0)
	if e.unfiltered || e.sel.span == 0 && e.order.newestFirst() {
		// Nothing of this is read twice in this listing, but where selections meet.
		keep, overlap = max(keep, min(e.newest, e.started)-lag), e.sel.oldest+slack
	}
	before := e.pos
	for i := range rows {
		r := &rows[i]
		key, at := keyOf(r), r.Updated
		if at == 0 {
			at = before
		}
		before = at
		if at < e.since || e.pos > 0 && at < e.pos-slack {
			continue
		}
		if _, ok := e.seen[key]; ok {
			continue
		}
		if at >= keep-slack || at <= overlap {
			e.seen[key] = at
			e.fresh = append(e.fresh, moment{key, at})
		}
		ev := r.Value.(*crm.Event) //nolint:forcetypeassert // page put it there
		switch {
		case crm.CheckTalkID(ev.TalkID) != nil:
			if ev.Type == crm.IncomingMessage || ev.Type == crm.OutgoingMessage || !ev.Object {
				e.odd++
			}
		case len(e.origins) > 0 && !slices.Contains(e.origins, ev.Origin):
		case !e.conf.Repeat && at < e.started-lag && e.named.has(ev.TalkID):
		default:
			e.talks.add(ev, at)
		}
	}
}

// advance moves the position, after all before a time has been read.
func (e *Events) advance(to int64) {
	e.pos = max(e.pos, to-lag)
	if len(e.seen) <= 2*e.pruned+1000 && len(e.seen) > 0 {
		return
	}
	for key, at := range e.seen {
		if at < e.pos-slack {
			delete(e.seen, key)
		}
	}
	e.fresh = slices.DeleteFunc(e.fresh, func(m moment) bool { return m.at < e.pos-slack })
	e.pruned = len(e.seen)
}

// trailLess moves the position of a feed in which nothing has happened for an hour, where
// more than a page of it would be read by each listing.
func (e *Events) trailLess(now int64) {
	most := e.conf.PageSize * 3 / 4
	if len(e.seen) <= most || now-e.newest < int64(quiet/time.Second) {
		return
	}
	times := slices.Sorted(maps.Values(e.seen))
	e.pos = max(e.pos, min(times[len(times)-1-most]+slack, e.newest))
}

// name names the talks that were gathered.
func (e *Events) name(done bool) *Batch {
	b := &Batch{Done: done}
	for _, t := range e.talks.take() {
		t.Again = t.Updated < e.started-lag && e.named.has(t.ID)
		if !t.Again || e.conf.Repeat {
			b.Talks = append(b.Talks, *t)
			e.named.add(t.ID)
		}
	}
	after := progress{pos: e.pos, known: prune(e.fresh, e.pos), lies: e.ends.lies}
	e.fresh = nil
	if p := e.ledger.add(len(b.Talks), after, done); p != nil {
		b.ack = func(i int) { e.ledger.ack(p, i) }
	}
	e.empty = e.empty && len(b.Talks) == 0
	if done {
		if e.empty {
			e.empty = false
			call(e.conf.Hooks.Empty)
		}
		if e.odd > 0 && e.conf.Hooks.Odd != nil {
			e.conf.Hooks.Odd(e.odd)
		}
		e.begin()
	}
	return b
}

// allKnown reports whether a page has nothing that is new.
func (e *Events) allKnown(rows []listing.Row) bool {
	for i := range rows {
		if _, ok := e.seen[keyOf(&rows[i])]; !ok && rows[i].Updated > 0 {
			return false
		}
	}
	return true
}

// page turns an answer into the rows of a list.
func (e *Events) page(answer *crm.EventPage) listing.Page {
	page := listing.Page{More: answer.Next.Is, Date: answer.Date, Received: time.Now()}
	for i := range answer.Events {
		ev := &answer.Events[i]
		at := max(ev.CreatedAt, 0)
		for at > 1e11 { // a smaller unit: 1e11 s are in the year 5138
			at /= 1000
		}
		h := fnv.New64a()
		if ev.ID == "" && ev.MessageID == "" {
			h.Write(ev.Raw)
		} else {
			h.Write([]byte(ev.ID + "\x00" + ev.MessageID + "\x00" + ev.TalkID))
		}
		page.Rows = append(page.Rows, listing.Row{
			Key: string(h.Sum(nil)), Serial: int64(h.Sum64()), Updated: at, Value: ev, //nolint:gosec // and back
		})
	}
	return page
}

// keyOf is what an event is known by.
func keyOf(r *listing.Row) uint64 { return uint64(r.Serial) } //nolint:gosec // as it was

func past(p *listing.Page) int64 { return min(p.Date.Unix(), p.Received.Unix()) }
