// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/history"
	"github.com/kommo-connect/kommo-connect/plugin/internal/amojo"
	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
)

const (
	progressEvery = 10 * time.Second
	stalledAfter  = 30 * time.Second
	watchEvery    = time.Second

	// someNames is how many chats of many a line names.
	someNames = 3
	// mostUntold is how many chats are remembered that failed while the API was down.
	mostUntold = 1000
)

// report turns what happens in kommo_chat_history into metrics and log lines: one
// line for one event that concerns a person, and none for a healthy tail.
type report struct {
	in       *chatHistory
	attempts *attemptLog

	failures, checkpoints, corrupt, odd, times, rests, slowed *throttle

	// Of healthChanged, which is called for one change at a time:
	refused bool      // the API went down by refusing all
	retried time.Time // when chats of other channels were tried again for that

	mu       sync.Mutex
	empty    fewChats
	notOurs  fewChats
	letGo    int
	vanished fewChats
	untold   map[string]struct{} // failed while the API was down
	rejected time.Time           // when the output rejected something last
}

// fewChats counts chats and has the names of the first few.
type fewChats struct {
	n, told int
	toldAt  time.Time
	names   []string
}

func (l *fewChats) add(chat string) {
	l.n++
	if len(l.names) < someNames {
		l.names = append(l.names, chat)
	}
}

// news reports whether there are more than were told of: by enough for another
// line, or after ten minutes. It notes that they are told.
func (l *fewChats) news() bool {
	now := time.Now()
	if l.n == l.told || l.n < 2*l.told && now.Sub(l.toldAt) < 10*time.Minute {
		return false
	}
	l.told, l.toldAt = l.n, now
	return true
}

func (l *fewChats) String() string {
	s := strings.Join(l.names, ", ")
	if l.n > len(l.names) {
		s += ", …"
	}
	return s
}

func newReport(in *chatHistory) *report {
	return &report{
		in: in, attempts: newAttemptLog(in.log),
		failures: &throttle{period: 10 * time.Second, lines: 20}, checkpoints: newThrottle(), corrupt: newThrottle(),
		odd: &throttle{period: 10 * time.Minute, lines: 5}, times: &throttle{period: 10 * time.Minute, lines: 5},
		rests: &throttle{period: 10 * time.Minute, lines: 1}, slowed: &throttle{period: 10 * time.Minute, lines: 1},
		untold: map[string]struct{}{},
	}
}

// attempt is told of every request.
func (r *report) attempt(a apicall.Attempt) {
	r.in.metrics.attempt(a)
	switch a.Outcome {
	case apicall.OutcomeServerError, apicall.OutcomeUnreachable, apicall.OutcomeTimeout,
		apicall.OutcomeBrokenBody, apicall.OutcomeRedirected, apicall.OutcomeTooLarge:
		r.in.health.attempt(a.Err)
	}
	switch {
	case a.RetryAfter > apicall.MaxRest:
		if more, ok := r.rests.allow(); ok {
			r.in.log.Warnf("The server asks to be left alone for %s; all requests rest for %s, and then it is asked again%s: %v",
				longTime(a.RetryAfter), apicall.MaxRest, more, a.Err)
		}
	case a.SlowedTo > 0:
		if more, ok := r.slowed.allow(); ok {
			r.in.log.Warnf("The API throttles this input, so it is slowed to %.2g requests/s for some minutes%s: %v", a.SlowedTo, more, a.Err)
		}
	case !r.in.health.isDown():
		r.attempts.observe(a)
	}
}

// longTime shows a duration that may be absurd.
func longTime(d time.Duration) string {
	if d > 48*time.Hour {
		return plural(int(d/(24*time.Hour)), "day", "days")
	}
	return round(d)
}

// healthChanged is told when the API does not answer any more, and when it does
// again.
func (r *report) healthChanged(up bool, why error) {
	if up {
		r.in.metrics.apiUp.Set(1)
		r.in.log.Info("The API answers again")
		if r.refused && time.Since(r.retried) >= notOursFor {
			// When it refused all, it was not because of them.
			r.retried = time.Now()
			r.in.reader.RetryNotOurs()
		}
		return
	}
	var refused *amojo.RefusedError
	r.refused = errors.As(why, &refused)
	r.in.metrics.apiUp.Set(0)
	r.in.log.Errorf("The API answers no request, so all chats wait and it is asked now and then, at least every %s: %v",
		round(r.in.conf.backoff.MaxInterval), why)
}

