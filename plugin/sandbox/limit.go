// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"sync"
	"time"
)

type limitVerdict int

const (
	limitAdmitted limitVerdict = iota
	limitExceeded
	limitBlocked
)

// limiter is a token bucket that blocks those who don't heed it. Nothing is
// documented for the Chats API (chats-api.md, row "rate limit"); the CRM API of
// the same vendor answers 429, then blocks the address with 403.
type limiter struct {
	rate, burst float64 // rate 0: no limit
	blockAfter  int
	blockFor    time.Duration

	mu           sync.Mutex
	tokens       float64
	last         time.Time
	refusals     int // since the last block
	blocked      bool
	blockedUntil time.Time // zero: until unblocked
}

func (l *limiter) config(c Config) {
	l.rate, l.burst = c.RequestsPerSecond, float64(c.Burst)
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
	if !l.last.IsZero() {
		l.tokens = min(l.burst, l.tokens+max(now.Sub(l.last), 0).Seconds()*l.rate)
	}
	l.last = now
	// A bucket refilled over exactly one interval may lack a rounding error.
	if l.tokens >= 1-1e-9 {
		l.tokens--
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

// Unblock lets a client in again that the rate limit has blocked, and forgets the
// 429 answers counted toward the next block.
func (s *Server) Unblock() {
	s.limit.mu.Lock()
	defer s.limit.mu.Unlock()
	s.limit.blocked = false
	s.limit.refusals = 0
}
