// SPDX-License-Identifier: Apache-2.0

package chathistory_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// simKind is what is wrong with a chat.
type simKind int

const (
	simHealthy simKind = iota
	simOthers          // of another channel: 403
	sim500
	sim400
	sim404
	simNotJSON
	simNever // does not answer
)

func (k simKind) String() string {
	return [...]string{"healthy", "foreign", "500", "400", "404", "not JSON", "no answer"}[k]
}

// simChat is a chat as the API has it, and what became of its messages.
type simChat struct {
	w    *simWorld
	n    int // from 1
	id   string
	kind simKind
	till time.Duration // the kind lasts until then; forever
	form int           // of the refusals

	all    []*simMsg // by number
	items  []*simMsg // newest first, without what was deleted
	events []simChange
	strike int // in percent, how likely it changes with a request
	left   int // changes of that kind
	skews  []int64
	gap    int

	requests  int                           // so far, by all processes
	asking    map[*simProcess]int           // requests under way
	stored    int                           // accesses to the store
	askedAt   map[*simProcess]time.Duration // first
	servedTo  map[*simProcess]bool
	answered  int           // with a page
	firstRead time.Duration // when it was first
	// newest is the newest time that was served, no later than the API's clock then,
	// in Unix ms. looks are the times of the answers to offset 0.
	newest int64
	looks  []simLook

	// For start_from: latest: looks since the process in which the chat was unknown
	// to the store began, and when it was first written then.
	fresh      *simProcess
	freshLooks int
	freshLook  time.Duration // the last look before it was first written
	freshSaved time.Duration // noTime: not yet

	edits int // to come

	deceived bool      // a page was short though more came behind it
	odd      bool      // an entry was served that can't be a message
	order    []*simMsg // by first acceptance
}

type simLook struct {
	at     time.Duration
	newest int64 // before it
}

// simChange is something that happens to a chat at a time.
type simChange struct {
	at   time.Duration
	kind int
	n    int
	pos  float64
}

const (
	changeArrive = iota
	changeDelete
	changeEmpty
)

const noTime = time.Duration(1<<63 - 1)

// simMsg is an entry of a chat.
type simMsg struct {
	c    *simChat
	n    int
	at   time.Duration // when it arrived; below 0: before the run
	key  int64         // ms: the time by which the API sorts
	tie  int64         // places it within its second, where that order is free
	time int64         // ms: what its fields say, read with sense; 0: nothing
	body string
	null bool // can't be a message
	noID bool
	hide bool

	simState

	gone       time.Duration // when it was deleted; noTime: never
	late       bool          // by its time it belonged below what had been read
	sunk       bool          // it was buried when something was deleted
	served     time.Duration // first in an answer; noTime: never
	looksAt    int           // of the chat, when it arrived
	accepted   time.Duration // by the output, first; noTime: never
	acceptance int           // in the order of acceptances of the chat
	rejected   bool          // at least once by itself, not with its whole batch
	tries      int           // how often it was written
	again      int           // how often it came again after its batch was acknowledged
	flight     *simFlight    // of the last process that delivered it
	counted    bool          // accepted as one of that
}

func (m *simMsg) String() string {
	s := fmt.Sprintf("chat %d message %d (arrived %s, time %s", m.c.n, m.n, m.at.Round(time.Microsecond), m.c.w.stamp(m.time))
	if m.late {
		s += ", late"
	}
	if m.served != noTime {
		s += fmt.Sprintf(", first served %s", m.served.Round(time.Microsecond))
	} else {
		s += ", never served"
	}
	if m.accepted != noTime {
		s += fmt.Sprintf(", accepted %s", m.accepted.Round(time.Microsecond))
	}
	return s + ")"
}

// stamp shows a time of the API relative to the beginning.
func (w *simWorld) stamp(ms int64) string {
	if ms == 0 {
		return "none"
	}
	return fmt.Sprintf("%+.3fs", float64(ms-w.serverMs(0))/1000)
}

