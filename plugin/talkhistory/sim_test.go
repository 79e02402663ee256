// SPDX-License-Identifier: Apache-2.0

package talkhistory_test

import (
	"context"
	"fmt"
	"math/rand" // the library that draws the backoff's jitter uses it, and is made to repeat itself
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"
	"github.com/kommo-connect/kommo-connect/plugin/talkhistory"
)

// The simulator's settings, all in the environment, as those of chathistory's:
//
//	KOMMO_SIM_SEED=n      one run, with what happened in it; KOMMO_SIM_TAIL=n: so many lines
//	KOMMO_SIM_RUNS=n      so many runs
//	KOMMO_SIM_FROM=n      from this seed on
//	KOMMO_SIM_CHANGES=b   whether the input looks for changes; in some of the runs
//	KOMMO_SIM_WORKERS=n   processes side by side; as many as there are cores
//
// Each process has one core (GOMAXPROCS=1), so that its goroutines run one after the other.
//
// By default there are so many runs at most, for so long.
const (
	simDefaultRuns = 60
	simDefaultTime = 10 * time.Second
)

func TestSimulator(t *testing.T) {
	if os.Getenv("KOMMO_SIM_WORKER") != "" {
		simWork(t)
		return
	}
	number := func(name string, absent int) int {
		if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
			return n
		}
		return absent
	}
	from, runs, workers := number("KOMMO_SIM_FROM", 1), number("KOMMO_SIM_RUNS", simDefaultRuns), number("KOMMO_SIM_WORKERS", runtime.NumCPU())
	limit := simDefaultTime
	if os.Getenv("KOMMO_SIM_RUNS") != "" {
		limit = 1000 * time.Hour
	}
	if seed := number("KOMMO_SIM_SEED", -1); seed >= 0 {
		from, runs, workers = seed, 1, 1
	}
	done := 0
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range workers {
		all.Go(func() {
			out, err := simWorker(t.Context(), fmt.Sprintf("%d %d %d %d", from+i, from+runs, workers, limit.Milliseconds())).CombinedOutput()
			text := string(out)
			mu.Lock()
			done += strings.Count(text, "@run ")
			mu.Unlock()
			if i := strings.Index(text, "\npanic: "); i >= 0 {
				text = text[i:min(len(text), i+30_000)]
			} else if i := strings.Index(text, "@broken"); i >= 0 && os.Getenv("KOMMO_SIM_SEED") == "" {
				text = text[i:]
			}
			if err != nil || strings.Contains(text, "@broken") {
				t.Errorf("%v\n%s", err, text)
			} else if os.Getenv("KOMMO_SIM_SEED") != "" {
				t.Log(text)
			}
		})
	}
	all.Wait()
	t.Logf("%d runs from seed %d", done, from)
}

// simPast are seeds that have shown a fault once: an alarm that a crash lost and a message with
// it, what came out before it was announced, a list without an order under a clock that is
// behind, a talk that takes longer to read than a message may be late, a refusal for which
// all places waited, a feed that was asked for the same for ever, or for nothing, imports of one second.
var simPast = []uint64{15, 16, 18, 22, 24, 37, 49, 60, 67, 117, 256, 276, 1430, 3224, 3363, 3656, 4229, 20223, 20480, 20818, 21281}

// simPastChanges are such seeds with changes: a talk that nobody looked after any more since all that
// is in it was of the future, or since it was in a list that is read once.
var simPastChanges = []uint64{3106, 3154, 3227, 3378}

