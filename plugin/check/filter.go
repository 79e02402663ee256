// SPDX-License-Identifier: Apache-2.0

package check

import (
	"context"
	"slices"
)

// slack is how far the time filter may be off, in seconds: the inputs ask for so much
// more.
const slack = 2

// checkFilter asks for the second of one entry alone.
func (c *checker) checkFilter(ctx context.Context, l *list, entries []entry) {
	id := l.id + ".filter"
	order, _ := orderOf(entries)
	if order == roughlyNewest || order == roughlyOldest || slices.ContainsFunc(entries, func(e entry) bool { return e.wrong != "" }) {
		c.unseen(id, "the times that are shown may not be those that it goes by")
		return
	}
	at, ok := middle(entries)
	if !ok {
		c.unseen(id, "all entries have about the same time, or none")
		return
	}
	got, err := l.ask(ctx, query{limit: l.most, from: at, to: at})
	if err != nil {
		c.failed(id, err)
		return
	}
	within := spread(got.entries, at)
	if within == (spreading{}) {
		if got, err = l.ask(ctx, query{limit: l.most, from: at - slack, to: at + slack}); err != nil {
			c.failed(id, err)
			return
		}
		within.near = spread(got.entries, at).hit
	}
	switch {
	case within.hit && within.older != within.newer:
		bound := map[bool]string{true: "to", false: "from"}[within.newer] // which would leave out what is newer
		c.add(id, Warning, bound+"_ignored", say("filter[created_at][%s] is ignored, the other bound is kept", bound),
			"nothing: the inputs allow for it, at the price of some requests")
	case within.older && within.newer:
		c.add(id, Warning, "ignored", say("filter[created_at] is ignored"),
			"nothing: but each poll then asks for more than is new; lower poll_interval only if the limit allows it")
	case within.near:
		c.add(id, Warning, "ends_off", say("filter[created_at] is off by a second or two, or leaves its ends out"), "nothing: two seconds of slack are asked for")
	case !within.hit:
		c.add(id, Error, "off", say("filter[created_at] is off by more than %d s", slack), "send the report: news could be missed by it")
	default:
		c.ok(id, "kept", "filter[created_at] is kept, both ends are inside")
	}
}

// spreading is where entries lie around a second: before or behind it by more than slack,
// within that, or in it.
type spreading struct{ older, newer, near, hit bool }

func spread(entries []entry, at int64) (s spreading) {
	for _, e := range entries {
		switch d := e.seconds() - at; {
		case e.at == 0:
		case d == 0:
			s.hit = true
		case d < -slack:
			s.older = true
		case d > slack:
			s.newer = true
		default:
			s.near = true
		}
	}
	return s
}

// middle returns a second in which an entry from the middle was written, with others both
// before and after it by more than slack.
func middle(entries []entry) (at int64, ok bool) {
	var all []int64
	for _, e := range entries {
		if e.at > 0 && e.wrong == "" {
			all = append(all, e.seconds())
		}
	}
	if len(all) < 3 {
		return 0, false
	}
	slices.Sort(all)
	at = all[len(all)/2]
	return at, all[0] < at-slack && all[len(all)-1] > at+slack
}
