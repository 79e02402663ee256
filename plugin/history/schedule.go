// SPDX-License-Identifier: Apache-2.0

package history

import (
	"context"
	"errors"
	"math"
	"time"
)

// dispatch starts a pass for each chat that is ready, as far as there is room.
func (r *Reader) dispatch() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !r.closed {
		now := time.Now()
		c, wait, ok := r.sleeping.next(now)
		switch {
		case c != nil:
			r.ready.push(c)
			continue
		case ok:
			r.wakeAt(now.Add(wait))
		}
		// A pass that has given its place up has precedence, and with the
		// budget spent another chat would only be held in memory.
		if r.ready.len() > 0 && r.fetching < r.cfg.ParallelChats && r.resuming == 0 && r.budget.free > 0 {
			c := r.ready.pop()
			c.phase = passing
			c.current = append(c.current, c.next...)
			c.next = nil
			if c.work == nil {
				c.work = &work{}
			}
			r.fetching++
			r.settle(c)
			r.running.Go(func() { r.read(c) })
			continue
		}
		r.changed.Wait()
	}
}

// wakeAt makes everybody who waits look again at a time. Caller holds mu.
func (r *Reader) wakeAt(at time.Time) {
	if !r.alarmAt.IsZero() && !r.alarmAt.After(at) {
		return
	}
	r.alarmAt = at
	if r.alarm == nil {
		r.alarm = time.AfterFunc(time.Until(at), func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.alarmAt = time.Time{}
			r.changed.Broadcast()
		})
		return
	}
	r.alarm.Reset(time.Until(at))
}

