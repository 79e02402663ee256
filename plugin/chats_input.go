// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"sync"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// errNoChatNamed rejects a message of chats_input.
var errNoChatNamed = errors.New("the message names no chat: check that chat_id finds a chat's id in it")

// nameChats has each chat read that a message of chats_input names, until that
// input ends. A batch of it is acknowledged when all its chats have been read and
// delivered to their ends, and rejected if one of them failed.
//
// At most checkpoint_limit messages are named and unfinished at a time, so that a
// queue of any length can be read.
func (in *chatHistory) nameChats(ctx context.Context) {
	defer in.reader.Listed()
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
		n := &naming{left: len(batch), ack: ack, log: in.log}
		if len(batch) == 0 {
			n.left = 1
			n.done(nil)
			continue
		}
		for i := range batch {
			id, err := in.conf.chatID.TryString(batch[i])
			if err == nil && id == "" {
				err = errNoChatNamed
			}
			if err != nil {
				if more, ok := rejected.allow(); ok {
					in.log.Errorf("A message of chats_input is rejected%s: %v", more, err)
				}
				n.done(err)
				continue
			}
			select {
			case room <- struct{}{}:
			case <-ctx.Done():
				n.done(ctx.Err())
				continue
			}
			in.reader.Add(id, func(err error) {
				<-room
				n.done(err)
			})
		}
	}
}

// naming is a batch of chats_input that waits for its chats.
type naming struct {
	log *service.Logger
	ack service.AckFunc

	mu   sync.Mutex
	left int
	err  error
}

// done takes the end of one chat, and answers the batch after the last.
func (n *naming) done(err error) {
	n.mu.Lock()
	n.left--
	if err != nil && n.err == nil {
		n.err = err
	}
	last, outcome := n.left == 0, n.err
	n.mu.Unlock()
	if !last {
		return
	}
	// Not the context of the run: the answer is due also when that has ended.
	if err := n.ack(context.Background(), outcome); err != nil {
		n.log.Errorf("Acknowledging a message of chats_input: %v", err)
	}
}
