// SPDX-License-Identifier: Apache-2.0

package feed

import "sync"

// moment is an event that is known already.
type moment struct {
	key uint64
	at  int64 // its time in Unix seconds
}

// progress is what a checkpoint says once a batch and all before it are acknowledged.
type progress struct {
	pos   int64    // what was before it is done with
	known []moment // the events of that batch that are not before it
	lies  bool     // pages that are not full are not the last
}

// pending is a batch that is not covered by the checkpoint, perhaps with what came
// after it. It has nothing of the talks, as one of them may never be acknowledged.
type pending struct {
	out   []bool // which talks are not acknowledged
	left  int    // how many
	after progress

	before, behind *pending
}

// maxKnown bounds the events that a checkpoint names, and those that gather behind a
// batch that is never acknowledged. What is more is named again after a restart.
const maxKnown = 20_000

// join adds what comes right after and is acknowledged.
func (p *pending) join(next progress) {
	p.after = progress{pos: next.pos, known: prune(append(p.after.known, next.known...), next.pos), lies: next.lies}
}

// ledger says which batches are acknowledged, and how far without a gap. At most one more
// is kept than there are batches with a talk that is out.
type ledger struct {
	mu          sync.Mutex
	first, last *pending
	out         int
	saved       progress // what is acknowledged without a gap
	dirty       bool     // it has changed since it was saved
	ended       bool     // a listing has ended since the Store was looked at
}

// add appends a batch of some talks.
func (l *ledger) add(talks int, after progress, done bool) *pending {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = l.ended || done
	switch {
	case talks == 0 && l.last != nil:
		l.last.join(after)
		return nil
	case talks == 0:
		l.cover(after)
		return nil
	}
	p := &pending{out: make([]bool, talks), left: talks, after: after, before: l.last}
	for i := range p.out {
		p.out[i] = true
	}
	if l.last == nil {
		l.first = p
	} else {
		l.last.behind = p
	}
	l.last = p
	l.out += talks
	return p
}

// ack takes the acknowledgement of a talk.
func (l *ledger) ack(p *pending, i int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i < 0 || i >= len(p.out) || !p.out[i] {
		return
	}
	p.out[i] = false
	p.left--
	l.out--
	if p.left > 0 {
		return
	}
	p.out = nil
	if p.behind != nil {
		p.behind.before = p.before
	} else {
		l.last = p.before
	}
	if p.before != nil {
		p.before.behind = p.behind
		p.before.join(p.after)
		return
	}
	l.first = p.behind
	l.cover(p.after)
}

// cover moves what is saved. Caller holds mu.
func (l *ledger) cover(next progress) {
	if next.pos == l.saved.pos && next.lies == l.saved.lies && len(next.known) == 0 {
		return
	}
	l.saved = progress{pos: next.pos, known: prune(append(l.saved.known, next.known...), next.pos), lies: next.lies}
	l.dirty = true
}

func (l *ledger) unacked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out
}

// prune returns the moments that a reading from a position meets, the latest of them if
// there are too many.
func prune(known []moment, pos int64) []moment {
	var kept []moment
	for _, m := range known {
		if m.at >= pos-slack {
			kept = append(kept, m)
		}
	}
	return kept[max(0, len(kept)-maxKnown):]
}

// back takes the position back, because what was said to be read may not be.
func (l *ledger) back(pos int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := l.first; p != nil; p = p.behind {
		p.after.pos = min(p.after.pos, pos)
	}
	if l.saved.pos > pos {
		l.saved.pos, l.dirty = pos, true
	}
}
