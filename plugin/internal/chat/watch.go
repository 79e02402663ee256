// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"math"
	"slices"
)

// watch holds what a pass meets against what was delivered, for Start.Changes. A nil
// watch does nothing.
//
// A message that is not met has vanished only if the pass has been at its place: the
// pass goes through a stretch of the chat without a gap, up to the newest message, and the
// message belongs above the bottom of it, whichever way the API sorts. It is above
// something that was delivered before it, for an API that lists by arrival; and above
// something that is older, for one that lists by time. Or the stretch begins at the chat's
// end.
//
// The first such pass marks it in the checkpoint, and the second that follows deletes it.
// In between a pass that meets it takes the mark away, and one that is not whole, or
// does not come to its place, leaves the mark as it is. What is deleted stays in the
// checkpoint with a mark, since its place still tells what is new; should the message
// show up again, it comes out as an update.
type watch struct {
	of    []Seen
	place map[string]int // id to its place in of
	from  int64          // second; of what is not older the checkpoint has all
	until int64          // ms; and of what is not later
	since int64          // ms; what is older was not delivered

	// sane says of the time of each that nothing older was delivered after it. What claims to
	// be of the future stays in a checkpoint when what came after it is forgotten.
	sane []bool
	met  []bool
	told []bool // in this pass
	// walked says of each that a walk has read it.
	walked []bool
	note   []Seen // hashes and marks that differ from those in of

	// The bottom of the stretch.
	first  int    // the lowest place in of
	oldest int64  // the lowest second
	under  int64  // the lowest second of what is not in of, is old, and stands below something that is
	maybe  int64  // the same, if something in of follows
	top    bool   // what follows stands above all that was delivered, and so is not late
	newest string // what stands highest of what was delivered, if the walk at the top met any
	ended  bool   // it is the chat's end,
	end    int    // and this the position behind it
}

// newWatch returns what looks for changes of what a checkpoint knows. at is the second
// from which the checkpoint is complete, with its lookback.
func newWatch(from *Checkpoint, at, since int64) *watch {
	w := &watch{
		of: from.Seen, place: make(map[string]int, len(from.Seen)),
		from: at, until: from.Time, since: since,
		sane: make([]bool, len(from.Seen)), met: make([]bool, len(from.Seen)), told: make([]bool, len(from.Seen)),
		walked: make([]bool, len(from.Seen)),
	}
	after := int64(math.MaxInt64)
	for i, s := range slices.Backward(w.of) {
		w.place[s.ID] = i
		w.sane[i] = second(s.Time) <= after
		after = min(after, second(s.Time))
	}
	return w
}

// begin says that a stretch begins with what a walk has kept, and that the walk at the top
// of the chat has kept top.
func (w *watch) begin(k, top *kept) {
	if w == nil {
		return
	}
	w.first, w.oldest, w.under, w.maybe = len(w.of), math.MaxInt64, math.MaxInt64, math.MaxInt64
	w.ended, w.end = k.ended, k.base+len(k.items)
	w.newest, w.top = "", len(w.of) == 0 || k == top
	for _, it := range top.items {
		i, ok := w.place[it.ID]
		if !ok {
			continue
		}
		w.top = false
		if w.of[i].Time <= w.until { // what claims to be of the future may stand above all that comes later
			w.newest = it.ID
			break
		}
	}
}

// differs says of an item that it was delivered with other bytes, and that nobody has
// been told in this pass.
func (w *watch) differs(it *Item) bool {
	if w == nil || it.Hash == 0 || made(it.ID) {
		return false
	}
	i, ok := w.place[it.ID]
	if !ok || w.told[i] {
		return false
	}
	s := &w.of[i]
	return s.Mark == gone || s.Mark != leftOut && s.Hash != 0 && s.Hash != it.Hash
}

// meet takes an item that is there. It returns true once if that is to be delivered as
// an update.
func (w *watch) meet(it *Item) bool {
	differs := w.differs(it)
	w.see(it)
	if differs {
		w.told[w.place[it.ID]] = true
		w.note = slices.DeleteFunc(w.note, func(n Seen) bool { return n.ID == it.ID })
	}
	return differs
}

// see takes an item that is there, and leaves open whether it has changed.
func (w *watch) see(it *Item) {
	if w == nil {
		return
	}
	i, ok := w.place[it.ID]
	if !ok {
		return
	}
	s := w.of[i]
	if !w.met[i] && s.Mark <= missed && (s.Mark == missed || s.Hash == 0 && it.Hash != 0) {
		s.Mark = 0
		if s.Hash == 0 {
			s.Hash = it.Hash
		}
		w.note = append(w.note, s)
	}
	w.met[i] = true
}

