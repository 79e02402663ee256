// SPDX-License-Identifier: Apache-2.0

package chathistory_test

import (
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"time"
)

// The promises of design.md, as they are checked here. What is allowed instead is
// as narrow as could be said:
//
//  1. Complete: required says which messages must have been accepted by the end,
//     and checkRead which at the end of a pass, or of a name's reading.
//  2. In order: checkOrder, by the place in the listing at the first acceptance.
//  3. At least once: checkRepeat for what comes again, checkSaved for what must be
//     in the store when a process ends.
//  4. Within the limit: checkRate, over all requests of a process.
//  5. Verbatim: simOutput.write.
//  6. Small: the messages that are out (simOutput.write), the goroutines (checkGoroutines)
//     and the chats in the gauge (checkGauges).
//  7. Apart: bound says until when all that is required must have come once the API
//     is well again but for the chats that are not.
//  8. Never silent: checkLogs.

// manyLooks is after how many answers to offset 0 a pass that was going on has
// certainly ended, and the next one begun: a pass takes one or two of them, and
// more only where the chat changes at its top meanwhile.
const manyLooks = 8

// saveSlack is how long after checkpoint_interval a checkpoint may still be on its
// way into a store that works.
const saveSlack = 3 * time.Second

// stays says that a message that must come out is there from when it arrived until
// now.
func (m *simMsg) stays() bool {
	w := m.c.w
	switch {
	case m.gone != noTime, m.hide, m.null:
		return false
	case m.c.deceived && (w.api.believed || w.on.has(simDeletions)):
		// Behind a page that was taken for the end, after many that were, or because so many
		// were deleted meanwhile that nothing stood where was looked: it comes some time.
		return false
	case !w.cfg.since.IsZero() && (m.time == 0 || m.time < w.cfg.since.UnixMilli()):
		// Without a time nobody can say.
		return false
	case m.time == 0 && w.on.has(simFreeOrder):
		// It may have come below what was delivered of its second.
		return false
	}
	return true
}

// buried says that so many messages which are older than since stand in a row above a
// message, or did before something was deleted, that what follows is taken for older as well
// (kommo_chat_history, since).
func (m *simMsg) buried() bool {
	w := m.c.w
	if w.cfg.since.IsZero() || m.sunk {
		return m.sunk
	}
	run := 0
	for _, o := range m.c.items {
		switch {
		case o == m:
			return run >= 50
		case run >= 50, o.hide, o.null:
		case o.time == 0 || o.time < w.cfg.since.UnixMilli():
			run++
		default:
			run = 0
		}
	}
	return false
}

// required says that a message must have been accepted by now, where its chat has
// been read again since it arrived.
func (m *simMsg) required() bool {
	c := m.c
	if !m.stays() || m.buried() || m.orphaned() {
		return false
	}
	if c.w.cfg.latest {
		// What arrived before the first look, or while that went on, is not asked for.
		// That is the first look of the last process that found nothing of the chat in
		// the store.
		// What was stamped before it may be listed deeper than it went.
		stamped := m.late || c.w.on.has(simFreeOrder) || m.key/1000 <= c.w.serverMs(c.freshSaved)/1000
		if c.freshSaved == noTime || m.at <= c.freshSaved || stamped && m.deep() {
			return false
		}
	}
	if m.late && (c.w.api.capped > 0 || c.w.on.has(simHidden) || c.w.on.has(simHiddenPages)) {
		// The poll of a known chat ends at a short page that shows what was delivered.
		return false
	}
	if m.late {
		// Listed below what had been read: it is looked for within the lookback of the
		// newest that was known when the pass began which is the first to find it.
		newest := c.newest
		if i := m.looksAt + manyLooks; i < len(c.looks) {
			newest = c.looks[i].newest
		}
		return m.key >= newest-c.w.cfg.lookback.Milliseconds()
	}
	return true
}

// orphaned says of a message that is older than what came before it that nothing is left
// of the last eight of these: then only its time tells whether it was among them. With
// start_from: latest that is what the first look found.
func (m *simMsg) orphaned() bool {
	c := m.c
	if c.w.cfg.latest && m.time < c.w.epoch.Add(c.freshSaved-c.w.cfg.lookback).UnixMilli() &&
		!slices.ContainsFunc(c.items, func(o *simMsg) bool { return o.at < m.at && !o.hide && (o.at <= c.freshSaved || o.accepted != noTime) }) {
		return true
	}
	order := c.order
	if !c.w.cfg.order {
		// A checkpoint has them as they were read.
		order = slices.SortedFunc(slices.Values(order), func(a, b *simMsg) int {
			if c.w.on.has(simByArrival) {
				return a.n - b.n
			}
			return int(a.key - b.key)
		})
	}
	older, seen := false, 0
	for _, o := range slices.Backward(order) {
		if o.n >= m.n {
			continue
		}
		if o.gone == noTime {
			return false
		}
		older = older || m.key < o.key
		if seen++; seen == 8 {
			break
		}
	}
	return older
}

