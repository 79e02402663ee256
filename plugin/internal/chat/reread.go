// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"math"
	"slices"
)

// Rewound returns the checkpoint set back to a time, in Unix milliseconds: what was
// delivered and is as new as its second or newer counts as not delivered.
func (c *Checkpoint) Rewound(to int64) Checkpoint {
	to = max(0, second(to)) * tick
	if to < c.From {
		return Checkpoint{Time: max(0, to-1), From: to}
	}
	return Checkpoint{
		Time: min(c.Time, max(0, to-1)),
		From: c.From,
		Seen: slices.DeleteFunc(slices.Clone(c.Seen), func(s Seen) bool { return s.Time >= to }),
	}
}

// CatchUp has c, which was rewound from o and has moved on since, cover what o did: some
// of that may have been deleted meanwhile. With Start.Changes c knows of it too, for that is yet to be
// told.
func (c *Checkpoint) CatchUp(o *Checkpoint) {
	c.Time, c.From = max(c.Time, o.Time), max(c.From, o.From)
	c.Seen = withMissing(c.Seen, o.Seen)
}

// withMissing returns what was delivered again with what was delivered before and is watched for
// changes, each behind the one that it was delivered after.
func withMissing(again, before []Seen) []Seen {
	at := make(map[string]int, len(again))
	for i, s := range again {
		at[s.ID] = i + 1
	}
	behind := map[int][]Seen{} // by how many of again come first
	place, missing := 0, false
	for _, s := range before {
		if i, ok := at[s.ID]; ok {
			place = i
		} else if s.Hash != 0 || s.Mark != 0 {
			behind[place], missing = append(behind[place], s), true
		}
	}
	if !missing {
		return again
	}
	out := slices.Clone(behind[0])
	for i, s := range again {
		out = append(append(out, s), behind[i+1]...)
	}
	return out
}

// Unknown returns what c does not know of what a pass has emitted that went on from another checkpoint,
// with what has changed as an [Update]. The notes, which c is to take over by [Checkpoint.Note], say nothing
// of those.
func (c *Checkpoint) Unknown(emitted []Item) (items []Item, notes []Seen) {
	w := newWatch(c, 0, 0)
	for i := range emitted {
		it := emitted[i]
		if w.meet(&it) {
			it.Op = Update
		} else if _, known := w.place[it.ID]; known {
			continue
		}
		items = append(items, it)
	}
	return items, w.note
}

// Join has c, which was delivered in the order of the chat beside all that o knows, cover that too.
// What o knows comes behind what is no newer, and its place there tells nothing where some of that is
// newer all the same, or where it claims to be of the future.
func (c *Checkpoint) Join(o *Checkpoint) {
	newer := slices.IndexFunc(c.Seen, func(s Seen) bool { return s.Time <= c.Time && second(s.Time) > second(o.Time) })
	if newer < 0 {
		newer = len(c.Seen)
	}
	known, newest := slices.Clone(o.Seen), int64(math.MinInt64)
	for _, s := range c.Seen[:newer] {
		if s.Time <= c.Time {
			newest = max(newest, second(s.Time))
		}
	}
	for i := range known {
		s := &known[i]
		s.Unplaced = s.Unplaced || s.Hash != 0 && (second(s.Time) < newest || s.Time > o.Time)
	}
	c.Seen = slices.Insert(slices.Clone(c.Seen), newer, known...)
	c.Time, c.From = max(c.Time, o.Time), max(c.From, o.From)
}

// firms returns the ids that a checkpoint knows, and whether they are firm. Its ids are kept
// from the second floor on.
func (c *Checkpoint) firms(floor int64) map[string]bool {
	ids := make(map[string]bool, len(c.Seen))
	for i, s := range c.Seen {
		ids[s.ID] = c.firm(c.Seen, i, floor)
	}
	return ids
}