// pass takes the next newer item of a stretch. fresh says that it is delivered in this
// pass for the first time.
func (w *watch) pass(it *Item, fresh bool) {
	if it.Time != 0 && !it.untimed && !it.Implausible {
		w.oldest = min(w.oldest, second(it.Time))
	}
	if i, ok := w.place[it.ID]; ok {
		w.first = min(w.first, i)
		w.top = w.top || it.ID == w.newest || w.newest == "" && i >= len(w.of)-anchors
		w.under = min(w.under, w.maybe)
		return
	}
	if !fresh && !it.untimed && !it.Implausible && it.Time >= w.since {
		w.maybe = min(w.maybe, second(it.Time))
	}
}

// passed says that the stretch went over the place of what is at i in of.
func (w *watch) passed(i int) bool {
	s := &w.of[i]
	if !w.tells(i) || second(s.Time) <= w.oldest || second(s.Time) < w.from {
		// What is older than the lookback may have been delivered a second time, and then its
		// place in of is not that in the list.
		return false
	}
	return w.first < i || w.sane[i] && s.Time <= w.until && w.under < second(s.Time)
}

// over says that a walk has gone over all that lies within the lookback, and met what has no place
// there: that may stand anywhere. A message with a time that errs looks like the end of that.
func (w *watch) over(p *pass, k *kept) bool {
	if w == nil || len(w.of) == 0 {
		return true
	}
	look := *w
	look.begin(k, k)
	for _, it := range slices.Backward(k.items) {
		if i, ok := w.place[it.ID]; ok {
			w.walked[i] = true
		}
		if it.ID != "" {
			look.pass(&it, !p.past(&it))
		}
	}
	for i, s := range w.of {
		if !w.walked[i] && w.watches(i) && second(s.Time) >= w.from && !look.passed(i) {
			return false
		}
	}
	return true
}

// watches says of what is at i in of that its deletion would be told.
func (w *watch) watches(i int) bool { return w.of[i].Mark <= missed && !made(w.of[i].ID) }

// tells says that beside that it is known where its place is.
func (w *watch) tells(i int) bool { return w.watches(i) && !w.of[i].Untimed && !w.of[i].Unplaced }

// unseen returns what has no place and was not met, of what the condition holds for.
func (w *watch) unseen(condition func(i int) bool) (of []int) {
	for i := range w.of {
		if !w.met[i] && w.watches(i) && !w.tells(i) && condition(i) {
			of = append(of, i)
		}
	}
	return of
}

// leave leaves out of what follows those that have been met since.
func (w *watch) leave(unseen []int) {
	for _, i := range unseen {
		if w.met[i] {
			w.forget(i)
		}
	}
}

// forget leaves one out of what follows.
func (w *watch) forget(i int) {
	s := w.of[i]
	s.Mark = leftOut
	w.note = append(w.note, s)
}

// giveUp leaves out of what follows what has no place and was not met in as much as may be held, or
// each pass would look for it as far.
func (w *watch) giveUp() {
	for _, i := range w.unseen(func(i int) bool { return second(w.of[i].Time) >= w.from }) {
		w.forget(i)
	}
}

// missing returns what was not met for the second time though the pass went over
// its place, which passed tells by the place in of, and marks what was not for the first
// time.
func (w *watch) missing(passed func(i int) bool) (again []Item) {
	for i, s := range w.of {
		switch {
		case w.met[i], !w.watches(i), !passed(i):
		case s.Mark == missed:
			again = append(again, Item{ID: s.ID, Time: s.Time, Op: Delete, untimed: s.Untimed})
		default:
			s.Mark = missed
			w.note = append(w.note, s)
		}
	}
	return again
}

// notes returns what the checkpoint is to take over although nothing is delivered. A
// pass that ends with an error was not whole.
func (w *watch) notes(err error) []Seen {
	if w == nil || err != nil {
		return nil
	}
	return w.note
}

// leaveOut marks what a checkpoint knows from now on and was not delivered.
func (w *watch) leaveOut(seen []Seen) []Seen {
	if w != nil {
		for i := range seen {
			seen[i].Mark = leftOut
		}
	}
	return seen
}

// any reports whether something was not met that a pass can miss, and that the condition
// holds for.
func (w *watch) any(condition func(i int) bool) bool {
	for i := range w.of {
		if !w.met[i] && w.watches(i) && condition(i) {
			return true
		}
	}
	return false
}
