// SPDX-License-Identifier: Apache-2.0

package history

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	ready    fifo     // to be read as soon as there is room
	out      fifo     // have messages to hand out
	sleeping dueQueue // to be read later
	dirty    dueQueue // to be saved
	told     []func() // callbacks of Add that are due
	budget   budget

	fetching int  // passes that hold one of cfg.ParallelChats places
	resuming int  // passes that wait to have theirs back
	listed   bool // no more chats will be added
	open     int  // chats that have, or may have, something to hand out yet
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
// been read to its end and all of it was acknowledged, or with the error that
// ended its pass, or with ErrClosed; a chat that is being read already is read
// once more after that. Without it, a chat that is there already is left as it
// is. done may be nil.
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
		c = &chat{id: id, saved: -r.cfg.CheckpointInterval}
		r.chats[id] = c
		r.counts[Waiting]++
		r.cfg.Hooks.State(Waiting, r.counts[Waiting])
	}
	if done != nil {
		c.next = append(c.next, done)
	}
	switch {
	case !exists:
		r.schedule(c)
	case r.cfg.Named && c.phase != scheduled:
		c.again = true
		r.keepOpen(c)
		r.settle(c)
	}
	r.changed.Broadcast()
}

// Listed says that no more chats will be added: Next ends after the last.
func (r *Reader) Listed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listed = true
	r.changed.Broadcast()
}

// Next returns the next batch. It waits until there is one, and returns io.EOF
// once every chat has been read to its end and all of it was handed out,
// ErrClosed after Close, and the context's error when that ends.
func (r *Reader) Next(ctx context.Context) (*Batch, error) {
	stop := context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.changed.Broadcast()
	})
	defer stop()

	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		switch {
		case r.closed:
			return nil, ErrClosed
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case r.out.len() > 0:
			c := r.out.pop()
			c.work.queued = false
			if c.work.unsaved == 0 {
				return r.handOut(c), nil
			}
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
	b := &Batch{Chat: c.id, Items: w.pending[:n:n], r: r, c: c, n: n, seen: seenOf(w.pending[:n], r.cfg.Lookback)}
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

// seenOf returns of a run of items, oldest first, what a checkpoint behind them
// can still need: those within the lookback of the newest, and the last.
func seenOf(items []Item, lookback time.Duration) []Seen {
	newest := int64(0)
	for i := range items {
		newest = max(newest, items[i].Time)
	}
	floor := second(newest - lookback.Milliseconds())
	var out []Seen
	for i := range items {
		if second(items[i].Time) >= floor || i == len(items)-1 {
			out = append(out, Seen{ID: items[i].ID, Time: items[i].Time})
		}
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
		w.acked.advance(w.flights[done].seen, r.cfg.Lookback)
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
		for _, done := range slices.Concat(c.current, c.next) {
			told = append(told, func() { done(ErrClosed) })
		}
		c.current, c.next = nil, nil
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
		Held: r.budget.limit - r.budget.free - r.unacked, Moved: r.moved,
	}
}
