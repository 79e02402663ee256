// SPDX-License-Identifier: Apache-2.0

package history

import (
	"context"
	"slices"
	"time"
)

// hurry has a chat's checkpoint written now. Caller holds mu.
func (r *Reader) hurry(c *chat) {
	if w := c.work; w != nil && w.dirty && !w.saving && !w.hurried && w.unsaved == 0 {
		w.hurried = true
		r.dirty.add(c, time.Now())
		r.changed.Broadcast()
	}
}

// mark notes that a chat's acknowledged checkpoint has moved, and when it is to
// be written: at once, or an interval after the last time. Caller holds mu.
func (r *Reader) mark(c *chat) {
	if c.work.dirty {
		return
	}
	c.work.dirty = true
	if r.cfg.Store == nil {
		r.dirty.add(c, time.Now()) // nothing is written, so there is nothing to spare
		return
	}
	if !c.work.saving {
		r.dirty.add(c, r.started.Add(c.saved).Add(r.cfg.CheckpointInterval))
	}
}

// save writes checkpoints as they fall due.
func (r *Reader) save() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !r.closed {
		now := time.Now()
		c, _, wait, ok := r.dirty.next(now)
		switch {
		case c != nil:
			r.mu.Unlock()
			_ = r.store(r.ctx, c)
			r.mu.Lock()
			continue
		case ok:
			r.wakeAt(now.Add(wait))
		}
		r.changed.Wait()
	}
}

// store writes one chat's checkpoint. A write that fails is counted, reported
// and tried again later, and until one succeeds nothing more of this chat is
// handed out: what can't be remembered would be repeated after a crash.
func (r *Reader) store(ctx context.Context, c *chat) error {
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
	r.mu.Unlock()

	var err error
	if r.cfg.Store != nil {
		var value []byte
		if value, err = EncodeCheckpoint(acked); err == nil {
			err = r.cfg.Store.Save(ctx, c.id, value)
		}
	}

	r.mu.Lock()
	w.saving = false
	now := time.Now()
	c.saved = now.Sub(r.started)
	var retryIn time.Duration
	switch {
	case err != nil:
		retryIn = r.retryStore(w.unsaved)
		w.unsaved++
		w.dirty = true
		r.dirty.add(c, now.Add(retryIn))
	default:
		w.unsaved, w.hurried = 0, false
		c.kept = pack(&acked)
		if w.dirty {
			r.dirty.add(c, now.Add(r.cfg.CheckpointInterval))
		}
		r.offer(c)
		r.settle(c)
	}
	interrupted := r.closed && ctx.Err() != nil
	r.changed.Broadcast()
	r.mu.Unlock()
	if err != nil && !interrupted {
		r.cfg.Hooks.CheckpointFailed(c.id, err, retryIn)
	}
	return err
}
