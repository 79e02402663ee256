// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/evidence"
)

// FromNewest makes passes over an API that lists the newest message first, in pages
// addressed by how many entries to skip. What its pages show of the server is shared
// by all of them.
func FromNewest(source Source, server *evidence.Server) NewPass {
	return func(s Start) Pass {
		if s.ShortPages {
			server.Refute()
		}
		p := &pass{
			src: source, server: server, chat: s.Chat,
			pageSize: s.PageSize, maxKept: s.MaxKept, lookback: s.Lookback,
			from: s.From, known: s.Known, backFrom: s.Reached, latest: s.Latest, clock: s.Now.UnixMilli(),
			emit: s.Emit, call: s.Call, readAhead: s.ReadAhead, begin: s.Begin, onRealigned: s.OnRealigned, onShortPages: s.OnShortPages, onBelieved: s.OnBelieved,
			changes: s.Changes,
			since:   math.MinInt64, // a wrong time before 1970 is no reason to lose a message
		}
		if !s.Since.IsZero() {
			p.since = s.Since.UnixMilli()
		}
		return p
	}
}

// pass is what FromNewest makes.
//
// It first walks from the newest page toward the checkpoint and keeps what it
// sees (walk). If the checkpoint or the chat's end shows up before the buffer
// is full, all that is new is there, and is emitted. Else it looks for the
// place to begin (start), climbs from there to what it kept, emitting as it
// goes (climb), and emits what it kept last.
type pass struct {
	src    Source
	server *evidence.Server

	// Of Start.
	chat         string
	pageSize     int
	maxKept      int
	since        int64
	lookback     time.Duration
	clock        int64
	from         Checkpoint
	known        bool
	backFrom     Checkpoint
	latest       bool
	emit         func(ctx context.Context, items []Item, now int64) error
	call         func(ctx context.Context, request func(context.Context) error) error
	readAhead    int
	begin        func(request func()) (wait func())
	onRealigned  func()
	onShortPages func()
	onBelieved   func()
	changes      bool

	watch *watch // nil: what was delivered is not looked at again

	floor  int64 // second; what is older is not new
	enough int64 // second; what is older need not be looked for
	// seen has the ids in from.Seen, and whether they are firm.
	seen map[string]bool
	// back has the ids in backFrom.Seen in the same way.
	back    map[string]bool
	again   bool   // the walk at the top has met one of those
	met     bool   // something that was delivered has been passed
	above   bool   // something new has been passed
	now     int64  // the server's clock at the first page
	anew    int    // how often a walk was begun anew
	span    int    // how many entries a page really holds, as far as known
	fullest int    // how many the fullest page held
	nearby  int64  // the last time of the page before
	last    string // the id that it had
	emitted int

	// Of Result.
	odd     int
	wrong   int
	entries int
}

// ahead is how much later than the server's clock a message may claim to be
// before that is reported, in ms.
const ahead = 10 * 60 * tick

// Run implements Pass.
func (p *pass) Run(ctx context.Context) (Result, error) {
	found, err := p.run(ctx)
	found.Entries, found.Odd, found.WrongTimes = p.entries, p.odd, p.wrong
	return found, err
}

func (p *pass) run(ctx context.Context) (Result, error) {
	p.span, p.nearby = p.pageSize, max(p.from.Time, p.from.From)
	p.floor = second(p.since)
	p.enough = p.floor
	floor := p.from.floor(p.lookback)
	if p.known {
		p.floor = max(p.floor, second(p.from.From))
		p.enough = max(p.enough, floor)
	}
	p.seen = p.from.firms(floor)
	p.back = p.backFrom.firms(p.backFrom.floor(p.lookback))
	if p.changes {
		p.watch = newWatch(&p.from, floor, p.since)
	}

	k, complete, err := p.walk(ctx)
	if err != nil {
		return Result{}, err
	}
	if p.latest && !p.known {
		return Result{Checkpoint: p.latestOf(k, complete), Set: true}, nil
	}
	if complete {
		p.watch.begin(k, k)
		err = p.emitKept(ctx, nil, k, len(k.items))
	} else {
		err = p.climb(ctx, k)
	}
	if err == nil {
		err = p.emitDeleted(ctx, k)
	}
	if err != nil || p.emitted > 0 || !p.known || p.met || len(k.items) == 0 {
		return Result{Notes: p.watch.notes(err)}, err
	}
	// All that the checkpoint knew is gone from the chat. The next pass should not
	// look for it as far as this one did.
	return Result{Checkpoint: p.anchored(k), Set: true, Notes: p.watch.notes(nil)}, nil
}

