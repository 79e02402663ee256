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
		c, turn, wait, ok := r.sleeping.next(now)
		switch {
		case c != nil:
			if !c.forgotten && turn == c.turn {
				c.notOurs = false
				r.line(c)
			}
			continue
		case ok:
			r.wakeAt(now.Add(wait))
		}
		// A pass that has given its place up has precedence, and with the
		// budget spent another chat would only be held in memory.
		if from := r.turn(); from != nil && r.fetching < r.cfg.ParallelChats && r.resuming == 0 && r.budget.free > 0 {
			if !r.answered {
				// The first chats may all be such as are refused, and who is refused
				// in a row has to slow down.
				from.draw(r.chance)
			}
			c := from.pop()
			if c.forgotten {
				continue
			}
			r.turns++
			c.phase, c.retried = passing, from == &r.retries
			c.callers.turn()
			if c.work == nil {
				c.work = &work{}
			}
			r.occupy(c, 1)
			r.settle(c)
			r.running.Go(func() { r.read(c) })
			continue
		}
		r.changed.Wait()
	}
}

// line puts a chat at the end of its line. Caller holds mu.
func (r *Reader) line(c *chat) {
	if c.failing() {
		r.retries.push(c)
	} else {
		r.ready.push(c)
	}
}

// turn returns the line whose first chat is next, nil for none. Chats that fail get
// what the others leave, but one turn in four and one place at least, and never more
// than half of the places: they may take long to fail. Caller holds mu.
func (r *Reader) turn() *fifo {
	retries := r.retries.len() > 0 && r.retrying < max(1, r.cfg.ParallelChats/2)
	switch {
	case retries && (r.ready.len() == 0 || r.turns%4 == 3):
		return &r.retries
	case r.ready.len() > 0:
		return &r.ready
	}
	return nil
}

