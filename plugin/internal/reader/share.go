// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"context"
	"errors"
	"slices"
	"time"
)

// errUnfinished is what emit ends a pass with whose chat waits for an output that rejects its
// messages: others need its place, and the memory of what it has read.
var errUnfinished = errors.New("the output rejects what was read of the chat")

// mostShort is how many passes for each place may leave it because they have their share.
// They keep in memory what they have read.
const mostShort = 4

// awaitShare waits until a chat may have more of the limit. Caller holds mu.
func (r *Reader) awaitShare(ctx context.Context, c *record) error {
	w := c.work
	free := func() bool { return !r.rationed() || r.share(w) > 0 }
	if free() {
		return nil
	}
	r.short++
	defer func() { r.short-- }()
	if err := r.await(ctx, func() bool { return free() || r.makeRoom(w) }); err != nil {
		return err
	}
	if free() {
		w.unfinished = false
		return nil
	}
	if !w.unfinished {
		r.aside = append(r.aside, w)
		err := r.giveWay(ctx, c, func() bool { return free() || w.unfinished })
		if i := slices.Index(r.aside, w); i >= 0 {
			r.aside = slices.Delete(r.aside, i, i+1)
		}
		if err != nil {
			return err
		}
	}
	if w.unfinished {
		return errUnfinished
	}
	return nil
}

// makeRoom reports whether a pass may leave its place, or has to end. Where too many have left
// theirs, it ends one whose chat the output rejects, or has had for long. While nothing is
// acknowledged at all it takes its time: if the output is what fails, other chats would be read for nothing.
// Caller holds mu.
func (r *Reader) makeRoom(w *work) bool {
	if len(r.aside) < mostShort*r.cfg.ParallelChats {
		return true
	}
	if now, next := time.Now(), r.lastEnd.Add(r.cfg.FirstRetry); !r.moved.After(r.lastEnd) && now.Before(next) {
		r.wakeAt(next)
		return false
	}
	held := func(w *work) bool {
		return w.rejected > 0 || len(w.out) > 0 && time.Since(w.out[0].delivered) >= patience
	}
	end := w
	if i := slices.IndexFunc(r.aside, held); i >= 0 {
		end = r.aside[i]
		r.aside = slices.Delete(r.aside, i, i+1)
	} else if !held(w) {
		r.wakeAt(time.Now().Add(time.Second))
		return false
	}
	end.unfinished = true
	r.lastEnd = time.Now()
	r.changed.Broadcast()
	return true
}

// patience is how long nothing is acknowledged, or not what is out of a chat, until that is treated as
// what an output rejects.
const patience = 10 * time.Second

// leastKept is how many messages are enough for hundreds of chats to have one.
const leastKept = 256

// rationed reports whether the last quarter of the limit is handed out in small parts. What an output
// rejects gives back nothing, and must not keep other chats from being read; nor may what an
// output neither takes nor rejects. Caller holds mu.
func (r *Reader) rationed() bool {
	return r.rejects > 0 || r.stuck
}

// take gives a chat of the limit what it may have now, most at the most, when it is the
// ticket's turn. As long as nothing is rationed, nobody gets the last sixteenth, or leastKept if that
// is more and no more than a quarter: otherwise there would be nothing left to ration. Caller holds mu.
func (r *Reader) take(w *work, t ticket, most int) int {
	if !r.rationed() {
		limit := r.budget.limit
		keep := min(limit/4, max(limit/16, leastKept))
		if limit < 16*r.cfg.PageSize {
			keep = 0 // it is too little to be rationed
		}
		if n := r.budget.take(t, most, keep); n > 0 || r.unacked == 0 {
			return n
		}
		if until := r.moved.Add(patience); time.Now().Before(until) {
			r.wakeAt(until)
			return 0
		}
		r.stuck = true
		r.changed.Broadcast() // the others may have their share as well
	}
	return r.budget.take(t, min(most, max(1, r.share(w))), 0)
}

// share is how much of the limit a chat may have now beside what it has, while the last quarter
// is rationed: of that it has one message until it is accepted, and then no more than was
// accepted since. Caller holds mu.
func (r *Reader) share(w *work) int {
	free := r.budget.free
	if w.rejected > 0 && r.cfg.PreserveOrder {
		return 0 // it could not be delivered
	}
	has := len(w.pending)
	for _, b := range w.out {
		if !b.acked {
			has += b.n
		}
	}
	// All passes that can be under way take no more than two thirds of it, if none comes back.
	ration := max(1, min(w.accepted, (free+has)/max(8, (1+mostShort)*r.cfg.ParallelChats)))
	return max(free-r.budget.limit/4, ration-has)
}

// Rejected says that the output has rejected something of the batch and will get it again.
// It may be called again, and when the batch is acknowledged already.
func (b *Batch) Rejected() {
	r := b.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if b.acked {
		return
	}
	if !b.rejected {
		b.rejected = true
		r.countRejected(b.c.work, 1)
	}
	b.c.work.accepted = 0
	r.changed.Broadcast()
}

// countRejected counts a batch that is out and was rejected, and with -1 one that is no
// more. Caller holds mu.
func (r *Reader) countRejected(w *work, batches int) {
	w.rejected += batches
	r.rejects += batches
}
