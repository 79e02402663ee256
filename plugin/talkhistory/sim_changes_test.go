// SPDX-License-Identifier: Apache-2.0

package talkhistory_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// simWide is a lookback that reaches further back than any message.
const simWide = 30 * 24 * time.Hour

// simChanges is what becomes of a message's bytes, and what a consumer has of it that does
// what kommo_operation says.
type simChanges struct {
	edits   []time.Duration // when it gets other bytes
	has     int             // how many of the edits the consumer has; simNothing: it has no such message
	untold  bool            // the consumer has it, and a process ended before a checkpoint surely knew that
	changed *simLife        // that brought the last change
}

const simNothing = -1

// setupChanges draws whether the input looks for changes, and which there are.
// KOMMO_SIM_CHANGES=false leaves all runs as they were without.
func (w *simWorld) setupChanges() {
	for _, m := range w.said {
		m.has = simNothing
	}
	r := w.rnd("changes")
	c := &w.cfg
	switch os.Getenv("KOMMO_SIM_CHANGES") {
	case "true":
	case "false":
		return
	default:
		if !chance(r, 40) {
			return
		}
	}
	// To look for them takes a quarter of what may be asked.
	c.changes = between(r, 10*time.Second, 2*time.Minute) + time.Duration(4*w.requests()/c.rps*float64(time.Second))
	if c.lookback = oneOf(r, simWide, simWide, time.Minute, 10*time.Minute); c.lookback == simWide && (!c.talk.KeepFrom || !c.talk.KeepTo) {
		c.bufferedPages = max(c.bufferedPages, 2*mostMessages/c.pageSize)
	}
	if c.lookback < c.feedLag {
		c.lookback = 10 * time.Minute // what is announced later than that no checkpoint tells from what was delivered
	}
	for _, t := range w.talks {
		d := w.rnd("edits", t.n)
		often := oneOf(d, 0, 5, 30)
		for _, m := range t.messages {
			for chance(d, often) && !m.lost() && len(m.edits) < 3 {
				m.edits = append(m.edits, between(d, max(0, m.listed), max(0, m.listed)+c.chaos))
			}
			slices.Sort(m.edits)
		}
	}
}

// requests returns how many it takes at most to read all talks once.
func (w *simWorld) requests() (n float64) {
	for _, t := range w.talks {
		n += 4 + 2*float64(len(t.messages))/float64(w.cfg.pageSize-1)
	}
	return n
}

// version returns a message's bytes after so many edits.
func (m *simMessage) version(edits int) string {
	if edits == 0 {
		return m.body()
	}
	return strings.Replace(m.body(), "private words", fmt.Sprintf("private words, edited %d", edits), 1)
}

// edited returns how many edits there were by a time.
func (m *simMessage) edited(at time.Duration) (n int) {
	for n < len(m.edits) && m.edits[n] <= at {
		n++
	}
	return n
}

// simGot is what the output was told to do with a message.
type simGot struct {
	op      string
	version int
}

// creates says that the message is delivered, and no change of it.
func (g simGot) creates() bool { return g.op == "" || g.op == "create" }

// got returns what the output is told of the message, or false if its bytes never were the
// message's. Caller holds mu.
func (m *simMessage) got(told *service.Message) (simGot, bool) {
	raw, _ := told.AsBytes()
	body := string(raw)
	op, _ := told.MetaGet("kommo_operation")
	if op == "delete" {
		return simGot{op, simNothing}, body == "{}"
	}
	for n := range m.edited(m.t.w.now()) + 1 {
		if m.version(n) == body {
			return simGot{op, n}, true
		}
	}
	return simGot{}, false
}

// checkChange checks that what a message comes for has happened, and is news. Caller holds mu.
func (l *simLife) checkChange(m *simMessage, g simGot) {
	w := l.w
	switch {
	case (g.op == "") != (w.cfg.changes == 0):
		w.violated("changes", "%s came with the operation %q", m, g.op)
	case g.creates():
	case m.accepted == never:
		w.violated("changes", "%s came as %s, and never before", m, g.op)
	case g.op == "delete" && m.gone > w.now():
		w.violated("changes", "%s was called deleted, and is there", m)
	case g.op == "update" && g.version == 0:
		w.violated("changes", "%s came as an update, and had not changed", m)
	case m.changed == l && m.has == g.version:
		w.violated("changes", "%s came twice in one life as the same %s", m, g.op)
	}
}

// takes does what the consumer is told. Caller holds mu.
func (l *simLife) takes(m *simMessage, g simGot) {
	m.has, m.untold = g.version, m.untold && g.op == "delete"
	if !g.creates() {
		m.changed = l
	}
}

// forgetUnsaved notes what the consumer has and no checkpoint surely knows, now that a process
// has ended: should it be deleted before the next one reads it, nobody can tell. Caller
// holds mu.
func (w *simWorld) forgetUnsaved() {
	for _, m := range w.said {
		m.untold = m.untold || m.has != simNothing && !m.saved
	}
}

// unlike returns a message of which the consumer has other bytes than the API, though it
// must have these. Caller holds mu.
func (w *simWorld) unlike() *simMessage {
	c := &w.cfg
	if c.changes == 0 || c.lookback != simWide || c.cut > 0 || c.latest || w.store.forgot || w.deceives() {
		return nil
	}
	now := w.now()
	for _, m := range w.said {
		switch {
		case m.accepted == never, m.untold, m.late, m.gone <= now && m.has == simNothing, m.gone > now && m.has == m.edited(now):
		default:
			return m
		}
	}
	return nil
}

// awaitChanges goes on until the consumer has what the API has, in as many lives as that
// takes. A deletion takes two readings.
func (w *simWorld) awaitChanges(l *simLife) *simLife {
	w.mu.Lock()
	slow := time.Duration(len(w.said)*w.cfg.slowMS) * time.Millisecond
	deadline := w.now() + 2*w.cfg.chaos + 6*(w.cfg.changes+w.cfg.poll+slow)
	w.mu.Unlock()
	for {
		w.mu.Lock()
		m, late := w.unlike(), w.now() > deadline
		if m != nil && late {
			w.violated("changes", "the consumer has edit %d of %v of %s", m.has, m.edits, m)
		}
		done := m == nil || late || len(w.broken) > 0
		w.mu.Unlock()
		if done {
			return l
		}
		if l.until(w.now() + 10*time.Second) {
			l.endedAlone()
			time.Sleep(time.Second)
			l = w.start()
		}
	}
}
