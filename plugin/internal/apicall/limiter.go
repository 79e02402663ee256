// SPDX-License-Identifier: Apache-2.0

package apicall

import (
	"context"
	"errors"
	"fmt"
	"math"
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
// Burst + T·RequestsPerSecond; less after a 429, of which a [Caller] tells it, and
// all of that again within five minutes without one. While it is slower it grants
// no bursts. It is safe for concurrent use; make it with [NewLimiter].
type Limiter struct {
	// turn is a turnstile: whoever put the one element in is the only one to
	// sleep, ask and take. With a reservation for each waiter instead, this would
	// happen: A's token is due at 20 ms and B's at 40 ms; A wakes up at 39 ms; A
	// and B send 1 ms apart. Go queues the senders of a channel in order, so the
	// turnstile is fair.
	turn   chan struct{}
	shared func(ctx context.Context) (time.Duration, error)
	sleep  func(ctx context.Context, d time.Duration) error

	full  float64 // as configured, +Inf for no limit
	burst int

	mu          sync.Mutex
	slow        slowdown
	bucket      *rate.Limiter // nil: no limit. Only TokensAt and AllowN: a reservation would be early, see turn
	pausedUntil time.Time
}

const (
	// lookAgain bounds one sleep of a limiter that is slowed down: it may be faster
	// when it wakes up.
	lookAgain = time.Second

	// lookForProbe is how often it is looked whether a probe was answered.
	lookForProbe = 50 * time.Millisecond
)

// NewLimiter returns a Limiter with a full burst and no pause.
func NewLimiter(conf LimiterConfig) *Limiter {
	l := &Limiter{
		turn:   make(chan struct{}, 1),
		shared: conf.Shared,
		sleep:  Sleep,
		full:   math.Inf(1),
		burst:  max(conf.Burst, 1),
	}
	if conf.RequestsPerSecond > 0 {
		l.full = conf.RequestsPerSecond
	}
	l.adjust(time.Now())
	return l
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
		if d, interval := l.untilFree(); d > 0 {
			if err := l.sleepExactly(ctx, d, interval); err != nil {
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

// sleepExactly is sleep, but without a burst it is on time: interval is the time
// between two requests then, and 0 otherwise. A request that goes
// out late can't be made up for then, and timers are late by up to a millisecond,
// which is 5% of the interval at 50 requests per second. So the timer is set to
// that much earlier, and the rest is passed by yielding: a twentieth of one core
// at worst.
func (l *Limiter) sleepExactly(ctx context.Context, d, interval time.Duration) error {
	if interval == 0 {
		return l.sleep(ctx, d)
	}
	due := time.Now().Add(d)
	early := min(time.Millisecond, interval/20)
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
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pause(time.Now(), d)
}

// pause is Pause. Caller holds mu.
func (l *Limiter) pause(now time.Time, d time.Duration) {
	if until := now.Add(d); d > 0 && until.After(l.pausedUntil) {
		l.pausedUntil = until
	}
}

// Rate is how many requests per second are granted at this moment: as configured,
// or less after a 429. +Inf means that there is no limit.
func (l *Limiter) Rate() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.slow.rate(time.Now(), l.full)
}

// throttled tells of a 429 to a request that was granted at the given moment.
// asked is how long the server wants everyone to wait, 0 if it did not say, and
// wait how long the caller itself is going to wait then. The pause is the longer
// one of asked and, where 429s follow each other, first doubled with each, up to
// most. It returns the new speed in requests per second, or 0 if it is as before.
func (l *Limiter) throttled(granted time.Time, asked, wait, first, most time.Duration) float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.adjust(now)
	counts, slower := l.slow.event(granted, now, l.full, asked > 0)
	pause := asked
	if asked <= 0 {
		pause = wait
	}
	if n := l.slow.strikes; counts && n > 1 {
		longer := most
		if n < 32 && first<<(n-1) < most && first<<(n-1) > 0 {
			longer = first << (n - 1)
		}
		pause = max(pause, longer)
	}
	if counts {
		l.slow.pause = min(pause, most)
	}
	l.pause(now, pause)
	l.slow.rests(l.pausedUntil)
	l.adjust(now)
	if !slower {
		return 0
	}
	return l.slow.start
}

// accepted tells of an answer other than a 429 to a request that was granted at
// the given moment.
func (l *Limiter) accepted(granted time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slow.accept(granted, time.Now())
}

// owe takes a request into account that was sent although Wait did not grant it:
// the next ones come later for it.
func (l *Limiter) owe() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); l.adjust(now) {
		l.bucket.ReserveN(now, 1)
	}
}

// adjust gives the bucket the speed and size of this moment, and reports if there
// is a bucket. Caller holds mu.
func (l *Limiter) adjust(now time.Time) bool {
	limit, burst := l.slow.rate(now, l.full), l.burst
	if limit < l.full {
		burst = 1
	}
	switch {
	case math.IsInf(limit, 1):
		l.bucket = nil
	case l.bucket == nil:
		l.bucket = rate.NewLimiter(rate.Limit(limit), burst)
	default:
		if l.bucket.Limit() != rate.Limit(limit) {
			l.bucket.SetLimitAt(now, rate.Limit(limit))
		}
		if l.bucket.Burst() != burst {
			l.bucket.SetBurstAt(now, burst)
		}
	}
	return l.bucket != nil
}

// untilFree says how long nothing can be granted from now on, or when to look
// again; 0 or less means that a request is free. interval is for sleepExactly.
func (l *Limiter) untilFree() (d, interval time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	d = l.pausedUntil.Sub(now)
	if probe := l.slow.probeUntil.Sub(now); probe > max(d, 0) {
		return min(probe, max(d, lookForProbe)), 0
	}
	if !l.adjust(now) {
		return d, 0
	}
	limit := float64(l.bucket.Limit())
	if missing := 1 - l.bucket.TokensAt(now); missing > 0 {
		until := durationOf(missing / limit)
		if limit < l.full {
			until = min(until, lookAgain)
		}
		d = max(d, until)
	}
	if l.bucket.Burst() == 1 {
		interval = durationOf(1 / limit)
	}
	return d, interval
}

// take grants a request at this very moment, unless there is a pause. Reading
// the clock, looking for a pause and taking the token are one step under mu, so
// a Pause that has returned is never overtaken.
func (l *Limiter) take() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if now.Before(l.pausedUntil) || now.Before(l.slow.probeUntil) {
		return false
	}
	if l.adjust(now) && !l.bucket.AllowN(now, 1) {
		return false
	}
	l.slow.grant(now)
	return true
}