// read runs one pass of a chat.
func (r *Reader) read(c *chat) {
	unread, err := r.load(c)
	if err == nil {
		err = r.pass(c)
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	r.fetching--
	if err != nil && r.closed {
		// Interrupted: it neither ended nor failed.
		return
	}
	c.phase = resting
	c.failing = err != nil
	switch {
	case err == nil:
	case unread > 0:
		// Whoever named the chat goes on waiting: the store is asked until it
		// answers, for nothing is known of the chat before it does.
		c.phase = scheduled
		r.sleeping.add(c, time.Now().Add(unread))
	default:
		retryIn := r.cfg.Retry
		if r.cfg.Named {
			retryIn = -1
			r.tellAll(c, err)
		} else {
			c.phase = scheduled
			r.sleeping.add(c, time.Now().Add(retryIn))
		}
		told := c.id
		r.told = append(r.told, func() { r.cfg.Hooks.ChatFailed(told, err, retryIn) })
	}
	r.settle(c)
	r.changed.Broadcast()
}

// load gets the chat's checkpoint, unless it is at hand. With an error it also
// returns when the store is to be asked again.
func (r *Reader) load(c *chat) (retryIn time.Duration, err error) {
	w := c.work
	if w.loaded {
		return 0, nil
	}
	value, err := r.cfg.Store.Load(r.ctx, c.id)
	missing := errors.Is(err, ErrNoCheckpoint)
	if err != nil && !missing {
		retryIn = r.retryAfter(int(c.unread))
		if r.ctx.Err() == nil {
			r.cfg.Hooks.CheckpointFailed(c.id, err, retryIn)
		}
		c.unread = min(c.unread+1, 100)
		return retryIn, err
	}
	c.unread = 0
	var (
		cp      Checkpoint
		corrupt error
	)
	if !missing {
		cp, corrupt = DecodeCheckpoint(value)
	}

	r.mu.Lock()
	w.loaded = true
	w.known = !missing && corrupt == nil
	w.restart = corrupt != nil
	w.read, w.acked = cp, cp
	r.mu.Unlock()
	tell := corrupt != nil && !c.corruptTold
	c.corruptTold = corrupt != nil
	if tell {
		r.cfg.Hooks.CheckpointCorrupt(c.id, corrupt)
	}
	return 0, nil
}

// retryAfter is how long a store is left alone that has failed once, and so
// many times before that.
func (r *Reader) retryAfter(failures int) time.Duration {
	return min(100*time.Millisecond<<min(failures, 20), r.cfg.Retry)
}

// pass reads a chat once, from where it was read to before.
func (r *Reader) pass(c *chat) error {
	w := c.work
	r.mu.Lock()
	p := &pass{
		src: r.cfg.Source, chat: c.id,
		pageSize: r.cfg.PageSize,
		maxKept:  r.cfg.maxKept(),
		lookback: r.cfg.Lookback,
		from:     w.read, known: w.known, latest: r.cfg.Latest && !w.restart,
		emit:        func(ctx context.Context, items []Item) error { return r.emit(ctx, c, items) },
		onRealigned: r.cfg.Hooks.Realigned,
	}
	p.since = math.MinInt64 // a wrong time before 1970 is no reason to lose a message
	if !r.cfg.Since.IsZero() {
		p.since = r.cfg.Since.UnixMilli()
	}
	r.mu.Unlock()

	base, err := p.run(r.ctx)
	if p.odd > 0 && !c.oddTold {
		c.oddTold = true
		r.cfg.Hooks.Odd(c.id, p.odd)
	}
	if err != nil || !base.set {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	w.known = true
	w.read, w.acked = base.checkpoint, base.checkpoint
	r.mark(c)
	return nil
}

// emit hands what a pass found to those who deliver it. It waits while too much
// is out already: of all chats, and then the pass keeps its place, or of this
// one, and then it leaves its place to another chat.
func (r *Reader) emit(_ context.Context, c *chat, items []Item) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := c.work
	ahead := r.ahead()
	for len(items) > 0 {
		if len(w.pending) >= ahead {
			if err := r.giveWay(func() bool { return len(w.pending) < ahead }); err != nil {
				return err
			}
		}
		most := min(len(items), max(ahead, r.cfg.CheckpointLimit/2))
		if len(w.pending) > 0 {
			most = min(most, ahead-len(w.pending))
		}
		n := 0
		for t := r.budget.draw(); n == 0; {
			if r.closed {
				return ErrClosed
			}
			if n = r.budget.take(t, most); n == 0 {
				r.changed.Wait()
			}
		}
		w.pending = append(w.pending, items[:n]...)
		w.read.advance(seenOf(items[:n], r.cfg.Lookback), r.cfg.Lookback)
		w.known = true
		items = items[n:]
		r.offer(c)
		r.changed.Broadcast()
	}
	return nil
}

// ahead is how much of one chat may wait to be handed out before more of it is
// read. What was fetched while a chat's end was searched is there already, and
// leaves as one batch. But in no case may a chat take the whole limit from the
// others: it may have to wait long for its checkpoint to be written.
func (r *Reader) ahead() int {
	return max(r.cfg.PageSize, min(r.cfg.CheckpointLimit, r.cfg.maxKept())/max(2, r.cfg.ParallelChats))
}

// giveWay leaves this pass's place to another until the condition holds. Caller
// holds mu.
func (r *Reader) giveWay(until func() bool) error {
	r.fetching--
	r.changed.Broadcast()
	for !r.closed && !until() {
		r.changed.Wait()
	}
	r.resuming++
	for !r.closed && r.fetching >= r.cfg.ParallelChats {
		r.changed.Wait()
	}
	r.resuming--
	r.fetching++
	r.changed.Broadcast()
	if r.closed {
		return ErrClosed
	}
	return nil
}

// schedule puts a chat in line to be read. Caller holds mu.
func (r *Reader) schedule(c *chat) {
	c.phase = scheduled
	r.keepOpen(c)
	r.ready.push(c)
}

// keepOpen notes that the input can't end before this chat's next pass has.
// Caller holds mu.
func (r *Reader) keepOpen(c *chat) {
	if !c.open {
		c.open = true
		r.open++
	}
}

// settle draws the consequences of whatever has just happened to a chat: who is
// told, what comes next, what can be forgotten. Caller holds mu.
func (r *Reader) settle(c *chat) {
	w := c.work
	quiet := w.quiet()
	if quiet && c.phase != passing && !c.failing {
		r.tellAll(c, nil)
	}
	if c.phase == resting && (quiet || !r.cfg.PreserveOrder) {
		switch {
		case r.cfg.Named && c.again:
			c.again = false
			r.schedule(c)
		case !r.cfg.Named && r.cfg.Poll > 0:
			c.phase = scheduled
			r.sleeping.add(c, time.Now().Add(r.cfg.Poll))
		}
	}
	forever := r.cfg.Poll > 0 && !r.cfg.Named
	if c.open && c.phase == resting && !c.again && !forever && (w == nil || len(w.pending) == 0) {
		c.open = false
		r.open--
	}
	r.setState(c, r.stateOf(c, quiet))
	if quiet && c.phase != passing && w != nil && !w.dirty && !w.saving {
		c.work = nil
	}
	if r.cfg.Named && c.work == nil && c.phase == resting {
		delete(r.chats, c.id)
		r.counts[c.state]--
		r.cfg.Hooks.State(c.state, r.counts[c.state])
	}
}

func (r *Reader) stateOf(c *chat, quiet bool) State {
	switch {
	case c.phase == passing:
		return Reading
	case !quiet:
		return Delivering
	case c.failing:
		return Failing
	case c.phase == scheduled:
		return Waiting
	default:
		return Done
	}
}

func (r *Reader) setState(c *chat, s State) {
	if c.state == s {
		return
	}
	r.counts[c.state]--
	r.counts[s]++
	r.cfg.Hooks.State(c.state, r.counts[c.state])
	r.cfg.Hooks.State(s, r.counts[s])
	c.state = s
}

// tellAll tells those who named a chat how its pass ended. Caller holds mu.
func (r *Reader) tellAll(c *chat, err error) {
	for _, done := range c.current {
		r.told = append(r.told, func() { done(err) })
	}
	c.current = nil
}

// tell calls back, one after the other and without the lock.
func (r *Reader) tell() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !r.closed {
		if len(r.told) == 0 {
			r.changed.Wait()
			continue
		}
		told := r.told
		r.told = nil
		r.mu.Unlock()
		for _, f := range told {
			f()
		}
		r.mu.Lock()
	}
}
