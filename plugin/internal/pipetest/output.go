// SPDX-License-Identifier: Apache-2.0

package pipetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// Message is a message as the output got it. Chat is its chat, or its talk if the input
// reads talks.
type Message struct {
	Chat, ID, Body string
	Meta           map[string]any
}

// collector is an output that keeps what it gets.
type collector struct {
	bell *bell
	key  string // the metadata key of what Message.Chat is

	mu      sync.Mutex
	write   func(ctx context.Context, batch []Message) error
	batches [][]Message // as they came, those that were rejected too
	acked   []Message
}

func (*collector) Connect(context.Context) error { return nil }
func (*collector) Close(context.Context) error   { return nil }

func (c *collector) WriteBatch(ctx context.Context, batch service.MessageBatch) error {
	got := make([]Message, len(batch))
	for i, m := range batch {
		body, err := m.AsBytes()
		if err != nil {
			return err
		}
		got[i] = Message{Body: string(body), Meta: map[string]any{}}
		_ = m.MetaWalkMut(func(key string, value any) error {
			got[i].Meta[key] = value
			return nil
		})
		got[i].Chat, _ = m.MetaGet(c.key)
		got[i].ID, _ = got[i].Meta["kommo_message_id"].(string)
	}
	c.mu.Lock()
	c.batches = append(c.batches, got)
	write := c.write
	c.mu.Unlock()
	c.bell.ring()
	if write != nil {
		if err := write(ctx, got); err != nil {
			return err
		}
	}
	c.mu.Lock()
	c.acked = append(c.acked, got...)
	c.mu.Unlock()
	c.bell.ring()
	return nil
}

// setWrite changes what becomes of the batches to come.
func (c *collector) setWrite(write func(context.Context, []Message) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write = write
}

// Delivered returns what was acknowledged.
func (c *collector) Delivered() []Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.acked)
}

// Of returns what was acknowledged of one chat.
func (c *collector) Of(chat string) []Message {
	return slices.DeleteFunc(c.Delivered(), func(m Message) bool { return m.Chat != chat })
}

// Came returns the batches that came, acknowledged or not.
func (c *collector) Came() [][]Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.batches)
}

// Out counts the messages that came, acknowledged or not.
func (c *collector) Out() (n int) {
	for _, b := range c.Came() {
		n += len(b)
	}
	return n
}

var errNo = errors.New("no")

// choosy is an output that rejects some chats, and reports that chat by chat.
type choosy struct {
	*collector
	bad func(chat string) bool
}

func (c choosy) WriteBatch(ctx context.Context, batch service.MessageBatch) error {
	var good service.MessageBatch
	e := service.NewBatchError(batch, errNo)
	for i, m := range batch {
		chat, _ := m.MetaGet(c.key)
		if c.bad(chat) {
			e.Failed(i, errNo)
		} else {
			good = append(good, m)
		}
	}
	if len(good) > 0 {
		if err := c.collector.WriteBatch(ctx, good); err != nil {
			return err
		}
	}
	if len(good) < len(batch) {
		return e
	}
	return nil
}

// HoldAll never acknowledges anything.
func HoldAll(ctx context.Context, _ []Message) error {
	<-ctx.Done()
	return ctx.Err()
}

// Gate holds batches until it is opened.
type Gate struct{ Opened chan struct{} }

// NewGate returns one that is opened when the test ends, at the latest.
func NewGate(t *testing.T) *Gate {
	t.Helper()
	g := &Gate{Opened: make(chan struct{})}
	t.Cleanup(g.Open) // after the test but before the stream's own cleanup
	return g
}

var gates sync.Mutex

// Open lets everything through, from now on.
func (g *Gate) Open() {
	gates.Lock()
	defer gates.Unlock()
	select {
	case <-g.Opened:
	default:
		close(g.Opened)
	}
}

// Hold is an Options.Write.
func (g *Gate) Hold(ctx context.Context, _ []Message) error {
	select {
	case <-g.Opened:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
