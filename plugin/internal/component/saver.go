// SPDX-License-Identifier: Apache-2.0

package component

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
)

// Signal wakes whoever waits for it. One that nobody waits for yet is kept.
type Signal chan struct{}

// NewSignal returns one that was not sent.
func NewSignal() Signal { return make(Signal, 1) }

// Send sends it.
func (s Signal) Send() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// Saver writes how far something was acknowledged, at most once in an interval. While
// that fails nothing more should be read: what can't be remembered would be repeated
// after a crash.
type Saver struct {
	Save     func(ctx context.Context) error
	Interval time.Duration
	Backoff  apicall.Backoff
	// Saved is told of each success, and Failed of each failure, with when it is tried
	// again.
	Saved  func()
	Failed func(err error, retryIn time.Duration)

	// Moved is sent when there may be something to save.
	Moved Signal
	stuck atomic.Bool
}

// Stuck says that the last try failed.
func (s *Saver) Stuck() bool { return s.stuck.Load() }

// Run saves until the context ends.
func (s *Saver) Run(ctx context.Context) {
	for failures := 0; ; {
		if failures == 0 {
			select {
			case <-s.Moved:
			case <-ctx.Done():
				return
			}
		}
		wait := s.Interval
		if err := s.Save(ctx); err == nil {
			failures = 0
			s.stuck.Store(false)
			s.Saved()
		} else if ctx.Err() == nil {
			wait = s.Backoff.Doubled(failures)
			failures++
			s.stuck.Store(true)
			s.Failed(err, wait)
		}
		if apicall.Sleep(ctx, wait) != nil {
			return
		}
	}
}
