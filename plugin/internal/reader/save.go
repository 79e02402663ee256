// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"context"
	"slices"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
)

// savers is how many checkpoints are written at once: a store across the
// network takes a millisecond or more for each.
const savers = 4

// markDirty notes that a chat's acknowledged checkpoint has moved, and when it is to
// be written: at once, or an interval after the last time. Caller holds mu.
func (r *Reader) markDirty(c *record) {
	if c.work.dirty {
		return
	}
	c.work.dirty = true
	r.keepOpen(c)
	if r.cfg.Store == nil {
		r.dirty.add(c, time.Now()) // nothing is written, so there is nothing to spare
		return
	}
	if !c.work.saving {
		r.dirty.add(c, r.started.Add(c.saved).Add(r.cfg.CheckpointInterval))
	}
}

// hurry has a chat's checkpoint written now. Caller holds mu.
func (r *Reader) hurry(c *record) {
	if w := c.work; w != nil && w.dirty && !w.saving && !w.hurried && w.saveFailures == 0 {
		w.hurried = true
		r.dirty.add(c, time.Now())
		r.changed.Broadcast()
	}
}

// save writes checkpoints as they fall due.
func (r *Reader) save() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !r.closed() {
		c, _, due := r.dirty.next(time.Now())
		if c != nil {
			r.mu.Unlock()
			_ = r.store(r.ctx, c)
			r.mu.Lock()
			continue
		}
		if !due.IsZero() {
			r.wakeAt(due)
		}
		r.changed.Wait()
	}
}

// store writes one chat's checkpoint. A write that fails is counted, reported
// and tried again later, and until one succeeds nothing more of this chat is
// delivered: what can't be remembered would be repeated after a crash.
func (r *Reader) store(ctx context.Context, c *record) error {
	r.mu.Lock()
	w := c.work
	if w == nil || !w.dirty || w.saving {
		// It was written meanwhile, or is being: who hurries gets in line twice.
		r.mu.Unlock()
		return nil
	}
	w.dirty, w.saving = false, true
	acked := w.acked
	acked.Seen = slices.Clone(acked.Seen)
	acked.Believed, acked.ShortPages = c.believed || c.doubted, r.shortPages
	r.mu.Unlock()

	var err error
	if r.cfg.Store != nil {
		var value []byte
		if value, err = chat.EncodeCheckpoint(acked); err == nil {
			err = r.cfg.Store.Save(ctx, c.id, value)
		}
	}

	r.mu.Lock()
	w.saving = false
	now := time.Now()
	c.saved = now.Sub(r.started)
	var retryIn time.Duration
	if err != nil {
		retryIn = r.retryStore(w.saveFailures)
		w.saveFailures++
		w.dirty = true
		r.dirty.add(c, now.Add(retryIn))
	} else {
		w.saveFailures, w.hurried = 0, false
		c.kept = pack(&acked)
		if w.dirty {
			r.dirty.add(c, now.Add(r.cfg.CheckpointInterval))
		}
		r.offer(c)
		r.settle(c)
	}
	r.changed.Broadcast()
	r.mu.Unlock()
	// One that was interrupted has not failed: Close writes it, or says that it could not.
	if err != nil && ctx.Err() == nil {
		r.cfg.Hooks.CheckpointFailed(c.id, err, retryIn)
	}
	return err
}
