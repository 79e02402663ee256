// SPDX-License-Identifier: Apache-2.0

package chathistory

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
)

// What is wrong with a message of chats_input.
var (
	errNoChatNamed = errors.New("there is no id: check that chat_id finds a chat's id in the message")
	errNoID        = errors.New("what chat_id finds is no id, but JSON or text: check that it finds a chat's id alone in the message")
)

// nameChats has each chat read that a message of chats_input names, until that
// input ends. A batch of it is answered when the last of its chats has been read,
// delivered to its end and saved; it is rejected when everything stops, for
// not every input lets a rejected message come again before it ends. A message that
// names no chat is rejected once: an input that knows what to do with it does that, and
// one that sends it again is told that it is done with.
func (in *input) nameChats(ctx context.Context) {
	defer in.reader.Listed()
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
		n := &naming{batch: batch, left: len(batch), ack: ack, log: in.log}
		for i := range batch {
			id, err := in.chatNamed(batch[i])
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
				n.done(i, err)
				continue
			}
			if err := in.reader.Room(ctx); err != nil {
				n.done(i, err)
				continue
			}
			in.reader.Add(id, func(err error) { n.done(i, err) })
		}
	}
}

// chatNamed returns the id in a message of chats_input.
func (in *input) chatNamed(m *service.Message) (string, error) {
	id, err := in.conf.chatID.TryString(m)
	id = strings.TrimSpace(id)
	switch {
	case err != nil:
		return "", err
	case id == "" || id == "null":
		return "", errNoChatNamed
	case len(id) > longestID || strings.ContainsAny(id, "{}[]\"<> \t\r\n"):
		return "", errNoID
	}
	return id, nil
}

// longestID is how long an id may be. Those of the API have 36 characters.
const longestID = 1000

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
