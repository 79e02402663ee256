// SPDX-License-Identifier: Apache-2.0

package chathistory

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/amojo"
	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
	"github.com/kommo-connect/kommo-connect/plugin/internal/reader"
)

const (
	watchEvery = time.Second

	// mostUntold is how many chats are remembered that failed and were not told of.
	mostUntold = 1000
)

// report turns what happens in kommo_chat_history into metrics and log lines: one
// line for one event that concerns a person, and none for a healthy tail.
type report struct {
	in       *input
	attempts *component.AttemptLog

	failures, checkpoints, corrupt, odd, times, rests, slowed *component.Throttle

	// Of healthChanged, which is called for one change at a time:
	refused bool      // the API went down by refusing all
	retried time.Time // when chats of other channels were tried again for that

	mu       sync.Mutex
	empty    component.Few
	notOurs  component.Few
	letGo    int
	vanished component.Few
	untold   map[string]struct{} // failed while the API was down
	rejected time.Time           // when the output rejected something last
}

func newReport(in *input) *report {
	return &report{
		in: in, attempts: component.NewAttemptLog(in.log),
		failures: &component.Throttle{Period: 10 * time.Second, Lines: 20}, checkpoints: component.NewThrottle(), corrupt: component.NewThrottle(),
		odd: &component.Throttle{Period: 10 * time.Minute, Lines: 5}, times: &component.Throttle{Period: 10 * time.Minute, Lines: 5},
		rests: &component.Throttle{Period: 10 * time.Minute, Lines: 1}, slowed: &component.Throttle{Period: 10 * time.Minute, Lines: 1},
		untold: map[string]struct{}{},
	}
}

// attempt is told of every request.
func (r *report) attempt(a apicall.Attempt) {
	r.in.metrics.Attempt(a)
	switch a.Outcome {
	case apicall.OutcomeServerError, apicall.OutcomeUnreachable, apicall.OutcomeTimeout,
		apicall.OutcomeBrokenBody, apicall.OutcomeRedirected, apicall.OutcomeTooLarge:
		r.in.health.Attempt(a.Err)
	}
	switch {
	case a.RetryAfter > apicall.MaxRest:
		if more, ok := r.rests.Allow(); ok {
			r.in.log.Warnf("The server asks to be left alone for %s; all requests rest for %s, and then it is asked again%s: %v",
				longTime(a.RetryAfter), apicall.MaxRest, more, a.Err)
		}
	case a.SlowedTo > 0:
		if more, ok := r.slowed.Allow(); ok {
			r.in.log.Warnf("The API throttles this input, so it is slowed to %.2g requests/s for some minutes%s: %v", a.SlowedTo, more, a.Err)
		}
	case !r.in.health.IsDown():
		r.attempts.Observe(a)
	}
}

// longTime shows a duration that may be absurd.
func longTime(d time.Duration) string {
	if d > 48*time.Hour {
		return component.Plural(int(d/(24*time.Hour)), "day", "days")
	}
	return component.Round(d)
}

// healthChanged is told when the API does not answer any more, and when it does
// again.
func (r *report) healthChanged(up bool, why error) {
	if up {
		r.in.metrics.apiUp.Set(1)
		r.in.log.Info("The API answers again")
		if r.refused && time.Since(r.retried) >= notOursFor {
			// While it refused all, it did so not because of their channel.
			r.retried = time.Now()
			r.in.reader.RetryNotOurs()
		}
		return
	}
	var refused *amojo.RefusedError
	r.refused = errors.As(why, &refused)
	r.in.metrics.apiUp.Set(0)
	r.in.log.Errorf("The API answers no request, so all chats wait and it is asked now and then, at least every %s: %v",
		component.Round(r.in.conf.Backoff.MaxInterval), why)
}

// hooks turns what the reader tells into metrics and log lines.
func (r *report) hooks() reader.Hooks {
	log, metrics := r.in.log, r.in.metrics
	return reader.Hooks{
		Realigned: func() { metrics.realigned.Incr(1) },
		State:     func(s reader.State, chats int) { metrics.chats.Set(int64(chats), s.String()) },
		CheckpointFailed: func(_ string, err error, retryIn time.Duration) {
			metrics.checkpointErrors.Incr(1)
			if more, ok := r.checkpoints.Allow(); ok {
				log.Errorf("The checkpoint cache failed, and this chat waits until it works again; next try in %s%s: %v", component.Round(retryIn), more, err)
			}
		},
		CheckpointCorrupt: func(id string, err error) {
			metrics.checkpointErrors.Incr(1)
			if more, ok := r.corrupt.Allow(); ok {
				log.Errorf("Checkpoint %s can't be read, so chat %s is read again from its beginning%s: %v", r.in.checkpoints.Key(id), id, more, err)
			}
		},
		CheckpointVanished: func(id string) {
			metrics.checkpointErrors.Incr(1)
			r.note(func() { r.vanished.Add(id) })
		},
		ChatFailed: r.chatFailed,
		LetGo:      func(string) { r.note(func() { r.letGo++ }) },
		Empty:      func(id string) { r.note(func() { r.empty.Add(id) }) },
		Odd: func(id string, entries int) {
			if more, ok := r.odd.Allow(); ok {
				log.Warnf("Chat %s holds %d entries that are not JSON objects and so can't be messages; they are left out%s", id, entries, more)
			}
		},
		WrongTimes: func(id string, _ int) {
			if more, ok := r.times.Allow(); ok {
				log.Warnf("Chat %s holds messages whose time can't be right: of the future, or in another unit than documented; they are delivered, and their times believed as little as can be%s", id, more)
			}
		},
		ShortPages: func(again int) {
			log.Warnf("The API gives pages that are shorter than asked although more follows: from now on each chat's end is looked behind, and %s read again from the beginning",
				component.Plural(again, "chat is", "chats are"))
		},
	}
}