func (w *simWorld) setupChats() {
	r := w.rnd("chats")
	n := 1 + r.IntN(6)
	if w.on.has(simMany) {
		n = 10 + r.IntN(25)
	}
	bad := w.rnd("bad chats")
	var kinds []simKind
	forever := noTime
	if w.on.has(simForeign) {
		for range oneOf(bad, 1, 2+bad.IntN(4), 5+bad.IntN(30)) {
			kinds = append(kinds, simOthers)
		}
	}
	if w.on.has(simBroken) {
		one := simKind(2 + bad.IntN(5))
		for range 1 + bad.IntN(6) {
			kinds = append(kinds, one)
			if chance(bad, 30) {
				kinds[len(kinds)-1] = simKind(2 + bad.IntN(5))
			}
		}
	}
	for i := range n + len(kinds) {
		c := &simChat{w: w, n: i + 1, till: forever, freshSaved: noTime, firstRead: noTime, askedAt: map[*simProcess]time.Duration{}, asking: map[*simProcess]int{}, servedTo: map[*simProcess]bool{}}
		c.id = fmt.Sprintf("c4a7%04d-%04x-4000-8000-%012d", c.n, hashOf(strconv.Itoa(i))&0xffff, c.n)
		cr := w.rnd("chat", c.n)
		switch {
		case i < n && w.on.has(simFlaky) && chance(cr, 30):
			c.kind = simKind(2 + cr.IntN(5))
			c.till = between(cr, time.Second, w.cfg.chaos)
		case i >= n:
			c.kind = kinds[i-n]
		}
		if w.on.has(simLongID) && i == 0 {
			c.id += strings.Repeat("-long", 40)
		}
		c.form = cr.IntN(3)
		w.chats = append(w.chats, c)
		w.byID[c.id] = c
		c.setup(cr)
	}
}

// listed returns the ids in the order in which they are configured.
func (w *simWorld) listed() []string {
	ids := make([]string, len(w.chats))
	for i, c := range w.chats {
		ids[i] = c.id
	}
	w.rnd("listed").Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	return ids
}

func (c *simChat) setup(r *rand.Rand) {
	w := c.w
	c.gap = r.IntN(4)
	if w.on.has(simTies) {
		c.gap = r.IntN(2)
	}
	c.skews = []int64{0}
	if w.on.has(simSkew) {
		c.skews = []int64{0, r.Int64N(7000) - 3500, r.Int64N(2000) - 1000}
	}
	size := w.cfg.pageSize
	n := oneOf(r, 0, r.IntN(size+1), r.IntN(4*size), r.IntN(8*size))
	if w.on.has(simLong) && chance(r, 50) {
		n = r.IntN(20 * size)
	}
	if n = min(n, 300); c.w.on.has(simUnknown) && c.n == 1 {
		// An id that no chat has looks like a chat without messages.
		return
	}
	// What was there before, oldest first.
	at := make([]int64, n)
	ms := w.serverMs(0)
	for i := n - 1; i >= 0; i-- {
		at[i] = ms
		ms -= c.step(r)
	}
	for _, ms := range at {
		c.put(r, -1, ms)
	}
	if c.kind == simOthers {
		return
	}
	most := 2 + r.IntN(3*size)
	for range r.IntN(14) {
		e := simChange{at: between(r, 0, w.cfg.chaos), n: 1, pos: r.Float64()}
		k := w.rnd("change", c.n, len(c.events))
		switch x := k.IntN(10); {
		case x < 5:
		case x < 7 && w.on.has(simBursts):
			e.n = 1 + k.IntN(most)
		case x < 9:
			e.kind, e.n = changeDelete, 1+k.IntN(most)
			if !w.on.has(simDeletions) {
				continue
			}
		default:
			e.kind = changeEmpty
			if !w.on.has(simEmptied) {
				continue
			}
		}
		c.events = append(c.events, e)
	}
	slices.SortFunc(c.events, func(a, b simChange) int { return int(a.at - b.at) })
	if w.on.has(simMidway) {
		c.strike, c.left = r.IntN(40), 12
	}
	if w.on.has(simChanges) {
		c.edits = 20
	}
}

