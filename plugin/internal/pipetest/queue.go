// SPDX-License-Identifier: Apache-2.0

package pipetest

import (
	"context"
	"sync"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// Queue is an input for chats_input: each batch of it names chats, and it keeps
// how each was answered.
type Queue struct {
	bell    *bell
	Batches chan []string

	mu      sync.Mutex
	answers map[string][]error // by the first chat of the batch
	closed  bool
}

// NewQueue returns one that names chats of a server.
func NewQueue(k *Kommo) *Queue {
	return &Queue{bell: k.bell, Batches: make(chan []string, 100), answers: map[string][]error{}}
}

// Name puts a batch into the queue.
func (q *Queue) Name(chats ...string) { q.Batches <- chats }

// End says that there will be no more.
func (q *Queue) End() { close(q.Batches) }

// Answered returns how the batches were answered that begin with a chat.
func (q *Queue) Answered(chat string) []error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.answers[chat]
}

// Connect implements service.BatchInput.
func (*Queue) Connect(context.Context) error { return nil }

// ReadBatch implements service.BatchInput.
func (q *Queue) ReadBatch(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	select {
	case chats, more := <-q.Batches:
		if !more {
			return nil, nil, service.ErrEndOfInput
		}
		batch := make(service.MessageBatch, len(chats))
		for i, chat := range chats {
			batch[i] = service.NewMessage([]byte(chat))
		}
		return batch, func(_ context.Context, err error) error {
			q.mu.Lock()
			q.answers[chats[0]] = append(q.answers[chats[0]], err)
			q.mu.Unlock()
			q.bell.ring()
			return nil
		}, nil
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

// Close implements service.BatchInput.
func (q *Queue) Close(context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	return nil
}

// IsClosed tells whether the pipeline has closed it.
func (q *Queue) IsClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}
