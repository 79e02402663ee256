// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// ErrClosed is returned by a Reader after Close.
var ErrClosed = errors.New("the reader is closed")

// Reader reads many chats side by side and delivers what is new in them. See
// the package documentation for what it promises.
type Reader struct {
	cfg     Config
	started time.Time
	ctx     context.Context // of all passes and writes; Close ends it, with mu held
	cancel  context.CancelFunc
	running sync.WaitGroup // every goroutine of this Reader

	flushing chan struct{} // holds one element while a Close writes

	mu      sync.Mutex
	changed *sync.Cond // whatever anybody waits for has changed
	alarm   *time.Timer
	alarmAt time.Time // zero: not set

	chats    map[string]*record
	memory   memory   // checkpoints of chats that are not in chats
	ready    fifo     // to be read as soon as there is a place
	retries  fifo     // and those whose last pass failed
	begun    int      // passes
	notOurs  fifo     // refused with chat.ErrNotOurs, with Config.OncePerAdd
	offers   fifo     // have messages to deliver
	sleeping dueQueue // to be queued later
	watched  dueQueue // to be read again for what may have changed
	watching int      // bytes that those take
	dirty    dueQueue // to be saved
	told     []func() // callbacks that are due
	budget   budget

	answered   bool       // some request has succeeded
	shortPages bool       // a pass has called OnShortPages, or a checkpoint says that one has
	unwatched  bool       // Hooks.NotWatched was called
	chance     *rand.Rand // the same in every run: what matters is that no list of chats has this order
	places     int        // that passes hold, up to Config.ParallelChats
	retrying   int        // those of them whose pass follows one that failed
	resuming   int        // passes that gave their place up and wait to have it back
	parked     int        // passes that wait for a call that failed
	short      int        // passes that wait because too much is read and not acknowledged
	aside      []*work    // those of them that have left their place, as their chat has its share, by when they did
	lastEnd    time.Time  // when the last of these was ended before its end
	rejects    int        // batches that are out and were rejected
	stuck      bool       // nothing was acknowledged for so long that the limit is rationed
	allAdded   bool       // no more chats will be added
	open       int        // chats that have, or may have, something to deliver yet
	unread     int        // chats of which no pass has come to its end
	readOnce   int        // and those of which one has, those that are forgotten too
	waiting    int        // callers of chats that do not fail
	held       int        // callers of chats that do
	counts     [states]int
	messages   int64     // delivered
	unacked    int       // and not acknowledged
	moved      time.Time // when a message was last acknowledged, or delivered with none out before it
}

// NewReader returns a Reader that is at rest until Start.
func NewReader(cfg Config) (*Reader, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.Hooks.fill()
	r := &Reader{
		cfg:     cfg,
		started: time.Now(),
		chats:   map[string]*record{},
		budget:  budget{limit: cfg.CheckpointLimit, free: cfg.CheckpointLimit},
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
	if r.closed() {
		return
	}
	r.running.Go(r.dispatch)
	r.running.Go(r.tell)
	for range savers {
		r.running.Go(r.save)
	}
}

// Add has a chat read. With Config.OncePerAdd, done is called once that chat has
// been read to its end and all of it was acknowledged and saved, or with ErrClosed;
// a chat that fails is tried again until then, and one that is being read already
// is read once more after that. Without it, a chat that is there already is left
// as it is. done may be nil.
func (r *Reader) Add(id string, done func(error)) { r.add(id, nil, done) }

func (r *Reader) add(id string, from *time.Time, done func(error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed() {
		if done != nil {
			go done(ErrClosed)
		}
		return
	}
	c, exists := r.chats[id]
	if !exists {
		c = r.enter(id)
	}
	if from != nil {
		c.wantReread(*from)
	}
	if done != nil {
		r.addCaller(c, done)
	}
	switch {
	case !exists:
		r.queue(c)
	case r.cfg.OncePerAdd && (c.phase != queued || c.watched):
		r.readAgain(c)
	case r.cfg.OncePerAdd:
		r.keepOpen(c) // it may be queued for its changes alone
	}
	r.changed.Broadcast()
}

// enter has a chat be in the Reader. Caller holds mu, and has it read.
func (r *Reader) enter(id string) *record {
	c := &record{id: id, saved: -r.cfg.CheckpointInterval, kept: r.memory.recall(id)}
	c.believed = c.kept.believed()
	r.chats[id] = c
	r.unread++
	r.counts[Waiting]++
	r.cfg.Hooks.State(Waiting, r.counts[Waiting])
	return c
}

// AllAdded says that no more chats will be added: Next ends after the last.
func (r *Reader) AllAdded() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.allAdded = true
	r.changed.Broadcast()
}

// all returns the chats in an order that repeats itself, as a run of the simulator has
// to. Caller holds mu.
func (r *Reader) all() []*record {
	return slices.SortedFunc(maps.Values(r.chats), func(a, b *record) int { return cmp.Compare(a.id, b.id) })
}

// closed says that Close was called. Caller holds mu.
func (r *Reader) closed() bool { return r.ctx.Err() != nil }

// await waits until a condition holds. It returns ErrClosed after Close, and the
// context's error when that has ended; who has one that is not the Reader's calls
// wakeWith. Caller holds mu, which is free meanwhile.
func (r *Reader) await(ctx context.Context, condition func() bool) error {
	for {
		switch {
		case r.closed():
			return ErrClosed
		case condition():
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		}
		r.changed.Wait()
	}
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

// Stats are figures of a Reader for those who report on it.
type Stats struct {
	// Chats holds how many chats are in each State.
	Chats [states]int
	// Messages is how many messages have been delivered, Unacked how many of
	// them have not been acknowledged.
	Messages int64
	Unacked  int
	// Held is how many messages are read and wait to be delivered.
	Held int
	// Unread is how many chats no pass has read to its end yet, and Read how many one
	// has. With Config.OncePerAdd a chat that is added again counts again.
	Unread, Read int
	// Moved is when a message was last acknowledged, or delivered with no other
	// one out.
	Moved time.Time
	// Short is how many passes wait because too much is read and not acknowledged.
	Short int
}

// Stats returns the figures of now.
func (r *Reader) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Stats{
		Chats: r.counts, Messages: r.messages, Unacked: r.unacked,
		Held: r.budget.limit - r.budget.free - r.unacked, Unread: r.unread, Read: r.readOnce, Moved: r.moved, Short: r.short,
	}
}
