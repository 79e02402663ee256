// SPDX-License-Identifier: Apache-2.0

package apicall

import (
	"context"
	"errors"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// errResent is what became of a request whose connection broke before an answer
// came, and that net/http sent once more.
var errResent = errors.New("the connection broke before an answer came, and the request was sent once more")

// countResends makes the limiter and the observer know of requests that net/http
// repeats by itself: a GET whose kept-alive connection breaks before the first
// byte of an answer. Each of these is a request like any other to the server.
//
// net/http takes a connection for every time that it sends, so one that is taken
// after the request was written is for a repetition.
func (c *Caller) countResends(ctx context.Context, try int) context.Context {
	// The transport writes on one goroutine and takes connections on another.
	var written atomic.Bool
	began := time.Now()
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteHeaders: func() { written.Store(true) },
		GotConn: func(httptrace.GotConnInfo) {
			if !written.Swap(false) {
				return
			}
			c.observed(Attempt{Outcome: OutcomeUnreachable, Err: errResent, Try: try, Duration: time.Since(began)})
			if c.grantedAgain(ctx) != nil {
				// ctx has ended. net/http may write the request all the same before it
				// looks, and it can't be held back from here.
				c.limiter.owe()
			}
			began = time.Now()
		},
	})
}

// grantedAgain is granted for a repetition: it ends only with ctx, because from
// inside net/http a request can't be given up.
func (c *Caller) grantedAgain(ctx context.Context) error {
	waits := c.backoff.intervals()
	for {
		err := c.limiter.Wait(ctx)
		if !errors.Is(err, ErrSharedLimit) {
			return err
		}
		wait := waits.next()
		c.failedToAsk(err, wait)
		if err := Sleep(ctx, wait); err != nil {
			return err
		}
	}
}