// fetch asks for a page and makes its times usable.
func (p *pass) fetch(ctx context.Context, offset int) ([]Item, error) {
	return p.fetchEarly(ctx, offset, nil)
}

// fetchEarly is fetch for a page that may have been asked for ahead. If that has failed,
// it was the first try.
func (p *pass) fetchEarly(ctx context.Context, offset int, e *early) ([]Item, error) {
	var got Page
	err := p.call(ctx, func(ctx context.Context) (err error) {
		if e != nil {
			e.wait()
			got, err, e = e.page, e.err, nil
			return err
		}
		got, err = p.src.Page(ctx, p.chat, offset, p.pageSize)
		return err
	})
	if err != nil {
		return nil, err
	}
	page := got.Items
	if p.now == 0 {
		p.now = got.Now
	}
	p.entries += len(page)
	p.fullest = max(p.fullest, len(page))
	p.server.Held(len(page))
	if err := p.checkOrder(page); err != nil {
		return nil, err
	}
	for i := range page {
		if page[i].Implausible || page[i].Time > got.Now+ahead {
			p.wrong++
		}
	}
	p.fillTimes(page, offset)
	return page, nil
}

// fillTimes gives an item without a time that of the newer one next to it: it may be
// as new as that, and so it is not taken for old. One that was delivered is known by its
// id for that long (Checkpoint.Advance). The first of a page may be the last of the page
// before. A page without any time is as new as the last that had one, for that stands next
// to it most often; the first, and what stands above all others, is as new as the
// checkpoint.
func (p *pass) fillTimes(page []Item, offset int) {
	for i := 0; i < len(page); {
		if page[i].Time != 0 {
			i++
			continue
		}
		end := i
		for end < len(page) && page[end].Time == 0 {
			end++
		}
		var fill int64
		newer, known := p.nearby, page[0].ID != "" && page[0].ID == p.last
		if i > 0 {
			newer, known = page[i-1].Time, true
		}
		switch {
		case known && (newer <= p.now || end == len(page)):
			fill = newer
		case end < len(page):
			fill = page[end].Time
			if offset == 0 {
				fill = max(fill, p.from.Time, p.from.From)
			}
		default:
			fill = p.nearby
		}
		for ; i < end; i++ {
			page[i].Time, page[i].untimed = fill, true
		}
	}
	if len(page) > 0 {
		p.nearby, p.last = page[len(page)-1].Time, page[len(page)-1].ID
	}
}

// checkOrder refuses the pages of a server that lists the oldest message first.
// Within one second the server may order its items as it likes.
func (p *pass) checkOrder(page []Item) error {
	var ups []string
	down := 0
	for i := 1; i < len(page); i++ {
		newer, older := &page[i-1], &page[i]
		switch {
		case newer.Time == 0 || older.Time == 0:
		case second(newer.Time) < second(older.Time):
			ups = append(ups, p.chat+newer.ID+older.ID)
		case second(newer.Time) > second(older.Time):
			down++
		}
	}
	if p.server.Ordered(ups, down) {
		return ErrOldestFirst
	}
	return nil
}

// delivered says that an item is known to have been delivered.
func (p *pass) delivered(it *Item) bool {
	_, ok := p.seen[it.ID]
	return ok && it.ID != ""
}

// wasDelivered says that an item was delivered before the checkpoint was set back.
func (p *pass) wasDelivered(it *Item) bool {
	_, ok := p.back[it.ID]
	return ok && it.ID != ""
}

// past says that an item is older than all that can be new.
func (p *pass) past(it *Item) bool { return second(it.Time) < p.floor }

