// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/kommo-connect/kommo-connect/plugin/internal/evidence"
)

// FromTalks makes passes over an API that gives a talk's messages in numbered pages, in
// an order that is not known. What its pages show of the server is shared by all of them.
func FromTalks(source TalkSource, server *evidence.Server) NewPass {
	return func(s Start) Pass {
		if s.ShortPages {
			server.Refute()
		}
		p := &talkPass{
			Start: s, src: source, server: server, limit: s.PageSize,
			since: math.MinInt64, floor: math.MinInt64,
			seen: make(map[string]bool, len(s.From.Seen)),
			back: s.Reached.firms(0),
		}
		if !s.Since.IsZero() {
			p.since = s.Since.UnixMilli()
		}
		if s.Known {
			p.floor = second(s.From.From)
		}
		for _, d := range s.From.Seen {
			p.seen[d.ID] = true
			p.last = d
		}
		if s.Changes {
			p.watch = newWatch(&s.From, s.From.floor(s.Lookback), p.since)
		}
		return p
	}
}

// talkPass is what FromTalks makes.
//
// It reads everything from the checkpoint's second on, in one answer or in pages that
// overlap (walk), sorts it, and emits what is new. Where that is more than it may hold,
// it reads one period after the other instead (cut).
type talkPass struct {
	Start
	src    TalkSource
	server *evidence.Server

	since int64 // ms; what was sent before is left out
	floor int64 // second; what is older is not new
	seen  map[string]bool
	back  map[string]bool // was delivered before the checkpoint was set back
	last  Seen            // what was delivered last
	begin int64           // second; what is older is not looked for

	limit int    // how many entries to ask for: the page size, or what the server gives at most
	now   int64  // the server's clock when the last walk began, in ms
	date  int64  // the latest that it told itself, or now; in ms
	clock int64  // the same, when what may still get late messages was first delivered; 0: not yet
	again int64  // second; from here on what was delivered may be read again in this pass; 0: nothing is
	watch *watch // nil: what was delivered is not looked at again
	none  bool   // the API says that there is no such talk

	found Result
}

// slack is how many seconds more than needed are asked for on either side: a filter may
// be off by one, and may leave out the second that it is given.
const slack = 2

// period is a stretch of seconds. An end that is 0 is open.
type period struct{ from, to int64 }

// query returns the bounds to ask for.
func (w period) query() (from, to int64) {
	if w.from > slack {
		from = w.from - slack
	}
	if w.to > 0 {
		to = w.to + slack
	}
	return from, to
}

// has reports whether a second lies in the period.
func (w period) has(s int64) bool {
	return (w.from == 0 || s >= w.from) && (w.to == 0 || s <= w.to)
}

// keeps reports whether a filter that is kept, give or take a second, lets an item pass.
func (w period) keeps(it *Item) bool {
	from, to := w.query()
	if it.ID == "" || it.Time == 0 || it.Implausible {
		return true // it tells nothing
	}
	s := second(it.Time)
	return (from == 0 || s >= from-1) && (to == 0 || s <= to+1)
}

// Run implements Pass.
func (p *talkPass) Run(ctx context.Context) (Result, error) {
	err := p.run(ctx)
	p.found.Notes = p.watch.notes(err)
	return p.found, err
}

func (p *talkPass) run(ctx context.Context) error {
	if p.Latest && !p.Known {
		return p.latest(ctx)
	}
	var w period
	if p.Known {
		w.from = p.From.floor(p.Lookback)
		if p.cutShort(second(p.last.Time)) {
			w.from = min(w.from, second(p.last.Time))
		}
	}
	if !p.Since.IsZero() {
		w.from = max(w.from, second(p.since))
	}
	w.from = max(w.from, 0)
	p.begin = w.from
	l, whole, err := p.read(ctx, w)
	if err != nil {
		return err
	}
	if lies, err := p.filterLies(ctx, w, l); err != nil {
		return err
	} else if lies {
		w = period{}
		if l, whole, err = p.read(ctx, w); err != nil {
			return err
		}
	}
	if !whole {
		return p.cut(ctx, w, l)
	}
	if err := p.deliver(ctx, w, l); err != nil {
		return err
	}
	return p.emitDeleted(ctx, w, l)
}

// filterLies looks at a talk without the filter if it lets nothing pass that was
// delivered, though something of that lies in the period: it may have been deleted, or
// the filter means another time than the messages show. Then something that was sent before
// the first look is missing in that. The first page tells where the newest message comes
// first; else a period does that begins earlier than any two clocks of this world differ.
func (p *talkPass) filterLies(ctx context.Context, w period, l *talkList) (bool, error) {
	if from, _ := w.query(); from == 0 || len(p.seen)+len(p.back) == 0 || l.met {
		return false, nil
	}
	now := p.now
	hidden := func(it Item) bool {
		s := second(it.Time)
		return it.ID != "" && it.Time != 0 && !l.has(it.ID) && w.has(s) && s < second(now)
	}
	page, _, err := p.ask(ctx, period{}, spot{1, p.limit})
	if err != nil || slices.ContainsFunc(page, hidden) {
		return err == nil, err
	}
	wide, whole, err := p.walk(ctx, period{from: max(1, w.from-2*day)})
	p.now = now
	return err == nil && (!whole || slices.ContainsFunc(wide.items, hidden)), err
}

