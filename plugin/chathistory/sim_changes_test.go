// SPDX-License-Identifier: Apache-2.0

package chathistory_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// simState is what became of a message's bytes, and what a consumer has of it that does
// what kommo_operation says.
type simState struct {
	versions []string // its bodies, the last is the API's
	has      int      // which of them the consumer has; simNothing: none
	told     bool     // something else than a create has come
	lost     bool     // the consumer has got it, and a process ended before the store knew that
}

const simNothing = -1

// simWords are in each message, and become others with an edit.
const simWords = ", as it was sent"

// edit changes the bytes of messages between two requests, or deletes one. Caller holds mu.
func (c *simChat) edit(request int, now time.Duration) {
	if c.edits == 0 || c.w.calm || len(c.items) == 0 {
		return
	}
	r := c.w.rnd("edit", c.n, request)
	if !chance(r, 25) {
		return
	}
	c.edits--
	if chance(r, 25) {
		c.change(r, simChange{at: now, kind: changeDelete, n: 1, pos: r.Float64()})
		return
	}
	for range 1 + r.IntN(4) {
		c.items[c.nearTop(r)].edit()
	}
	c.w.note("edit", c, 0, 0, "")
}

// nearTop draws a message, more often a new one.
func (c *simChat) nearTop(r *rand.Rand) int {
	n := len(c.items)
	if chance(r, 50) {
		n = min(n, 5)
	}
	return r.IntN(n)
}

// edit gives a message other bytes. What has no id would be another message.
func (m *simMsg) edit() {
	if m.null || m.noID {
		return
	}
	m.body = strings.Replace(m.versions[0], simWords, ", edited "+strconv.Itoa(len(m.versions)), 1)
	m.versions = append(m.versions, m.body)
	m.c.w.bodies[m.body] = m
}

// simGot is what the output was told to do with a message.
type simGot struct{ op, body string }

func simGotOf(m *service.Message, body string) simGot {
	op, _ := m.MetaGet("kommo_operation")
	return simGot{op, body}
}

// creates says that the message is delivered, and no change of it.
func (g simGot) creates() bool { return g.op == "" || g.op == "create" }

// named returns the message that a deletion names.
func (w *simWorld) named(m *service.Message) *simMsg {
	chat, _ := m.MetaGet("kommo_chat_id")
	id, _ := m.MetaGet("kommo_message_id")
	body, _ := m.AsBytes()
	c := w.byID[chat]
	if c == nil || string(body) != "{}" {
		return nil
	}
	for _, o := range c.all {
		if !o.null && !o.noID && strings.Contains(o.body, `"`+id+`"`) {
			return o
		}
	}
	return nil
}

// checkChange checks that what a message came for has happened. Caller holds mu.
func (p *simProcess) checkChange(m *simMsg, g simGot) {
	w := p.w
	switch {
	case (g.op == "") != (w.cfg.changes == 0):
		w.violated(9, "%s came with the operation %q", m, g.op)
	case g.creates():
	case m.accepted == noTime && !w.blurred() && w.cfg.order:
		w.violated(9, "%s came as %s, and never before", m, g.op)
	case g.op == "delete" && m.gone == noTime:
		w.violated(9, "%s was called deleted, and is there", m)
	case g.op == "update" && len(m.versions) == 1 && !m.told:
		w.violated(9, "%s came as an update, and never changed", m)
	}
}

// take does what the consumer is told. Caller holds mu.
func (m *simMsg) take(g simGot) {
	m.told = m.told || !g.creates()
	m.lost = m.lost && g.op == "delete"
	m.has = simNothing
	for i, body := range m.versions {
		if body == g.body {
			m.has = i
		}
	}
}

// forgetUnsaved notes what the consumer has and no checkpoint knows, now that a process
// has ended: should it be deleted before the next one reads it, nobody can tell. Caller
// holds mu.
func (w *simWorld) forgetUnsaved() {
	if w.cfg.changes == 0 {
		return
	}
	for _, c := range w.chats {
		known := w.store.surely(c)
		for _, m := range c.all {
			m.lost = m.lost || m.has != simNothing && !known.has(m.n)
		}
	}
}

// unlike returns a message of which the consumer has other bytes than the API, though it
// must have these. Caller holds mu.
func (w *simWorld) unlike() *simMsg {
	// What the store forgets, the next process does not know; and what a server does not
	// show at all is not there for anybody.
	const (
		doubtful = "rot,torn,forgets,expires,older,hidden,hiddenpages,capped"
		errant   = "skew,ahead,future,epoch,imports,msecseconds,notime,clockoff"
	)
	if w.cfg.lookback != simWide || !w.cfg.order || w.queue != nil || !w.cfg.cache || w.on&simSetOf(doubtful) != 0 {
		return nil
	}
	for _, c := range w.chats {
		if c.lasting() || c.deceived || len(c.all) > 900 {
			continue
		}
		if (w.on&simSetOf(errant) != 0 || !w.cfg.since.IsZero()) && len(c.all) > w.cfg.pageSize*w.cfg.maxBufferedPages {
			// A time that errs hides what is more than may be held; and below the oldest that since
			// let through nothing was delivered that would tell its place.
			continue
		}
		for _, m := range c.all {
			switch {
			case m.null, m.noID, m.accepted == noTime, m.lost, !m.watched():
			case w.cfg.latest && m.key/1000 <= w.serverMs(c.freshSaved)/1000:
				// It shares its second with what the first look left out.
			case w.on.has(simFreeOrder) && slices.ContainsFunc(c.all[:m.n], func(o *simMsg) bool { return o.key/1000 == m.key/1000 }):
				// It may have come below what had been read of its second.
			case m.gone != noTime && m.has != simNothing, m.gone == noTime && m.has != len(m.versions)-1:
				return m
			}
		}
	}
	return nil
}

// watched says that a message lies within the lookback by a time that tells where it is
// listed.
func (m *simMsg) watched() bool {
	w := m.c.w
	sent := w.serverMs(max(m.at, -simWide/2))
	return m.time/1000 == m.key/1000 && m.key > sent-simWide.Milliseconds()/2 && m.key < sent+time.Minute.Milliseconds() && !w.on.has(simMsecSeconds)
}

// awaitChanges goes on until the consumer has what the API has, in as many processes as
// that takes. A deletion takes two whole passes.
func (w *simWorld) awaitChanges(p *simProcess) *simProcess {
	if w.cfg.changes == 0 {
		return p
	}
	w.mu.Lock()
	deadline := w.now() + w.bound()
	w.mu.Unlock()
	for lives := 0; ; lives++ {
		w.mu.Lock()
		m, over := w.unlike(), lives > 5 && !w.endless() || w.now() > deadline
		if m != nil && over && len(w.broken) == 0 {
			w.violated(9, "the consumer has version %d of %d of %s, which is gone: %v", m.has, len(m.versions), m, m.gone != noTime)
		}
		broken := len(w.broken) > 0
		w.mu.Unlock()
		switch {
		case m == nil, over, broken:
			return p
		case w.endless():
			p.until(w.now() + w.cfg.poll + 5*time.Second)
		default:
			p = w.outlive(p)
		}
	}
}
