// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/history"
)

// errNoChatNamed rejects a message of chats_input.
var errNoChatNamed = errors.New("the message names no chat: check that chat_id finds a chat's id in it")

// nameChats has each chat read that a message of chats_input names, until that
// input ends. A batch of it is answered when the last of its chats has been read and
// delivered to its end or has failed.
//
// At most checkpoint_limit messages are named and unfinished at a time, so that a
// queue of any length can be read. A chat that failed and is named again at once,
// as a queue does that redelivers, is read no sooner than max_interval after it
// failed.
func (in *chatHistory) nameChats(ctx context.Context) {
	rest := newRest(in.conf.backoff.MaxInterval)
	var resting sync.WaitGroup
	defer func() {
		resting.Wait()
		in.reader.Listed()
	}()
	room := make(chan struct{}, in.conf.checkpointLimit)
	rejected := newThrottle()
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
		n := &naming{batch: batch, left: len(batch), ack: ack, log: in.log}
		for i := range batch {
			id, err := in.conf.chatID.TryString(batch[i])
			if err == nil && id == "" {
				err = errNoChatNamed
			}
			if err != nil {
				if more, ok := rejected.allow(); ok {
					in.log.Errorf("A message of chats_input is rejected%s: %v", more, err)
				}
				n.done(i, err)
				continue
			}
			select {
			case room <- struct{}{}:
			case <-ctx.Done():
				n.done(i, ctx.Err())
				continue
			}
			done := func(err error) {
				rest.ended(id, err)
				<-room
				n.done(i, err)
			}
			wait := rest.left(id)
			if wait <= 0 {
				in.reader.Add(id, done)
				continue
			}
			resting.Go(func() {
				select {
				case <-time.After(wait):
					in.reader.Add(id, done)
				case <-ctx.Done():
					done(history.ErrClosed)
				}
			})
		}
	}
}

// rest remembers for a while which chats have failed, so that a chat which always
// fails does not use up the requests of the others.
type rest struct {
	of time.Duration

	mu    sync.Mutex
	until map[string]time.Time
	swept time.Time
}

func newRest(of time.Duration) *rest { return &rest{of: of, until: map[string]time.Time{}} }

// ended takes how the reading of a chat ended.
func (r *rest) ended(chat string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if err == nil {
		delete(r.until, chat)
		return
	}
	r.until[chat] = now.Add(r.of)
	if now.Sub(r.swept) > r.of {
		r.swept = now
		maps.DeleteFunc(r.until, func(_ string, until time.Time) bool { return until.Before(now) })
	}
}

// left returns how long a chat is to be left alone.
func (r *rest) left(chat string) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Until(r.until[chat])
}

// naming is a batch of chats_input that waits for its chats.
type naming struct {
	log   *service.Logger
	batch service.MessageBatch
	ack   service.AckFunc

	mu     sync.Mutex
	left   int
	failed *service.BatchError
}

// done takes the end of one chat, and answers the batch after the last. Of a
// batch in which some failed, only those are rejected: the others would be read
// again for nothing.
func (n *naming) done(i int, err error) {
	n.mu.Lock()
	n.left--
	if err != nil {
		if n.failed == nil {
			n.failed = service.NewBatchError(n.batch, err)
		}
		n.failed.Failed(i, err)
	}
	last := n.left == 0
	var outcome error
	if n.failed != nil {
		outcome = n.failed
	}
	n.mu.Unlock()
	if !last {
		return
	}
	// Not the context of the run: the answer is due also when that has ended.
	if err := n.ack(context.Background(), outcome); err != nil {
		n.log.Errorf("Acknowledging a message of chats_input: %v", err)
	}
}
