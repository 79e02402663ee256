// SPDX-License-Identifier: Apache-2.0

package listing

// flight is what was named and is not yet covered by the checkpoint: a batch,
// perhaps with what came after it.
type flight struct {
	rows     int
	acked    bool
	remember []keyedStamp
	chats    []chatID
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
// there are batches without an acknowledgement. The zero value is ready.
type flights struct {
	first, last *flight
	rows        int // without an acknowledgement
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

// ack takes an acknowledgement and returns the flights that can now go into the
// checkpoint, in order.
func (fs *flights) ack(f *flight) (done []*flight) {
	if f.acked {
		return nil
	}
	f.acked = true
	fs.rows -= f.rows
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