func (r *report) note(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// chatFailed writes one line for each chat that fails, until it has been read again.
func (r *report) chatFailed(id string, err error, times int, retryIn time.Duration) {
	if errors.Is(err, chat.ErrNotOurs) {
		if times == 1 {
			r.note(func() { r.notOurs.Add(id) })
		}
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, untold := r.untold[id]
	if times > 1 && !untold {
		return
	}
	delete(r.untold, id)
	// Left for later: what fails while the API is down, which has a line of its own; what
	// is too much for the log at once; and the first refusal of a chat, since it may turn
	// out to be of another channel, or all may be refused.
	var refused *amojo.RefusedError
	if !r.in.health.IsDown() && (times != 1 || !errors.As(err, &refused)) {
		if more, ok := r.failures.Allow(); ok {
			which := ""
			if !strings.Contains(err.Error(), id) {
				which = "chat " + id + ": "
			}
			r.in.log.Errorf("A chat could not be read and is tried again until it can, next in %s%s: %s%v", component.Round(retryIn), more, which, err)
			return
		}
	}
	if len(r.untold) >= mostUntold {
		clear(r.untold) // most of them have recovered long since
	}
	r.untold[id] = struct{}{}
}

// watch reports the progress of a run that has an end, the chats that gave nothing, and
// once that nothing is acknowledged any more.
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
		if !warned && s.Unacked > 0 && now.Sub(s.Moved) >= component.StalledAfter && (s.Short > 0 || !r.rejectedSince(s.Moved)) {
			warned = true
			r.warnStalled(s, r.rejectedSince(s.Moved))
		}
		ended := first && in.conf.chatsInput == nil && s.Unread == 0
		if ended {
			first = false
		}
		if due := now.Sub(reported) >= component.ProgressEvery; due || ended {
			r.tellGathered(ended)
			if due && !in.conf.pollSet && in.conf.chatsInput == nil {
				total := in.metrics.Sent()
				r.progress(s, now.Sub(began), float64(total-requests)/now.Sub(reported).Seconds())
				requests = total
			}
			if due {
				reported = now
			}
		}
	}
}

// ended is called at the end of a run that has one.
func (r *report) ended() { r.tellGathered(true) }

// tellGathered writes a line for each kind of chat that Few counts, if one is due. first
// says that all chats have just been read for the first time.
func (r *report) tellGathered(first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	log := r.in.log
	s := r.in.reader.Stats()
	if r.empty.N > 0 && (r.empty.News() || first && r.empty.Told < r.empty.N) {
		r.empty.Told = r.empty.N
		what := "has no message, or is unknown to the API"
		if r.empty.N > 1 {
			what = "have no message, or are unknown to the API"
		}
		if first && s.Messages == 0 && r.empty.N >= len(r.in.conf.chats) && r.in.conf.chatsInput == nil {
			log.Warnf("Nothing was found: none of the %s that are to be read has a message. Check that these are ids of the Chats API, not the integration's own, and that scope_id names this channel: %s",
				component.Plural(r.empty.N, "chat", "chats"), &r.empty)
		} else {
			log.Warnf("%s %s; check that these are ids of the Chats API, not the integration's own: %s",
				component.Plural(r.empty.N, "chat", "chats"), what, &r.empty)
		}
	}
	if r.notOurs.N > 0 && r.notOurs.News() {
		log.Warnf("%s of other channels: the API refuses them with this secret. They are left alone for %s each time; take them out of what names the chats, for kommo_chats by its origins: %s",
			component.Plural(r.notOurs.N, "chat", "chats"), notOursFor, &r.notOurs)
	}
	if r.letGo > 0 {
		log.Warnf("%s of other channels given up, since too many of them are named", component.Plural(r.letGo, "chat", "chats"))
		r.letGo = 0
	}
	if r.vanished.N > 0 && r.vanished.News() {
		log.Warnf("The checkpoint cache has lost or set back %s; they are written again from memory, and nothing is lost while this process runs. A cache must not forget: check that it has no TTL, and keeps its data when it restarts: %s",
			component.Plural(r.vanished.N, "checkpoint", "checkpoints"), &r.vanished)
	}
}

// outputRejected notes that the output has rejected something, which the engine logs.
func (r *report) outputRejected() { r.note(func() { r.rejected = time.Now() }) }

func (r *report) rejectedSince(t time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rejected.After(t)
}

func (r *report) warnStalled(s reader.Stats, rejects bool) {
	cause := "the usual cause is an output that batches by count without a period and waits for messages that wait for it: give its batching a period, or set preserve_order to false"
	switch {
	case rejects:
		cause = "the output rejects messages again and again, and those it still has to take use up checkpoint_limit, so that no chat is read on: see what it says of them, or give it a fallback for what it never takes"
	case r.in.conf.checkpointLimit-s.Unacked < 50:
		cause = "checkpoint_limit is used up: the output collects more messages than that before it sends any, so lower its batch count, give its batching a period, or raise checkpoint_limit"
	}
	r.in.log.Warnf("No acknowledgement for %s while %s out; %s", component.StalledAfter, component.Plural(s.Unacked, "message is", "messages are"), cause)
}

func (r *report) progress(s reader.Stats, elapsed time.Duration, perSecond float64) {
	total := 0
	for _, n := range s.Chats {
		total += n
	}
	done := s.Chats[reader.Done]
	left := "not known yet"
	if done > 0 {
		left = "about " + component.Round(time.Duration(float64(elapsed)/float64(done)*float64(total-done)))
	}
	r.in.log.Infof("%d of %d chats done, %d messages, %.1f requests/s, time left: %s", done, total, s.Messages, perSecond, left)
}
