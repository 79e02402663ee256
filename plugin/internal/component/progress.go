// SPDX-License-Identifier: Apache-2.0

package component

import (
	"fmt"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/reader"
)

// Backfill is how far a first reading of everything is.
type Backfill struct {
	Done, Left int  // chats
	More       bool // and more of them will be named
	Over       bool // nothing of it is left
}

// progress says how far a first reading is, while that takes longer than ProgressEvery, and
// what it came to. After that it says nothing any more, so that a tail is silent.
type progress struct {
	began    time.Time
	told     time.Time // when that was said last
	every    time.Duration
	requests int64     // by then
	idle     time.Time // since when nothing is left of what was named; zero: something is
	over     bool
}

// mostSilence is how long a queue that never ends is read without a word of progress: the
// pause doubles up to here.
const mostSilence = 10 * time.Minute

func newProgress(now time.Time) *progress {
	return &progress{began: now, told: now, every: ProgressEvery}
}

// backfill is how far the first reading is, where the reader alone knows it.
func (r *HistoryReport) backfill(s *reader.Stats, p *progress, now time.Time) Backfill {
	if r.Account != nil {
		return r.Account()
	}
	failing := s.Chats[reader.Failing]
	quiet := s.Unread <= failing && s.Unacked == 0 && s.Held == 0
	switch {
	case r.Queued:
		// What names them may only be slow, so a moment without any does not mean the end.
		if !quiet || s.Read == 0 {
			p.idle = time.Time{}
		} else if p.idle.IsZero() {
			p.idle = now
		}
		return Backfill{Done: s.Read, Left: s.Unread, More: true, Over: !p.idle.IsZero() && now.Sub(p.idle) >= ProgressEvery}
	case r.Polls:
		// One that fails for good must not keep this up for ever.
		return Backfill{Done: s.Read, Left: s.Unread, Over: quiet && s.Read > 0}
	}
	done := s.Chats[reader.Done]
	return Backfill{Done: done, Left: ChatsOf(r.Reader) - done}
}

// tellProgress is called now and then.
func (r *HistoryReport) tellProgress(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.progress
	if p.over {
		return
	}
	s := r.Reader.Stats()
	b := r.backfill(&s, p, now)
	down := r.Health.IsDown()
	silent := down && (r.Polls || r.Queued) // that it is down is said already
	switch {
	case b.Over && !down:
		end := now
		if !p.idle.IsZero() {
			end = p.idle
		}
		r.tellTotals(&s, b, end.Sub(p.began))
	case now.Sub(p.told) >= p.every && !silent:
		r.progressLine(&s, b, now)
	}
}

// progressLine writes how far it is. Caller holds mu.
func (r *HistoryReport) progressLine(s *reader.Stats, b Backfill, now time.Time) {
	p := r.progress
	sent := r.Metrics.Sent()
	perSecond := float64(sent-p.requests) / now.Sub(p.told).Seconds()
	which, left := fmt.Sprintf("%d of %d %s done", b.Done, b.Done+b.Left, r.Words.Chats), "not known yet"
	switch {
	case b.More:
		which = fmt.Sprintf("%s done, %d more named and not the last", Plural(b.Done, r.Words.Chat, r.Words.Chats), b.Left)
	case b.Done > 0:
		left = "about " + Round(time.Duration(float64(now.Sub(p.began))/float64(b.Done)*float64(b.Left)))
	}
	r.Log.Infof("%s, %d messages, %.1f requests/s, time left: %s", which, s.Messages, perSecond, left)
	p.told, p.requests = now, sent
	if r.Queued && r.Account == nil {
		p.every = min(2*p.every, mostSilence)
	}
}

// tellTotals writes what a first reading came to, if it took long. Caller holds mu.
func (r *HistoryReport) tellTotals(s *reader.Stats, b Backfill, took time.Duration) {
	p := r.progress
	if p.over = true; took < ProgressEvery {
		return
	}
	sent := r.Metrics.Sent()
	line := fmt.Sprintf("All is read: %s, %d messages, %s in %s, %.1f requests/s; unknown or empty: %d",
		Plural(b.Done, r.Words.Chat, r.Words.Chats), s.Messages, Plural(int(sent), "request", "requests"), Round(took), float64(sent)/took.Seconds(), r.empty.N)
	if r.notOurs.N > 0 {
		line += fmt.Sprintf("; of other channels: %d", r.notOurs.N)
	}
	if n := s.Chats[reader.Failing] - r.notOurs.N; n > 0 {
		line += fmt.Sprintf("; failing: %d", n)
	}
	r.Log.Info(line)
}
