// SPDX-License-Identifier: Apache-2.0

package chathistory_test

import (
	"context"
	"slices"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// simQueue is the input that names chats. It outlives the processes.
type simQueue struct {
	w       *simWorld
	names   []*simName
	durable bool // names what was not acknowledged again after a restart; else all, from its beginning
	retries bool // names again what was rejected; else it ends without waiting for that, as file does
	ends    bool // after the last name; else it goes on
	bell    chan struct{}
}

// simName is a message that names a chat.
type simName struct {
	q     *simQueue
	c     *simChat
	text  string
	due   time.Duration
	out   *simProcess // has it now
	outAt time.Duration
	done  bool // acknowledged
	tries int
	last  bool // of the calm
}

func (w *simWorld) setupQueue() {
	if !w.cfg.queue {
		return
	}
	r := w.rnd("queue")
	q := &simQueue{w: w, durable: chance(r, 60), retries: chance(r, 60), ends: w.on.has(simQueueEnds), bell: make(chan struct{}, 1)}
	for _, c := range w.chats {
		for range 1 + r.IntN(3) {
			q.names = append(q.names, &simName{q: q, c: c, text: c.id, due: oneOf(r, 0, between(r, 0, w.cfg.chaos))})
		}
	}
	for _, n := range q.names {
		if chance(r, 15) && w.on.has(simSpaces) {
			n.text = oneOf(r, " ", "\n") + n.text + oneOf(r, " ", "\r\n")
		}
		if q.ends {
			n.due = 0
		}
	}
	slices.SortStableFunc(q.names, func(a, b *simName) int { return int(a.due - b.due) })
	w.queue = q
}

// calm names every chat once more. Caller holds mu.
func (q *simQueue) calm(now time.Duration) {
	for _, c := range q.w.chats {
		q.names = append(q.names, &simName{q: q, c: c, text: c.id, due: now, last: true})
	}
	q.ring()
}

func (q *simQueue) ring() {
	select {
	case q.bell <- struct{}{}:
	default:
	}
}

// restart makes the queue ready for another process. Caller holds mu.
func (q *simQueue) restart() {
	for _, n := range q.names {
		n.out = nil
		if !q.durable {
			n.done = false
		}
	}
}

// next returns what is to be named next, or how long that takes; ok is false where
// there is nothing any more. Caller holds mu.
func (q *simQueue) next(p *simProcess, now time.Duration) (n *simName, wait time.Duration, more bool) {
	wait = noTime
	for _, n := range q.names {
		if n.done || n.out == p {
			more = more || q.retries && !n.done
			continue
		}
		more = true
		if n.due <= now {
			return n, 0, true
		}
		wait = min(wait, n.due-now)
	}
	return nil, wait, more || !q.ends
}

// simReader is the queue as one process has it.
type simReader struct {
	p      *simProcess
	opened bool
}

func (r *simReader) Connect(context.Context) error {
	q := r.p.w.queue
	q.w.mu.Lock()
	defer q.w.mu.Unlock()
	if !r.opened {
		r.opened = true
		q.restart()
	}
	return nil
}

func (r *simReader) ReadBatch(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	p := r.p
	w, q := p.w, p.w.queue
	for {
		w.mu.Lock()
		if p.gone {
			w.mu.Unlock()
			<-ctx.Done()
			return nil, nil, ctx.Err()
		}
		n, wait, more := q.next(p, w.now())
		if n != nil {
			n.out, n.outAt = p, w.now()
			n.tries++
			w.note("name", n.c, n.tries, 0, n.text)
			w.mu.Unlock()
			return service.MessageBatch{service.NewMessage([]byte(n.text))}, func(_ context.Context, err error) error {
				n.answered(p, err)
				return nil
			}, nil
		}
		if !more {
			w.note("queue ends", nil, 0, 0, "")
			w.mu.Unlock()
			return nil, nil, service.ErrEndOfInput
		}
		w.mu.Unlock()
		t := time.NewTimer(min(wait, time.Hour))
		select {
		case <-t.C:
		case <-q.bell:
		case <-ctx.Done():
			t.Stop()
			return nil, nil, ctx.Err()
		}
		t.Stop()
	}
}

func (*simReader) Close(context.Context) error { return nil }

// answered takes the answer to a name.
func (n *simName) answered(p *simProcess, err error) {
	w := n.q.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.gone || n.out != p {
		return
	}
	if err != nil {
		w.note("rejected", n.c, n.tries, 0, err.Error())
		if n.q.retries {
			n.out, n.due = nil, w.now()+between(w.rnd("redeliver", n.tries), 0, time.Second)
			n.q.ring()
		}
		return
	}
	w.note("named done", n.c, n.tries, 0, "")
	n.done, n.out = true, nil
	n.q.ring()
	w.checkRead(n.c, n.outAt, "its name in chats_input was acknowledged")
}
