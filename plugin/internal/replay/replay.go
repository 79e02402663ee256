// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"container/heap"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
)

const (
	// firstPause is how long a batch waits before its third round, and longestPause
	// before any: it doubles each time. The second, which is often enough, does not
	// wait.
	firstPause   = time.Millisecond
	longestPause = time.Second
)

// Batch is what an Input hands out.
type Batch struct {
	// Messages are what to deliver. They are the wrapper's from then on. A Batch
	// without any is acknowledged at once.
	Messages service.MessageBatch
	// Ack is called once, when every message has been accepted. It is called with no
	// lock held and may take its time; meanwhile other batches are handed out, and
	// the input has not ended. Batches are acknowledged in any order, also at the
	// same time, but never after Close has begun. nil: nobody is told.
	Ack func()
	// Accepted, if set, is called once for each message when it is accepted, by its
	// index in Messages: for one at a time, and before Ack.
	Accepted func(i int)
	// Rejected, if set, is called each time that something of the batch comes back.
	Rejected func()
}

// Input is implemented by the inputs. Read is never called twice at once. It has
// to return when its context ends, which only Close brings about.
//
// An Input may have two methods more: ConnectionTest of
// [service.ConnectionTestable], and Stopped of [Stopper].
type Input interface {
	Connect(ctx context.Context) error
	// Read returns the next batch. Its errors are those of ReadBatch in
	// [service.BatchInput]: ErrNotConnected, ErrEndOfInput, and any others.
	Read(ctx context.Context) (*Batch, error)
	Close(ctx context.Context) error
}

// Stopper is implemented by an Input that knows more errors than
// [context.Canceled] by which a consumer tells that it has not rejected a message
// but is being stopped. It matters where auto_replay_nacks is false.
type Stopper interface {
	Stopped(err error) bool
}

// New returns in as an input of a pipeline. conf has the field that
// [service.NewAutoRetryNacksToggleField] makes: with auto_replay_nacks true,
// messages that were rejected come again until they are accepted. With false a
// rejection is the output's own business and counts as acceptance, unless it
// comes because everything is being stopped.
func New(conf *service.ParsedConfig, in Input) (service.BatchInput, error) {
	again, err := conf.FieldBool(service.AutoRetryNacksToggleFieldName)
	if err != nil {
		return nil, err
	}
	return wrap(in, again), nil
}

func wrap(in Input, again bool) *input {
	p := &input{in: in, again: again}
	p.reads, p.stop = context.WithCancel(context.Background())
	return p
}

// input is an Input whose rejected messages come again.
type input struct {
	in    Input
	again bool // what is rejected; if not, it counts as accepted

	reads   context.Context // of Read; ends with Close
	stop    context.CancelFunc
	closing sync.Once
	failure error // of Close

	mu      sync.Mutex
	closed  bool
	ended   bool          // Read has nothing more
	reading chan struct{} // closed when the Read under way is over; nil if there is none
	got     *result       // what it brought, not handed out yet
	open    int           // batches that are not acknowledged
	waiting queue
	repeats bool          // the last that was handed out had waited
	changed chan struct{} // closed at the next change; nil if nobody waits for it
}

// result is what a Read returned.
type result struct {
	batch *Batch
	err   error
}

// delivery is what is left of a batch. It belongs to whoever took it from the
// queue, until it is put back.
//
// Its messages are sent in rounds. In the first all of them are, and in each later
// one those that were rejected in the one before. Where it can't be told which
// those are, what was sent is sent again in halves within the same round, until it
// can. The parts of a round are sent one after the other.
type delivery struct {
	batch    *Batch
	left     []piece   // to be sent next, in the order of the batch
	later    [][]piece // what else is to be sent in this round
	rejected []piece   // in this round
	rounds   int       // that are over

	rest time.Duration // before the next send
	due  time.Time
	seq  int // of two that are due at the same time, the first to be put back
}

// piece is a message of a batch.
type piece struct {
	i       int // in Batch.Messages
	message *service.Message
}