// deep says that a message stands deeper in the listing than the first look of
// start_from: latest goes, or stood there by its time, or that more than that look holds are of
// the same second.
func (m *simMsg) deep() bool {
	c := m.c
	most, of, there := c.w.cfg.pageSize*c.w.cfg.maxBufferedPages, 0, 0
	for _, o := range c.all {
		if o.key/1000 == m.key/1000 {
			of++
		}
		if o.at <= c.freshSaved {
			there++
		}
	}
	return slices.Index(c.items, m) >= most || of > most || there > most && m.key/1000 <= c.w.serverMs(c.freshSaved)/1000
}

// missing returns the messages that must come and have not. Caller holds mu.
func (w *simWorld) missing() []*simMsg {
	var out []*simMsg
	for _, c := range w.chats {
		if c.lasting() {
			continue
		}
		for _, m := range c.all {
			if m.accepted == noTime && m.required() {
				out = append(out, m)
			}
		}
	}
	return out
}

// checkRead checks that what was in a chat before a time has been accepted, since
// the input says that it has read the chat after that. Caller holds mu.
func (w *simWorld) checkRead(c *simChat, since time.Duration, why string) {
	c.catchUp(w.now())
	for _, m := range c.all {
		if m.at < since && m.accepted == noTime && m.required() {
			w.violated(1, "%s, but %s has not come", why, m)
			return
		}
	}
	if k := c.failing(w.now()); k != simHealthy && k != simOthers && c.answered == 0 && since > 0 {
		w.violated(1, "%s, but chat %d never answered (%s)", why, c.n, k)
	}
}

// checkWanted checks that a message was asked for. Caller holds mu.
func (p *simProcess) checkWanted(m *simMsg) {
	w := p.w
	switch {
	case m.null:
		w.violated(5, "%s came, which is no message", m)
	case !w.cfg.since.IsZero() && m.time != 0 && m.time < w.cfg.since.Add(-time.Second).UnixMilli():
		w.violated(1, "%s came, which is older than since", m)
	case w.cfg.latest && m.at < 0 && !w.on.has(simNoTime) && !w.on.has(simClockOff) && !w.on.has(simRot) && !w.on.has(simTorn) && !w.apart() &&
		(!w.deceived() || !w.on.has(simDeletions) && !w.on.has(simHiddenPages)) && !m.unplaced(0) && !m.ahead():
		w.violated(1, "%s came, though start_from is latest", m)
	}
}

// checkOrder checks a message that was accepted for the first time against those
// accepted before it. One that belongs below them is out of order, unless it
// need not have come at all, or arrived only after they were read, or was itself rejected meanwhile, or was hidden behind a
// page that was shorter than the chat. Caller holds mu.
func (p *simProcess) checkOrder(m *simMsg) {
	w, c := p.w, m.c
	if m.time == 0 || !w.cfg.order && (w.cfg.maxInFlight > 1 || w.on.has(simPartial) || w.on.has(simWhole)) || m.rejected || !m.required() || c.deceived || w.cfg.batchCount > 0 && w.on.has(simPartial) {
		return
	}
	below := func(o *simMsg) bool { // o stands on the newer side of m
		if w.on.has(simByArrival) {
			return o.n > m.n
		}
		return o.before(m)
	}
	for _, o := range slices.Backward(c.order[:len(c.order)-1]) {
		if below(o) && m.at < o.served {
			if m.at >= c.begun(o.served) && (w.on.has(simFreeOrder) || slices.ContainsFunc(c.all, func(p *simMsg) bool {
				return p.served != noTime && p.served < m.at && below(p)
			})) {
				continue // it arrived below what the pass had passed by then
			}
			if w.on.has(simFreeOrder) && o.key/1000 == m.key/1000 {
				continue
			}
			w.violated(2, "%s came after %s, which is newer", m, o)
			return
		}
	}
}

// begun returns when the pass began at the latest that a message was served by, going by
// the answers to offset 0 before that.
func (c *simChat) begun(served time.Duration) time.Duration {
	at := time.Duration(math.MinInt64)
	for _, l := range c.looks {
		if l.at < served {
			at = l.at
		}
	}
	return at
}