// sort takes the next newer item, and appends it to out if it is new. passed says
// that it was taken before.
//
// A time is believed only of an item that stands below those delivered last. What
// stands above them, or above anything else that is new, is new whatever time it
// claims: an import listed where it arrived, a clock that errs. What shows no time has
// that of a neighbour (fillTimes).
func (p *pass) sort(out []Item, it *Item, passed bool) []Item {
	switch firm, delivered := p.seen[it.ID]; {
	case delivered:
		p.met = true
		p.above = p.above || firm
	case passed, it.Time < p.since:
	case !p.known || p.above || !p.past(it):
		p.above = true
		out = append(out, *it)
	}
	if firm, was := p.back[it.ID]; was {
		p.met = true
		p.above = p.above || firm
	}
	return out
}

// emitUnread emits what is new of a run of entries, newest first, and adds it to
// the trail.
func (p *pass) emitUnread(ctx context.Context, t *trail, unread []Item) error {
	out := make([]Item, 0, len(unread))
	for i := len(unread) - 1; i >= 0; i-- {
		it := &unread[i]
		if it.ID == "" {
			p.odd++
			continue
		}
		out = p.take(out, it, !t.push(it))
	}
	p.emitted += len(out)
	return p.emit(ctx, out, p.now)
}

// emitKept emits what the walk saw and is new, oldest first, but for what the
// trail has; that may be nil. The first met of them are on the newer side of what was
// emitted before. The others have gone meanwhile: the climb would have passed them.
func (p *pass) emitKept(ctx context.Context, t *trail, k *kept, met int) error {
	p.met = p.met || k.met
	newest := slices.IndexFunc(k.items, func(it Item) bool { return p.delivered(&it) || p.wasDelivered(&it) })
	out := make([]Item, 0, len(k.items))
	// Of what stood below those that have gone nothing is known, so their times decide.
	above := p.above
	if met < len(k.items) {
		p.above = false
	}
	for i := len(k.items) - 1; i >= 0; i-- {
		it := &k.items[i]
		p.above = p.above || i < newest || i < met && above
		if it.ID == "" {
			p.odd++
			continue
		}
		if k.news > 0 && i >= k.news {
			out = p.look(out, it)
			continue
		}
		out = p.take(out, it, k.index[it.ID] != i || t.has(it))
	}
	p.emitted += len(out)
	return p.emit(ctx, out, p.now)
}

// latestOf returns the checkpoint of a chat that is to be read from now on. Where the walk
// is complete it has met all that lies within the lookback.
func (p *pass) latestOf(k *kept, complete bool) Checkpoint {
	var c Checkpoint
	met := p.watch.leaveOut(k.delivered())
	// Where most messages are later than the server's clock, and not than ours, the
	// server's is what errs.
	now := max(p.now, min(median(times(k.items)), p.clock))
	c.Advance(met, p.lookback, now)
	c.From = max(c.From, c.floor(p.lookback)*tick, max(0, p.enough)*tick)
	if !complete {
		// What lies behind was not delivered either, and is about as old as the last
		// that was met.
		for _, s := range met[:min(len(met), anchors)] {
			c.From = max(c.From, (second(min(s.Time, now))+1)*tick)
		}
	}
	return c
}

// median returns the middle one of some times, 0 of none.
func median(times []int64) int64 {
	if len(times) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(times))[len(times)/2]
}

// times returns the times of those entries that are messages.
func times(items []Item) []int64 {
	out := make([]int64, 0, len(items))
	for i := range items {
		if items[i].ID != "" {
			out = append(out, items[i].Time)
		}
	}
	return out
}

// anchored returns the checkpoint with what was met in the place of what has
// vanished.
func (p *pass) anchored(k *kept) Checkpoint {
	c := p.from
	c.Seen = slices.Clone(c.Seen)
	met := p.watch.leaveOut(k.delivered())
	c.Advance(met[max(0, len(met)-anchors):], p.lookback, c.Time)
	return c
}

// stuckAfter is how many requests in a row may bring nothing new. Each step of
// a search at least halves or doubles, so an honest server is found out long
// before, however much of the chat has moved.
const stuckAfter = 64

func (p *pass) stuck(requests int) error {
	return fmt.Errorf("%d requests in a row: %w", requests, ErrNoProgress)
}
