// SPDX-License-Identifier: Apache-2.0

package component

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
	"github.com/kommo-connect/kommo-connect/plugin/internal/reader"
)

const (
	watchEvery = time.Second

	// mostUntold is how many chats are remembered that failed and were not told of.
	mostUntold = 1000
)

// HistoryReport turns what happens in an input that reads messages into metrics and
// log lines: one line for one event that concerns a person, and none for a healthy
// tail. Make it with [NewHistoryReport]; the exported fields are set before the input
// connects and not changed after that.
type HistoryReport struct {
	Log     *service.Logger
	Metrics *HistoryMetrics
	Words   Words

	Health      *Health
	Reader      *reader.Reader
	Checkpoints *CacheStore

	// Listed is how many chats are read, where the configuration lists them; Queued says
	// that something else names them, and Polls that they are read again and again.
	Listed        int
	Queued, Polls bool
	// Account, if set, says how far the first reading of an account is, whose chats nobody
	// has named: that one is empty is only counted then.
	Account func() Backfill
	// CheckpointLimit is that of the configuration.
	CheckpointLimit int
	// Refusal says that a first failure of this kind may turn out to concern all chats,
	// and so is not told yet.
	Refusal func(err error) bool

	attempts *AttemptLog

	failures, checkpoints, corrupt, odd, times, rests, slowed *Throttle

	mu       sync.Mutex
	progress *progress
	empty    Few
	notOurs  Few
	letGo    int
	vanished Few
	untold   map[string]struct{} // failed while the API was down
	rejected time.Time           // when the output rejected something last
}

// Words are what log lines say of what an input reads.
type Words struct {
	Chat, Chats string // what one of them is called, and many
	// Empty says what to do where some show nothing, and AllEmpty where all do.
	Empty, AllEmpty string
	// NotOurs says what becomes of those of other channels, and what to do.
	NotOurs string
}

func (w *Words) capital() string { return strings.ToUpper(w.Chat[:1]) + w.Chat[1:] }

// NewHistoryReport returns one that writes to a logger.
func NewHistoryReport(log *service.Logger, metrics *HistoryMetrics, words Words) *HistoryReport {
	return &HistoryReport{
		Log: log, Metrics: metrics, Words: words, attempts: NewAttemptLog(log),
		failures: &Throttle{Period: 10 * time.Second, Lines: 20}, checkpoints: NewThrottle(), corrupt: NewThrottle(),
		odd: &Throttle{Period: 10 * time.Minute, Lines: 5}, times: &Throttle{Period: 10 * time.Minute, Lines: 5},
		rests: &Throttle{Period: 10 * time.Minute, Lines: 1}, slowed: &Throttle{Period: 10 * time.Minute, Lines: 1},
		untold: map[string]struct{}{}, progress: newProgress(time.Now()),
	}
}

// Attempt is told of every request.
func (r *HistoryReport) Attempt(a apicall.Attempt) {
	r.Metrics.Attempt(a)
	switch a.Outcome {
	case apicall.OutcomeServerError, apicall.OutcomeUnreachable, apicall.OutcomeTimeout,
		apicall.OutcomeBrokenBody, apicall.OutcomeRedirected, apicall.OutcomeTooLarge:
		r.Health.Attempt(a.Err)
	}
	switch {
	case a.RetryAfter > apicall.MaxRest:
		if more, ok := r.rests.Allow(); ok {
			r.Log.Warnf("The server asks to be left alone for %s; all requests rest for %s, and then it is asked again%s: %v",
				longTime(a.RetryAfter), apicall.MaxRest, more, a.Err)
		}
	case a.SlowedTo > 0:
		if more, ok := r.slowed.Allow(); ok {
			r.Log.Warnf("The API throttles this input, so it is slowed to %.2g requests/s for some minutes%s: %v", a.SlowedTo, more, a.Err)
		}
	case !r.Health.IsDown():
		r.attempts.Observe(a)
	}
}