// step is how far messages are apart, in ms.
func (c *simChat) step(r *rand.Rand) int64 {
	switch c.gap {
	case 0:
		return r.Int64N(2) * 10
	case 1:
		return r.Int64N(3) * 300
	case 2:
		return r.Int64N(3) * 1000
	default:
		return r.Int64N(60_000)
	}
}

// catchUp lets everything happen that is due. Caller holds mu.
func (c *simChat) catchUp(now time.Duration) {
	for len(c.events) > 0 && c.events[0].at <= now {
		e := c.events[0]
		c.events = c.events[1:]
		c.change(c.w.rnd("happen", c.n, len(c.events)), e)
	}
}

// midway lets something happen between two requests, perhaps. Caller holds mu.
func (c *simChat) midway(request int, now time.Duration) {
	c.catchUp(now)
	c.edit(request, now)
	if c.left == 0 || c.w.calm {
		return
	}
	r := c.w.rnd("midway", c.n, request)
	most := 1 + r.IntN(3*c.w.cfg.pageSize)
	if chance(r, c.strike) {
		c.left--
		n := 1
		if c.w.on.has(simBursts) {
			n += r.IntN(most)
		}
		c.change(r, simChange{at: now, n: n})
	}
	if c.left > 0 && chance(r, c.strike) && c.w.on.has(simDeletions) {
		c.left--
		c.change(r, simChange{at: now, kind: changeDelete, n: 1 + r.IntN(most), pos: r.Float64()})
	}
}

func (c *simChat) change(r *rand.Rand, e simChange) {
	switch e.kind {
	case changeArrive:
		ms := c.w.serverMs(e.at)
		for range e.n {
			c.put(r, e.at, ms)
		}
		c.w.note("arrive", c, len(c.all)-1, e.n, "")
	default:
		at, n := int(e.pos*float64(len(c.items))), e.n
		if e.kind == changeEmpty {
			at, n = 0, len(c.items)
		}
		n = min(n, len(c.items)-at)
		for _, m := range c.items {
			m.sunk = m.buried()
		}
		for _, m := range c.items[at : at+n] {
			m.gone = e.at
		}
		c.items = slices.Delete(slices.Clone(c.items), at, at+n)
		c.w.note("delete", c, at, n, "")
	}
}

// put adds a message that was sent at a time by the API's clock, in ms.
func (c *simChat) put(r *rand.Rand, at time.Duration, ms int64) {
	w := c.w
	m := &simMsg{c: c, n: len(c.all), at: at, gone: noTime, served: noTime, accepted: noTime, looksAt: len(c.looks)}
	m.key = ms + oneOf(r, c.skews...)
	seconds := true
	odd := w.rnd("clock", c.n, m.n)
	switch x := odd.IntN(100); {
	case x < 3 && w.on.has(simAhead):
		m.key = ms + time.Hour.Milliseconds()
	case x < 5 && w.on.has(simFuture):
		m.key = time.Date(2106, 2, 7, 6, 28, 15, 0, time.UTC).UnixMilli()
	case x < 7 && w.on.has(simEpoch):
		m.key = 1000 + odd.Int64N(100_000)
	case x < 12 && w.on.has(simImports) && at >= 0:
		m.key = ms - oneOf(odd, odd.Int64N(20_000), odd.Int64N(3_600_000), 400*24*3_600_000)
	}
	m.time = m.key
	msecs := m.key
	switch x := odd.IntN(100); {
	case x < 10 && w.on.has(simMsecSeconds):
		msecs = m.key / 1000
	case x < 40 && w.on.has(simNoMsec):
		msecs, m.time = 0, m.key/1000*1000
	case x < 45 && w.on.has(simNoTime):
		seconds, msecs, m.time = false, 0, 0
	}
	m.tie = odd.Int64()
	m.hide = w.on.has(simHidden) && chance(odd, 12)
	if w.on.has(simHiddenPages) && c.hidePages(m.n) {
		m.hide = true
	}
	switch {
	case w.on.has(simNulls) && chance(odd, 8):
		m.null = true
		m.body = oneOf(odd, "null", "17", `"text"`, "[]", "true")
	default:
		m.noID = w.on.has(simNoIDs) && chance(odd, 10)
		m.body = c.body(odd, m.n, seconds, m.key/1000, msecs, m.noID)
		m.versions = []string{m.body}
		m.has = simNothing
		w.bodies[m.body] = m
	}

	c.all = append(c.all, m)
	place := 0
	if !w.on.has(simByArrival) {
		m.late = m.key < c.newest
		place, _ = slices.BinarySearchFunc(c.items, m, func(a, b *simMsg) int {
			if a.before(b) {
				return -1
			}
			return 1
		})
	}
	c.items = slices.Insert(slices.Clone(c.items), place, m)
}