// latest finds the checkpoint of a talk that is to be read from now on. What lies within
// the lookback is asked for, so that what shows up late is told from what was there.
func (p *talkPass) latest(ctx context.Context) error {
	begin := second(p.Now.Add(-p.Lookback).UnixMilli() - ahead)
	l, whole, err := p.walk(ctx, period{from: max(begin, 1)})
	if clock := second(p.now - p.Lookback.Milliseconds() - ahead); err == nil && whole && clock+ahead/tick < begin {
		begin = clock // this machine's clock is ahead
		l, whole, err = p.walk(ctx, period{from: max(begin, 1)})
	}
	if err != nil {
		return err
	}
	if !whole {
		// There is more than can be known one by one, so that this second, as the only
		// one, may bring something once more.
		begin = second(p.now)
	}
	var c Checkpoint
	c.Advance(p.watch.leaveOut(SeenOf(l.sorted(0))), p.Lookback, p.now)
	c.From = max(c.From, begin*tick, 0)
	p.found.Checkpoint, p.found.Set = c, true
	return nil
}

// mayBeNew says of an item of a period that it may have to be delivered.
func (p *talkPass) mayBeNew(w period, it *Item) bool {
	if p.seen[it.ID] {
		return p.watch.differs(it)
	}
	return it.Time == 0 || it.Time >= p.since && w.has(second(it.Time)) && (second(it.Time) >= p.floor || p.cutShort(second(it.Time)))
}

// cutShort says that a second is that of what was delivered last, and that the checkpoint
// could not keep all that was delivered of it. One that is not full keeps what it has to:
// there the second was done with when something that is as old was delivered late.
func (p *talkPass) cutShort(s int64) bool {
	return s == p.floor-1 && s == second(p.last.Time) && len(p.From.Seen) >= maxSeen
}

// deliver emits what is new of a list and lies in a period, oldest first.
func (p *talkPass) deliver(ctx context.Context, w period, l *talkList) error {
	p.found.Odd += l.odd
	sorted := l.sorted(max(p.From.Time, p.From.From))
	if p.clock == 0 && (w.to == 0 || w.to >= second(p.now-p.Lookback.Milliseconds())) {
		p.clock = p.now
	}
	return p.emit(ctx, slices.DeleteFunc(sorted, func(it Item) bool { return !w.has(second(it.Time)) }))
}

// emit emits those of some items that are new, which are sorted. What shows up late in a
// period that was delivered before is left to the next pass, so what follows it in this one
// must not move the checkpoint past that: it is emitted as of the clock of that delivery.
func (p *talkPass) emit(ctx context.Context, sorted []Item) error {
	out := make([]Item, 0, len(sorted))
	behind := p.behindLast(sorted)
	for i := range sorted {
		it := &sorted[i]
		switch s := second(it.Time); {
		case p.watch.meet(it):
			it.Op = Update
			out = append(out, *it)
		case p.seen[it.ID], it.Time < p.since:
		case s >= p.floor, p.cutShort(s) && i > behind:
			out = append(out, *it)
			// What shows no time no period is sure to be the only one of.
			if it.untimed || p.again > 0 && s >= p.again {
				p.seen[strings.Clone(it.ID)] = true
			}
		}
	}
	now := p.now
	if p.clock != 0 {
		now = min(now, p.clock)
	}
	return p.Emit(ctx, out, now)
}

// behindLast returns the place of what was delivered last in the second that was cut short:
// what stands behind it was not delivered. That second is turned round if it is listed the
// other way than when it was delivered.
func (p *talkPass) behindLast(sorted []Item) int {
	from, to, known, last := len(sorted), 0, 0, -1
	for i := range sorted {
		if !p.cutShort(second(sorted[i].Time)) {
			continue
		}
		from, to = min(from, i), i+1
		if sorted[i].ID == p.last.ID {
			last = i
		} else if p.seen[sorted[i].ID] && last >= 0 {
			known++
		}
	}
	if last < 0 {
		return len(sorted) // it has gone, and nothing else tells
	}
	if known > 0 {
		slices.Reverse(sorted[from:to])
		return from + to - 1 - last
	}
	return last
}

// ask asks for a page.
func (p *talkPass) ask(ctx context.Context, w period, at spot) (page []Item, more bool, err error) {
	q := TalkQuery{Page: at.page, Limit: at.limit}
	q.From, q.To = w.query()
	var got TalkPage
	err = p.Call(ctx, func(ctx context.Context) (err error) {
		got, err = p.src.Messages(ctx, p.Chat, q)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	if p.now == 0 {
		p.now = got.Now
	}
	p.date = max(p.date, got.Date, got.Now)
	p.found.Entries += len(got.Items)
	p.none = p.none || got.None
	p.server.Held(len(got.Items))
	for i := range got.Items {
		if it := &got.Items[i]; it.Implausible || it.Time > got.Now+ahead {
			p.found.WrongTimes++
		}
	}
	return got.Items, got.More, nil
}

// tooMany says that more is new than may be held, and why that can't be helped.
func (p *talkPass) tooMany(why string) error {
	return fmt.Errorf("more than %d messages of the talk are new, and %s: raise max_buffered_pages: %w", p.MaxKept, why, ErrTooManyKept)
}