// Connect implements service.BatchInput.
func (p *input) Connect(ctx context.Context) error {
	p.mu.Lock()
	closed := p.closed
	p.mu.Unlock()
	if closed {
		return service.ErrNotConnected
	}
	err := p.in.Connect(ctx)
	if !errors.Is(err, service.ErrEndOfInput) {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	if p.open > 0 {
		return nil // ReadBatch has what is left
	}
	return err
}

// ReadBatch implements service.BatchInput.
func (p *input) ReadBatch(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	for {
		p.mu.Lock()
		d, got, err := p.next(ctx)
		var changed <-chan struct{}
		var due time.Time
		if d == nil && got == nil && err == nil {
			changed, due = p.change(), p.waiting.due()
		}
		p.mu.Unlock()

		switch {
		case err != nil:
			return nil, nil, err
		case d != nil:
			messages, ack := p.send(d)
			return messages, ack, nil
		case got == nil:
			sleep(ctx, changed, due)
		case len(got.Messages) > 0:
			messages, ack := p.send(newDelivery(got))
			return messages, ack, nil
		default:
			p.done(got)
		}
	}
}

// next takes what is to be handed out now: something that was rejected, or a new
// batch. It returns nothing if there is neither. Caller holds mu.
func (p *input) next(ctx context.Context) (*delivery, *Batch, error) {
	if p.closed {
		return nil, nil, service.ErrNotConnected
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if p.got != nil && errors.Is(p.got.err, service.ErrEndOfInput) {
		p.got, p.ended = nil, true
	}
	if p.got == nil && p.reading == nil && !p.ended {
		p.read()
	}
	// What is rejected again and again takes turns with what is new. It could be
	// enough to leave no time for anything else.
	d := p.waiting.first(time.Now())
	if d != nil && (p.got == nil || !p.repeats || d.rest == 0) {
		heap.Pop(&p.waiting)
		p.repeats = d.rest > 0
		return d, nil, nil
	}
	p.repeats = false
	if got := p.got; got != nil {
		p.got = nil
		if got.err == nil {
			p.open++
		}
		return nil, got.batch, got.err
	}
	if p.ended && p.open == 0 {
		return nil, nil, service.ErrEndOfInput
	}
	return nil, nil, nil
}

// read has the next batch read. Caller holds mu.
func (p *input) read() {
	over := make(chan struct{})
	p.reading = over
	go func() {
		defer close(over)
		b, err := p.in.Read(p.reads)
		if err == nil && b == nil {
			b = &Batch{}
		}
		if err != nil {
			b = nil
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.reading = nil
		p.got = &result{b, err}
		p.tell()
	}()
}

// send hands a delivery to the pipeline. The caller owns it, and gives it up.
func (p *input) send(d *delivery) (service.MessageBatch, service.AckFunc) {
	messages := make(service.MessageBatch, len(d.left))
	for i, m := range d.left {
		// Copies, which the pipeline may change. That they are made before the index
		// is also why what is sent for ever carries no more than one index.
		messages[i] = m.message.Copy()
	}
	t := newTicket(messages)
	var once sync.Once
	return messages, func(ctx context.Context, err error) error {
		once.Do(func() { p.answered(ctx, d, t, err) })
		return nil
	}
}

// answered takes the pipeline's answer to a send.
func (p *input) answered(ctx context.Context, d *delivery, t *ticket, err error) {
	p.mu.Lock()
	closed := p.closed
	p.mu.Unlock()
	if closed {
		return
	}
	v := t.judge(err)
	switch {
	case ctx.Err() != nil:
		v = verdict{failed: slices.Repeat([]bool{true}, len(d.left))}
	case !p.again && !p.stopped(v.errs):
		v = verdict{}
	}
	if p.settle(d, v) {
		p.done(d.batch)
		return
	}
	if d.batch.Rejected != nil && ctx.Err() == nil {
		d.batch.Rejected()
	}
	d.due = time.Now().Add(d.rest)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.waiting.put(d)
		p.tell()
	}
}

// settle tells of what was accepted, and finds what is to be sent next. It
// reports whether there is nothing.
func (p *input) settle(d *delivery, v verdict) (finished bool) {
	sent := d.left
	d.left, d.rest = nil, 0
	if v.doubtful {
		half := len(sent) / 2
		d.later = append([][]piece{sent[:half], sent[half:]}, d.later...)
	} else {
		for i, m := range sent {
			switch {
			case len(v.failed) > 0 && v.failed[i]:
				d.rejected = append(d.rejected, m)
			case d.batch.Accepted != nil:
				d.batch.Accepted(m.i)
			}
		}
	}
	switch {
	case len(d.later) > 0:
		d.left, d.later = d.later[0], d.later[1:]
	case len(d.rejected) > 0:
		d.left, d.rejected, d.later = d.rejected, nil, nil
		if d.rounds++; d.rounds > 1 {
			d.rest = min(firstPause<<min(d.rounds-2, 16), longestPause)
		}
	default:
		return true
	}
	return false
}

// stopped says whether something was not rejected, but given back by who is being
// stopped. The batch is then not acknowledged; should nothing be stopped after
// all, it is sent again.
func (p *input) stopped(errs []error) bool {
	s, ok := p.in.(Stopper)
	return slices.ContainsFunc(errs, func(err error) bool {
		return errors.Is(err, context.Canceled) || ok && s.Stopped(err)
	})
}

// done acknowledges a batch.
func (p *input) done(b *Batch) {
	if b.Ack != nil {
		b.Ack()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open--
	p.tell()
}

// Close implements service.BatchInput. Nothing is acknowledged after it has
// begun, except by an Ack that is under way.
func (p *input) Close(ctx context.Context) error {
	p.closing.Do(func() {
		p.mu.Lock()
		p.closed = true
		p.waiting = queue{}
		reading := p.reading
		p.tell()
		p.mu.Unlock()
		p.stop()
		if reading != nil {
			select {
			case <-reading:
			case <-ctx.Done():
			}
		}
		p.failure = p.in.Close(ctx)
		p.mu.Lock()
		p.got = nil
		p.mu.Unlock()
	})
	return p.failure
}

// ConnectionTest implements service.ConnectionTestable.
func (p *input) ConnectionTest(ctx context.Context) service.ConnectionTestResults {
	if t, ok := p.in.(service.ConnectionTestable); ok {
		return t.ConnectionTest(ctx)
	}
	return service.ConnectionTestNotSupported().AsList()
}

// change returns what is closed at the next change. Caller holds mu.
func (p *input) change() <-chan struct{} {
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return p.changed
}

// tell wakes who waits for a change. Caller holds mu.
func (p *input) tell() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// sleep returns at a change, when something is due, or when ctx ends.
func sleep(ctx context.Context, changed <-chan struct{}, due time.Time) {
	var timer <-chan time.Time
	if !due.IsZero() {
		t := time.NewTimer(time.Until(due))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-changed:
	case <-timer:
	case <-ctx.Done():
	}
}

func newDelivery(b *Batch) *delivery {
	d := &delivery{batch: b, left: make([]piece, len(b.Messages))}
	for i, m := range b.Messages {
		d.left[i] = piece{i, m}
	}
	b.Messages = nil // so that none is kept that was accepted
	return d
}

// queue has what waits to be sent again. It is a heap; the zero value is ready.
type queue struct {
	deliveries []*delivery
	seq        int
}

// put adds a delivery.
func (q *queue) put(d *delivery) {
	q.seq++
	d.seq = q.seq
	heap.Push(q, d)
}

// due is when the first is due; zero if there is none.
func (q *queue) due() time.Time {
	if len(q.deliveries) == 0 {
		return time.Time{}
	}
	return q.deliveries[0].due
}

// first returns the first if it is due, without taking it.
func (q *queue) first(now time.Time) *delivery {
	if len(q.deliveries) == 0 || q.deliveries[0].due.After(now) {
		return nil
	}
	return q.deliveries[0]
}

// Len implements heap.Interface, as do the following.
func (q *queue) Len() int { return len(q.deliveries) }

func (q *queue) Less(i, j int) bool {
	a, b := q.deliveries[i], q.deliveries[j]
	return a.due.Before(b.due) || a.due.Equal(b.due) && a.seq < b.seq
}

func (q *queue) Swap(i, j int) {
	q.deliveries[i], q.deliveries[j] = q.deliveries[j], q.deliveries[i]
}

// Push adds a *delivery.
func (q *queue) Push(d any) {
	q.deliveries = append(q.deliveries, d.(*delivery)) //nolint:forcetypeassert // put pushes nothing else
}

// Pop takes the last.
func (q *queue) Pop() any {
	last := len(q.deliveries) - 1
	d := q.deliveries[last]
	q.deliveries[last] = nil
	q.deliveries = q.deliveries[:last]
	return d
}
