// SPDX-License-Identifier: Apache-2.0

// A page of a talk's messages or of the events.
//
// Documented by third parties (chats-api.md, "Messages of every channel", rows "query",
// "paging"; "The event feed"): page from 1, limit up to 250, filter[created_at][from]
// and [to] in unix seconds, filter[type] and order[created_at] of the events, HAL, 204
// when empty.
//
// Unknown: the order. Assumed: newest first, and of one second the latest to come
// first; both ends of the filter are inside; a page past the end is a 204. A parameter
// that the call does not have is a 400, since nothing says that it would be ignored.

package sandbox

import (
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"time"
)

// stretch is which part of a timeline is asked for, and how.
type stretch struct {
	crmQuery
	from, to    int64 // unix s
	hasTo       bool
	types       []string // of events; nil: all
	oldestFirst bool
}

const (
	parameterFrom = "filter[created_at][from]"
	parameterTo   = "filter[created_at][to]"
)

// readStretch reads the parameters of a call that has these besides page, limit and
// the time filter.
func readStretch(q crmQuery, more ...string) stretch {
	s := stretch{crmQuery: q}
	fail := func(format string, args ...any) {
		if s.err == nil {
			s.err = fmt.Errorf(format, args...)
		}
	}
	known := slices.Concat([]string{"page", "limit", parameterFrom, parameterTo}, more)
	for name, values := range q.values {
		switch {
		case !slices.Contains(known, name):
			fail("%s: there is no such parameter", name)
		case len(values) > 1 && name != parameterType+"[]":
			fail("%s: it is there twice", name)
		}
	}
	moment := func(name string) (int64, bool) {
		if !q.values.Has(name) {
			return 0, false
		}
		n, err := strconv.ParseInt(q.values.Get(name), 10, 64)
		if err != nil || n < 0 {
			fail("%s: want a time in unix seconds", name)
		}
		return n, true
	}
	s.from, _ = moment(parameterFrom)
	if s.to, s.hasTo = moment(parameterTo); s.hasTo && s.to < s.from {
		fail("%s: it is before the other end", parameterTo)
	}
	return s
}

// request returns what hooks and the ledger are told.
func (s stretch) request(endpoint Endpoint) Request {
	return Request{Endpoint: endpoint, Offset: -1, Page: s.page, Limit: s.limit, From: s.from, To: s.to}
}

// cut is the part of a timeline that a request walks through, with the faults of a
// view: a range of positions, and behind it a list of some more.
type cut struct {
	timeline
	low, high int
	listed    []int
	backwards bool
}

func (s stretch) cut(t timeline, v *view, now int64) cut {
	c := cut{timeline: t, high: t.len(), backwards: !s.oldestFirst}
	if v.oldestFirst || v.newestFirst {
		c.backwards = !v.oldestFirst
	}
	shift := int64(v.filterShift / time.Second)
	if !v.noFilter {
		if s.from > 0 {
			c.low = sort.Search(c.high, func(p int) bool { return t.at(p) >= s.from+shift })
		}
		if s.hasTo {
			c.high = max(c.low, sort.Search(c.high, func(p int) bool { return t.at(p) > s.to+shift }))
		}
	}
	// Up to here everything is listed, and in its place.
	plain := c.high
	if v.noOrder || s.types != nil && (!slices.Contains(s.types, eventIncoming) || !slices.Contains(s.types, eventOutgoing)) {
		plain = c.low
	}
	for _, late := range v.late {
		settled := 0
		if late.lag > 0 {
			settled = t.settled(now - int64(late.lag/time.Second))
		}
		plain = max(c.low, min(plain, settled))
	}
	for p := plain; p < c.high; p++ {
		if v.holdsBack(p, func() string { return t.id(p) }, t.arrived(p), now) ||
			s.types != nil && !slices.Contains(s.types, eventType(t.outgoing(p))) {
			continue
		}
		c.listed = append(c.listed, p)
	}
	c.high = plain
	if v.noOrder {
		c.backwards = false
		slices.SortStableFunc(c.listed, func(a, b int) int { return compareHashes(t.id(a), t.id(b)) })
	}
	return c
}

