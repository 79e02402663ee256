// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"context"
	"io"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
)

// Batch is a run of one chat's messages, oldest first, without a gap to the
// batch before. Ack takes its Items away: who wants them longer copies them.
type Batch struct {
	Chat  string
	Items []chat.Item

	r         *Reader
	c         *record
	n         int
	seen      []chat.Seen
	now       int64
	acked     bool
	delivered time.Time
	// rejected: the output has rejected something of it.
	rejected bool
}

// Ack says that the batch has been delivered, or is to count as such. It may be
// called once or more, in any order and from any goroutine, and returns at
// once: checkpoints are written elsewhere.
func (b *Batch) Ack() { b.r.ack(b) }

// Next returns the next batch. It waits until there is one, and returns io.EOF
// once every chat has been read to its end and all of it was acknowledged and
// saved, ErrClosed after Close, and the context's error when that has ended and
// there is no batch.
func (r *Reader) Next(ctx context.Context) (*Batch, error) {
	undo := r.wakeWith(ctx)
	defer undo()
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		switch {
		case r.closed():
			return nil, ErrClosed
		case len(r.offers) > 0:
			c := r.offers.pop()
			c.work.offered = false
			if c.work.saveFailures == 0 {
				return r.deliver(c), nil
			}
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case r.allAdded && r.open == 0:
			return nil, io.EOF
		default:
			r.changed.Wait()
		}
	}
}

// offer puts a chat in line to be delivered from, if it may. Caller holds mu.
func (r *Reader) offer(c *record) {
	w := c.work
	if w.offered || len(w.pending) == 0 || w.saveFailures > 0 || r.cfg.PreserveOrder && len(w.out) > 0 {
		return
	}
	w.offered = true
	r.offers.push(c)
}

// deliver takes as much of a chat as may be out at once. Caller holds mu.
func (r *Reader) deliver(c *record) *Batch {
	w := c.work
	n := min(len(w.pending), r.cfg.maxKept())
	b := &Batch{Chat: c.id, Items: w.pending[:n:n], r: r, c: c, n: n, seen: chat.SeenOf(w.pending[:n]), now: w.now, delivered: time.Now()}
	if w.pending = w.pending[n:]; len(w.pending) == 0 {
		w.pending = nil
	}
	w.out = append(w.out, b)
	if r.unacked == 0 {
		r.moved = time.Now()
	}
	r.unacked += n
	r.messages += int64(n)
	r.offer(c)
	r.settle(c)
	r.changed.Broadcast()
	return b
}

// ack takes an acknowledgement. What counts is what has been acknowledged
// without a gap.
func (r *Reader) ack(b *Batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b.acked {
		return
	}
	b.acked = true
	b.Items = nil
	b.c.work.accepted += b.n
	if b.rejected {
		r.countRejected(b.c.work, -1)
	}
	r.unacked -= b.n
	r.budget.give(b.n)
	r.moved = time.Now()
	r.stuck = r.stuck && r.budget.free < r.budget.limit/4

	c, w := b.c, b.c.work
	done, acked := 0, w.reached()
	for done < len(w.out) && w.out[done].acked {
		r.advance(c, acked, w.out[done].seen, w.out[done].now)
		// Who keeps the batch must not keep the pages that its ids are of.
		w.out[done].seen = nil
		w.out[done] = nil
		done++
	}
	if w.out = w.out[done:]; len(w.out) == 0 {
		w.out = nil
	}
	if done > 0 {
		r.advanced(c)
	}
	r.offer(c)
	r.settle(c)
	r.changed.Broadcast()
}
