// SPDX-License-Identifier: Apache-2.0

package apicall

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// ErrSharedLimit is wrapped by every error of [Limiter.Wait] that comes from
// [LimiterConfig.Shared]. No request was sent then.
var ErrSharedLimit = errors.New("the shared rate limit could not be asked")

// LimiterConfig says how many requests may be sent. Its zero value limits
// nothing, though [Limiter.Pause] still works.
type LimiterConfig struct {
	// RequestsPerSecond is how fast permission to send comes back. 0 means no
	// limit of its own; so does a negative number or NaN.
	RequestsPerSecond float64

	// Burst is how many requests may be sent at once after a quiet time. 0 or
	// less means 1.
	Burst int

	// Shared, if set, is asked before each request until it grants one by
	// answering 0; any other answer is how long to wait before asking again.
	// It is for a limit that several processes share. It is never called by two
	// goroutines at a time, and it must return when ctx ends.
	Shared func(ctx context.Context) (time.Duration, error)
}

// Limiter grants requests one after another, in the order in which they were
// asked for. In any window of T seconds it grants at most
// Burst + T·RequestsPerSecond. It is safe for concurrent use; make it with
// [NewLimiter].
type Limiter struct {
	// turn is a turnstile: whoever put the one element in is the only one to
	// sleep, ask and take. With a reservation for each waiter instead, this would
	// happen: A's token is due at 20 ms and B's at 40 ms; A wakes up at 39 ms; A
	// and B send 1 ms apart. Go queues the senders of a channel in order, so the
	// turnstile is fair.
	turn   chan struct{}
	shared func(ctx context.Context) (time.Duration, error)
	sleep  func(ctx context.Context, d time.Duration) error

	mu          sync.Mutex
	bucket      *rate.Limiter // only TokensAt and AllowN: a reservation would be early, see turn
	pausedUntil time.Time
}

// NewLimiter returns a Limiter with a full burst and no pause.
func NewLimiter(conf LimiterConfig) *Limiter {
	limit := rate.Inf
	if conf.RequestsPerSecond > 0 {
		limit = rate.Limit(conf.RequestsPerSecond)
	}
	return &Limiter{
		turn:   make(chan struct{}, 1),
		shared: conf.Shared,
		sleep:  sleep,
		bucket: rate.NewLimiter(limit, max(conf.Burst, 1)),
	}
}

// Wait blocks until one request may be sent, which the caller must then do
// without delay. It returns ctx.Err() when ctx ends first, and an error that
// wraps [ErrSharedLimit] when the shared limit fails; neither uses up a request
// of this Limiter.
func (l *Limiter) Wait(ctx context.Context) error {
	// A select takes either case when both are ready, and an ended context must
	// never be granted a request.
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-l.turn }()

	for {
		if d := l.untilFree(); d > 0 {
			if err := l.sleepExactly(ctx, d); err != nil {
				return err
			}
			continue
		}
		if l.shared != nil {
			d, err := l.shared(ctx)
			if ctxErr := ctx.Err(); ctxErr != nil {
				return ctxErr
			}
			if err != nil {
				return fmt.Errorf("waiting to send a request: check the rate_limit resource: %w: %w", ErrSharedLimit, err)
			}
			if d > 0 {
				if err := l.sleep(ctx, d); err != nil {
					return err
				}
				continue
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		// This fails only if a Pause came since untilFree. The shared limit is then
		// asked anew: its permission was for a moment that has passed, and using it
		// later could exceed that limit.
		if l.take() {
			return nil
		}
	}
}

// sleepExactly is sleep, but without a burst it is on time. A request that goes
// out late can't be made up for then, and timers are late by up to a millisecond,
// which is 5% of the interval at 50 requests per second. So the timer is set to
// that much earlier, and the rest is passed by yielding: a twentieth of one core
// at worst.
func (l *Limiter) sleepExactly(ctx context.Context, d time.Duration) error {
	limit := l.bucket.Limit()
	if limit == rate.Inf || l.bucket.Burst() > 1 {
		return l.sleep(ctx, d)
	}
	due := time.Now().Add(d)
	early := min(time.Millisecond, durationOf(1/float64(limit))/20)
	if d > early {
		if err := l.sleep(ctx, d-early); err != nil {
			return err
		}
	}
	for now := time.Now(); now.Before(due); {
		if err := ctx.Err(); err != nil {
			return err
		}
		runtime.Gosched()
		before := now
		if now = time.Now(); now.Equal(before) {
			// A clock that stands still: a coarse one, or that of a test in a synctest
			// bubble, where it moves only while everyone sleeps.
			return l.sleep(ctx, due.Sub(now))
		}
	}
	return nil
}

// Pause grants no request before d from now. A pause that lasts longer already
// is not shortened; a d of 0 or less does nothing.
func (l *Limiter) Pause(d time.Duration) {
	if d <= 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := time.Now().Add(d); until.After(l.pausedUntil) {
		l.pausedUntil = until
	}
}

// untilFree says how long nothing can be granted from now on; 0 or less means
// that a request is free.
func (l *Limiter) untilFree() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	d := l.pausedUntil.Sub(now)
	limit := l.bucket.Limit()
	if limit == rate.Inf {
		return d
	}
	if missing := 1 - l.bucket.TokensAt(now); missing > 0 {
		d = max(d, durationOf(missing/float64(limit)))
	}
	return d
}

// take grants a request at this very moment, unless there is a pause. Reading
// the clock, looking for a pause and taking the token are one step under mu, so
// a Pause that has returned is never overtaken.
func (l *Limiter) take() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	return !now.Before(l.pausedUntil) && l.bucket.AllowN(now, 1)
}