func TestSimulator_WhatOnceFailed(t *testing.T) {
	if os.Getenv("KOMMO_SIM_WORKER") != "" {
		t.Skip("a run of its own")
	}
	t.Parallel()
	for _, seed := range slices.Concat(simPast, simPastChanges) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			worker := simWorker(t.Context(), fmt.Sprintf("%d %d 1 60000", seed, seed+1))
			worker.Env = append(worker.Env, fmt.Sprintf("KOMMO_SIM_CHANGES=%t", slices.Contains(simPastChanges, seed)))
			out, err := worker.CombinedOutput()
			if err != nil || strings.Contains(string(out), "@broken") {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
}

func simWorker(ctx context.Context, what string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.CommandContext(ctx, self, "-test.run=^TestSimulator$", "-test.timeout=0")
	cmd.Env = append(os.Environ(), "KOMMO_SIM_WORKER="+what, "GOMAXPROCS=1", "GODEBUG=randseednop=0,asyncpreemptoff=1")
	return cmd
}

// simWork makes runs one after the other, and reports on standard output those that broke a
// promise.
func simWork(t *testing.T) {
	t.Helper()
	var seed, end, step uint64
	var ms int64
	_, _ = fmt.Sscan(os.Getenv("KOMMO_SIM_WORKER"), &seed, &end, &step, &ms)
	talkhistory.RegisterTransport(pipetest.Network{})
	tail, _ := strconv.Atoi(os.Getenv("KOMMO_SIM_TAIL"))
	for began := time.Now(); seed < end && time.Since(began).Milliseconds() < ms; seed += step {
		fmt.Println("@run", seed)
		watch := time.AfterFunc(30*time.Second, func() {
			debug.SetTraceback("all")
			panic(fmt.Sprintf("seed %d takes too long: somebody waits for a lock whose holder sleeps, or spins", seed))
		})
		w := simulate(t, seed)
		watch.Stop()
		if len(w.broken) > 0 {
			fmt.Printf("@broken seed %d: %s\n%s\n", seed, strings.Join(w.broken, "\n  "), w.yaml("life"))
		}
		if os.Getenv("KOMMO_SIM_SEED") != "" {
			if tail == 0 {
				tail = 400
			}
			fmt.Printf("%+v\n%s\n", w.cfg, strings.Join(w.log[max(0, len(w.log)-tail):], "\n"))
		}
	}
}

// simulate makes one run.
func simulate(t *testing.T, seed uint64) (w *simWorld) {
	t.Helper()
	rand.Seed(int64(seed)) //nolint:staticcheck,gosec // there is no other way to have that library repeat itself, and it takes any bits
	synctest.Test(t, func(*testing.T) {
		w = newSimWorld(seed)
		before := runtime.NumGoroutine()
		w.run()
		for _, l := range w.lives {
			<-l.Done
			l.Forget()
		}
		// What was killed may take a moment to notice.
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if left := runtime.NumGoroutine() - before; left > 0 {
			stacks := make([]byte, 1<<20)
			w.violated("ends", "%d goroutines are left:\n%s", left, stacks[:runtime.Stack(stacks, true)])
		}
	})
	return w
}

// run is the course of a run: lives of the process amid chaos, one life into the calm, and
// another one that must find nothing to do.
func (w *simWorld) run() {
	for _, s := range w.cfg.stops {
		l := w.start()
		switch {
		case l.until(s.at):
			l.endedAlone()
			time.Sleep(max(0, s.at-w.now()))
		case s.kill:
			l.kill()
		default:
			l.stop()
		}
		time.Sleep(s.rest)
	}
	l := w.start()
	for l.until(w.cfg.chaos) && w.now() < w.cfg.chaos {
		l.endedAlone()
		time.Sleep(min(w.cfg.chaos-w.now(), w.cfg.chaos/5))
		l = w.start()
	}
	w.mu.Lock()
	w.calm = true
	w.note("calm")
	w.mu.Unlock()

	// The feed and the lists are late, and what is missing is looked for.
	for deadline := w.now() + w.cfg.poll*3 + 6*w.cfg.changes + 15*time.Minute; ; {
		ended := l.until(w.now() + 10*time.Second)
		w.mu.Lock()
		missing, broken := w.missing(), len(w.broken) > 0
		late := w.now() > deadline
		if late && len(missing) > 0 {
			w.violated("complete", "%s, nor have %d others", missing[0], len(missing)-1)
		}
		w.mu.Unlock()
		if ended {
			l.endedAlone()
		}
		if late || broken || len(missing) == 0 && (w.cfg.poll > 0 || ended && w.now() > w.cfg.chaos+5*time.Minute) {
			break
		}
		if ended {
			time.Sleep(20 * time.Second)
			l = w.start()
		}
	}
	l = w.awaitChanges(l)
	if !l.Ended() {
		l.until(w.now() + 2*w.cfg.poll + 3*time.Minute)
		if !l.Ended() {
			l.stop()
		}
	}

	// And nothing that was acknowledged and saved comes again.
	time.Sleep(time.Second)
	l = w.start()
	if l.until(w.now() + 2*w.cfg.poll + 10*time.Second) {
		l.endedAlone()
	} else {
		l.stop()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.checkRate()
}
