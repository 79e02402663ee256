// SPDX-License-Identifier: Apache-2.0

package reader

import "github.com/kommo-connect/kommo-connect/plugin/internal/chat"

// doubt is what was known of a chat that is read from its beginning again, for its end was
// believed where short pages mislead. Its checkpoint begins anew, so that after a crash this goes
// on; what was delivered before counts again when a pass has come to the chat's end.
type doubt struct {
	known chat.Checkpoint
	all   bool // somebody wants all of it once more
	ended bool // a pass has come to the chat's end
}

// believe notes that a chat's end was believed by the pass that is going on.
func (r *Reader) believe(c *record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shortPages {
		// That came out while this pass was going on.
		c.doubted, c.again = true, true
		r.keepOpen(c)
		return
	}
	if !c.believed && (c.kept != "" || c.work.saving) {
		r.markDirty(c)
	}
	c.believed = true
}

// foundShortPages is chat.Start.OnShortPages.
func (r *Reader) foundShortPages() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.doubtEnds()
}

// doubtEnds has all chats read again whose end was believed, those too that were forgotten since. The
// checkpoints say the same to another process. Caller holds mu.
func (r *Reader) doubtEnds() {
	r.shortPages = true
	for _, id := range r.memory.believed() {
		if r.chats[id] == nil {
			r.enter(id)
		}
	}
	again := 0
	for _, c := range r.all() {
		if c.believed {
			again++
			c.believed, c.doubted = false, true
			r.readAgain(c)
		}
	}
	r.told = append(r.told, func() { r.cfg.Hooks.ShortPages(again) })
	r.changed.Broadcast()
}

// beginDoubt sets a chat that is quiet back to its beginning, for a pass that begins. Caller
// holds Reader.mu.
func (c *record) beginDoubt() {
	w := c.work
	if w.doubt == nil {
		w.doubt = &doubt{known: w.acked}
	}
	w.doubt.ended = false
	w.doubt.all = w.doubt.all || c.rereadFrom != nil || w.reread != nil
	w.read, w.acked, w.known, w.restart = chat.Checkpoint{}, chat.Checkpoint{}, false, true
	c.doubted, w.reread, c.rereadFrom = false, nil, nil
}

// news leaves out of what a pass emits what was delivered before and has not changed.
// A nil doubt leaves out nothing. Caller holds Reader.mu.
func (d *doubt) news(items []chat.Item) []chat.Item {
	if d == nil || d.all {
		return items
	}
	items, notes := d.known.Unknown(items)
	d.known.Note(notes)
	return items
}

// takes notes the changes in what is pending now. Caller holds Reader.mu.
func (d *doubt) takes(items []chat.Item) {
	for i := range items {
		if it := &items[i]; d != nil && it.Op == chat.Update {
			d.known.Note([]chat.Seen{{ID: it.ID, Hash: it.Hash}})
		}
	}
}

// endDoubt has the checkpoint cover what was known too, once all that was found beside it is
// acknowledged. Caller holds mu.
func (r *Reader) endDoubt(c *record) {
	w := c.work
	if w == nil || w.doubt == nil || !w.doubt.ended || !w.quiet() {
		return
	}
	if w.doubt.all {
		w.acked.CatchUp(&w.doubt.known)
	} else {
		w.acked.Join(&w.doubt.known)
	}
	w.doubt, w.read = nil, w.acked
	if w.known = w.acked.Begun(); w.known {
		r.markDirty(c)
	}
}
