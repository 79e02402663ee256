// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
	"github.com/kommo-connect/kommo-connect/plugin/internal/chat/chattest"
	"github.com/kommo-connect/kommo-connect/plugin/internal/checkpoint"
	"github.com/kommo-connect/kommo-connect/plugin/internal/evidence"
)

// fewItems answers every chat with the same one message.
type fewItems struct{}

func (fewItems) Page(context.Context, string, int, int) (chat.Page, error) {
	return chat.Page{Items: []chat.Item{{ID: "m", Time: 1_700_000_000_000}}, Now: 1_700_000_000_000}, nil
}

// blackHole is a store that keeps nothing, so that its memory is not counted.
type blackHole struct{}

func (blackHole) Load(context.Context, string) ([]byte, error) { return nil, checkpoint.ErrNone }
func (blackHole) Save(context.Context, string, []byte) error   { return nil }

func heapInUse() int {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int(s.HeapAlloc) //nolint:gosec // no heap is that large
}

// idleChats reads that many chats once and leaves them waiting for their next
// poll. It returns the memory that each of them costs then.
func idleChats(t *testing.T, chats int) (bytesEach int) {
	t.Helper()
	names := make([]string, chats)
	for i := range names {
		names[i] = fmt.Sprintf("chat-%032d", i)
	}
	before := heapInUse()
	r, err := NewReader(Config{
		NewPass: chat.FromNewest(fewItems{}, &evidence.Server{}), Store: blackHole{}, PageSize: 50, MaxBufferedPages: 100, ParallelChats: 8,
		CheckpointLimit: 4096, PreserveOrder: true, Poll: time.Hour, CheckpointInterval: time.Second, FirstRetry: time.Second, Retry: time.Second, RetryNotOurs: time.Hour,
	})
	require.NoError(t, err)
	r.Start()
	for _, n := range names {
		r.Add(n, nil)
	}
	r.AllAdded()
	for range chats {
		b, err := r.Next(context.Background())
		require.NoError(t, err)
		b.Ack()
	}
	synctest.Wait()
	time.Sleep(2 * time.Second) // the last checkpoint
	synctest.Wait()
	r.mu.Lock()
	for _, c := range r.chats {
		require.Nil(t, c.work, "an idle chat needs none")
	}
	r.mu.Unlock()
	bytesEach = (heapInUse() - before) / chats
	require.NoError(t, r.Close(context.Background()))
	runtime.KeepAlive(r)
	return bytesEach
}

func TestReader_IdleChatsAreSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		each := idleChats(t, 20_000)
		t.Logf("%d bytes for each idle chat", each)
		assert.Less(t, each, 1000, "100,000 idle chats cost at most 100 MiB")
	})
}

// A batch that someone keeps after its acknowledgement keeps no page alive.
func TestBatch_KeepsNothingAfterAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := chattest.NewModel()
		m.Fill("a", 3, 0)
		g := newRig(t, m, nil).start("a")
		b := g.within(time.Second)
		b.Ack()
		assert.Nil(t, b.Items)
		assert.Nil(t, b.seen)
		g.close()
	})
}