// checkRepeat checks a message that comes, in this process for the first time.
// Caller holds mu.
func (p *simProcess) checkRepeat(m *simMsg) {
	if m.accepted != noTime && p.loaded[m.c].surely.has(m.n) && !p.mayRepeat(m) {
		p.w.violated(3, "%s came again, though it is in the checkpoint that this process began with", m)
	}
}

// mayRepeat says that what is known of a message's chat may not tell that it was delivered.
// Caller holds mu.
func (p *simProcess) mayRepeat(m *simMsg) bool {
	w := p.w
	switch {
	case w.deceived():
		return true // what a server that hides messages was believed is looked at again, by a later process too
	case w.cfg.queue && w.store.forgot:
		return true
	case w.apart():
		return true // what was delivered after another may be forgotten before it
	}
	return m.unplaced(m.served) || m.mistimed()
}

// deceived says that some process was given a page that was short though more came behind it.
func (w *simWorld) deceived() bool {
	return slices.ContainsFunc(w.procs, func(p *simProcess) bool { return p.deceived })
}

// apart says that the senders' clocks differ by more than the lookback, which has to be longer.
func (w *simWorld) apart() bool { return w.on.has(simSkew) && w.cfg.lookback < 4*time.Second }

// ahead says of a message that it, or one below it, claimed to be of the future when its chat was
// first looked at, or it to be newer than what stands above it, or where messages are deleted one below it does:
// then no time tells that it was there before (docs/how-it-works.md).
func (m *simMsg) ahead() bool {
	c := m.c
	if c.freshSaved == noTime {
		return true
	}
	all := slices.Clone(c.all) // as it was, before anything was deleted
	slices.Reverse(all)
	for _, listed := range [][]*simMsg{c.items, all} {
		at := slices.Index(listed, m)
		if at < 0 {
			continue
		}
		for i, o := range listed[at:] {
			if max(o.time, o.key) > c.w.epoch.Add(c.freshLook).UnixMilli() {
				return true
			}
			if (i == 0 || c.w.on.has(simDeletions)) && slices.ContainsFunc(listed[:at+i], func(above *simMsg) bool {
				return above.at <= o.at && above.key < o.key-time.Minute.Milliseconds()
			}) {
				return true
			}
		}
	}
	return false
}

// mistimed says of a message of 1970, of one above another that claims to be of the
// future, or where some show no time, that it came again a dozen times at most: what is known of its neighbours may not
// tell that it was delivered.
func (m *simMsg) mistimed() bool {
	m.again++
	return m.again <= 12 && (m.key < 101_000 || m.c.w.on.has(simNoTime) || m.uprooted() || slices.ContainsFunc(m.c.all[:m.n], func(o *simMsg) bool {
		return o.key > m.c.w.shownMs(o.at)+time.Minute.Milliseconds()
	}))
}

// uprooted says of a message that nothing is left of the eight accepted last, but for such as are
// listed below it though they came after it, and that something below it claims to be newer:
// then what stands above that is taken for new.
func (m *simMsg) uprooted() bool {
	order := m.c.order[max(0, len(m.c.order)-8):]
	if slices.ContainsFunc(order, func(o *simMsg) bool { return o.gone == noTime && (o.at <= m.at || o.key >= m.key) }) {
		return false
	}
	at := slices.Index(m.c.items, m)
	return slices.ContainsFunc(order, func(o *simMsg) bool { return o.gone == noTime }) ||
		at >= 0 && slices.ContainsFunc(m.c.items[at:], func(o *simMsg) bool { return o.key/1000 > m.key/1000 })
}

// unplaced says of a message without a time that it stands among those of the future, with
// what comes later below it, or that something above it was deleted since a time: when it was read, or before it was left out. Its place is all that tells how old
// it is, and that it was delivered is known for as long as that is of what came next.
// With that gone it may stand right below one within the lookback, as a late one would:
// to hold it for old would lose that, and to know it for ever would take the ids of all
// that have no time.
func (m *simMsg) unplaced(since time.Duration) bool {
	return m.time == 0 && (m.key > m.c.w.serverMs(m.at)+1000 || slices.ContainsFunc(m.c.all, func(o *simMsg) bool {
		return o.gone != noTime && o.gone >= since && (m.c.w.on.has(simByArrival) && o.n > m.n || o.key/1000 >= m.key/1000)
	}))
}

