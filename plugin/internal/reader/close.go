// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
)

// Close stops reading, waits for what it interrupted, and writes what has been
// acknowledged and not yet saved, as long as ctx lasts. What was delivered and
// is not acknowledged by then will be read again by the next Reader. It returns
// the first error of a write that failed. It may be called at any time but from
// a callback, and more than once: each call returns after the writing is done,
// and tries again what failed before.
func (r *Reader) Close(ctx context.Context) error {
	r.mu.Lock()
	r.cancel()
	r.changed.Broadcast()
	r.mu.Unlock()

	ended := make(chan struct{})
	go func() {
		r.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		return fmt.Errorf("waiting for what reads and writes to end: %w", ctx.Err())
	}

	r.mu.Lock()
	if r.alarm != nil {
		r.alarm.Stop()
	}
	told := r.told
	r.told = nil
	for _, c := range r.all() {
		if c.callers == nil {
			continue
		}
		for _, done := range slices.Concat(c.callers.current, c.callers.next) {
			told = append(told, func() { done(ErrClosed) })
		}
		c.callers = nil
	}
	r.mu.Unlock()

	for _, f := range told {
		f()
	}
	return r.flush(ctx)
}

// flush writes all checkpoints that are not up to date, after every other
// goroutine has ended.
func (r *Reader) flush(ctx context.Context) error {
	select {
	case r.flushing <- struct{}{}:
		defer func() { <-r.flushing }()
	case <-ctx.Done():
		return fmt.Errorf("waiting for another Close: %w", ctx.Err())
	}

	r.mu.Lock()
	var unsaved []*record
	for _, c := range r.all() {
		if c.work != nil && c.work.dirty {
			unsaved = append(unsaved, c)
		}
	}
	r.mu.Unlock()

	var writers errgroup.Group
	writers.SetLimit(savers)
	for _, c := range unsaved {
		writers.Go(func() error { return r.store(ctx, c) })
	}
	return writers.Wait()
}
