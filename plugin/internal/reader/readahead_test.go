// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
	"github.com/kommo-connect/kommo-connect/plugin/internal/chat/chattest"
)

// paced is a Source with a limit: each request waits for its turn.
type paced struct {
	chat.Source

	turns chan struct{}
}

func (p paced) Page(ctx context.Context, name string, offset, limit int) (chat.Page, error) {
	select {
	case <-p.turns:
	case <-ctx.Done():
		return chat.Page{}, ctx.Err()
	}
	return p.Source.Page(ctx, name, offset, limit)
}

// One long chat gets as many pages as the limit allows, with the same requests.
func TestReader_ReadAheadFillsTheLimit(t *testing.T) {
	const (
		messages = 100_000
		latency  = 200 * time.Millisecond
		apart    = 20 * time.Millisecond // 50 requests a second
	)
	read := func(t *testing.T, ahead int) (took time.Duration, requests int) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			m := chattest.NewModel()
			m.Fill("a", messages, 700)
			m.Delay = latency
			turns, stop := make(chan struct{}), make(chan struct{})
			defer close(stop)
			go func() {
				for {
					select {
					case turns <- struct{}{}:
					case <-stop:
						return
					}
					time.Sleep(apart)
				}
			}()
			g := newRig(t, m, func(c *Config) {
				c.NewPass = chat.FromNewest(paced{m, turns}, chattest.Trusting())
				c.PageSize, c.MaxBufferedPages, c.CheckpointLimit, c.ReadAhead = 50, 100, 4096, ahead
			})
			began := time.Now()
			got, ended := g.start("a").drain(time.Hour)
			took = time.Since(began)
			g.close()
			require.True(t, ended)
			require.Equal(t, m.IDs("a"), got["a"])
			require.LessOrEqual(t, m.Beside, max(1, ahead))
			requests = m.Requests
		})
		return took, requests
	}
	alone, requests := read(t, 1)
	require.Greater(t, alone, 400*time.Second)
	for ahead, most := range map[int]time.Duration{2: 240 * time.Second, 4: 140 * time.Second, 16: 70 * time.Second, 1000: 70 * time.Second} {
		took, made := read(t, ahead)
		t.Logf("read ahead %d: %s instead of %s, %d requests instead of %d", ahead, took.Round(time.Second), alone.Round(time.Second), made, requests)
		require.LessOrEqual(t, took, most, "read ahead %d", ahead)
		require.Equal(t, requests, made, "read ahead %d", ahead)
	}
}