// checkSaved checks that what was acknowledged before a time is in the store, now
// that the process ends. That the store does not work is an excuse, but not for a run that says
// that it has come to its end. Caller holds mu.
func (p *simProcess) checkSaved(before time.Duration, excuse map[*simChat]time.Duration) {
	w := p.w
	if !w.cfg.cache {
		return
	}
	for _, c := range w.chats {
		if at, ok := excuse[c]; ok && at > before-2*time.Minute {
			continue
		}
		if at, ok := w.store.tampered[c]; ok && at >= w.store.wrote[c] {
			continue
		}
		holds := w.store.holds(c)
		for i := range p.covered(c, before) {
			lacks := p.covered(c, before)[i]
			if i < len(holds) {
				lacks &^= holds[i]
			}
			if lacks != 0 {
				m := c.all[64*i+bitsLen(lacks)-1]
				w.violated(3, "%s was acknowledged %s ago and is not in the store", m, (w.now() - m.flight.acked).Round(time.Microsecond))
				return
			}
		}
	}
}

func bitsLen(x uint64) (n int) {
	for ; x != 0; x >>= 1 {
		n++
	}
	return n
}

// checkRate checks the requests of each process against the limit, and against the
// pauses that the server asked for.
func (w *simWorld) checkRate() {
	for _, p := range w.procs {
		var pauses []simPause
		for _, pause := range w.api.pauses {
			if pause.p == p {
				pauses = append(pauses, pause)
			}
		}
		tokens, last := float64(w.cfg.burst), time.Duration(0)
		for _, sent := range w.api.ledger {
			if sent.p != p {
				continue
			}
			if w.cfg.rps > 0 {
				tokens = min(float64(w.cfg.burst), tokens+(sent.at-last).Seconds()*w.cfg.rps) - 1
				last = sent.at
				if tokens < -1e-3 {
					w.violated(4, "more than %d requests at once and %.2f in a second, at %s", w.cfg.burst, w.cfg.rps, sent.at)
					return
				}
			}
			for _, pause := range pauses {
				// A date says only whole seconds.
				if sent.at > pause.from && sent.at < min(pause.to, pause.from+obeyedPause)-2*time.Millisecond {
					w.violated(4, "a request at %s, though the server had asked at %s for a pause of %s (%s)", sent.at, pause.from, pause.to-pause.from,
						[...]string{"Retry-After", "Retry-After as a date", "retry_after in the body", "both", "503 with Retry-After", "", "a year", "the year 9999", "a body of years"}[w.api.hint])
					return
				}
			}
		}
	}
	if a := &w.api; a.hint == hintNone && a.rate > 0 {
		// Each process has to find out anew.
		if most := 20 + 10*len(w.procs) + len(a.ledger)/4; a.throttled > most {
			w.violated(4, "%d of %d requests were answered with 429", a.throttled, len(a.ledger))
		}
	}
}

// checkLogs checks that what fails for good was told, and not again and again.
func (w *simWorld) checkLogs(p *simProcess) {
	var told strings.Builder
	lines, since := 0, w.calmAt+w.settling()
	for _, l := range p.logs {
		if l.level >= slog.LevelWarn {
			told.WriteString(l.text + "\n")
			if l.at > since {
				lines++
			}
		}
	}
	lasting, foreign := 0, 0
	for _, c := range w.chats {
		if !c.lasting() || !c.askedBy(p) {
			continue
		}
		if c.kind == simOthers {
			foreign++
			continue
		}
		lasting++
	}
	// Where no chat is read, the API is what is told of.
	api := strings.Contains(told.String(), "The API answers no request")
	if lasting > 0 && lasting <= 4 && !api {
		for _, c := range w.chats {
			if c.lasting() && c.kind != simOthers && c.askedBy(p) && w.now()-max(w.calmAt, c.askedAt[p]) > w.settling() && !strings.Contains(told.String(), c.id) {
				w.violated(8, "chat %d fails for good (%s) and the log does not name it", c.n, c.kind)
				break
			}
		}
	}
	if foreign > 0 && told.Len() == 0 && w.now()-p.began > time.Minute {
		w.violated(8, "%d chats are of another channel and the log does not say so", foreign)
	}
	most := 8 + 2*(lasting+foreign)
	if w.on&simSetOf("nulls,ahead,future,epoch,msecseconds,clockoff") != 0 {
		most += 2 * len(w.chats) // what is odd in a chat is told once, when it is read
	}
	if w.on&simSetOf("forgets,expires") != 0 {
		most += 8 // how many are lost is told each time that they have doubled
	}
	// Attempts that fail are told every ten minutes, for each way in which they do.
	most += min(lasting, 4) * int((w.now()-since)/(10*time.Minute))
	if lines > most {
		w.violated(8, "%d lines of warning in %s of calm with %d chats that fail for good and %d of another channel",
			lines, (w.now() - since).Round(time.Second), lasting, foreign)
	}
	for c, rotten := range w.store.rotten {
		if rotten && told.Len() == 0 && c.askedBy(p) && c.kind == simHealthy {
			w.violated(8, "the checkpoint of chat %d was torn and the log does not say so", c.n)
		}
	}
}

