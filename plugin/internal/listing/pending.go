// SPDX-License-Identifier: Apache-2.0

package listing

// pending is what was listed and is not yet covered by the checkpoint: a batch,
// perhaps with what came after it.
//
// It is kept as long as one of its rows is not acknowledged, which may be for
// ever. So it has nothing of the rows but what the checkpoint will need.
type pending struct {
	out      []bool // which rows are not acknowledged
	rows     int    // how many
	acked    bool
	remember []keyedStamp
	chats    []chatID  // of the rows, by their index; nil if they tell of updates
	after    *progress // the checkpoint's progress once this and all before is acknowledged

	before, behind *pending
}

// maxRemembered bounds what gathers behind a batch that is never acknowledged:
// beyond it, what later listings have made obsolete is thrown away.
const maxRemembered = 4096

// join adds what comes right after a batch and needs no acknowledgement.
func (p *pending) join(next *pending) {
	p.remember = append(p.remember, next.remember...)
	if next.after != nil {
		p.after = next.after
	}
	if len(p.remember) <= maxRemembered {
		return
	}
	latest := make(map[string]stamp, len(p.remember))
	for _, k := range p.remember {
		latest[k.Key] = k.stamp
	}
	p.after.prune(latest)
	p.remember = p.remember[:0:0]
	for key, s := range latest {
		p.remember = append(p.remember, keyedStamp{key, s})
	}
}

// pendingList has the batches in the order of their listing. At most one more is kept than
// there are batches with a row that is not acknowledged. The zero value is ready.
type pendingList struct {
	first, last *pending
	rows        int // without an acknowledgement
}

// row takes the acknowledgement of a row, and reports whether it is the first. done
// are those that can now go into the checkpoint, in order.
func (l *pendingList) row(p *pending, i int) (first bool, done []*pending) {
	if i < 0 || i >= len(p.out) || !p.out[i] {
		return false, nil
	}
	p.out[i] = false
	p.rows--
	l.rows--
	if p.rows > 0 {
		return true, nil
	}
	p.out = nil
	return true, l.ack(p)
}

// add appends a batch and returns those that can go into the checkpoint.
func (l *pendingList) add(p *pending) (done []*pending) {
	l.rows += p.rows
	switch {
	case p.acked && l.last != nil:
		l.last.join(p)
	case p.acked:
		return []*pending{p}
	case l.last == nil:
		l.first, l.last = p, p
	default:
		p.before, l.last.behind = l.last, p
		l.last = p
	}
	return nil
}

// ack takes out a batch of which all rows are acknowledged.
func (l *pendingList) ack(p *pending) (done []*pending) {
	p.acked = true
	if p.behind != nil {
		p.behind.before = p.before
	} else {
		l.last = p.before
	}
	if p.before == nil {
		l.first = p.behind
		return []*pending{p}
	}
	p.before.behind = p.behind
	p.before.join(p)
	return nil
}
