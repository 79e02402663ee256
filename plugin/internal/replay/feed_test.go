// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"
)

// feed is an Input of numbered messages. Message n of batch b has the body "b/n".
type feed struct {
	mu       sync.Mutex
	sizes    []int // of the batches to come
	next     int
	accepted map[string]int
	acked    map[int]int
	early    []string // what was acknowledged too early, or accepted too late
	closed   int
	reads    int
	onRead   func(ctx context.Context) error // before each
	stopped  error                           // what a consumer says that is being stopped
}

func newFeed(sizes ...int) *feed {
	return &feed{sizes: sizes, accepted: map[string]int{}, acked: map[int]int{}}
}

func (*feed) Connect(context.Context) error { return nil }

func (f *feed) Read(ctx context.Context) (*Batch, error) {
	if f.onRead != nil {
		if err := f.onRead(ctx); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	if f.next == len(f.sizes) {
		return nil, service.ErrEndOfInput
	}
	n := f.next
	f.next++
	b := &Batch{}
	for i := range f.sizes[n] {
		b.Messages = append(b.Messages, service.NewMessage([]byte(name(n, i))))
	}
	b.Accepted = func(i int) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.accepted[name(n, i)]++; f.acked[n] > 0 {
			f.early = append(f.early, name(n, i)+" is accepted after its batch was acknowledged")
		}
	}
	b.Ack = func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.acked[n]++
		for i := range f.sizes[n] {
			if f.accepted[name(n, i)] == 0 {
				f.early = append(f.early, name(n, i)+" was not accepted when its batch was acknowledged")
			}
		}
	}
	return b, nil
}

func (f *feed) Close(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed++
	return nil
}

func (f *feed) Stopped(err error) bool { return f.stopped != nil && err.Error() == f.stopped.Error() }

func (f *feed) isAcked(n int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.acked[n] > 0
}

func (f *feed) wasAccepted(body string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.accepted[body] > 0
}

// settled checks that each batch was acknowledged once, and each message accepted
// once before that.
func (f *feed) settled(t require.TestingT) {
	f.mu.Lock()
	defer f.mu.Unlock()
	require.Empty(t, f.early)
	for n, size := range f.sizes {
		require.Equal(t, 1, f.acked[n], "batch %d", n)
		for i := range size {
			require.Equal(t, 1, f.accepted[name(n, i)], "message %s", name(n, i))
		}
	}
}

func name(batch, i int) string { return fmt.Sprint(batch, "/", i) }

func bodies(t require.TestingT, batch service.MessageBatch) []string {
	var texts []string
	for _, m := range batch {
		b, err := m.AsBytes()
		require.NoError(t, err)
		texts = append(texts, string(b))
	}
	return texts
}

// read returns the bodies of the next batch.
func read(t *testing.T, in service.BatchInput) ([]string, service.MessageBatch, service.AckFunc) {
	t.Helper()
	batch, ack, err := in.ReadBatch(t.Context())
	require.NoError(t, err)
	return bodies(t, batch), batch, ack
}

// failing is a BatchError of the messages at some positions.
func failing(batch service.MessageBatch, positions ...int) error {
	e := service.NewBatchError(batch, errRejected)
	for _, i := range positions {
		e.Failed(i, fmt.Errorf("message %s: %w", strconv.Itoa(i), errRejected))
	}
	return e
}