// checkGauges checks the metric of the chats.
func (w *simWorld) checkGauges(p *simProcess) {
	sum := int64(0)
	for _, n := range p.gauges {
		sum += n
	}
	if w.queue == nil && sum != int64(len(w.chats)) {
		w.violated(6, "the gauge counts %d chats of %d: %v", sum, len(w.chats), p.gauges)
	}
	if w.queue != nil && sum > int64(w.cfg.limit+len(w.chats)) {
		w.violated(6, "the gauge counts %d chats: %v", sum, p.gauges)
	}
}

// settling is how long what fails takes at most to fail once, from the calm on.
func (w *simWorld) settling() time.Duration {
	left := w.api.asides
	for _, pause := range w.api.pauses {
		left = max(left, pause.to-w.calmAt)
	}
	if w.on.has(simSecret) {
		left += 5 * time.Minute // a chat refused twice meanwhile counts as another channel's for one minute and for four
	}
	if w.api.noDate {
		left += max(0, w.api.clock) // nothing tells that the date in Retry-After is by another clock
	}
	failing := 0
	for _, c := range w.chats {
		if c.lasting() && c.kind != simOthers {
			failing++
		}
	}
	// A chat that does not answer takes the timeout for each attempt, and its place meanwhile.
	left += time.Duration(failing*6/w.cfg.parallel+6*min(failing, 1)) * (w.cfg.timeout + w.cfg.maxBackoff/2)
	return left + 30*time.Second + 2*w.cfg.timeout + 4*w.cfg.maxBackoff
}

// bound is how long after the calm began all that is required must have come.
func (w *simWorld) bound() time.Duration {
	c := &w.cfg
	requests, messages := 0.0, 0
	for _, chat := range w.chats {
		n := float64(len(chat.items))
		requests += 8 + 3*n/float64(c.pageSize-1) + 4*math.Log2(n+2)
		messages += len(chat.all)
		switch {
		case !chat.lasting():
		case chat.kind == simOthers:
			requests += 2
		default:
			requests += 20
		}
	}
	if w.api.capped > 0 || w.on.has(simHidden) || w.on.has(simHiddenPages) {
		requests *= 4
	}
	took := 3*w.api.latency + 2*w.store.latency
	bound := w.settling() + 3*c.poll + time.Duration(requests)*took
	if c.rps > 0 {
		bound += time.Duration(2 * requests / c.rps * float64(time.Second))
	}
	if w.api.throttled > 0 {
		bound += 5 * time.Minute // until the input is as fast again as it was
	}
	// One message after the other in the worst case, each with its checkpoint.
	per := w.out.latency + c.batchPeriod
	if c.limit < 50 {
		bound += time.Duration(messages) * per
	} else {
		bound += time.Duration(len(w.chats)*8) * per
	}
	bound += time.Duration(messages/c.pageSize+8*len(w.chats)) * per
	return bound
}

// troubles are the ingredients that may keep a healthy chat from being read at once.
const troubles = "broken,flaky,transient,outage,block,secret,throttle,sharedlimit,clockoff,storefails,slowoutput,batching,kills,stops,queue,longid,partial,whole"

// checkStart checks that chats of another channel, however many, do not keep the first
// reading of one's own from its bounded time.
func (w *simWorld) checkStart() {
	if !w.on.has(simForeign) || w.on&simSetOf(troubles) != 0 {
		return
	}
	bound := w.bound() - w.settling() - 3*w.cfg.poll + 15*time.Second
	for _, c := range w.chats {
		if c.kind == simHealthy && c.firstRead > bound {
			w.violated(7, "chat %d was first read after %s, not within %s of the start", c.n, c.firstRead.Round(time.Second), bound.Round(time.Second))
			return
		}
	}
}

// report says what was broken, in which run.
func (w *simWorld) report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %s\n", w.seed, w.broken[0])
	for _, more := range w.broken[1:min(4, len(w.broken))] {
		fmt.Fprintf(&b, "  and %s\n", more)
	}
	fmt.Fprintf(&b, "ingredients: %s\n", w.on)
	return b.String()
}
