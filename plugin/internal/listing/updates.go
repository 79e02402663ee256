// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"maps"
	"math"
	"slices"
)

const (
	// lag is how far, in s, the watermark stays behind the clock. A row
	// can become visible that much later than its update says: because it was
	// written in a long transaction, is read from a copy of the database, or because
	// the server has several clocks.
	lag = 120

	// unsure is how long, in s, a row can change again without its update showing
	// it, as that has no finer resolution than a second.
	unsure = 3
)

// stamp is a row that was listed.
type stamp struct {
	Updated int64
	// Unsure says that the row could still change within the second of its update
	// when it was read. The next listing names it again.
	Unsure bool
	// round is the listing that did; 0 for one of an earlier run.
	round int
}

type keyedStamp struct {
	Key string
	stamp
}

// updates decides what is new in a list whose rows tell when they were updated.
type updates struct {
	name    string   // of its value in the Store
	origins []string // sorted; for the checkpoint
	since   int64    // rows updated before are of no interest

	// watermark is a time before which everything was listed, 0 before the first
	// whole listing. stamps are the rows listed since then.
	watermark int64
	stamps    map[string]stamp

	// swept is what the watermark was after the last whole listing, begun at
	// sweptAt, which is right whatever the order. newestFirst is whether it has shown
	// that order.
	swept, sweptAt int64
	newestFirst    bool

	// Of the listing that is under way:
	round   int
	started int64 // the time of its first answer; 0 before
	whole   bool  // it reads to the end
	newest  int64 // the latest update in it
	order   order
	listed  listed

	// What was acknowledged without a gap; the Lister's mu guards it.
	saved state
	dirty bool // it has changed since it was saved
}

func newUpdates(conf *Config) *updates {
	return &updates{
		name: conf.Name, origins: conf.Origins, since: sinceOf(conf.Since),
		stamps: map[string]stamp{}, saved: state{stamps: map[string]stamp{}},
	}
}

func (u *updates) begin() {
	u.round++
	u.started, u.newest, u.order, u.listed = 0, 0, order{}, listed{}
}

func (u *updates) look(got *Page) (refuted bool) {
	now := got.past()
	if u.started == 0 {
		u.started = now
		u.whole = !u.newestFirst || now-u.sweptAt >= sweepEvery || now < u.sweptAt
	}
	for i := range got.Rows {
		u.newest = max(u.newest, got.Rows[i].Updated)
	}
	u.order.look(got.Rows, u.started-lag)
	if u.newestFirst && u.order.Broken {
		u.newestFirst = false
		u.watermark = u.swept
		return true
	}
	return false
}

func (u *updates) chosen(got *Page) (enough bool) {
	u.bounds().prune(u.stamps)
	if u.whole {
		return false
	}
	for i := range got.Rows {
		if at := got.Rows[i].Updated; at < max(u.watermark, u.since) && at < u.started-lag {
			return true
		}
	}
	return false
}

func (u *updates) wanted(r *Row, got *Page, p *pending) bool {
	if r.Updated == 0 {
		// Nobody can tell if it changed.
		return u.listed.add(r.Chat, math.MaxInt64)
	}
	if r.Updated < u.since || r.Updated < u.watermark {
		return false
	}
	if old, ok := u.stamps[r.Key]; ok {
		if old.Updated > r.Updated && old.Updated <= got.past() {
			return false // an old copy; from the future a row can only come back
		}
		if old.Updated == r.Updated && (!old.Unsure || old.round == u.round) {
			return false
		}
	}
	s := stamp{Updated: r.Updated, Unsure: got.fresh(r.Updated), round: u.round}
	u.stamps[r.Key] = s
	p.remember = append(p.remember, keyedStamp{r.Key, s})
	return u.listed.add(r.Chat, r.Updated)
}

// bounds says which stamps are still needed.
type bounds struct {
	// watermark: what was updated before it is not listed anyway.
	watermark int64
	// floor is what the watermark will be at least when the listing has ended. What
	// this listing itself has listed before it is done with; what an earlier one has
	// listed may not have come up yet.
	floor int64
	round int
}

// The watermark trails the latest update as well as the clock, which need not be
// the one that the updates are made by: one that is an hour ahead would cover what
// appears late.
func (u *updates) bounds() bounds {
	return bounds{u.watermark, max(u.watermark, min(u.newest, u.started)-lag), u.round}
}

func (u *updates) overlooked(rows []Row) bool {
	return slices.ContainsFunc(rows, func(r Row) bool { return r.Updated < u.started-lag })
}

func (u *updates) distrust() bool {
	if u.watermark == 0 {
		return false
	}
	u.watermark, u.swept, u.sweptAt, u.newestFirst = 0, 0, 0, false
	return true
}

func (u *updates) mark(p *place) {
	p.started, p.whole, p.newest, p.order = u.started, u.whole, u.newest, u.order
}

func (u *updates) progress() progress {
	return progress{bounds: u.bounds(), swept: u.swept, sweptAt: u.sweptAt, newestFirst: u.newestFirst}
}

func (b bounds) needs(s stamp) bool {
	return s.Updated >= b.watermark && (s.Updated >= b.floor || s.round != b.round)
}

// prune forgets stamps that are not needed any more.
func (b bounds) prune(stamps map[string]stamp) {
	maps.DeleteFunc(stamps, func(_ string, s stamp) bool { return !b.needs(s) })
}

// end moves the watermark, as the listing is done.
func (u *updates) end(loose bool) {
	u.watermark = u.bounds().floor
	if u.whole {
		u.swept, u.sweptAt = u.watermark, u.started
		u.newestFirst = !loose && u.order.newestFirst(u.newestFirst)
	}
	u.bounds().prune(u.stamps)
}

func (*updates) acked(*pending, int) {}

func (u *updates) covered(p *pending) {
	if u.saved.advance(p) {
		u.dirty = true
	}
}

func (u *updates) values() []string { return []string{u.name} }

func (u *updates) restore(_ int, value []byte) (progress, error) {
	s, origins, since, err := decodeState(value)
	if err != nil {
		return progress{}, err
	}
	if !slices.Equal(origins, u.origins) || since > u.since {
		return progress{}, errOther // what it passed over would be missing
	}
	u.watermark, u.swept, u.sweptAt, u.newestFirst = s.watermark, s.swept, s.sweptAt, s.newestFirst
	u.stamps = maps.Clone(s.stamps)
	if p := s.place; p != nil {
		u.started, u.whole, u.newest, u.order = p.started, p.whole, p.newest, p.order
	}
	u.saved = s
	return s.progress, nil
}

func (u *updates) unsaved(int) func() ([]byte, error) {
	if !u.dirty {
		return nil
	}
	u.dirty = false
	s := u.saved
	s.stamps = maps.Clone(s.stamps)
	return func() ([]byte, error) { return encodeState(s, u.origins, u.since) }
}

func (u *updates) spoiled(int) { u.dirty = true }
