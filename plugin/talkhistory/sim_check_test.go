// SPDX-License-Identifier: Apache-2.0

package talkhistory_test

import (
	"strings"
	"time"
)

// saveSlack is how long after checkpoint_interval a checkpoint may be written: the store
// takes its time.
const saveSlack = 5 * time.Second

// wanted says that a message has to come out, once the account is calm. Caller holds mu.
func (w *simWorld) wanted(m *simMessage) bool {
	c := &w.cfg
	switch {
	case m.lost(), m.gone != never:
		return false
	case c.origins && m.t.origin != simOrigins[0]:
		return false
	case m.second() < c.since:
		return false
	case c.cut > 0 && !w.named(m.t):
		return false
	case c.latest:
		return !w.store.forgot && m.came > w.store.started+2*time.Second
	}
	return true
}

// named says that a talk has had news in the last life, so that the feed names it.
func (w *simWorld) named(t *simTalk) bool {
	last := w.lives[len(w.lives)-1]
	for _, m := range t.messages {
		if m.shown > last.began+time.Second {
			return true
		}
	}
	return false
}

// visible is when a message can be found.
func (w *simWorld) visible(m *simMessage) time.Duration { return max(m.listed, m.shown) }

// checkWanted checks that a message which came was to come. Caller holds mu.
func (l *simLife) checkWanted(m *simMessage) {
	c := &l.w.cfg
	switch {
	case c.origins && m.t.origin != simOrigins[0]:
		l.w.violated("selection", "%s is of another channel", m)
	case m.second() < c.since:
		l.w.violated("selection", "%s is older than since", m)
	case c.latest && m.came < l.w.api.begun-2*time.Second && m.t.opened < l.w.api.begun-2*time.Second:
		l.w.violated("selection", "%s was there before the start", m)
	}
}

// checkOrder checks that a message does not come after a newer one, unless it was listed
// after that was, or came late. Caller holds mu.
func (l *simLife) checkOrder(m *simMessage) {
	if m.behind || m.rejected || m.late {
		return
	}
	for _, o := range m.t.order {
		if o.second() > m.second() && !o.rejected {
			l.w.violated("order", "%s came after %s", m, o)
			return
		}
	}
}

// checkRepeat checks that a message which comes to a new life was not acknowledged and
// saved in another one. What came late with an older time may be announced again, when its id
// is no longer known. Caller holds mu.
func (l *simLife) checkRepeat(m *simMessage) {
	if m.saved && !m.late && !l.w.store.forgot && !l.w.deceives() {
		l.w.violated("repeats", "%s was acknowledged and saved", m)
	}
}

// deceives says that the API gives short pages, for which talks are read again from their
// beginning when that turns out.
func (w *simWorld) deceives() bool { return w.cfg.talk.Cap > 0 }

// savedBefore notes what has to be in the store, of what was acknowledged before a time.
// Caller holds mu.
func (l *simLife) savedBefore(at time.Duration) {
	w := l.w
	for _, m := range w.said {
		if m.life == l && m.acked < at && !w.mayBeUnsaved(m) {
			m.saved = true
		}
	}
}

// mayBeUnsaved says that a checkpoint may not cover a message although it was acknowledged: the
// store has failed, or something before it in its talk is still out.
func (w *simWorld) mayBeUnsaved(m *simMessage) bool {
	if w.store.trouble > m.acked-w.cfg.interval-saveSlack {
		return true
	}
	for o, f := range m.life.flights {
		if o.t == m.t && f.left[o] {
			return true
		}
	}
	return false
}

// checkLine checks a line of the log. Caller holds mu.
func (l *simLife) checkLine(line string) {
	w := l.w
	if strings.Contains(line, "private") || strings.Contains(line, l.Name) {
		w.violated("secrets", "something private is in the log: %s", line)
	}
	_, ids, is := strings.Cut(line, "which can't be told apart: ")
	if !is {
		return
	}
	for id := range strings.SplitSeq(ids, ", ") {
		m := w.known[id]
		switch {
		case id == "…":
			w.unnamed = true
			continue
		case m == nil:
			w.violated("missing", "what there never was is said to be missing: %s", id)
			continue
		case m.is(w.now()) && m.listed < w.now()-time.Minute:
			w.violated("missing", "%s is said to be missing, and is there", m)
		case m.reportedBy == l:
			w.violated("missing", "%s is said to be missing twice in one life", m)
		}
		m.reportedBy = l
	}
}

// missing returns what has to come and has not, and what has to be said to be missing and
// was not. Caller holds mu.
func (w *simWorld) missing() (out []string) {
	for _, m := range w.said {
		if w.wanted(m) && m.accepted == never {
			out = append(out, m.String()+" has not come")
		}
		if m.lost() && m.reportedBy == nil && w.announced(m) && !w.unnamed {
			out = append(out, m.String()+" is not said to be missing")
		}
	}
	return out
}

// announced says that a message is looked for.
func (w *simWorld) announced(m *simMessage) bool {
	c := &w.cfg
	return (!c.origins || m.t.origin == simOrigins[0]) && m.created >= c.since && !c.latest && c.cut == 0 && c.discover == "events" && !w.store.forgot
}

// checkRate checks that no life made more requests than it may. Caller holds mu.
func (w *simWorld) checkRate() {
	sent := map[*simLife][]time.Duration{}
	for _, s := range w.api.ledger {
		sent[s.life] = append(sent[s.life], s.at)
	}
	for l, at := range sent {
		// A bucket that holds burst requests and gets rps a second.
		level, last := float64(w.cfg.burst), l.began
		for i, t := range at {
			level = min(float64(w.cfg.burst), level+(t-last).Seconds()*w.cfg.rps)
			if last = t; level < 0.99 {
				w.violated("limit", "request %d of life %d, at %s, is one too many", i+1, l.n, t)
				return
			}
			level--
		}
	}
}
