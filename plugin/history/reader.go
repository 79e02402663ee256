// SPDX-License-Identifier: Apache-2.0

package history

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ErrClosed is returned by a Reader after Close.
var ErrClosed = errors.New("the reader is closed")

// Reader reads many chats side by side and hands out what is new in them. See
// the package documentation for what it promises.
type Reader struct {
	cfg     Config
	started time.Time
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup // every goroutine of this reader

	flushing chan struct{} // holds one element while a Close writes

	mu      sync.Mutex
	changed *sync.Cond // whatever anybody waits for has changed
	alarm   *time.Timer
	alarmAt time.Time // zero: not set

	chats    map[string]*chat
	memory   memory   // checkpoints of chats that are not in chats
	ready    fifo     // to be read as soon as there is room
	retries  fifo     // and those whose last pass failed
	turns    int      // how many of either were taken
	notOurs  fifo     // named and refused with ErrNotOurs
	out      fifo     // have messages to hand out
	sleeping dueQueue // to be read later
	dirty    dueQueue // to be saved
	told     []func() // callbacks of Add that are due
	budget   budget

	server   *evidence
	answered bool       // the Source has given a page
	chance   *rand.Rand // the same in every run: what matters is that no list of chats has this order
	fetching int        // passes that hold one of cfg.ParallelChats places
	retrying int        // those of them that follow one that failed
	resuming int        // passes that wait to have theirs back
	parked   int        // passes that failed and wait with what they know
	listed   bool       // no more chats will be added
	open     int        // chats that have, or may have, something to hand out yet
	unread   int        // chats of which no pass has come to its end
	named    int        // callers of chats that do not fail
	held     int        // callers of chats that fail
	closed   bool

	counts   [states]int
	messages int64     // handed out
	unacked  int       // handed out and not acknowledged
	moved    time.Time // when a message was last acknowledged, or handed out with none before it
}

// savers is how many checkpoints are written at once: a store across the
// network takes a millisecond or more for each.
const savers = 4

// NewReader returns a Reader that is at rest until Start.
func NewReader(cfg Config) (*Reader, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.Hooks.fill()
	r := &Reader{
		cfg:     cfg,
		started: time.Now(),
		chats:   map[string]*chat{},
		budget:  budget{limit: cfg.CheckpointLimit, free: cfg.CheckpointLimit},
		server:  newEvidence(),
		chance:  rand.New(rand.NewPCG(0, 0)),
		// Without a Store what is in memory is all there is.
		memory: memory{bounded: cfg.Store != nil},

		flushing: make(chan struct{}, 1),
	}
	r.changed = sync.NewCond(&r.mu)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r, nil
}

// Start begins to read. Close ends what it started.
func (r *Reader) Start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	r.running.Go(r.dispatch)
	r.running.Go(r.tell)
	for range savers {
		r.running.Go(r.save)
	}
}

// Add names a chat to read. With Config.Named, done is called once that chat has
// been read to its end and all of it was acknowledged and saved, or with ErrClosed;
// a chat that fails is tried again until then, and one that is being read already
// is read once more after that. Without it, a chat that is there already is left
// as it is. done may be nil.
func (r *Reader) Add(id string, done func(error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		if done != nil {
			go done(ErrClosed)
		}
		return
	}
	c, exists := r.chats[id]
	if !exists {
		c = &chat{id: id, saved: -r.cfg.CheckpointInterval, kept: r.memory.recall(id)}
		r.chats[id] = c
		r.unread++
		r.counts[Waiting]++
		r.cfg.Hooks.State(Waiting, r.counts[Waiting])
	}
	if done != nil {
		if c.callers == nil {
			c.callers = &callers{}
		}
		c.callers.next = append(c.callers.next, done)
		*r.waitingFor(c)++
	}
	switch {
	case !exists:
		r.schedule(c)
	case r.cfg.Named && c.phase != scheduled:
		r.readAgain(c)
	}
	r.changed.Broadcast()
}

// maxHeld is how many callers of chats that fail may wait beside those of the
// others, and half of it how many chats are kept that are not ours.
func (r *Reader) maxHeld() int { return max(16*min(r.cfg.CheckpointLimit, math.MaxInt/16), 8192) }

// Room waits until another chat may be named: while Config.CheckpointLimit callers
// wait for theirs, there is none. Those of chats that fail do not count, but of them
// too no more are kept than 16 times as many, or 8,192. It returns the context's
// error when that ends, and ErrClosed after Close.
func (r *Reader) Room(ctx context.Context) error {
	undo := r.wakeWith(ctx)
	defer undo()
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.named >= r.cfg.CheckpointLimit || r.held >= r.maxHeld() {
		switch {
		case r.closed:
			return ErrClosed
		case ctx.Err() != nil:
			return ctx.Err()
		}
		r.changed.Wait()
	}
	return nil
}

// waitingFor is the counter in which a chat's callers are. Caller holds mu.
func (r *Reader) waitingFor(c *chat) *int {
	if c.failing() {
		return &r.held
	}
	return &r.named
}

// setFailures notes how often in a row a chat has failed. Caller holds mu.
func (r *Reader) setFailures(c *chat, n uint8) {
	waiting := 0
	if c.callers != nil {
		waiting = len(c.callers.current) + len(c.callers.next)
	}
	*r.waitingFor(c) -= waiting
	c.failures = n
	*r.waitingFor(c) += waiting
}

