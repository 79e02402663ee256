// SPDX-License-Identifier: Apache-2.0

package listing

// flight is what was named and is not yet covered by the checkpoint: a batch,
// perhaps with what came after it.
//
// It is kept as long as one of its rows is not acknowledged, which may be for
// ever. So it has nothing of the rows but what the checkpoint will need.
type flight struct {
	out      []bool // which rows are not acknowledged
	rows     int    // how many
	acked    bool
	remember []keyedStamp
	chats    []chatID  // of the rows, by their index; nil if they tell of updates
	after    *progress // the checkpoint's progress once this and all before is acknowledged

	before, behind *flight
}

// maxRemembered bounds what gathers behind a batch that is never acknowledged:
// beyond it, what later listings have made obsolete is thrown away.
const maxRemembered = 4096

// join adds what comes right after a flight and needs no acknowledgement.
func (f *flight) join(next *flight) {
	f.remember = append(f.remember, next.remember...)
	if next.after != nil {
		f.after = next.after
	}
	if len(f.remember) <= maxRemembered {
		return
	}
	latest := make(map[string]stamp, len(f.remember))
	for _, k := range f.remember {
		latest[k.Key] = k.stamp
	}
	f.after.prune(latest)
	f.remember = f.remember[:0:0]
	for key, s := range latest {
		f.remember = append(f.remember, keyedStamp{key, s})
	}
}

// flights are kept in the order of their naming. At most one more is kept than
// there are batches with a row that is not acknowledged. The zero value is ready.
type flights struct {
	first, last *flight
	rows        int // without an acknowledgement
}

// row takes the acknowledgement of a row, and reports whether it is the first. done
// are the flights that can now go into the checkpoint, in order.
func (fs *flights) row(f *flight, i int) (first bool, done []*flight) {
	if i < 0 || i >= len(f.out) || !f.out[i] {
		return false, nil
	}
	f.out[i] = false
	f.rows--
	fs.rows--
	if f.rows > 0 {
		return true, nil
	}
	f.out = nil
	return true, fs.ack(f)
}

// add appends a flight and returns those that can go into the checkpoint.
func (fs *flights) add(f *flight) (done []*flight) {
	fs.rows += f.rows
	switch {
	case f.acked && fs.last != nil:
		fs.last.join(f)
	case f.acked:
		return []*flight{f}
	case fs.last == nil:
		fs.first, fs.last = f, f
	default:
		f.before, fs.last.behind = fs.last, f
		fs.last = f
	}
	return nil
}

// ack takes out a flight of which all rows are acknowledged.
func (fs *flights) ack(f *flight) (done []*flight) {
	f.acked = true
	if f.behind != nil {
		f.behind.before = f.before
	} else {
		fs.last = f.before
	}
	if f.before == nil {
		fs.first = f.behind
		return []*flight{f}
	}
	f.before.behind = f.behind
	f.before.join(f)
	return nil
}
