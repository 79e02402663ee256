// SPDX-License-Identifier: Apache-2.0

package history

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// pass reads one chat once: from its checkpoint, or its beginning, to the
// message that was newest when the pass began. It runs on one goroutine and
// knows nothing of other chats, acknowledgements or the clock.
//
// It first walks from the newest page toward the checkpoint and keeps what it
// sees (walk). If the checkpoint or the chat's end shows up before the buffer
// is full, all that is new is there, and is emitted. Else it looks for the
// place to begin (locate), climbs from there to what it kept, emitting as it
// goes (climb), and emits what it kept last.
type pass struct {
	src      Source
	chat     string
	pageSize int
	maxKept  int // items, a whole number of pages
	since    int64
	lookback time.Duration

	from   Checkpoint
	known  bool // from is a checkpoint; false: the chat was never read
	latest bool // without a checkpoint, deliver nothing and begin here

	// emit takes what is to be delivered next, oldest first. It may block.
	emit func(ctx context.Context, items []Item) error
	// onRealigned is told of each page that had to be asked for again.
	onRealigned func()

	floor      int64           // second; what is older is not new
	seen       map[string]bool // the ids in from.Seen
	descending bool            // a page of this pass showed the newest first
	odd        int             // entries that can't be messages
}

// baseline is what a pass found that delivers nothing because the chat is to be
// read from now on only.
type baseline struct {
	checkpoint Checkpoint
	set        bool
}

// run reads the chat. Whatever it returns, what it has emitted is in order and
// without a gap, so that a later pass can go on behind it.
func (p *pass) run(ctx context.Context) (baseline, error) {
	p.seen = make(map[string]bool, len(p.from.Seen))
	for _, s := range p.from.Seen {
		p.seen[s.ID] = true
	}
	p.floor = second(p.since)
	if p.known {
		p.floor = max(p.floor, p.from.floor(p.lookback))
	}

	kept, complete, err := p.walk(ctx)
	if err != nil {
		return baseline{}, err
	}
	if p.latest && !p.known {
		return baseline{checkpoint: p.latestOf(kept, complete), set: true}, nil
	}
	if complete {
		return baseline{}, p.emitKept(ctx, kept)
	}
	return baseline{}, p.climb(ctx, kept)
}

// fetch asks for a page and makes its times usable.
func (p *pass) fetch(ctx context.Context, offset, limit int) ([]Item, error) {
	page, err := p.src.Page(ctx, p.chat, offset, limit)
	if err != nil {
		return nil, err
	}
	p.fillTimes(page)
	if err := p.checkOrder(page); err != nil {
		return nil, err
	}
	return page, nil
}

// fillTimes gives an item without a time that of its older neighbour, else of
// its newer one: an item must not be taken for an old one because nobody said
// when it was sent. A page without any time is as new as the checkpoint.
func (p *pass) fillTimes(page []Item) {
	last := int64(0)
	for i := len(page) - 1; i >= 0; i-- {
		if page[i].Time == 0 {
			page[i].Time = last
		}
		last = page[i].Time
	}
	last = p.from.Time
	for i := range page {
		if page[i].Time == 0 {
			page[i].Time = last
		}
		last = page[i].Time
	}
}

// checkOrder refuses a page in which the times only ever go up. A single such
// step proves nothing once this chat has shown its newest message first: a
// message may have been imported with an older time.
func (p *pass) checkOrder(page []Item) error {
	var up, down, upWithinSecond int
	for i := 1; i < len(page); i++ {
		newer, older := page[i-1].Time, page[i].Time
		switch {
		case second(newer) < second(older):
			up++
		case second(newer) > second(older):
			down++
		case newer < older:
			upWithinSecond++
		case newer > older:
			down++
		}
	}
	if down > 0 {
		p.descending = true
	}
	if p.descending {
		return nil
	}
	// Within one second the server may order its items as it likes, so a
	// single step up there is no sign of anything.
	if up > 0 || upWithinSecond > 1 {
		return ErrOldestFirst
	}
	return nil
}

// past says that an item is older than all that can be new.
func (p *pass) past(it *Item) bool { return second(it.Time) < p.floor }

// wanted says that an item is to be delivered, wherever it stands.
func (p *pass) wanted(it *Item) bool {
	return it.ID != "" && !p.seen[it.ID] && it.Time >= p.since
}

// emitKept emits what the walk saw and is new, oldest first.
func (p *pass) emitKept(ctx context.Context, k *kept) error {
	// Whatever stands before an item that was delivered is new, even with an
	// older time: the API may list a late message where it arrived.
	top := slices.IndexFunc(k.items, func(it Item) bool { return it.ID != "" && p.seen[it.ID] })

	out := make([]Item, 0, len(k.items))
	for i := len(k.items) - 1; i >= 0; i-- {
		it := &k.items[i]
		if it.ID == "" {
			p.odd++
			continue
		}
		if k.index[it.ID] == i && p.wanted(it) && (i < top || !p.past(it)) {
			out = append(out, *it)
		}
	}
	return p.emit(ctx, out)
}

// latestOf returns the checkpoint of a chat that is to be read from now on.
func (p *pass) latestOf(k *kept, complete bool) Checkpoint {
	var c Checkpoint
	delivered := make([]Seen, 0, len(k.items))
	for i := len(k.items) - 1; i >= 0; i-- {
		if it := &k.items[i]; it.ID != "" {
			delivered = append(delivered, Seen{ID: it.ID, Time: it.Time})
		}
	}
	c.advance(delivered, p.lookback)
	if !complete {
		// The lookback reaches behind what was kept, and what lies there was
		// not delivered either: the ids are complete from the oldest whole
		// second on.
		oldest := k.items[len(k.items)-1]
		c.From = max(c.From, (second(oldest.Time)+1)*tick)
	}
	return c
}

// stuckAfter is how many requests in a row may bring nothing new. Each step of
// a search at least halves or doubles, so an honest server is found out long
// before, however much of the chat has moved.
const stuckAfter = 64

func (p *pass) stuck(requests int) error {
	return fmt.Errorf("%d requests in a row: %w", requests, ErrNoProgress)
}
