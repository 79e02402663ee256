// SPDX-License-Identifier: Apache-2.0

package apicall

import (
	"context"
	"math"
	"time"
)

// Sleep returns nil after d, or ctx.Err() as soon as ctx ends. It takes no time where d is
// 0 or less.
func Sleep(ctx context.Context, d time.Duration) error {
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// durationOf rounds seconds up to the next nanosecond, and down to the longest
// duration there is: a wait that ends early would have to be repeated.
func durationOf(seconds float64) time.Duration {
	ns := math.Ceil(seconds * float64(time.Second))
	if ns >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(ns)
}