func compareHashes(a, b string) int {
	hash := func(s string) uint64 {
		h := fnv.New64a()
		h.Write([]byte(s))
		return h.Sum64() * 0x9e3779b97f4a7c15 // spread the last characters over all bits
	}
	switch x, y := hash(a), hash(b); {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

func (c *cut) len() int { return c.high - c.low + len(c.listed) }

// position returns the place in the timeline of the k-th that is served.
func (c *cut) position(k int) int {
	if c.backwards {
		k = c.len() - 1 - k
	}
	if n := c.high - c.low; k >= n {
		return c.listed[k-n]
	}
	return c.low + k
}

// appendPage appends the entries at offset and behind it, at most limit, joined by
// commas, and returns how many there are.
func (c *cut) appendPage(dst []byte, v *view, offset, limit int) (page []byte, served int) {
	for k := offset; k < min(offset+limit, v.len(c.len())); k++ {
		of, fill, filled := v.message(k)
		p := c.position(of)
		id := func() string { return c.id(p) }
		if v.hides(p, id) {
			continue
		}
		if served > 0 {
			dst = append(dst, ',')
		}
		served++
		switch {
		case filled && fill == fillerNull:
			dst = append(dst, "null"...)
		case len(v.changes) > 0:
			dst = append(dst, v.changed(p, id, c.appendItem(nil, p))...)
		default:
			dst = c.appendItem(dst, p)
		}
	}
	return dst, served
}

// serveStretch answers with a page of the timeline that with hands out; where it
// returns false, there is none, which is a 404.
func (s *Server) serveStretch(x *exchange, q stretch, name string, with func(v *view, use func(timeline)) bool) {
	if s.answerEarly(x) || !s.admitCRM(x, q.err) {
		return
	}
	fault, faulty := s.faults.takeOne(x.request, stagePage)
	if faulty && fault.Kind == FaultStatus {
		s.answerStatus(x, fault)
		return
	}
	v := s.view(x.request)
	buffer := pageBuffers.Get().(*[]byte) //nolint:forcetypeassert // nothing else is put in
	defer func() {
		if cap(*buffer) <= maxPageBuffer {
			pageBuffers.Put(buffer)
		}
	}()
	more, past := false, false
	most := v.limit(q.limit)
	offset := (q.page - 1) * most
	items := (*buffer)[:0]
	if !with(&v, func(t timeline) {
		c := q.cut(t, &v, s.config.Now().Unix())
		total := v.len(c.len())
		items, x.items = c.appendPage(items, &v, offset, most)
		more, past = offset+most < total, offset >= total
	}) {
		writeProblem(x, http.StatusNotFound, "there is no such talk")
		return
	}
	*buffer = items
	if !faulty && (past || x.items == 0 && v.emptied == PastEndNoContent) {
		x.WriteHeader(http.StatusNoContent)
		return
	}
	links := map[string]any{"self": link(x.r, q.values, q.page, q.limit)}
	if next := v.nextLink(x.r, q.values, q.page, q.limit, more); next != nil {
		links["next"] = next
	}
	// By hand: an encoder would rewrite the items.
	body := make([]byte, 0, len(items)+1024)
	body = append(body, `{"_page":`...)
	body = strconv.AppendInt(body, int64(q.page), 10)
	body = append(body, `,"_links":`...)
	body = append(body, encode(links)...)
	body = append(body, `,"_embedded":{"`...)
	body = append(body, name...)
	body = append(body, `":[`...)
	body = append(body, items...)
	body = append(body, `]}}`...)
	if faulty {
		s.answerBody(x, fault, body)
		return
	}
	x.answer(http.StatusOK, "application/hal+json", body)
}
