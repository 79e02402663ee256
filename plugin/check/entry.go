// SPDX-License-Identifier: Apache-2.0

package check

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"time"
)

// entry is one of a list, as far as it is judged.
type entry struct {
	id     string
	at     int64 // Unix ms; 0: not told, or not believed
	object bool
	msec   bool // the milliseconds are told
	wrong  string
	raw    []byte
}

func (e entry) seconds() int64 { return e.at / 1000 }

// What is wrong with a time.
const (
	noTime      = "none"
	otherUnit   = "other_unit"
	contradicts = "contradict"
	inFuture    = "future"
)

// aboutNow is how far in the future a time may be: clocks differ.
const aboutNow = 2 * time.Minute

// timed sets the time of an entry from its seconds and milliseconds, of which 0 is not told.
// The future is what is later than both clocks.
func (e entry) timed(s, ms int64, server time.Time) entry {
	now := time.Now()
	if server.After(now) {
		now = server
	}
	e.at, e.msec = s*1000, ms != 0
	switch {
	case !e.object:
	case ms < 0 || s < 0 || ms != 0 && (ms < 1e11 || ms > 1e14) || s > 1e11:
		e.wrong = otherUnit
	case s == 0 && ms == 0:
		e.wrong = noTime
	case s != 0 && ms != 0 && ms/1000 != s:
		e.wrong = contradicts
	case max(s*1000, ms) > now.Add(aboutNow).UnixMilli():
		e.wrong = inFuture
	}
	if ms != 0 && e.wrong != otherUnit && e.wrong != contradicts {
		e.at = ms
	}
	return e
}

// judgeEntries judges order, ids and times.
func (c *checker) judgeEntries(l *list, entries []entry) {
	c.judgeIDs(l, entries)
	if !l.timeless {
		c.judgeOrder(l, entries)
		c.judgeTimes(l, entries)
	}
	if !l.messages {
		return
	}
	const large = 1_000_000
	biggest := 0
	for _, e := range entries {
		biggest = max(biggest, len(e.raw))
	}
	if biggest > large {
		c.add(l.id+".size", Warning, "large", say("a message has %.1f MB", float64(biggest)/1e6),
			"see that the output takes such: Kafka refuses more than 1 MB unless it is told otherwise")
	}
}

func (c *checker) judgeIDs(l *list, entries []entry) {
	objects, without, twice := 0, 0, 0
	seen := map[string]bool{}
	for _, e := range entries {
		switch {
		case !e.object:
			continue
		case e.id == "":
			without++
		case seen[e.id]:
			twice++
		}
		objects++
		seen[e.id] = true
	}
	var words, what []string
	if odd := len(entries) - objects; odd > 0 {
		words, what = append(words, "not_objects"), append(what, plural(odd, "entry")+" that can't be any, such as null")
	}
	if twice > 0 {
		words, what = append(words, "repeated"), append(what, plural(twice, "entry")+" that was there before")
	}
	if without > 0 {
		words, what = append(words, "without_id"), append(what, plural(without, "entry")+" without an id")
	}
	id := l.id + ".ids"
	if len(words) == 0 {
		c.ok(id, "all", "all of %d have an id", objects)
		return
	}
	do := allowed
	if without > 0 && l.messages {
		do = "nothing: a message without an id is known by its bytes; one that changes then comes out again"
	}
	c.add(id, Warning, strings.Join(words, "+"), say("of %d: %s", len(entries), strings.Join(what, ", ")), do)
}

func (c *checker) judgeTimes(l *list, entries []entry) {
	objects, msec := 0, 0
	wrong := map[string]int{}
	for _, e := range entries {
		if !e.object {
			continue
		}
		objects++
		if e.msec {
			msec++
		}
		if e.wrong != "" {
			wrong[e.wrong]++
		}
	}
	if l.messages {
		switch msec {
		case objects:
			c.ok(l.id+".milliseconds", "all", "all times have milliseconds")
		case 0:
			c.ok(l.id+".milliseconds", "none", "no time has milliseconds: messages of one second have no order but the API's")
		default:
			c.ok(l.id+".milliseconds", "some", "%d of %d times have milliseconds", msec, objects)
		}
	}
	id := l.id + ".times"
	if len(wrong) == 0 {
		c.ok(id, "plausible", "times are plausible")
		return
	}
	words := slices.Sorted(maps.Keys(wrong))
	counts := make([]string, len(words))
	for i, word := range words {
		counts[i] = plural(wrong[word], "entry") + ": " + map[string]string{
			noTime: "no time", otherUnit: "in another unit or negative", contradicts: "seconds and milliseconds contradict each other", inFuture: "in the future",
		}[word]
	}
	c.add(id, Warning, strings.Join(words, "+"), say("times that can't be right: %s", strings.Join(counts, "; ")), "nothing: they are delivered, and their times believed as little as can be")
}

// judgeBytes compares what was read twice.
func (c *checker) judgeBytes(l *list, first, again []entry) {
	before := map[string][]byte{}
	for _, e := range first {
		before[e.id] = e.raw
	}
	both, changed := 0, 0
	for _, e := range again {
		if raw, ok := before[e.id]; ok && e.id != "" {
			both++
			if !bytes.Equal(raw, e.raw) {
				changed++
			}
		}
	}
	id := l.id + ".bytes"
	switch {
	case both == 0:
		c.unseen(id, "nothing was read twice")
	case changed > 0:
		c.add(id, Warning, "change", say("%d of %s read twice had other bytes the second time", changed, plural(both, "message")),
			"nothing: a message is known by its id; delivery_status changes after it was sent")
	default:
		c.ok(id, "same", "%s read twice had the same bytes", plural(both, "message"))
	}
}

// newIn returns the entries that are not among others.
func newIn(entries, others []entry) (fresh []entry) {
	for _, e := range entries {
		if !slices.ContainsFunc(others, e.same) {
			fresh = append(fresh, e)
		}
	}
	return fresh
}

func inBoth(a, b []entry) bool {
	return slices.ContainsFunc(a, func(e entry) bool { return e.object && slices.ContainsFunc(b, e.same) })
}

func (e entry) same(other entry) bool {
	if e.id != "" || other.id != "" {
		return e.id == other.id
	}
	return bytes.Equal(e.raw, other.raw)
}