// longTime shows a duration that may be absurd.
func longTime(d time.Duration) string {
	if d > 48*time.Hour {
		return Plural(int(d/(24*time.Hour)), "day", "days")
	}
	return Round(d)
}

// HealthChanged is told when the API does not answer any more, and when it does
// again. A report says that at least every retry it is asked.
func (r *HistoryReport) HealthChanged(up bool, why error, retry time.Duration) {
	if up {
		r.Metrics.apiUp.Set(1)
		r.Log.Info("The API answers again")
		return
	}
	r.Metrics.apiUp.Set(0)
	r.Log.Errorf("The API answers no request, so all %s wait and it is asked now and then, at least every %s: %v",
		r.Words.Chats, Round(retry), why)
}

// Hooks turns what the reader tells into metrics and log lines.
func (r *HistoryReport) Hooks() reader.Hooks {
	log, metrics, w := r.Log, r.Metrics, &r.Words
	return reader.Hooks{
		Realigned: func() { metrics.realigned.Incr(1) },
		State:     func(s reader.State, chats int) { metrics.chats.Set(int64(chats), s.String()) },
		CheckpointFailed: func(_ string, err error, retryIn time.Duration) {
			metrics.checkpointErrors.Incr(1)
			if more, ok := r.checkpoints.Allow(); ok {
				log.Errorf("The checkpoint cache failed, and this %s waits until it works again; next try in %s%s: %v", w.Chat, Round(retryIn), more, err)
			}
		},
		CheckpointCorrupt: func(id string, err error) {
			metrics.checkpointErrors.Incr(1)
			if more, ok := r.corrupt.Allow(); ok {
				log.Errorf("Checkpoint %s can't be read, so %s %s is read again from its beginning%s: %v", r.Checkpoints.Key(id), w.Chat, id, more, err)
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
				log.Warnf("%s %s holds %d entries that are not JSON objects and so can't be messages; they are left out%s", w.capital(), id, entries, more)
			}
		},
		WrongTimes: func(id string, _ int) {
			if more, ok := r.times.Allow(); ok {
				log.Warnf("%s %s holds messages whose time can't be right: of the future, or in another unit than documented; they are delivered, and their times believed as little as can be%s", w.capital(), id, more)
			}
		},
		NotWatched: func(id string) {
			log.Warnf("More %s have messages within lookback than are looked after for changes: %s %s and others are looked at only when they are named again. Shorten lookback, or name their %s from time to time",
				w.Chats, w.Chat, id, w.Chats)
		},
		ShortPages: func(again int) {
			if again == 0 {
				log.Warnf("The API gives pages that are shorter than asked although more follows: each %s's end is looked behind, and one that was read before that was known is read again from the beginning",
					w.Chat)
				return
			}
			log.Warnf("The API gives pages that are shorter than asked although more follows: from now on each %s's end is looked behind, and %s read again from the beginning",
				w.Chat, Plural(again, w.Chat+" is", w.Chats+" are"))
		},
	}
}

func (r *HistoryReport) note(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// chatFailed writes one line for each chat that fails, until it has been read again.
func (r *HistoryReport) chatFailed(id string, err error, times int, retryIn time.Duration) {
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
	if !r.Health.IsDown() && (times != 1 || !r.Refusal(err)) {
		if more, ok := r.failures.Allow(); ok {
			which := ""
			if !strings.Contains(err.Error(), id) {
				which = r.Words.Chat + " " + id + ": "
			}
			r.Log.Errorf("A %s could not be read and is tried again until it can, next in %s%s: %s%v", r.Words.Chat, Round(retryIn), more, which, err)
			return
		}
	}
	if len(r.untold) >= mostUntold {
		clear(r.untold) // most of them have recovered long since
	}
	r.untold[id] = struct{}{}
}

// Watch reports the progress of the first reading, the chats that gave nothing, and once that
// nothing is acknowledged any more.
func (r *HistoryReport) Watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	reported := time.Now()
	warned, first := false, true
	r.note(func() { r.progress = newProgress(reported) })
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		s := r.Reader.Stats()
		if !warned && s.Unacked > 0 && now.Sub(s.Moved) >= StalledAfter && (s.Short > 0 || !r.rejectedSince(s.Moved)) {
			warned = true
			r.warnStalled(s, r.rejectedSince(s.Moved))
		}
		ended := first && !r.Queued && s.Unread == 0
		if ended {
			first = false
		}
		if due := now.Sub(reported) >= ProgressEvery; due || ended {
			r.tellGathered(ended)
			if due {
				reported = now
			}
		}
		r.tellProgress(now)
	}
}

