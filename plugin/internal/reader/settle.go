// SPDX-License-Identifier: Apache-2.0

package reader

// settle draws the consequences of whatever has just happened to a chat: who is
// told, what comes next, what can be forgotten. Caller holds mu, and broadcasts.
func (r *Reader) settle(c *record) {
	w := c.work
	quiet := w.quiet()
	if c.phase != reading {
		r.endReread(c)
		r.endDoubt(c)
	}
	done := quiet && w.stored()
	if done && c.phase != reading && !c.failing() && c.loadFailures == 0 && c.rereadFrom == nil && !c.unfinished {
		r.tellAll(c)
	}
	forever := r.cfg.Poll > 0 && !r.cfg.OncePerAdd
	if c.phase == resting && (quiet || !r.cfg.PreserveOrder) {
		switch {
		case c.again && (quiet || !c.doubted && c.rereadFrom == nil && !c.unfinished):
			c.again = false
			r.queue(c)
		case forever:
			r.sleep(c, r.rest(c))
		case quiet && !r.cfg.OncePerAdd:
			r.hurry(c)
		}
	}
	if c.open && c.phase == resting && !c.again && !forever && done {
		c.open = false
		r.open--
	}
	r.setState(c, r.stateOf(c, quiet))
	if done && c.phase != reading && w != nil {
		c.work = nil
	}
	if r.cfg.OncePerAdd && c.work == nil && c.phase == resting && !r.watch(c) {
		r.forget(c)
	}
}

// readAgain has one more pass follow, whatever a chat is doing. Caller holds mu.
func (r *Reader) readAgain(c *record) {
	if c.watched {
		r.unwatch(c)
		r.queue(c)
		return
	}
	c.again = true
	r.keepOpen(c)
	r.settle(c)
}

// keepOpen notes that Next can't end before this chat's next pass has. Caller holds
// mu.
func (r *Reader) keepOpen(c *record) {
	if !c.open {
		c.open = true
		r.open++
	}
}

// forget takes a chat out of the Reader, but for what was kept of it. Caller holds
// mu.
func (r *Reader) forget(c *record) {
	r.memory.remember(c.id, c.kept)
	delete(r.chats, c.id)
	c.sleep++
	if !c.ended {
		r.unread--
	}
	if c.open {
		c.open = false
		r.open--
	}
	r.counts[c.state]--
	r.cfg.Hooks.State(c.state, r.counts[c.state])
}

func (r *Reader) stateOf(c *record, quiet bool) State {
	switch {
	case c.failing(), c.phase != reading && c.loadFailures > 0:
		return Failing
	case c.phase == reading:
		return Reading
	case !quiet:
		return Delivering
	case c.phase == queued:
		return Waiting
	default:
		return Done
	}
}

func (r *Reader) setState(c *record, s State) {
	if c.state == s {
		return
	}
	r.counts[c.state]--
	r.counts[s]++
	r.cfg.Hooks.State(c.state, r.counts[c.state])
	r.cfg.Hooks.State(s, r.counts[s])
	c.state = s
}