// occupy gives a place to a chat's pass, or with -1 takes it away. Caller holds mu.
func (r *Reader) occupy(c *chat, places int) {
	r.fetching += places
	if c.retried {
		r.retrying += places
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
	r.occupy(c, -1)
	if err != nil && r.closed {
		// Interrupted: it neither ended nor failed.
		return
	}
	c.phase = resting
	switch {
	case err == nil:
		r.setFailures(c, 0)
		if !c.ended {
			c.ended = true
			r.unread--
		}
	case unread > 0:
		// The store is asked until it answers, for nothing is known of the chat
		// before it does.
		r.sleep(c, unread)
	default:
		r.sleep(c, r.failed(c, err))
	}
	r.settle(c)
	r.changed.Broadcast()
}

// failed notes that a chat has failed, and returns when to try again. Caller holds
// mu.
func (r *Reader) failed(c *chat, err error) time.Duration {
	n := c.failures
	if strange := errors.Is(err, ErrNotOurs); c.strange != strange {
		c.strange, n = strange, 0
	}
	retryIn := r.doubled(r.cfg.FirstRetry, int(n))
	r.setFailures(c, min(n, 200)+1)
	if c.strange {
		// Sooner at first, should that have been a passing mistake.
		retryIn = min(r.cfg.RetryNotOurs, time.Minute<<min(2*(c.failures-1), 10))
		c.notOurs = true
		if r.cfg.Named && !c.listed {
			c.listed = true
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
	for r.notOurs.len() > r.maxHeld()/2 {
		c := r.notOurs.pop()
		c.listed = false
		if !c.notOurs || c.phase != scheduled {
			continue
		}
		id := c.id
		r.told = append(r.told, func() { r.cfg.Hooks.LetGo(id) })
		c.callers.turn()
		r.tellAll(c)
		r.forget(c)
	}
}

// patient is the Source as a pass has it. A call that fails when the pass has
// come some way is waited for, since beginning anew would cost all that way; but
// meanwhile another chat has the pass's place.
type patient struct {
	r     *Reader
	c     *chat
	begun bool
}

// mostParks is how often in a row a pass waits for a call that fails. Its memory
// is given up then.
const mostParks = 10

// Page implements Source.
func (s *patient) Page(ctx context.Context, chat string, offset, limit int) (Page, error) {
	r := s.r
	for n := 0; ; n++ {
		page, err := r.cfg.Source.Page(ctx, chat, offset, limit)
		if err == nil {
			s.begun = true
			r.mu.Lock()
			r.answered = true
			if n > 0 {
				r.setFailures(s.c, 0)
				r.settle(s.c)
			}
			r.mu.Unlock()
			return page, nil
		}
		if !s.begun || n == mostParks || ctx.Err() != nil || r.cfg.Transient == nil || !r.cfg.Transient(err) || !r.park(s.c, err) {
			return Page{}, err
		}
	}
}

// park leaves a failing pass's place to another until the call may be tried
// again. It returns false where too many passes wait already: they hold what
// they have read in memory.
func (r *Reader) park(c *chat, err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.parked >= r.cfg.ParallelChats {
		return false
	}
	r.parked++
	defer func() { r.parked-- }()
	until := time.Now().Add(r.failed(c, err))
	r.settle(c)
	r.wakeAt(until)
	return r.giveWay(c, func() bool {
		if time.Now().Before(until) {
			r.wakeAt(until)
			return false
		}
		return true
	}) == nil
}

// load gets the chat's checkpoint, unless it is at hand. With an error it also
// returns when the store is to be asked again.
//
// What this process has read or written before counts even where the Store has
// lost it. A chat that was named may have been read by another process since, so
// there only a checkpoint that is older than ours is a loss.
func (r *Reader) load(c *chat) (retryIn time.Duration, err error) {
	w := c.work
	if w.loaded {
		return 0, nil
	}
	var value []byte
	err = ErrNoCheckpoint
	if r.cfg.Store != nil {
		value, err = r.cfg.Store.Load(r.ctx, c.id)
	}
	missing := errors.Is(err, ErrNoCheckpoint)
	if err != nil && !missing {
		retryIn = r.retryStore(int(c.unread))
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
	lost := false
	if c.kept != "" {
		mine := c.kept.unpack()
		lost = missing || corrupt != nil || cp.olderThan(&mine) || !r.cfg.Named && pack(&cp) != c.kept
		if lost {
			cp, corrupt, missing = mine, nil, false
			lost = r.cfg.Store != nil
		}
	}

	r.mu.Lock()
	w.loaded = true
	w.known = !missing && corrupt == nil
	w.restart = corrupt != nil
	w.read, w.acked = cp, cp
	if w.known {
		c.kept = pack(&cp)
	}
	if lost {
		r.mark(c)
	}
	r.mu.Unlock()
	if lost {
		r.cfg.Hooks.CheckpointVanished(c.id)
	}
	tell := corrupt != nil && !c.corruptTold
	c.corruptTold = corrupt != nil
	if tell {
		r.cfg.Hooks.CheckpointCorrupt(c.id, corrupt)
	}
	return 0, nil
}

// retryStore is how long a store is left alone that has failed once, and so many
// times before that.
func (r *Reader) retryStore(failures int) time.Duration {
	return r.doubled(100*time.Millisecond, failures)
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

// pass reads a chat once, from where it was read to before.
func (r *Reader) pass(c *chat) error {
	w := c.work
	r.mu.Lock()
	reread := c.reread && w.quiet()
	if reread {
		// The checkpoint follows: after a crash this has to go on.
		w.read, w.acked, w.known, w.restart = Checkpoint{}, Checkpoint{}, false, true
	}
	p := &pass{
		src: &patient{r: r, c: c}, chat: c.id,
		pageSize: r.cfg.PageSize,
		maxKept:  r.cfg.maxKept(),
		lookback: r.cfg.Lookback,
		server:   r.server,
		from:     w.read, known: w.known, latest: r.cfg.Latest && !w.restart,
		emit:        func(_ context.Context, items []Item, now int64) error { return r.emit(c, items, now) },
		onRealigned: r.cfg.Hooks.Realigned,
		// Once every caller has let go of what it holds: it looks at all chats.
		onShortPages: r.doubtEnds,
	}
	p.since = math.MinInt64 // a wrong time before 1970 is no reason to lose a message
	if !r.cfg.Since.IsZero() {
		p.since = r.cfg.Since.UnixMilli()
	}
	r.mu.Unlock()

	found, err := p.run(r.ctx)
	if p.odd > 0 && !c.oddTold {
		c.oddTold = true
		r.cfg.Hooks.Odd(c.id, p.odd)
	}
	if p.wrong > 0 && !c.timesTold {
		c.timesTold = true
		r.cfg.Hooks.WrongTimes(c.id, p.wrong)
	}
	if err != nil {
		return err
	}
	if !p.known && p.entries == 0 && !c.ended {
		r.cfg.Hooks.Empty(c.id)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if reread {
		c.reread = false
	}
	switch {
	case p.believed && r.server.misleads():
		// That came out while this pass was going on.
		c.reread, c.again = true, true
		r.keepOpen(c)
	case p.believed:
		c.believed = true
	}
	if found.set && w.quiet() {
		w.known = true
		w.read, w.acked = found.checkpoint, found.checkpoint
		r.mark(c)
	}
	return nil
}

// doubtEnds has all chats read again whose end nobody has looked behind.
func (r *Reader) doubtEnds() {
	r.mu.Lock()
	defer r.mu.Unlock()
	again := 0
	for _, c := range r.chats {
		if c.believed {
			again++
			c.believed, c.reread = false, true
			r.readAgain(c)
		}
	}
	r.told = append(r.told, func() { r.cfg.Hooks.ShortPages(again) })
	r.changed.Broadcast()
}

// emit hands what a pass found to those who deliver it. It waits while too much
// is out already: of all chats, and then the pass keeps its place, or of this
// one, and then it leaves its place to another chat.
func (r *Reader) emit(c *chat, items []Item, now int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := c.work
	ahead := r.ahead()
	for len(items) > 0 {
		if len(w.pending) >= ahead {
			if err := r.giveWay(c, func() bool { return len(w.pending) < ahead }); err != nil {
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
		w.now = max(w.now, now)
		w.read.advance(seenOf(items[:n]), r.cfg.Lookback, w.now)
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
func (r *Reader) giveWay(c *chat, until func() bool) error {
	r.occupy(c, -1)
	r.changed.Broadcast()
	for !r.closed && !until() {
		r.changed.Wait()
	}
	r.resuming++
	for !r.closed && r.fetching >= r.cfg.ParallelChats {
		r.changed.Wait()
	}
	r.resuming--
	r.occupy(c, 1)
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
	r.line(c)
}

// sleep puts a chat in line to be read after a time. Caller holds mu.
func (r *Reader) sleep(c *chat, d time.Duration) {
	c.phase = scheduled
	c.turn++
	r.sleeping.add(c, time.Now().Add(d))
}

// RetryNotOurs has all chats tried again now that were refused with ErrNotOurs,
// since it turned out that others were refused as well.
func (r *Reader) RetryNotOurs() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.chats {
		if c.notOurs && c.phase == scheduled {
			c.turn++
			r.line(c)
			c.notOurs = false
		}
	}
	r.changed.Broadcast()
}

// keepOpen notes that the input can't end before this chat's next pass has.
// Caller holds mu.
func (r *Reader) keepOpen(c *chat) {
	if !c.open {
		c.open = true
		r.open++
	}
}

// readAgain has one more pass follow, whatever a chat is doing. Caller holds mu.
func (r *Reader) readAgain(c *chat) {
	c.again = true
	r.keepOpen(c)
	r.settle(c)
}

// settle draws the consequences of whatever has just happened to a chat: who is
// told, what comes next, what can be forgotten. Caller holds mu.
func (r *Reader) settle(c *chat) {
	w := c.work
	quiet := w.quiet()
	done := quiet && w.stored()
	if done && c.phase != passing && !c.failing() && c.unread == 0 {
		r.tellAll(c)
	}
	forever := r.cfg.Poll > 0 && !r.cfg.Named
	if c.phase == resting && (quiet || !r.cfg.PreserveOrder) {
		switch {
		case c.again && (quiet || !c.reread):
			c.again = false
			r.schedule(c)
		case forever:
			r.sleep(c, r.cfg.Poll)
		case quiet && !r.cfg.Named:
			r.hurry(c)
		}
	}
	if c.open && c.phase == resting && !c.again && !forever && done {
		c.open = false
		r.open--
	}
	r.setState(c, r.stateOf(c, quiet))
	if done && c.phase != passing && w != nil {
		c.work = nil
	}
	if r.cfg.Named && c.work == nil && c.phase == resting {
		r.forget(c)
	}
}

// forget takes a chat out of the schedule, but for what was kept of it. Caller
// holds mu.
func (r *Reader) forget(c *chat) {
	r.memory.remember(c.id, c.kept)
	delete(r.chats, c.id)
	c.forgotten = true
	if !c.ended {
		r.unread--
	}
	if c.open {
		c.open = false
		r.open--
	}
	r.counts[c.state]--
	r.cfg.Hooks.State(c.state, r.counts[c.state])
}

func (r *Reader) stateOf(c *chat, quiet bool) State {
	switch {
	case c.failing(), c.phase != passing && c.unread > 0:
		return Failing
	case c.phase == passing:
		return Reading
	case !quiet:
		return Delivering
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

// tellAll tells those who named a chat that what was read for them is delivered.
// Caller holds mu.
func (r *Reader) tellAll(c *chat) {
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