// hooks turns what the reader tells into metrics and log lines.
func (r *report) hooks() history.Hooks {
	log, metrics := r.in.log, r.in.metrics
	return history.Hooks{
		Realigned: func() { metrics.realigned.Incr(1) },
		State:     func(s history.State, chats int) { metrics.chats.Set(int64(chats), s.String()) },
		CheckpointFailed: func(_ string, err error, retryIn time.Duration) {
			metrics.checkpointErrors.Incr(1)
			if more, ok := r.checkpoints.allow(); ok {
				log.Errorf("The checkpoint cache failed, and this chat waits until it works again; next try in %s%s: %v", round(retryIn), more, err)
			}
		},
		CheckpointCorrupt: func(chat string, err error) {
			metrics.checkpointErrors.Incr(1)
			if more, ok := r.corrupt.allow(); ok {
				log.Errorf("Checkpoint %s can't be read, so chat %s is read again from its beginning%s: %v", r.in.checkpointKey(chat), chat, more, err)
			}
		},
		CheckpointVanished: func(chat string) {
			metrics.checkpointErrors.Incr(1)
			r.note(func() { r.vanished.add(chat) })
		},
		ChatFailed: r.chatFailed,
		LetGo:      func(string) { r.note(func() { r.letGo++ }) },
		Empty:      func(chat string) { r.note(func() { r.empty.add(chat) }) },
		Odd: func(chat string, entries int) {
			if more, ok := r.odd.allow(); ok {
				log.Warnf("Chat %s holds %d entries that are not JSON objects and so can't be messages; they are left out%s", chat, entries, more)
			}
		},
		WrongTimes: func(chat string, _ int) {
			if more, ok := r.times.allow(); ok {
				log.Warnf("Chat %s holds messages whose time can't be right: of the future, or in another unit than documented; they are delivered, and their times believed as little as can be%s", chat, more)
			}
		},
		ShortPages: func(again int) {
			log.Warnf("The API gives pages that are shorter than asked although more follows: from now on each chat's end is looked behind, and %s read again from the beginning",
				plural(again, "chat is", "chats are"))
		},
	}
}

