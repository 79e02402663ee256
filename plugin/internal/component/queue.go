// SPDX-License-Identifier: Apache-2.0

package component

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/reader"
)

// Queue is an input that names what is to be read.
type Queue struct {
	Input  *service.OwnedInput
	Field  string // of the input
	Log    *service.Logger
	Reader *reader.Reader
	// ID returns the id that a message names.
	ID func(m *service.Message) (string, error)
	// Named, if set, is told of each id before it is read, with the message that named it,
	// and Done, if Named is, when that is over.
	Named func(id string, m *service.Message)
	Done  func(id string)
}

// Run queues what the messages of the input name, until that input ends.
//
// A batch is acknowledged when the last that it names has been read to its end,
// delivered and saved. It is rejected only when everything stops: not every input lets
// a rejected message come again before it ends. A message that names nothing is
// rejected once, for inputs that know what to do with it, and so is one with a [MetaReread]
// that can't be read. One that sends it again gets an acknowledgement.
func (q *Queue) Run(ctx context.Context) {
	defer q.Reader.AllAdded()
	rejected := NewThrottle()
	var known Recent
	for {
		batch, ack, err := q.Input.ReadBatch(ctx)
		if errors.Is(err, service.ErrEndOfInput) {
			return
		}
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			q.Log.Errorf("Reading %s: %v", q.Field, err)
			continue
		}
		if len(batch) == 0 {
			_ = ack(ctx, nil)
			continue
		}
		b := &queuedBatch{queue: q, batch: batch, left: len(batch), ack: ack}
		for i := range batch {
			id, err := q.ID(batch[i])
			from, again, wrong := reread(batch[i], time.Now())
			if err = cmp.Or(err, wrong); err != nil {
				if more, ok := rejected.Allow(); ok {
					q.Log.Errorf("A message of %s is rejected%s: %v", q.Field, more, err)
				}
				if body, _ := batch[i].AsBytes(); known.Has(string(body)) {
					// Its input repeats what is rejected, and would hold up the others.
					err = nil
				} else {
					known.Add(string(body))
				}
				b.done(i, err)
				continue
			}
			if err := q.Reader.Room(ctx); err != nil {
				b.done(i, err)
				continue
			}
			if q.Named != nil {
				q.Named(id, batch[i])
			}
			done := func(err error) {
				if q.Done != nil {
					q.Done(id)
				}
				b.done(i, err)
			}
			if again {
				q.Reader.Reread(id, from, done)
			} else {
				q.Reader.Add(id, done)
			}
		}
	}
}

// Close closes the input. Meanwhile it rejects what still comes: messages
// that were rejected when reading stopped come again, and the input does not end while
// one of them is held by something in between.
func (q *Queue) Close(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var draining sync.WaitGroup
	draining.Go(func() {
		for {
			_, ack, err := q.Input.ReadBatch(ctx)
			if err != nil {
				return
			}
			_ = ack(ctx, reader.ErrClosed)
		}
	})
	err := q.Input.Close(ctx)
	cancel()
	draining.Wait()
	return err
}

// queuedBatch is a batch of the queue that waits for what it names.
type queuedBatch struct {
	queue *Queue
	batch service.MessageBatch
	ack   service.AckFunc

	mu     sync.Mutex
	left   int
	failed *service.BatchError
}

// done takes the end of one chat. After the last, the batch is acknowledged; if some
// chats failed only their messages are rejected, or the others would be read again for
// nothing.
func (b *queuedBatch) done(i int, err error) {
	b.mu.Lock()
	b.left--
	if err != nil {
		if b.failed == nil {
			b.failed = service.NewBatchError(b.batch, err)
		}
		b.failed.Failed(i, err)
	}
	last := b.left == 0
	var outcome error
	if b.failed != nil {
		outcome = b.failed
	}
	b.mu.Unlock()
	if !last {
		return
	}
	// Not the context of the run: its input waits for this also after the run.
	if err := b.ack(context.Background(), outcome); err != nil {
		b.queue.Log.Errorf("Acknowledging a message of %s: %v", b.queue.Field, err)
	}
}
