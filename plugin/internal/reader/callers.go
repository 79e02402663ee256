// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"context"
	"math"
)

// callers are to be told when a chat has been read, delivered and saved: current
// by the pass that is going on or the next one, next by the one after it, since
// the one that is going on came too early for them.
type callers struct{ current, next []func(error) }

// begin says that a pass begins: it is for all of them.
func (q *callers) begin() {
	if q != nil {
		q.current, q.next = append(q.current, q.next...), nil
	}
}

func (q *callers) count() int {
	if q == nil {
		return 0
	}
	return len(q.current) + len(q.next)
}

// addCaller has someone wait for a chat. Caller holds mu.
func (r *Reader) addCaller(c *record, done func(error)) {
	if c.callers == nil {
		c.callers = &callers{}
	}
	c.callers.next = append(c.callers.next, done)
	*r.waitingFor(c)++
}

// waitingFor is the counter in which a chat's callers are. Caller holds mu.
func (r *Reader) waitingFor(c *record) *int {
	if c.failing() {
		return &r.held
	}
	return &r.waiting
}

// setFailures notes how often in a row a chat has failed. Caller holds mu.
func (r *Reader) setFailures(c *record, n uint8) {
	callers := c.callers.count()
	*r.waitingFor(c) -= callers
	c.failures = n
	*r.waitingFor(c) += callers
}

// maxHeld is how many callers of chats that fail may wait beside those of the
// others, and half of it how many chats are kept that are not ours.
func (r *Reader) maxHeld() int { return max(16*min(r.cfg.CheckpointLimit, math.MaxInt/16), 8192) }

// Room waits until another chat may be added: while Config.CheckpointLimit callers
// wait for theirs, there is none. Those of chats that fail do not count, but of them
// too no more are kept than 16 times as many, or 8,192. It returns the context's
// error when that ends, and ErrClosed after Close.
func (r *Reader) Room(ctx context.Context) error {
	undo := r.wakeWith(ctx)
	defer undo()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.await(ctx, func() bool { return r.waiting < r.cfg.CheckpointLimit && r.held < r.maxHeld() })
}

// tellAll tells those who added a chat that what was read for them is delivered.
// Caller holds mu.
func (r *Reader) tellAll(c *record) {
	q := c.callers
	if q == nil || len(q.current) == 0 {
		return
	}
	for _, done := range q.current {
		r.told = append(r.told, func() { done(nil) })
	}
	*r.waitingFor(c) -= len(q.current)
	q.current = nil
	if len(q.next) == 0 {
		c.callers = nil
	}
}

// tell calls back, one after the other and without the lock.
func (r *Reader) tell() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.await(r.ctx, func() bool { return len(r.told) > 0 }) == nil {
		told := r.told
		r.told = nil
		r.mu.Unlock()
		for _, f := range told {
			f()
		}
		r.mu.Lock()
	}
}
