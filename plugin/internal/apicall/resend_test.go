// SPDX-License-Identifier: Apache-2.0

package apicall

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A server that closes kept-alive connections without an answer gets each GET
// again from net/http itself. What it sees must be what the limiter granted and
// the observer was told.
func TestGet_ResentRequestsCount(t *testing.T) {
	t.Parallel()
	var seen atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if seen.Add(1)%2 == 0 {
			panic(http.ErrAbortHandler)
		}
	}))
	defer server.Close()

	var granted, told, asked atomic.Int64
	transport, err := NewTransport("", nil)
	require.NoError(t, err)
	defer transport.CloseIdleConnections()
	call := New(Config{
		HTTP: &http.Client{Transport: transport},
		Limiter: NewLimiter(LimiterConfig{Shared: func(context.Context) (time.Duration, error) {
			if asked.Add(1)%3 == 0 {
				return 0, errors.New("the store is gone") // costs a retry, grants nothing
			}
			granted.Add(1)
			return 0, nil
		}}),
		Backoff: Backoff{InitialInterval: time.Millisecond, MaxInterval: time.Millisecond},
		Observe: func(Attempt) { told.Add(1) },
	})
	build := func(ctx context.Context) (*http.Request, error) {
		return http.NewRequestWithContext(ctx, http.MethodGet, server.URL, http.NoBody)
	}
	for range 20 {
		require.NoError(t, call.Get(t.Context(), build, func(*Response) error { return nil }))
	}
	assert.Greater(t, seen.Load(), int64(20), "the server did break connections")
	assert.Equal(t, seen.Load(), granted.Load(), "granted")
	assert.Equal(t, seen.Load(), told.Load(), "told")
}

// A repetition whose permission can't be had any more is sent all the same by
// net/http, so the next request comes later.
func TestLimiter_Owes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(LimiterConfig{RequestsPerSecond: 1})
		start := time.Now()
		require.NoError(t, l.Wait(t.Context()))
		l.owe()
		require.NoError(t, l.Wait(t.Context()))
		assert.Equal(t, 2*time.Second, time.Since(start))
		NewLimiter(LimiterConfig{}).owe() // without a limit there is nothing to owe
	})
}
