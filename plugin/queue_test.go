// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"context"
	"sync"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// queue is an input for chats_input: each batch of it names chats, and it keeps
// how each was answered.
type queue struct {
	bell    *bell
	batches chan []string

	mu      sync.Mutex
	answers map[string][]error // by the first chat of the batch
	closed  bool
}

func newQueue(k *kommo) *queue {
	return &queue{bell: k.bell, batches: make(chan []string, 100), answers: map[string][]error{}}
}

// name puts a batch into the queue. end says that there will be no more.
func (q *queue) name(chats ...string) { q.batches <- chats }
func (q *queue) end()                 { close(q.batches) }

// answered returns how the batches were answered that begin with a chat.
func (q *queue) answered(chat string) []error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.answers[chat]
}

func (*queue) Connect(context.Context) error { return nil }

func (q *queue) ReadBatch(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	select {
	case chats, more := <-q.batches:
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

func (q *queue) Close(context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	return nil
}

func (q *queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}