// Listed says that no more chats will be added: Next ends after the last.
func (r *Reader) Listed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listed = true
	r.changed.Broadcast()
}

// wakeWith makes everybody who waits look again when a context ends, until it is
// undone.
func (r *Reader) wakeWith(ctx context.Context) (undo func() bool) {
	return context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.changed.Broadcast()
	})
}

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
		case r.closed:
			return nil, ErrClosed
		case r.out.len() > 0:
			c := r.out.pop()
			c.work.queued = false
			if c.work.unsaved == 0 {
				return r.handOut(c), nil
			}
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case r.listed && r.open == 0:
			return nil, io.EOF
		default:
			r.changed.Wait()
		}
	}
}

// handOut takes as much of a chat as may leave at once. Caller holds mu.
func (r *Reader) handOut(c *chat) *Batch {
	w := c.work
	n := min(len(w.pending), r.cfg.maxKept())
	b := &Batch{Chat: c.id, Items: w.pending[:n:n], r: r, c: c, n: n, seen: seenOf(w.pending[:n]), now: w.now}
	if w.pending = w.pending[n:]; len(w.pending) == 0 {
		w.pending = nil
	}
	w.flights = append(w.flights, b)
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

// seenOf returns items as a checkpoint has them.
func seenOf(items []Item) []Seen {
	out := make([]Seen, len(items))
	for i := range items {
		out[i] = Seen{ID: items[i].ID, Time: items[i].Time, Untimed: items[i].untimed}
	}
	return out
}

// offer puts a chat in line to hand out what it has, if it may. Caller holds mu.
func (r *Reader) offer(c *chat) {
	w := c.work
	if w.queued || len(w.pending) == 0 || w.unsaved > 0 || r.cfg.PreserveOrder && len(w.flights) > 0 {
		return
	}
	w.queued = true
	r.out.push(c)
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
	r.unacked -= b.n
	r.budget.give(b.n)
	r.moved = time.Now()

	c, w := b.c, b.c.work
	done := 0
	for done < len(w.flights) && w.flights[done].acked {
		w.acked.advance(w.flights[done].seen, r.cfg.Lookback, w.flights[done].now)
		// Who keeps the batch must not keep the pages that its ids are of.
		w.flights[done].seen = nil
		w.flights[done] = nil
		done++
	}
	if w.flights = w.flights[done:]; len(w.flights) == 0 {
		w.flights = nil
	}
	if done > 0 {
		r.mark(c)
	}
	r.offer(c)
	r.settle(c)
	r.changed.Broadcast()
}

// Close stops reading, waits for what it interrupted, and writes what has been
// acknowledged and not yet saved, as long as ctx lasts. What was handed out and
// is not acknowledged by then will be read again by the next Reader. It returns
// the first error of a write that failed. It may be called at any time but from
// a callback, and more than once: each call returns after the writing is done,
// and tries again what failed before.
func (r *Reader) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	r.cancel()
	r.changed.Broadcast()
	r.mu.Unlock()

	ended := make(chan struct{})
	go func() {
		r.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		return fmt.Errorf("waiting for what reads and writes to end: %w", ctx.Err())
	}

	r.mu.Lock()
	if r.alarm != nil {
		r.alarm.Stop()
	}
	told := r.told
	r.told = nil
	for _, c := range r.chats {
		if c.callers == nil {
			continue
		}
		for _, done := range slices.Concat(c.callers.current, c.callers.next) {
			told = append(told, func() { done(ErrClosed) })
		}
		c.callers = nil
	}
	r.mu.Unlock()

	for _, f := range told {
		f()
	}
	return r.flush(ctx)
}

// flush writes all checkpoints that are not up to date, after every other
// goroutine has ended.
func (r *Reader) flush(ctx context.Context) error {
	select {
	case r.flushing <- struct{}{}:
		defer func() { <-r.flushing }()
	case <-ctx.Done():
		return fmt.Errorf("waiting for another Close: %w", ctx.Err())
	}

	r.mu.Lock()
	var unsaved []*chat
	for _, c := range r.chats {
		if c.work != nil && c.work.dirty {
			unsaved = append(unsaved, c)
		}
	}
	r.mu.Unlock()

	var (
		writers sync.WaitGroup
		next    atomic.Int64
		failed  atomic.Pointer[error]
	)
	for range savers {
		writers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(unsaved)); i = next.Add(1) - 1 {
				if err := r.store(ctx, unsaved[i]); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	writers.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// Stats are figures of a Reader for those who report on it.
type Stats struct {
	// Chats holds how many chats are in each State.
	Chats [states]int
	// Messages is how many messages have been handed out, Unacked how many of
	// them have not been acknowledged.
	Messages int64
	Unacked  int
	// Held is how many messages are read and wait to be handed out.
	Held int
	// Unread is how many chats no pass has read to its end yet.
	Unread int
	// Moved is when a message was last acknowledged, or handed out with no other
	// one out.
	Moved time.Time
}

// Stats returns the figures of now.
func (r *Reader) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Stats{
		Chats: r.counts, Messages: r.messages, Unacked: r.unacked,
		Held: r.budget.limit - r.budget.free - r.unacked, Unread: r.unread, Moved: r.moved,
	}
}