func (r *report) note(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// chatFailed tells of each chat that fails once, until it has been read again.
func (r *report) chatFailed(chat string, err error, times int, retryIn time.Duration) {
	if errors.Is(err, history.ErrNotOurs) {
		if times == 1 {
			r.note(func() { r.notOurs.add(chat) })
		}
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, untold := r.untold[chat]
	if times > 1 && !untold {
		return
	}
	delete(r.untold, chat)
	// While the API itself is down that is what is told of, of very many chats not all
	// can be told of at once, and a first refusal may turn out to be of another channel
	// or of all.
	var refused *amojo.RefusedError
	if !r.in.health.isDown() && (times != 1 || !errors.As(err, &refused)) {
		if more, ok := r.failures.allow(); ok {
			which := ""
			if !strings.Contains(err.Error(), chat) {
				which = "chat " + chat + ": "
			}
			r.in.log.Errorf("A chat could not be read and is tried again until it can, next in %s%s: %s%v", round(retryIn), more, which, err)
			return
		}
	}
	if len(r.untold) >= mostUntold {
		clear(r.untold) // most of them have recovered long since
	}
	r.untold[chat] = struct{}{}
}

func (in *chatHistory) checkpointKey(chat string) string {
	return newCacheStore(nil, "", in.conf.checkpointCacheKey, in.conf.scopeID).key(chat)
}

// attemptLog reports attempts that will be repeated, one of each kind now and then:
// most are of no interest once the next one succeeds, but until a call has given
// up that may be all there is to know. A call that fails for good is reported by
// whoever made it.
type attemptLog struct {
	log *service.Logger
	mu  sync.Mutex
	by  map[apicall.Outcome]*throttle
}

func newAttemptLog(log *service.Logger) *attemptLog {
	return &attemptLog{log: log, by: map[apicall.Outcome]*throttle{}}
}

func (l *attemptLog) observe(a apicall.Attempt) {
	if a.Err == nil || a.RetryIn <= 0 { // 0: net/http has sent it again by itself
		return
	}
	l.mu.Lock()
	t := l.by[a.Outcome]
	if t == nil {
		t = &throttle{period: 10 * time.Minute, lines: 1}
		l.by[a.Outcome] = t
	}
	l.mu.Unlock()
	if more, ok := t.allow(); ok {
		l.log.Warnf("Attempt %d failed, next in %s%s: %v", a.Try, round(a.RetryIn), more, a.Err)
	}
}

// limitLog reports that the shared rate limit could not be asked.
func limitLog(log *service.Logger) func(err error, retryIn time.Duration) {
	lines := newThrottle()
	return func(err error, retryIn time.Duration) {
		if more, ok := lines.allow(); ok {
			log.Errorf("No request can be sent; next try in %s%s: %v", round(retryIn), more, err)
		}
	}
}

// throttle lets a few log lines of one kind through in each period, so that ten
// thousand chats that fail alike fill no disk.
type throttle struct {
	period time.Duration
	lines  int

	mu      sync.Mutex
	began   time.Time
	allowed int
	left    int
}

const (
	throttlePeriod = 10 * time.Second
	throttleLines  = 5
)

func newThrottle() *throttle { return &throttle{period: throttlePeriod, lines: throttleLines} }

// allow says whether a line may be written, and what it should add about those
// that were not.
func (t *throttle) allow() (more string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); now.Sub(t.began) >= t.period {
		t.began, t.allowed = now, 0
	}
	if t.allowed >= t.lines {
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

// watch reports progress of a run that has an end, what has gathered of the chats
// that gave nothing, and once that nothing is acknowledged any more.
func (r *report) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	in := r.in
	began := time.Now()
	reported := began
	requests := int64(0)
	warned, first := false, true
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		s := in.reader.Stats()
		if !warned && s.Unacked > 0 && now.Sub(s.Moved) >= stalledAfter && !r.rejectedSince(s.Moved) {
			warned = true
			r.warnStalled(s)
		}
		ended := first && in.conf.chatsInput == nil && s.Unread == 0
		if ended {
			first = false
		}
		if due := now.Sub(reported) >= progressEvery; due || ended {
			r.tellGathered(ended)
			if due && !in.conf.pollSet && in.conf.chatsInput == nil {
				total := in.metrics.counted.Load()
				r.progress(s, now.Sub(began), float64(total-requests)/now.Sub(reported).Seconds())
				requests = total
			}
			if due {
				reported = now
			}
		}
	}
}

// ended is called when a run that has an end has come to it.
func (r *report) ended() { r.tellGathered(true) }

// tellGathered tells of the chats that have gathered: of each kind in one line, and
// again when there are twice as many. first says that all chats have been read once.
func (r *report) tellGathered(first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	log := r.in.log
	s := r.in.reader.Stats()
	if r.empty.n > 0 && (r.empty.news() || first && r.empty.told < r.empty.n) {
		r.empty.told = r.empty.n
		what := "has no message, or is unknown to the API"
		if r.empty.n > 1 {
			what = "have no message, or are unknown to the API"
		}
		if first && s.Messages == 0 && r.empty.n >= len(r.in.conf.chats) && r.in.conf.chatsInput == nil {
			log.Warnf("Nothing was found: none of the %s that are to be read has a message. Check that these are ids of the Chats API, not the integration's own, and that scope_id names this channel: %s",
				plural(r.empty.n, "chat", "chats"), &r.empty)
		} else {
			log.Warnf("%s %s; check that these are ids of the Chats API, not the integration's own: %s",
				plural(r.empty.n, "chat", "chats"), what, &r.empty)
		}
	}
	if r.notOurs.n > 0 && r.notOurs.news() {
		log.Warnf("%s of other channels: the API refuses them with this secret. They are left alone for %s each time; take them out of what names the chats, for kommo_chats by its origins: %s",
			plural(r.notOurs.n, "chat", "chats"), notOursFor, &r.notOurs)
	}
	if r.letGo > 0 {
		log.Warnf("%s of other channels given up, since too many of them are named", plural(r.letGo, "chat", "chats"))
		r.letGo = 0
	}
	if r.vanished.n > 0 && r.vanished.news() {
		log.Warnf("The checkpoint cache has lost or set back %s; they are written again from memory, and nothing is lost while this process runs. A cache must not forget: check that it has no TTL, and keeps its data when it restarts: %s",
			plural(r.vanished.n, "checkpoint", "checkpoints"), &r.vanished)
	}
}

// outputRejected notes that the output has rejected something. It says so itself.
func (r *report) outputRejected() { r.note(func() { r.rejected = time.Now() }) }

func (r *report) rejectedSince(t time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rejected.After(t)
}

func (r *report) warnStalled(s history.Stats) {
	cause := "the usual cause is an output that batches by count without a period and waits for messages that wait for it: give its batching a period, or set preserve_order to false"
	if r.in.conf.checkpointLimit-s.Unacked < 50 {
		cause = "checkpoint_limit is used up: the output collects more messages than that before it sends any, so lower its batch count, give its batching a period, or raise checkpoint_limit"
	}
	r.in.log.Warnf("No acknowledgement for %s while %s out; %s", stalledAfter, plural(s.Unacked, "message is", "messages are"), cause)
}

func (r *report) progress(s history.Stats, elapsed time.Duration, perSecond float64) {
	total := 0
	for _, n := range s.Chats {
		total += n
	}
	done := s.Chats[history.Done]
	left := "not known yet"
	if done > 0 {
		left = "about " + round(time.Duration(float64(elapsed)/float64(done)*float64(total-done)))
	}
	r.in.log.Infof("%d of %d chats done, %d messages, %.1f requests/s, time left: %s", done, total, s.Messages, perSecond, left)
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
