// SPDX-License-Identifier: Apache-2.0

package talkhistory_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"
)

// simLife is one life of the process, and what surrounds it.
type simLife struct {
	pipetest.Life
	w     *simWorld
	n     int // from 1
	began time.Duration

	// The rest is guarded by the world's mu.
	gone    bool // nothing that it does reaches anybody any more
	flights map[*simMessage]*simFlight
	out     int   // messages that are not acknowledged
	missing int64 // the metric
	logs    []simLine
}

type simLine struct {
	at    time.Duration
	level slog.Level
	text  string
}

// simFlight is a batch as it came out of the input: acknowledged when all of it is accepted.
type simFlight struct {
	msgs []*simMessage
	left map[*simMessage]bool
}

// start begins a new life. Nobody holds mu.
func (w *simWorld) start() *simLife {
	l := &simLife{w: w, n: len(w.lives) + 1, began: w.now(), flights: map[*simMessage]*simFlight{}}
	l.Name, l.Around = fmt.Sprintf("life%d-of-seed%d", l.n, w.seed), l
	w.mu.Lock()
	w.forgetUnsaved()
	w.lives = append(w.lives, l)
	w.note("life %d begins", l.n)
	w.mu.Unlock()
	l.Begin(w.yaml(l.Name))
	return l
}

// RoundTrip implements pipetest.Surroundings.
func (l *simLife) RoundTrip(req *http.Request) (*http.Response, error) { return l.w.api.answer(l, req) }

// Logged implements pipetest.Surroundings.
func (l *simLife) Logged(level slog.Level, line string) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	if l.gone {
		return
	}
	l.logs = append(l.logs, simLine{l.w.now(), level, line})
	l.w.note("%s %s", level, line)
	l.checkLine(line)
}

// Counted implements pipetest.Surroundings.
func (l *simLife) Counted(metric string, n int64) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	if metric == "kommo_talk_history_missing_total" && !l.gone {
		l.missing += n
	}
}

// until waits for the end of the life, or for a time.
func (l *simLife) until(at time.Duration) (ended bool) { return l.Wait(max(0, at-l.w.now())) }

// kill ends the process as kill -9 does.
func (l *simLife) kill() {
	w := l.w
	w.mu.Lock()
	w.note("life %d is killed", l.n)
	l.savedBefore(w.now() - w.cfg.interval - saveSlack)
	w.store.kill(l)
	l.gone = true
	w.mu.Unlock()
	l.Kill()
}

// stop ends the process as SIGTERM does.
func (l *simLife) stop() {
	w := l.w
	w.mu.Lock()
	w.note("life %d is stopped", l.n)
	w.mu.Unlock()
	err := l.Stop(2 * time.Minute)
	w.mu.Lock()
	w.note("life %d has stopped: %v", l.n, err)
	if err != nil && w.calm {
		w.violated("progress", "a clean stop failed: %v", err)
	}
	if err == nil {
		l.savedBefore(never)
	}
	w.store.kill(l)
	l.gone = true
	w.mu.Unlock()
	if err != nil {
		l.Kill()
	}
}

// endedAlone takes a process that has ended by itself.
func (l *simLife) endedAlone() {
	w := l.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.gone {
		return
	}
	w.note("life %d has ended: %v", l.n, l.Err)
	if w.cfg.poll > 0 || l.Err != nil {
		w.violated("progress", "the input ended by itself: %v", l.Err)
	}
	l.savedBefore(never)
	for _, m := range w.said {
		// All that was there when it began has been read.
		if w.wanted(m) && w.visible(m) < l.began && w.cfg.cut == 0 && m.accepted == never && m.gone == never {
			w.violated("complete", "the input has ended without %s", m)
		}
	}
	l.gone = true
}

// arrives takes what reached the output: messages of one batch of the input, or what was
// rejected of it. Caller holds mu.
func (l *simLife) arrives(msgs []*simMessage, got []simGot) {
	f := &simFlight{left: map[*simMessage]bool{}}
	for i, m := range msgs {
		old := l.flights[m]
		if old == nil || !old.left[m] {
			l.checkChange(m, got[i])
		}
		switch {
		case old == nil && got[i].creates():
			l.checkRepeat(m)
			fallthrough
		case old == nil, !old.left[m] && !got[i].creates():
			l.flights[m] = f
			f.msgs, f.left[m] = append(f.msgs, m), true
		case !old.left[m] && !l.w.deceives():
			l.w.violated("repeats", "%s came again in one life after it was accepted", m)
		}
	}
	if l.out += len(f.msgs); l.out > l.w.cfg.limit {
		l.w.violated("memory", "%d messages are out, more than checkpoint_limit %d", l.out, l.w.cfg.limit)
	}
}

// accepts takes a message that the output has accepted. Caller holds mu.
func (l *simLife) accepts(m *simMessage, g simGot) {
	w := l.w
	l.takes(m, g)
	if m.accepted == never && g.creates() {
		m.accepted = w.now()
		l.checkOrder(m)
		m.t.order = append(m.t.order, m)
		l.checkWanted(m)
	}
	f := l.flights[m]
	if delete(f.left, m); len(f.left) > 0 {
		return
	}
	l.out -= len(f.msgs)
	for _, o := range f.msgs {
		o.life, o.acked = l, w.now()
	}
	f.msgs = nil
}
