// SPDX-License-Identifier: Apache-2.0

package chathistory

import (
	"context"
	"errors"
	"sync"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
)

// queueChats queues the chats that the messages of chats_input name, until that input
// ends.
//
// A batch is acknowledged when the last of its chats has been read to its end,
// delivered and saved. It is rejected only when everything stops: not every input lets
// a rejected message come again before it ends. A message that names no chat is
// rejected once, for inputs that know what to do with it. One that sends it again
// gets an acknowledgement.
func (in *input) queueChats(ctx context.Context) {
	defer in.reader.AllAdded()
	rejected := component.NewThrottle()
	var again component.Recent
	for {
		batch, ack, err := in.conf.chatsInput.ReadBatch(ctx)
		if errors.Is(err, service.ErrEndOfInput) {
			return
		}
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			in.log.Errorf("Reading chats_input: %v", err)
			continue
		}
		if len(batch) == 0 {
			_ = ack(ctx, nil)
			continue
		}
		q := &queuedBatch{batch: batch, left: len(batch), ack: ack, log: in.log}
		for i := range batch {
			id, err := in.queuedChat(batch[i])
			if err != nil {
				if more, ok := rejected.Allow(); ok {
					in.log.Errorf("A message of chats_input is rejected%s: %v", more, err)
				}
				if body, _ := batch[i].AsBytes(); again.Has(string(body)) {
					// Its input repeats what is rejected, and would hold up the others.
					err = nil
				} else {
					again.Add(string(body))
				}
				q.done(i, err)
				continue
			}
			if err := in.reader.Room(ctx); err != nil {
				q.done(i, err)
				continue
			}
			in.reader.Add(id, func(err error) { q.done(i, err) })
		}
	}
}

// queuedBatch is a batch of chats_input that waits for its chats.
type queuedBatch struct {
	log   *service.Logger
	batch service.MessageBatch
	ack   service.AckFunc

	mu     sync.Mutex
	left   int
	failed *service.BatchError
}

// done takes the end of one chat. After the last, the batch is acknowledged; if some
// chats failed only their messages are rejected, or the others would be read again for
// nothing.
func (q *queuedBatch) done(i int, err error) {
	q.mu.Lock()
	q.left--
	if err != nil {
		if q.failed == nil {
			q.failed = service.NewBatchError(q.batch, err)
		}
		q.failed.Failed(i, err)
	}
	last := q.left == 0
	var outcome error
	if q.failed != nil {
		outcome = q.failed
	}
	q.mu.Unlock()
	if !last {
		return
	}
	// Not the context of the run: its input waits for this also after the run.
	if err := q.ack(context.Background(), outcome); err != nil {
		q.log.Errorf("Acknowledging a message of chats_input: %v", err)
	}
}
