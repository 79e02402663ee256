// SPDX-License-Identifier: Apache-2.0

package component

import (
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
)

// AttemptLog reports attempts that failed and will be repeated: one of each kind in
// ten minutes. Most are of no interest once the next one succeeds, but until a call
// gives up they may be all there is to know. A call that has given up is reported by
// its caller.
type AttemptLog struct {
	log *service.Logger
	mu  sync.Mutex
	by  map[apicall.Outcome]*Throttle
}

// NewAttemptLog returns an AttemptLog that writes to a logger.
func NewAttemptLog(log *service.Logger) *AttemptLog {
	return &AttemptLog{log: log, by: map[apicall.Outcome]*Throttle{}}
}

// Observe is told of every attempt.
func (l *AttemptLog) Observe(a apicall.Attempt) {
	if a.Err == nil || a.RetryIn <= 0 { // 0: net/http has sent it again by itself
		return
	}
	l.mu.Lock()
	t := l.by[a.Outcome]
	if t == nil {
		t = &Throttle{Period: 10 * time.Minute, Lines: 1}
		l.by[a.Outcome] = t
	}
	l.mu.Unlock()
	if more, ok := t.Allow(); ok {
		l.log.Warnf("Attempt %d failed, next in %s%s: %v", a.Try, Round(a.RetryIn), more, a.Err)
	}
}

// limitLog returns what reports that the shared rate limit could not be asked.
func limitLog(log *service.Logger) func(err error, retryIn time.Duration) {
	lines := NewThrottle()
	return func(err error, retryIn time.Duration) {
		if more, ok := lines.Allow(); ok {
			log.Errorf("No request can be sent; next try in %s%s: %v", Round(retryIn), more, err)
		}
	}
}

// Throttle lets a few log lines of one kind through in each period, so that ten
// thousand chats that fail in the same way do not fill a disk.
type Throttle struct {
	Period time.Duration
	Lines  int // in a period

	mu      sync.Mutex
	began   time.Time
	allowed int
	left    int
}

// NewThrottle returns a Throttle of five lines in ten seconds.
func NewThrottle() *Throttle { return &Throttle{Period: 10 * time.Second, Lines: 5} }

// Allow says whether a line may be written, and what it should say of the lines that
// were left out before it.
func (t *Throttle) Allow() (more string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); now.Sub(t.began) >= t.Period {
		t.began, t.allowed = now, 0
	}
	if t.allowed >= t.Lines {
		t.left++
		return "", false
	}
	t.allowed++
	if t.left > 0 {
		more = " (" + Plural(t.left, "line like this one was", "lines like this one were") + " left out)"
		t.left = 0
	}
	return more, true
}
