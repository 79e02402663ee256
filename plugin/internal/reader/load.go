// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"errors"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
	"github.com/kommo-connect/kommo-connect/plugin/internal/checkpoint"
)

// load gets the chat's checkpoint, unless it is at hand. With an error it also
// returns when the store is to be asked again.
//
// What this process has read or written before counts even where the Store has
// lost it. A chat that was forgotten may have been read by another process since, so
// there only a checkpoint that is older than ours is a loss.
func (r *Reader) load(c *record) (retryIn time.Duration, err error) {
	w := c.work
	if w.loaded {
		return 0, nil
	}
	var value []byte
	err = checkpoint.ErrNone
	if r.cfg.Store != nil {
		value, err = r.cfg.Store.Load(r.ctx, c.id)
	}
	missing := errors.Is(err, checkpoint.ErrNone)
	if err != nil && !missing {
		retryIn = r.retryStore(int(c.loadFailures))
		if r.ctx.Err() == nil {
			r.cfg.Hooks.CheckpointFailed(c.id, err, retryIn)
		}
		c.loadFailures = min(c.loadFailures+1, 100)
		return retryIn, err
	}
	c.loadFailures = 0
	var (
		cp      chat.Checkpoint
		corrupt error
	)
	if !missing {
		cp, corrupt = chat.DecodeCheckpoint(value)
	}
	lost := false
	if c.kept != "" {
		mine := c.kept.unpack()
		lost = missing || corrupt != nil || cp.OlderThan(&mine) || !r.cfg.OncePerAdd && pack(&cp) != c.kept
		if lost {
			cp, corrupt, missing = mine, nil, false
			lost = r.cfg.Store != nil
		}
	}

	r.mu.Lock()
	w.loaded = true
	w.known = !missing && corrupt == nil
	w.restart = corrupt != nil
	w.read, w.acked = cp, cp
	if w.known {
		c.kept = pack(&cp)
	}
	if cp.ShortPages && !r.shortPages {
		r.doubtEnds()
	}
	if cp.Believed {
		c.believed, c.doubted = !r.shortPages, r.shortPages
	}
	if lost {
		r.markDirty(c)
	}
	r.mu.Unlock()
	if lost {
		r.cfg.Hooks.CheckpointVanished(c.id)
	}
	tell := corrupt != nil && !c.corruptTold
	c.corruptTold = corrupt != nil
	if tell {
		r.cfg.Hooks.CheckpointCorrupt(c.id, corrupt)
	}
	return 0, nil
}

// retryStore is how long a store is left alone that has failed once, and so many
// times before that.
func (r *Reader) retryStore(failures int) time.Duration {
	return r.doubled(100*time.Millisecond, failures)
}
