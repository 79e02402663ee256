// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/history"
)

const (
	progressEvery = 10 * time.Second
	stalledAfter  = 30 * time.Second
	watchEvery    = time.Second
)

// hooks turns what the reader tells into metrics and log lines.
func (in *chatHistory) hooks() history.Hooks {
	failures := newThrottle()
	checkpoints := newThrottle()
	return history.Hooks{
		Realigned: func() { in.metrics.realigned.Incr(1) },
		State:     func(s history.State, chats int) { in.metrics.chats.Set(int64(chats), s.String()) },
		CheckpointFailed: func(_ string, err error, retryIn time.Duration) {
			in.metrics.checkpointErrors.Incr(1)
			if more, ok := checkpoints.allow(); ok {
				in.log.Errorf("The checkpoint cache failed, and this chat waits until it works again; next try in %s%s: %v", round(retryIn), more, err)
			}
		},
		CheckpointCorrupt: func(chat string, err error) {
			in.metrics.checkpointErrors.Incr(1)
			in.log.Errorf("Checkpoint %s can't be read, so chat %s is read again from its beginning: %v", in.checkpointKey(chat), chat, err)
		},
		ChatFailed: func(_ string, err error, retryIn time.Duration) {
			more, ok := failures.allow()
			switch {
			case !ok:
			case retryIn < 0:
				in.log.Errorf("A chat could not be read and its message of chats_input is rejected%s: %v", more, err)
			default:
				in.log.Errorf("A chat could not be read; next try in %s%s: %v", round(retryIn), more, err)
			}
		},
		Odd: func(chat string, entries int) {
			in.log.Warnf("Chat %s holds %d entries that are not JSON objects and so can't be messages; they are left out", chat, entries)
		},
	}
}

func (in *chatHistory) checkpointKey(chat string) string {
	return newCacheStore(nil, "", in.conf.checkpointCacheKey, in.conf.scopeID).key(chat)
}

// attemptLog reports attempts that will be repeated. A call that fails for good
// is reported by whoever made it.
type attemptLog struct {
	log *service.Logger
	mu  sync.Mutex
	by  map[apicall.Outcome]*throttle
}

func newAttemptLog(log *service.Logger) *attemptLog {
	return &attemptLog{log: log, by: map[apicall.Outcome]*throttle{}}
}

func (l *attemptLog) observe(a apicall.Attempt) {
	if a.Err == nil || a.RetryIn < 0 {
		return
	}
	l.mu.Lock()
	t := l.by[a.Outcome]
	if t == nil {
		t = newThrottle()
		l.by[a.Outcome] = t
	}
	l.mu.Unlock()
	if more, ok := t.allow(); ok {
		l.log.Warnf("Attempt %d failed, next in %s%s: %v", a.Try, round(a.RetryIn), more, a.Err)
	}
}

// throttle lets a few log lines of one kind through in each period, so that ten
// thousand chats that fail alike fill no disk.
type throttle struct {
	mu      sync.Mutex
	began   time.Time
	allowed int
	left    int
}

const (
	throttlePeriod = 10 * time.Second
	throttleLines  = 5
)

func newThrottle() *throttle { return &throttle{} }

// allow says whether a line may be written, and what it should add about those
// that were not.
func (t *throttle) allow() (more string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); now.Sub(t.began) >= throttlePeriod {
		t.began, t.allowed = now, 0
	}
	if t.allowed >= throttleLines {
		t.left++
		return "", false
	}
	t.allowed++
	if t.left > 0 {
		more = " (" + plural(t.left, "line like this one was", "lines like this one were") + " left out)"
		t.left = 0
	}
	return more, true
}

// watch reports progress of a run that has an end, and warns once when nothing
// is acknowledged any more.
func (in *chatHistory) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	began := time.Now()
	reported := began
	requests := int64(0)
	warned := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		s := in.reader.Stats()
		if !warned && s.Unacked > 0 && now.Sub(s.Moved) >= stalledAfter {
			warned = true
			in.warnStalled(s)
		}
		if !in.conf.pollSet && in.conf.chatsInput == nil && now.Sub(reported) >= progressEvery {
			total := in.metrics.counted.Load()
			in.reportProgress(s, now.Sub(began), float64(total-requests)/now.Sub(reported).Seconds())
			reported, requests = now, total
		}
	}
}

func (in *chatHistory) warnStalled(s history.Stats) {
	cause := "the usual cause is an output that batches by count without a period and waits for messages that wait for it: give its batching a period, or set preserve_order to false"
	if in.conf.checkpointLimit-s.Unacked < 50 {
		cause = "checkpoint_limit is used up: the output collects more messages than that before it sends any, so lower its batch count, give its batching a period, or raise checkpoint_limit"
	}
	in.log.Warnf("No acknowledgement for %s while %s out; %s", stalledAfter, plural(s.Unacked, "message is", "messages are"), cause)
}

func (in *chatHistory) reportProgress(s history.Stats, elapsed time.Duration, perSecond float64) {
	total := 0
	for _, n := range s.Chats {
		total += n
	}
	done := s.Chats[history.Done]
	left := "not known yet"
	if done > 0 {
		left = "about " + round(time.Duration(float64(elapsed)/float64(done)*float64(total-done)))
	}
	in.log.Infof("%d of %d chats done, %d messages, %.1f requests/s, time left: %s", done, total, s.Messages, perSecond, left)
}

// round shows a duration as a person would say it.
func round(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(time.Second).String()
	default:
		return d.Round(time.Millisecond).String()
	}
}
