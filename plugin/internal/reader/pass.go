// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"context"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
)

// pass makes a pass over a chat, from where it was read to before.
func (r *Reader) pass(c *record) error {
	w := c.work
	r.mu.Lock()
	switch again := c.rereadFrom != nil; {
	case w.quiet() && (c.doubted || again && w.doubt != nil):
		c.beginDoubt()
	case !again:
	case w.quiet():
		r.beginReread(c)
	default:
		c.again = true
	}
	begun := false // a request has succeeded
	start := chat.Start{
		Chat: c.id, PageSize: r.cfg.PageSize, MaxKept: r.cfg.maxKept(),
		From: w.read, Known: w.known, Latest: r.cfg.Latest && !w.restart,
		Since: r.cfg.Since, Lookback: r.cfg.Lookback, Changes: r.cfg.Changes > 0, Now: time.Now(),
		Emit: func(ctx context.Context, items []chat.Item, now int64) error { return r.emit(ctx, c, items, now) },
		Call: func(ctx context.Context, request func(context.Context) error) error {
			err := r.call(ctx, c, request, begun)
			begun = begun || err == nil
			return err
		},
		ReadAhead: r.cfg.ReadAhead, Begin: r.begin,
		OnRealigned: r.cfg.Hooks.Realigned,
		ShortPages:  r.shortPages, OnShortPages: r.foundShortPages,
		OnBelieved: func() { r.believe(c) },
	}
	if w.reread != nil {
		start.Reached = w.reread.back
	}
	r.mu.Unlock()

	found, err := r.cfg.NewPass(start).Run(r.ctx)
	if found.Odd > 0 && !c.oddTold {
		c.oddTold = true
		r.cfg.Hooks.Odd(c.id, found.Odd)
	}
	if found.WrongTimes > 0 && !c.timesTold {
		c.timesTold = true
		r.cfg.Hooks.WrongTimes(c.id, found.WrongTimes)
	}
	if err != nil {
		return err
	}
	if !start.Known && found.Entries == 0 && !c.ended {
		r.cfg.Hooks.Empty(c.id)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.restart && !w.known && w.doubt == nil && !found.Set {
		// Nothing was there. What can't be decoded goes: should the Store forget it, the
		// chat would look like one that was never read.
		found.Set = true
	}
	if found.Set && w.quiet() {
		w.known = true
		w.read = found.Checkpoint
		*w.reached() = found.Checkpoint
		r.advanced(c)
	}
	if w.reread != nil {
		w.reread.ended = true
	}
	if w.doubt != nil {
		w.doubt.ended = true
	}
	w.read.Note(found.Notes)
	if w.acked.Note(found.Notes) {
		r.markDirty(c)
	}
	return nil
}

// begin makes a request of a pass on a goroutine of its own.
func (r *Reader) begin(request func()) (wait func()) {
	ended := make(chan struct{})
	r.running.Go(func() {
		defer close(ended)
		request()
	})
	return func() { <-ended }
}

// mostParks is how often in a row a pass waits for a call that fails. Its memory
// is given up then.
const mostParks = 10

// call makes a request of a chat's pass. One that fails when the pass has begun is
// waited for, since beginning anew would cost all that way; but meanwhile another
// chat has the pass's place.
func (r *Reader) call(ctx context.Context, c *record, request func(context.Context) error, begun bool) error {
	for n := 0; ; n++ {
		err := request(ctx)
		if err == nil {
			r.succeeded(c, n > 0)
			return nil
		}
		if !begun || n == mostParks || ctx.Err() != nil || r.cfg.Transient == nil || !r.cfg.Transient(err) || !r.park(ctx, c, err) {
			return err
		}
	}
}

// succeeded notes that a request has, perhaps after others that failed.
func (r *Reader) succeeded(c *record, atLast bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answered = true
	if atLast {
		r.setFailures(c, 0)
		r.settle(c)
		r.changed.Broadcast()
	}
}

// park leaves a failing pass's place to another until the call may be tried
// again. It returns false where too many passes wait already: they hold what
// they have read in memory.
func (r *Reader) park(ctx context.Context, c *record, err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed() || r.parked >= r.cfg.ParallelChats {
		return false
	}
	r.parked++
	defer func() { r.parked-- }()
	until := time.Now().Add(r.failed(c, err))
	r.settle(c)
	return r.giveWay(ctx, c, func() bool {
		if time.Now().Before(until) {
			r.wakeAt(until)
			return false
		}
		return true
	}) == nil
}

// emit takes what a pass found and offers it. It waits while too much is read and not
// acknowledged: of this chat, and then it leaves its place to another one, or of all,
// and then it keeps it.
func (r *Reader) emit(ctx context.Context, c *record, items []chat.Item, now int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := c.work
	items = w.doubt.news(items)
	ahead := r.ahead()
	for len(items) > 0 {
		if len(w.pending) >= ahead {
			if err := r.giveWay(ctx, c, func() bool { return len(w.pending) < ahead }); err != nil {
				return err
			}
		}
		if err := r.awaitShare(ctx, c); err != nil {
			return err
		}
		most := min(len(items), max(ahead, r.cfg.CheckpointLimit/2))
		if len(w.pending) > 0 {
			most = min(most, ahead-len(w.pending))
		}
		n, t := 0, r.budget.draw()
		r.short++
		err := r.await(ctx, func() bool { n = r.take(w, t, most); return n > 0 })
		r.short--
		if err != nil {
			return err
		}
		w.pending = append(w.pending, items[:n]...)
		r.keepOpen(c) // it may be read for its changes alone
		w.doubt.takes(items[:n])
		w.now = max(w.now, now)
		r.advance(c, &w.read, chat.SeenOf(items[:n]), w.now)
		w.known = true
		if w.reread != nil {
			w.reread.back = chat.Checkpoint{}
		}
		items = items[n:]
		r.offer(c)
		r.changed.Broadcast()
	}
	return nil
}

// advance moves a checkpoint of a chat over what was delivered next. Caller holds mu.
func (r *Reader) advance(c *record, to *chat.Checkpoint, delivered []chat.Seen, now int64) {
	lookback := r.cfg.Lookback
	if r.cfg.KeepFrom != nil {
		newest := to.Time
		for _, d := range delivered {
			if d.Time <= now {
				newest = max(newest, d.Time)
			}
		}
		lookback = max(lookback, time.Duration(newest-r.cfg.KeepFrom(c.id, newest))*time.Millisecond)
	}
	to.Advance(delivered, lookback, now)
}

// ahead is how much of one chat may wait to be delivered before more of it is
// read. What was fetched while a chat's end was searched is there already, and
// leaves as one batch. But in no case may a chat take the whole limit from the
// others: it may have to wait long for its checkpoint to be written.
func (r *Reader) ahead() int {
	return max(r.cfg.PageSize, min(r.cfg.CheckpointLimit, r.cfg.maxKept())/max(2, r.cfg.ParallelChats))
}
