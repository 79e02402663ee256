// SPDX-License-Identifier: Apache-2.0

package apicall

import (
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Defaults of [Backoff].
const (
	DefaultInitialInterval = 500 * time.Millisecond
	DefaultMaxInterval     = 30 * time.Second
)

// Backoff says how long a call waits between its attempts: about InitialInterval
// first, growing by half each time, each wait drawn from ±50% around that so
// that callers which failed together don't come back together. Its zero value
// is ready.
type Backoff struct {
	// InitialInterval is the middle of the first wait. 0 means
	// [DefaultInitialInterval].
	InitialInterval time.Duration

	// MaxInterval is the longest wait, jitter included; only Retry-After asks for
	// more. 0 means [DefaultMaxInterval].
	MaxInterval time.Duration

	// MaxElapsedTime is how long a call goes on, counted from its first attempt.
	// A wait that would end later is not begun. 0 means that a call never gives
	// up.
	MaxElapsedTime time.Duration
}

// Doubled is the wait after so many failures in a row, for what is tried again outside of a
// call: InitialInterval, doubled each time, and MaxInterval at most.
func (b Backoff) Doubled(failures int) time.Duration {
	return min(b.InitialInterval<<min(failures, 20), b.MaxInterval)
}

func (b Backoff) withDefaults() Backoff {
	if b.InitialInterval <= 0 {
		b.InitialInterval = DefaultInitialInterval
	}
	if b.MaxInterval <= 0 {
		b.MaxInterval = DefaultMaxInterval
	}
	return b
}

// intervals are the waits of one call. They are not safe for concurrent use.
type intervals struct {
	exp *backoff.ExponentialBackOff
	max time.Duration
}

// intervals starts anew. MaxElapsedTime is not the library's business here,
// because a wait can be longer than the library's interval.
func (b Backoff) intervals() intervals {
	exp := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(min(b.InitialInterval, b.MaxInterval)),
		backoff.WithMaxInterval(b.MaxInterval),
		backoff.WithRandomizationFactor(0.5),
		backoff.WithMaxElapsedTime(0),
	)
	return intervals{exp: exp, max: b.MaxInterval}
}

// next is the wait before the next attempt. The library draws up to 1.5 times
// its maximum, hence the min.
func (i intervals) next() time.Duration {
	return min(i.exp.NextBackOff(), i.max)
}
