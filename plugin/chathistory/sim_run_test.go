// SPDX-License-Identifier: Apache-2.0

package chathistory_test

import (
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// simResult is what a run leaves behind.
type simResult struct {
	seed         uint64
	on           simSet
	broken       []string
	exact, loose uint64
	took         time.Duration
	w            *simWorld
}

// simulate makes one run.
func simulate(t *testing.T, seed uint64, on simSet) simResult {
	t.Helper()
	var w *simWorld
	var took time.Duration
	synctest.Test(t, func(*testing.T) {
		w = newSimWorld(seed, on)
		simNow.Store(w)
		before := runtime.NumGoroutine()
		w.run()
		for _, p := range w.procs {
			<-p.done
			simProcesses.Delete(p.host)
		}
		// What was killed may take a moment to notice.
		time.Sleep(time.Minute)
		synctest.Wait()
		w.mu.Lock()
		defer w.mu.Unlock()
		took = w.now()
		if runtime.NumGoroutine() > before {
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			// This one, and the two by which testing waits for it.
			if left := strings.Count(string(stacks), "synctest bubble") - 3; left > 0 {
				w.violated(6, "%d goroutines are left:\n%s", left, stacks)
			}
		}
	})
	return simResult{seed: seed, on: on, broken: w.broken, exact: w.log.exact, loose: w.log.loose, took: took, w: w}
}

// run is the course of a run: lives of the process amid chaos, one life into the
// calm, and another one that must find nothing to do.
func (w *simWorld) run() {
	for _, s := range w.cfg.stops {
		p := w.start()
		switch {
		case p.until(s.at):
			w.endedEarly(p)
			time.Sleep(max(0, s.at-w.now()))
		case s.kill:
			p.kill()
		default:
			p.stop()
		}
		time.Sleep(s.rest)
	}
	p := w.start()
	for p.until(w.cfg.chaos) && w.now() < w.cfg.chaos {
		w.endedEarly(p)
		time.Sleep(min(w.cfg.chaos-w.now(), w.cfg.chaos/5))
		p = w.start()
	}
	if p.ended() {
		w.endedEarly(p)
		p = w.start()
	}
	w.beCalm()
	p = w.await(p)
	p = w.awaitChanges(p)
	w.finish(p)

	// And nothing that was acknowledged and saved comes again.
	time.Sleep(time.Second)
	p = w.start()
	p.until(w.now() + 2*w.cfg.poll + 10*time.Second)
	if !p.ended() {
		p.stop()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.checkRate()
	w.checkStart()
}

// endedEarly checks a process that has ended by itself.
func (w *simWorld) endedEarly(p *simProcess) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.gone {
		return
	}
	if w.queue == nil && w.cfg.poll > 0 {
		w.violated(7, "the input ended by itself: %v", p.err)
	}
	w.endOf(p)
}

// endOf checks a run that has ended by itself, and lets nothing of it reach anybody
// any more. Caller holds mu.
func (w *simWorld) endOf(p *simProcess) {
	if p.err == nil {
		for _, c := range w.chats {
			if c.kind == simOthers {
				continue
			}
			if w.queue == nil {
				w.checkRead(c, p.began, "the input ended by itself")
			}
		}
		if w.queue != nil {
			for _, n := range w.queue.names {
				if n.out == p && !n.done && n.c.kind != simOthers {
					w.checkRead(n.c, n.outAt, "the input ended by itself though a name was rejected")
				}
			}
		}
		p.checkSaved(w.now(), w.store.tampered)
	}
	p.vanish()
}

// beCalm ends the chaos: nothing changes any more, and nothing fails but what fails
// for good.
func (w *simWorld) beCalm() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.chats {
		c.catchUp(w.cfg.chaos)
		if c.till != noTime {
			c.till = 0
		}
	}
	w.calm, w.calmAt = true, w.now()
	w.store.catchUp(w.now())
	w.note("calm", nil, 0, 0, "")
	if w.queue != nil {
		w.queue.calm(w.now())
	}
}

// endless says that the input goes on for ever, and so must not end.
func (w *simWorld) endless() bool {
	return w.cfg.poll > 0 && w.queue == nil || w.queue != nil && !w.queue.ends
}

// await waits until all that is required has come, and longer where the log is to
// be looked at.
func (w *simWorld) await(p *simProcess) *simProcess {
	if !w.endless() {
		// What came after this process had begun is for the next one.
		p = w.outlive(p)
	}
	w.mu.Lock()
	bound := w.bound()
	least := w.calmAt
	if w.on.has(simForeign) || w.on.has(simBroken) {
		least += w.settling() + time.Second
	}
	if w.on.has(simPatience) {
		least += w.settling() + 40*max(w.cfg.poll, w.cfg.maxBackoff)
	}
	w.mu.Unlock()
	for began := w.now(); ; {
		ended := p.until(w.now() + max(bound/200, 500*time.Millisecond))
		w.mu.Lock()
		missing := w.missing()
		bound = max(bound, w.bound()) // what was asked for before may have been answered since
		late := w.now() > began+bound
		broken := len(w.broken) > 0
		if late && len(missing) > 0 {
			w.violated(7, "%s has not come %s after all was well again, nor have %d others", missing[0], bound.Round(time.Second), len(missing)-1)
		}
		w.mu.Unlock()
		switch {
		case ended:
			w.endedEarly(p)
			return p
		case broken:
			return p // there is something to tell
		case late && len(missing) > 0:
			return p
		case len(missing) > 0:
		case w.endless() || w.anyLasting():
			if w.now() < least {
				break
			}
			p.until(w.now() + 2*w.cfg.poll)
			w.mu.Lock()
			missing = w.missing() // what a look shows may ask for more
			w.mu.Unlock()
			if len(missing) == 0 {
				return p
			}
		case late:
			w.mu.Lock()
			w.violated(7, "all has come, but the input has not ended %s after all was well again", bound.Round(time.Second))
			w.mu.Unlock()
			return p
		}
	}
}

// outlive waits for the end of a process that began in the chaos and should end by
// itself, or stops it where chats that never come right may keep it, and begins the next.
func (w *simWorld) outlive(p *simProcess) *simProcess {
	w.mu.Lock()
	bound := w.bound()
	w.mu.Unlock()
	switch ended := p.until(w.now() + bound); {
	case ended:
		w.endedEarly(p)
	default:
		if !w.anyLasting() {
			w.mu.Lock()
			w.violated(7, "the input has not ended %s after all was well again", bound.Round(time.Second))
			w.mu.Unlock()
		}
		p.stop()
	}
	return w.start()
}

func (w *simWorld) anyLasting() bool {
	for _, c := range w.chats {
		if c.lasting() {
			return true
		}
	}
	return false
}

// finish checks the end of the last process that had something to do.
func (w *simWorld) finish(p *simProcess) {
	w.mu.Lock()
	if missing := w.missing(); len(missing) > 0 && len(w.broken) == 0 {
		w.violated(1, "%s has not come, nor have %d others", missing[0], len(missing)-1)
	}
	w.checkLogs(p)
	if !p.gone {
		w.checkGauges(p)
	}
	w.mu.Unlock()
	if !p.ended() {
		p.stop()
	}
}
