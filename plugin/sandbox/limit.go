// SPDX-License-Identifier: Apache-2.0

// The rate limit, and the block of those who don't heed it.
//
// Documented (chats-api.md, "The history call", row "429"; "Finding chats", row
// "limits"): 429, with the wait in the body, and then a block of the address with
// 403; for the CRM 7 requests a second.
//
// Unknown (row "rate limit"): the limit of the Chats API, and how either API counts.
// So there are three ways to. Assumed: a request that is refused counts for the
// block and not for the limit; fixed windows begin at whole multiples of their
// length since 1970.

package sandbox

import (
	"sync"
	"time"
)

// LimitKind is a way to count requests.
type LimitKind string

// The ways to count.
const (
	// LimitBucket refills at the rate, up to Config.Burst.
	LimitBucket LimitKind = "bucket"
	// LimitFixed counts within windows that follow on each other, so that twice the
	// number can come through around the end of one.
	LimitFixed LimitKind = "fixed-window"
	// LimitSliding counts within the window that ends now.
	LimitSliding LimitKind = "sliding-window"
)

type limitVerdict int

const (
	limitAdmitted limitVerdict = iota
	limitExceeded
	limitBlocked
)

// limiter counts the requests of all clients together.
type limiter struct {
	kind        LimitKind
	rate, burst float64 // rate 0: no limit
	window      time.Duration
	most        int // within a window
	blockAfter  int
	blockFor    time.Duration

	mu           sync.Mutex
	tokens       float64     // of the bucket
	last         time.Time   // of the bucket
	current      int64       // the fixed window
	count        int         // within it
	admitted     []time.Time // within the sliding window
	refusals     int         // since the last block
	blocked      bool
	blockedUntil time.Time // zero: until unblocked
}

func (l *limiter) config(c Config) {
	l.kind, l.rate, l.burst, l.window = c.Limit, c.RequestsPerSecond, float64(c.Burst), c.LimitWindow
	// A product such as 0.1×10 may lack a rounding error.
	l.most = int(c.RequestsPerSecond*c.LimitWindow.Seconds() + 1e-9)
	l.blockAfter, l.blockFor = c.BlockAfter, c.BlockFor
	l.tokens = l.burst
}

func (l *limiter) admit(now time.Time) limitVerdict {
	if l.rate == 0 {
		return limitAdmitted
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.blocked {
		if l.blockedUntil.IsZero() || now.Before(l.blockedUntil) {
			return limitBlocked
		}
		l.blocked = false
	}
	if l.take(now) {
		return limitAdmitted
	}
	l.refusals++
	if l.blockAfter > 0 && l.refusals >= l.blockAfter {
		l.refusals = 0
		l.blocked = true
		l.blockedUntil = time.Time{}
		if l.blockFor > 0 {
			l.blockedUntil = now.Add(l.blockFor)
		}
	}
	return limitExceeded
}

// take counts a request if there is room for it. Caller holds mu.
func (l *limiter) take(now time.Time) bool {
	switch l.kind {
	case LimitFixed:
		if current := now.UnixNano() / int64(l.window); current != l.current {
			l.current, l.count = current, 0
		}
		if l.count >= l.most {
			return false
		}
		l.count++
	case LimitSliding:
		for len(l.admitted) > 0 && now.Sub(l.admitted[0]) >= l.window {
			l.admitted = l.admitted[1:]
		}
		if len(l.admitted) >= l.most {
			return false
		}
		l.admitted = append(l.admitted, now)
	default:
		if !l.last.IsZero() {
			l.tokens = min(l.burst, l.tokens+max(now.Sub(l.last), 0).Seconds()*l.rate)
		}
		l.last = now
		// A bucket refilled over exactly one interval may lack a rounding error.
		if l.tokens < 1-1e-9 {
			return false
		}
		l.tokens--
	}
	return true
}

// Unblock lets a client in again that the rate limit has blocked, and forgets the
// 429 answers counted toward the next block.
func (s *Server) Unblock() {
	s.limit.mu.Lock()
	defer s.limit.mu.Unlock()
	s.limit.blocked = false
	s.limit.refusals = 0
}