// Ended is called at the end of a run that has one.
func (r *HistoryReport) Ended() {
	r.tellGathered(true)
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.progress; !p.over {
		s := r.Reader.Stats()
		r.tellTotals(&s, r.backfill(&s, p, now), now.Sub(p.began))
	}
}

// tellGathered writes a line for each kind of chat that Few counts, if one is due. first
// says that all chats have just been read for the first time.
func (r *HistoryReport) tellGathered(first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	log := r.Log
	s := r.Reader.Stats()
	if r.Account == nil && r.empty.N > 0 && (r.empty.News() || first && r.empty.Told < r.empty.N) {
		r.empty.Told = r.empty.N
		what := "has no message, or is unknown to the API"
		if r.empty.N > 1 {
			what = "have no message, or are unknown to the API"
		}
		if some := Plural(r.empty.N, r.Words.Chat, r.Words.Chats); first && s.Messages == 0 && r.empty.N >= r.Listed && !r.Queued {
			log.Warnf("Nothing was found: none of the %s that are to be read has a message. %s: %s", some, r.Words.AllEmpty, &r.empty)
		} else {
			log.Warnf("%s %s; %s: %s", some, what, r.Words.Empty, &r.empty)
		}
	}
	if r.notOurs.N > 0 && r.notOurs.News() {
		log.Warnf("%s of other channels: %s: %s", Plural(r.notOurs.N, r.Words.Chat, r.Words.Chats), r.Words.NotOurs, &r.notOurs)
	}
	if r.letGo > 0 {
		log.Warnf("%s of other channels given up, since too many of them are named", Plural(r.letGo, r.Words.Chat, r.Words.Chats))
		r.letGo = 0
	}
	if r.vanished.N > 0 && r.vanished.News() {
		log.Warnf("The checkpoint cache has lost or set back %s; they are written again from memory, and nothing is lost while this process runs. A cache must not forget: check that it has no TTL, and keeps its data when it restarts: %s",
			Plural(r.vanished.N, "checkpoint", "checkpoints"), &r.vanished)
	}
}

// OutputRejected notes that the output has rejected something, which the engine logs.
func (r *HistoryReport) OutputRejected() { r.note(func() { r.rejected = time.Now() }) }

func (r *HistoryReport) rejectedSince(t time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rejected.After(t)
}

func (r *HistoryReport) warnStalled(s reader.Stats, rejects bool) {
	cause := "the usual cause is an output that batches by count without a period and waits for messages that wait for it: give its batching a period, or set preserve_order to false"
	switch {
	case rejects:
		cause = "the output rejects messages again and again, and those it still has to take use up checkpoint_limit, so that no " + r.Words.Chat + " is read on: see what it says of them, or give it a fallback for what it never takes"
	case r.CheckpointLimit-s.Unacked < 50:
		cause = "checkpoint_limit is used up: the output collects more messages than that before it sends any, so lower its batch count, give its batching a period, or raise checkpoint_limit"
	}
	r.Log.Warnf("No acknowledgement for %s while %s out; %s", StalledAfter, Plural(s.Unacked, "message is", "messages are"), cause)
}
