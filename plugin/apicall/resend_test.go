// SPDX-License-Identifier: Apache-2.0

package apicall

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
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

	var granted, told atomic.Int64
	transport, err := NewTransport("", nil)
	require.NoError(t, err)
	defer transport.CloseIdleConnections()
	call := New(Config{
		HTTP: &http.Client{Transport: transport},
		Limiter: NewLimiter(LimiterConfig{Shared: func(context.Context) (time.Duration, error) {
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