// before says that a is listed before b, by their times.
func (m *simMsg) before(o *simMsg) bool {
	if m.c.w.on.has(simFreeOrder) {
		if a, b := m.key/1000, o.key/1000; a != b {
			return a > b
		}
		if m.tie != o.tie {
			return m.tie > o.tie
		}
		return m.n > o.n
	}
	if m.key != o.key {
		return m.key > o.key
	}
	return m.n > o.n
}

// hidePages hides half a page of messages in a row, here and there.
func (c *simChat) hidePages(n int) bool {
	run := c.w.cfg.pageSize / 2
	return n/run%2 == 1 && c.w.rnd("hide", c.n, n/run).IntN(3) == 0
}

// body writes a message as the API does, with what a reader might stumble on.
func (c *simChat) body(r *rand.Rand, n int, seconds bool, s, ms int64, noID bool) string {
	var b strings.Builder
	sep := oneOf(r, ",", ",", ", ", " ,\n\t")
	b.WriteString("{")
	if seconds {
		fmt.Fprintf(&b, `"timestamp":%d%s`, s, sep)
	}
	if ms != 0 {
		fmt.Fprintf(&b, `"msec_timestamp":%d%s`, ms, sep)
	}
	fmt.Fprintf(&b, `"sender":{"id":"u%d","name":"Zo\u00eb \"private\" %c"}%s`, r.IntN(3), 0x1F600+r.IntN(60), sep)
	if chance(r, 50) {
		fmt.Fprintf(&b, `"receiver":{"id":"u9","phone":"+790012%d"}%s`, 10000+r.IntN(90000), sep)
	}
	if chance(r, 20) {
		fmt.Fprintf(&b, `"new":[1.50,{"timestamp":null},"\\"]%s`, sep)
	}
	b.WriteString(`"message":{`)
	if !noID {
		fmt.Fprintf(&b, `"id":"%08x-%04x-4000-8000-%012d"%s`, n, c.n, n, sep)
	}
	fmt.Fprintf(&b, `"type":"%s"%s"text":"private words %d of %d`+simWords+`"}}`, oneOf(r, "text", "picture", "novel"), sep, n, c.n)
	return b.String()
}

// failing says what is wrong with the chat now.
func (c *simChat) failing(now time.Duration) simKind {
	if c.kind == simHealthy || now >= c.till {
		return simHealthy
	}
	return c.kind
}

// lasting says that the chat never comes right.
func (c *simChat) lasting() bool { return c.kind != simHealthy && c.till == noTime }

func (c *simChat) askedBy(p *simProcess) bool {
	_, asked := c.askedAt[p]
	return asked
}
