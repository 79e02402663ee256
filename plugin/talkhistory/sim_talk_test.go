// SPDX-License-Identifier: Apache-2.0

package talkhistory_test

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// mostMessages is how many messages a talk has at most.
const mostMessages = 250

var simOrigins = []string{"waba", "telegram"}

// simTalk is a talk and all that will ever be in it.
type simTalk struct {
	w        *simWorld
	n        int // from 0
	id       string
	origin   string
	opened   time.Duration
	messages []*simMessage // in the order in which they came
	order    []*simMessage // as they were accepted
	requests int
}

// simMessage is a message of a talk. Times are those of the run.
type simMessage struct {
	t    *simTalk
	n    int // in its talk, from 0
	id   string
	ms   int64 // when it claims to have been sent, Unix ms of the server
	came time.Duration
	// The list has it from listed to gone, and the feed from shown on, with a created_at.
	listed, gone, shown time.Duration
	created             int64

	behind bool // when it was listed first, something newer was
	late   bool // it claims to have been sent before it came

	tries      int
	rejected   bool
	accepted   time.Duration // first; never: not yet
	life       *simLife      // that accepted it last
	acked      time.Duration // when all of the batch was accepted with which it was; never: not yet
	saved      bool          // no later life may bring it
	reportedBy *simLife      // that said last that it is missing

	simChanges
}

func (m *simMessage) String() string {
	return fmt.Sprintf("%s (sent %d, came %s, listed %s, gone %s, shown %s)", m.id, m.ms, short(m.came), short(m.listed), short(m.gone), short(m.shown))
}

func short(d time.Duration) string {
	if d == never {
		return "never"
	}
	return d.Round(time.Millisecond).String()
}

func (m *simMessage) second() int64 { return m.ms / 1000 }

// lost says that the list never has it.
func (m *simMessage) lost() bool { return m.listed == never }

// is says that the list has it at a time.
func (m *simMessage) is(at time.Duration) bool { return m.listed <= at && at < m.gone }

func (m *simMessage) body() string {
	text := fmt.Sprintf(`{"id":%q,"chat_id":"chat-%s","type":"incoming","message_type":"text","author":{"id":"client","type":"external","name":"private name"},"text":"private words","created_at":%d`,
		m.id, m.t.id, m.second())
	if !m.t.w.cfg.bare {
		text += fmt.Sprintf(`,"msec_created_at":%d`, m.ms)
	}
	return text + "}"
}

// setupTalks draws all talks and what becomes of them. Some were there before the run
// began, some open in it.
func (w *simWorld) setupTalks() {
	r := w.rnd("talks")
	ids := r.Perm(30)
	for n := range 1 + r.IntN(10) {
		t := &simTalk{w: w, n: n, id: fmt.Sprint(ids[n] + 1), origin: simOrigins[n%2]}
		w.talks, w.byID[t.id] = append(w.talks, t), t
		t.fill()
	}
	slices.SortStableFunc(w.said, func(a, b *simMessage) int { return cmp.Compare(a.came, b.came) })
}

// fill draws the messages of a talk.
func (t *simTalk) fill() {
	w := t.w
	r := w.rnd("talk", t.n)
	chaos := w.cfg.chaos
	before := oneOf(r, 0, r.IntN(10), r.IntN(60), r.IntN(mostMessages-60))
	gap := oneOf(r, 0, 300*time.Millisecond, 7*time.Second, time.Hour)
	if gap == 0 {
		before = min(before, 40) // no more of one second than may be held
	}
	at := -between(r, 0, 24*time.Hour) - time.Duration(before)*gap
	for range before {
		t.add(at, 0)
		at += between(r, 0, 2*gap)
		at = min(at, 0)
	}
	deletes, loses, late, imports := oneOf(r, 0, 0, 5, 30), oneOf(r, 0, 0, 0, 3), oneOf(r, 0, 0, 20), oneOf(r, 0, 0, 0, 10)
	for range oneOf(r, 0, r.IntN(5), r.IntN(40)) {
		came := between(r, 0, chaos)
		ago := time.Duration(0)
		switch {
		case chance(r, late) && w.cfg.lookback > 0:
			ago = between(r, 0, min(w.cfg.lookback, time.Minute))
		case chance(r, imports):
			ago = between(r, 0, 48*time.Hour)
		}
		for range oneOf(r, 1, 1, 1, 1+r.IntN(15)) { // a burst
			if len(t.messages) < mostMessages {
				t.add(came, ago)
				came += between(r, 0, time.Second)
			}
		}
	}
	slices.SortStableFunc(t.messages, func(a, b *simMessage) int { return cmp.Compare(a.came, b.came) })
	t.opened = chaos
	for n, m := range t.messages {
		m.n, m.id = n, fmt.Sprintf("t%s-m%03d", t.id, n)
		w.known[m.id] = m
		t.opened = min(t.opened, m.came)
		d := w.rnd("message", t.n, n)
		if m.came > 0 {
			m.shown += between(d, 0, w.cfg.feedLag)
			m.listed += between(d, 0, w.cfg.listLag)
		}
		switch {
		case chance(d, loses):
			m.listed = never
		case chance(d, deletes):
			m.gone = max(m.listed, 0) + between(d, 0, chaos)
			if m.gone > chaos {
				m.gone = never
			}
		}
	}
	for _, m := range t.messages {
		m.behind = slices.ContainsFunc(t.messages, func(o *simMessage) bool { return o.listed <= m.listed && o.second() > m.second() })
	}
	w.said = append(w.said, t.messages...)
}

// add adds a message that came at a time and claims to have been sent so long before.
func (t *simTalk) add(came, ago time.Duration) {
	w := t.w
	t.messages = append(t.messages, &simMessage{
		t: t, ms: w.epoch.Add(came + w.cfg.clock - ago).UnixMilli(), came: came, listed: came, gone: never, shown: came,
		created: w.server(came), late: ago > 0, accepted: never, acked: never,
	})
}
