// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
)

// reread is how far a chat has been delivered again that was delivered before, while it is.
type reread struct {
	acked chat.Checkpoint // as far as acknowledged without a gap
	moved bool            // something was
	ended bool            // a pass has come to the chat's end
	// back is where the chat was set back from, until a pass finds something: what that has
	// not met yet is told by it, not by what comes next.
	back chat.Checkpoint
}

// Reread has a chat read as Add does, and what was sent at a time or later delivered
// again, to the second. The zero time, and any before 1970, stands for all of it. What of the chat is
// read and not acknowledged comes first. It takes Config.OncePerAdd.
//
// The checkpoint moves when all of that was acknowledged. After a crash before that the
// chat goes on from where it was, and whoever wants it read again has to say so again.
func (r *Reader) Reread(id string, from time.Time, done func(error)) {
	if from.Unix() <= 0 {
		from = time.Time{}
	}
	r.add(id, &from, done)
}

// wantReread notes that a chat is to be read again from a time. Caller holds mu.
func (c *record) wantReread(from time.Time) {
	if c.rereadFrom == nil || from.Before(*c.rereadFrom) {
		c.rereadFrom = &from
	}
}

// mostSkew is how much this machine's clock may be ahead of the server's.
const mostSkew = 10 * time.Minute

// beginReread sets a chat that is quiet back, for a pass that begins. One of which nothing
// is known is read from its beginning as it is, but for Config.Latest. Caller holds mu.
func (r *Reader) beginReread(c *record) {
	w, from := c.work, *c.rereadFrom
	c.rereadFrom = nil
	switch {
	case w.known, w.reread != nil:
		if w.reread == nil {
			w.reread = &reread{}
		}
		if len(w.reread.back.Seen) == 0 {
			w.reread.back = w.read
		}
		if w.reread.ended = false; from.IsZero() {
			w.read, w.known, w.restart = chat.Checkpoint{}, false, true
		} else if w.known {
			w.read = w.read.Rewound(from.UnixMilli())
		}
		w.reread.acked = w.read
	case from.IsZero():
		w.restart = true
	case r.cfg.Latest && !w.restart:
		if now := time.Now().Add(-mostSkew); from.After(now) {
			from = now // what arrives from now on must not look as if it was from before that
		}
		w.read, w.known = chat.Checkpoint{From: from.Unix() * 1000}, true
		w.acked = w.read
		r.markDirty(c)
	}
}

// endReread has the checkpoint follow, once all that was read again is acknowledged. Caller
// holds mu.
func (r *Reader) endReread(c *record) {
	w := c.work
	if w == nil || w.reread == nil || !w.reread.ended || !w.quiet() {
		return
	}
	again := w.reread
	w.reread, w.known = nil, true
	if again.moved {
		again.acked.CatchUp(&w.acked)
		w.acked = again.acked
		r.markDirty(c)
	}
	w.read = w.acked
}

// reached is the checkpoint that moves with what is acknowledged next.
func (w *work) reached() *chat.Checkpoint {
	if w.reread != nil {
		return &w.reread.acked
	}
	return &w.acked
}

// advanced notes that it has moved. Caller holds mu.
func (r *Reader) advanced(c *record) {
	if again := c.work.reread; again != nil {
		again.moved = true
		return
	}
	r.markDirty(c)
}
