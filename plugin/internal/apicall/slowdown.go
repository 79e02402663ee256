// SPDX-License-Identifier: Apache-2.0

package apicall

import (
	"math"
	"time"
)

const (
	// slowerBy is what is left of the speed after a 429.
	slowerBy = 0.7

	// backSoonest and backLatest bound how long it takes to be as fast again as when
	// the 429 came. A slower limiter takes longer, so that some 60 requests lie
	// between two 429s and these stay a few percent of all.
	backSoonest, backLatest = 30 * time.Second, time.Minute
	backRequests            = 60

	// forgotten is how long after the last 429 the full speed is back, whatever
	// the curve says.
	forgotten = 5 * time.Minute

	// slowest is the least that a limiter is slowed down to, in requests per second,
	// so that a server that answers 429 at random can't bring everything to a stop.
	// What allows less than this is found by the pauses, which grow.
	slowest = 0.1

	// onceOnly is how long after one 429 with a stated wait the next one tells that
	// the wait alone does not do.
	onceOnly = time.Minute
)

// slowdown is how much slower than configured requests are sent because the server
// answered 429: an address that goes on at full speed is blocked (chats-api.md,
// row "rate limit, 429, Retry-After").
//
// It is TCP's CUBIC (RFC 9438) with the time scaled to requests: the speed
// falls to 0.7 of what it was, is back near that after half a minute to a minute,
// stays around there, and only then grows faster and faster:
//
//	                                /
//	speed at the last 429 ┈┈┈┈___──'┈┈┈
//	                       ,-'
//	0.7 of it             /
//	                      0   30 s   60 s
//
// So most of what the server allows is used, and it is rarely asked for more.
// Where 429s follow each other with nothing accepted in between, the speed is not
// to blame but a quota that is used up: then the pauses grow instead, and one
// request at a time looks if they are over.
//
// It has no lock and no clock. Its zero value is not slowed.
type slowdown struct {
	ceiling float64   // requests per second at the last 429, a bit less if that was less than before; 0: not slowed
	start   float64   // where the speed began to grow from
	since   time.Time // when it began: the end of the last pause
	eventAt time.Time // the last 429 that counted. Requests granted before it tell nothing new

	strikes    int           // 429s that counted since anything was accepted
	pause      time.Duration // after the last of them
	probeUntil time.Time     // nothing more is granted until then, unless something is accepted

	sent, accepted meter
}

// event takes a 429 into account that came at now to a request that was granted at
// granted, with the configured speed full. hinted is whether it said how long to
// wait. It reports false if this 429 tells nothing new: the request was under way
// already when another one's 429 came, so the two count as one.
func (s *slowdown) event(granted, now time.Time, full float64, hinted bool) (counts, slower bool) {
	if !s.eventAt.IsZero() && !granted.After(s.eventAt) {
		return false, false
	}
	again := !s.eventAt.IsZero() && now.Sub(s.since) < onceOnly
	s.eventAt = now
	s.strikes++
	if s.strikes > 1 || hinted && !again {
		return true, false
	}
	base := s.rate(now, full)
	// What the server accepted in its best second of late is the most that it can
	// allow, but for a burst.
	if seen := s.accepted.perSecond(now); seen > 0 {
		base = min(base, seen)
	} else if math.IsInf(base, 1) {
		base = s.sent.perSecond(now)
	}
	base = max(base, min(slowest, full))
	before := s.ceiling
	s.start = max(base*slowerBy, min(slowest, full))
	s.ceiling = base
	if base < before {
		// It allows less than it did, or someone else asks too: leave some room.
		s.ceiling = (base + s.start) / 2
	}
	return true, true
}

// rests tells that nothing is granted until then, so the speed grows from there.
func (s *slowdown) rests(until time.Time) {
	if until.After(s.since) {
		s.since = until
	}
}

// accept takes an answer other than a 429 into account.
func (s *slowdown) accept(granted, now time.Time) {
	s.accepted.add(now)
	if granted.After(s.eventAt) {
		s.strikes, s.probeUntil = 0, time.Time{}
	}
}

// grant takes into account that a request is sent.
func (s *slowdown) grant(now time.Time) {
	s.sent.add(now)
	if s.strikes > 1 {
		s.probeUntil = now.Add(s.pause)
	}
}

// rate is how many requests per second to grant where full is configured.
func (s *slowdown) rate(now time.Time, full float64) float64 {
	if s.ceiling == 0 {
		return full
	}
	t := max(now.Sub(s.since), 0)
	if t >= forgotten {
		s.ceiling = 0
		return full
	}
	back := min(max(time.Duration(backRequests/s.ceiling*float64(time.Second)), backSoonest), backLatest)
	if t <= back {
		left := float64(back-t) / float64(back)
		return min(full, s.ceiling-(s.ceiling-s.start)*left*left*left)
	}
	over := float64(t-back) / float64(backSoonest)
	return min(full, s.ceiling*(1+(1-slowerBy)*over*over*over))
}

// meter counts what happened in each of the last ten seconds.
type meter struct {
	first  time.Time // the begin of the first second; zero: nothing happened yet
	last   int64     // the second of the last event
	counts [10]int
}

func (m *meter) add(now time.Time) {
	if m.first.IsZero() || now.Before(m.first) {
		*m = meter{first: now}
	}
	second := int64(now.Sub(m.first) / time.Second)
	m.forget(second)
	m.counts[second%int64(len(m.counts))]++
}

// forget empties the seconds that have passed without an event.
func (m *meter) forget(second int64) {
	if second-m.last >= int64(len(m.counts)) {
		*m = meter{first: m.first, last: second}
		return
	}
	for ; m.last < second; m.last++ {
		m.counts[(m.last+1)%int64(len(m.counts))] = 0
	}
}

// perSecond is how many there were in the busiest of the last ten seconds. In the
// first second ever it counts what came so far, and not less than a tenth of a
// second, so that two answers within a millisecond are not two thousand a second.
func (m *meter) perSecond(now time.Time) float64 {
	if m.first.IsZero() {
		return 0
	}
	since := now.Sub(m.first)
	m.forget(max(int64(since/time.Second), m.last))
	most := 0
	for _, n := range m.counts {
		most = max(most, n)
	}
	if since < time.Second {
		return float64(most) / max(since.Seconds(), 0.1)
	}
	return float64(most)
}
