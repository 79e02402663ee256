// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"context"
	"errors"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
)

// dispatch starts a pass for each chat that is queued, as far as there are places.
func (r *Reader) dispatch() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !r.closed() {
		r.wakeSleepers()
		// A pass that has given its place up has precedence, and with the
		// budget spent another chat would only be held in memory.
		from, again := r.nextQueue(), r.nextWatched()
		if from == nil && again == nil || r.places >= r.cfg.ParallelChats || r.resuming > 0 || r.budget.free <= 0 {
			r.changed.Wait()
			continue
		}
		if !r.answered && from != nil {
			// The first chats may all be such as are refused, and who is refused
			// in a row has to slow down.
			from.draw(r.chance)
		}
		var c *record
		if again != nil && (from == nil || r.begun%4 == 1) {
			// Who was added has precedence, but for one pass in four.
			c, from = again, nil
			r.unwatch(c)
		} else {
			c = from.pop()
		}
		r.begun++
		c.phase, c.retried = reading, from == &r.retries
		c.callers.begin()
		if c.work == nil {
			c.work = &work{}
		}
		r.occupy(c, 1)
		r.settle(c)
		r.running.Go(func() { r.read(c) })
	}
}

// wakeSleepers queues the chats whose sleep is over. Caller holds mu.
func (r *Reader) wakeSleepers() {
	for {
		c, sleep, due := r.sleeping.next(time.Now())
		switch {
		case c != nil && sleep == c.sleep:
			c.notOurs = false
			r.enqueue(c)
		case c == nil && !due.IsZero():
			r.wakeAt(due)
			return
		case c == nil:
			return
		}
	}
}

// nextQueue returns the queue whose first chat is next, nil for none. Chats that fail
// get what the others leave, but one pass in four and one place at least, and never
// more than half of the places: they may take long to fail. Caller holds mu.
func (r *Reader) nextQueue() *fifo {
	retries := len(r.retries) > 0 && r.retrying < max(1, r.cfg.ParallelChats/2)
	switch {
	case retries && (len(r.ready) == 0 || r.begun%4 == 3):
		return &r.retries
	case len(r.ready) > 0:
		return &r.ready
	}
	return nil
}

// queue has a chat read as soon as it is its turn. Caller holds mu.
func (r *Reader) queue(c *record) {
	c.phase = queued
	r.keepOpen(c)
	r.enqueue(c)
}

// sleep has a chat queued after a time. Caller holds mu.
func (r *Reader) sleep(c *record, d time.Duration) {
	c.phase = queued
	c.sleep++
	r.sleeping.add(c, time.Now().Add(d))
}

// enqueue puts a chat at the end of its queue. Caller holds mu.
func (r *Reader) enqueue(c *record) {
	if c.failing() {
		r.retries.push(c)
	} else {
		r.ready.push(c)
	}
}

// occupy gives a place to a chat's pass, or with -1 takes it away. Caller holds mu.
func (r *Reader) occupy(c *record, places int) {
	r.places += places
	if c.retried {
		r.retrying += places
	}
}

// giveWay leaves a pass's place to another chat until a condition holds and there is a
// place again. Caller holds mu.
func (r *Reader) giveWay(ctx context.Context, c *record, until func() bool) error {
	r.occupy(c, -1)
	r.changed.Broadcast()
	err := r.await(ctx, until)
	if err == nil && !c.work.unfinished {
		r.resuming++
		err = r.await(ctx, func() bool { return r.places < r.cfg.ParallelChats })
		r.resuming--
	}
	r.occupy(c, 1)
	r.changed.Broadcast()
	return err
}

// read is the goroutine of one pass over a chat.
func (r *Reader) read(c *record) {
	retryLoad, err := r.load(c)
	if err == nil {
		err = r.pass(c)
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	r.occupy(c, -1)
	if err != nil && r.closed() {
		return // it neither ended nor failed
	}
	c.phase = resting
	c.unfinished = errors.Is(err, errUnfinished)
	c.work.unfinished = false
	switch {
	case c.unfinished:
		c.again = true
		r.setFailures(c, 0)
	case err == nil:
		r.setFailures(c, 0)
		c.notOurs = false
		if !c.ended {
			c.ended = true
			r.unread--
			r.readOnce++
		}
	case retryLoad > 0:
		// The store is asked until it answers, for nothing is known of the chat
		// before it does.
		r.sleep(c, retryLoad)
	default:
		r.sleep(c, r.failed(c, err))
	}
	r.settle(c)
	r.changed.Broadcast()
}

// failed notes that a chat has failed, and returns when to try again. Caller holds
// mu.
func (r *Reader) failed(c *record, err error) time.Duration {
	n := c.failures
	if foreign := errors.Is(err, chat.ErrNotOurs); c.foreign != foreign {
		c.foreign, n = foreign, 0
	}
	retryIn := r.doubled(r.cfg.FirstRetry, int(n))
	r.setFailures(c, min(n, 200)+1)
	if c.notOurs = c.foreign; c.notOurs {
		// Sooner at first, should that have been a passing mistake.
		retryIn = min(r.cfg.RetryNotOurs, time.Minute<<min(2*(c.failures-1), 10))
		if r.cfg.OncePerAdd && !c.inNotOurs {
			c.inNotOurs = true
			r.notOurs.push(c)
			r.letGo()
		}
	}
	id, times := c.id, int(c.failures)
	r.told = append(r.told, func() { r.cfg.Hooks.ChatFailed(id, err, times, retryIn) })
	return retryIn
}

// letGo gives up the oldest of the chats that are not ours while there are too
// many: a queue that names all chats of an account would otherwise wait
// for them for ever. Caller holds mu.
func (r *Reader) letGo() {
	for len(r.notOurs) > r.maxHeld()/2 {
		c := r.notOurs.pop()
		c.inNotOurs = false
		if !c.notOurs || c.phase != queued {
			continue
		}
		id := c.id
		r.told = append(r.told, func() { r.cfg.Hooks.LetGo(id) })
		c.callers.begin()
		r.tellAll(c)
		r.forget(c)
	}
}

// RetryNotOurs has all chats tried again now that were refused with chat.ErrNotOurs,
// since it turned out that others were refused as well.
func (r *Reader) RetryNotOurs() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.all() {
		if c.notOurs && c.phase == queued {
			c.sleep++
			c.notOurs = false
			r.enqueue(c)
		}
	}
	r.changed.Broadcast()
}

// doubled is a wait that has doubled so many times, but is no longer than
// Config.Retry.
func (r *Reader) doubled(wait time.Duration, times int) time.Duration {
	for range min(times, 60) {
		if wait >= r.cfg.Retry/2 {
			return r.cfg.Retry
		}
		wait *= 2
	}
	return min(wait, r.cfg.Retry)
}
