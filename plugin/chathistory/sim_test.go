// SPDX-License-Identifier: Apache-2.0

package chathistory_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/rand" // the library that draws the backoff's jitter uses it, and is made to repeat itself
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The simulator's settings, all in the environment:
//
//	KOMMO_SIM_SEED=n       one run, with what happened in it; KOMMO_SIM_CHAT=n: in that chat,
//	                       KOMMO_SIM_TAIL=n: so many lines
//	KOMMO_SIM_RUNS=n       so many runs, instead of as many as there is time for
//	KOMMO_SIM_TIME=20s     for so long
//	KOMMO_SIM_FROM=n       from this seed on
//	KOMMO_SIM_WORKERS=n    processes side by side; as many as there are cores
//	KOMMO_SIM_FAILURES=n   stop after so many
//	KOMMO_SIM_PATIENCE=1m  how long a run may take
//	KOMMO_SIM_PAGES=1      with what each page shows, and each message that is accepted
//	KOMMO_SIM_TWICE=1      each run twice, to see whether it repeats itself
//	KOMMO_SIM_WITHOUT=a,b  without these ingredients; _ONLY: with these alone; _WITH: with these in each
//
// Each process has one core (GOMAXPROCS=1), so that its goroutines run one after
// the other, and no garbage is collected during a run.
//
// By default there are so many runs at most, for so long: what a test tells should
// not depend on how fast its machine is.
const (
	simDefaultTime = 10 * time.Second
	simDefaultRuns = 250
)

func TestSimulator(t *testing.T) {
	switch {
	case os.Getenv("KOMMO_SIM_WORKER") != "":
		simWork(t)
	case os.Getenv("KOMMO_SIM_SEED") != "":
		simulateOne(t)
	default:
		simulateMany(t)
	}
}

// simPast are seeds that have shown a fault once: an order that was read at different times, a
// page that begins above and shows nothing of what follows, a chat whose few last messages
// a server kept back, short pages of a chat that shrank, what shows no time below what claims to be of
// the future.
var simPast = []uint64{
	98, 354, 487, 1085, 1220, 21003, 21406, 22218, 22391, 200137, 201097, 201208, 201457, 300026, 300441, 301432,
	400389, 400584, 401036, 401600, 401731, 402249, 402618, 403251, 404357, 405781, 405905, 407724, 411195, 412278, 413054,
	600127, 600147, 600694, 600757, 600848, 601289, 700784, 701521, 702838, 706367, 710300,
	801144, 802024, 802054, 805630, 805884, 816043, 817601, 818357, 819933,
	1203476, 1000947, 2010005, 3005032, 3007550, 3007783, 3100202, 8020453, 10002846, 20065604, 33028577, 34017207, 34036005, 34040095,
}

// simPastChanges are such seeds with changes: true.
var simPastChanges = []uint64{5287, 7005477, 8001061, 8006453, 10000246, 11006496, 10008123, 20035692, 32009005}

func TestSimulator_WhatOnceFailed(t *testing.T) {
	if os.Getenv("KOMMO_SIM_WORKER") != "" {
		t.Skip("a run of its own")
	}
	t.Parallel()
	for _, seed := range slices.Concat(simPast, simPastChanges) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			cmd := simWorker(t.Context(), fmt.Sprintf("%d 1 1 0", seed))
			set := "KOMMO_SIM_WITHOUT=changes" // which are younger than most
			if slices.Contains(simPastChanges, seed) {
				set = "KOMMO_SIM_WITH=changes"
			}
			cmd.Env = append(cmd.Env, set)
			out, err := cmd.CombinedOutput()
			if err != nil || bytes.Contains(out, []byte("@broken")) {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
}

func simEnv[T any](name string, absent T, parse func(string) (T, error)) T {
	text := os.Getenv(name)
	if text == "" {
		return absent
	}
	v, err := parse(text)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", name, err))
	}
	return v
}

func parseSeed(text string) (uint64, error) { return strconv.ParseUint(text, 10, 64) }

// simNow is the run of this process that goes on, and simWatch begins to watch it
// for standing still.
var (
	simNow   atomic.Pointer[simWorld]
	simWatch = func() {}
)

// simulateOne makes one run, in a process of its own as all are, and shows it.
func simulateOne(t *testing.T) {
	t.Helper()
	seed := simEnv("KOMMO_SIM_SEED", 0, parseSeed)
	out, err := simWorker(t.Context(), fmt.Sprintf("%d 1 1 0 show", seed)).CombinedOutput()
	fmt.Println(string(out))
	if err != nil || strings.Contains(string(out), "\n@broken ") || strings.HasPrefix(string(out), "@broken ") {
		t.Fatalf("seed %d: %v", seed, err)
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

// simTally sums up what the workers report.
type simTally struct {
	mu                               sync.Mutex
	runs, failed, requests           int
	events, differ, loosely, verdict int
	cpu                              time.Duration
	kinds                            map[string]*simKindOf
	reports                          []string
}

// simKindOf are failures that read alike.
type simKindOf struct {
	n     int
	first uint64
}

func simulateMany(t *testing.T) {
	t.Helper()
	runs := simEnv("KOMMO_SIM_RUNS", 0, strconv.Atoi)
	limit := simEnv("KOMMO_SIM_TIME", simDefaultTime, time.ParseDuration)
	switch {
	case os.Getenv("KOMMO_SIM_TIME") != "":
	case runs > 0:
		limit = 1000 * time.Hour
	default:
		runs = simDefaultRuns
	}
	from := simEnv("KOMMO_SIM_FROM", 1, parseSeed)
	workers := simEnv("KOMMO_SIM_WORKERS", runtime.NumCPU(), strconv.Atoi)
	failures := simEnv("KOMMO_SIM_FAILURES", 5, strconv.Atoi)
	began := time.Now()
	tally := &simTally{kinds: map[string]*simKindOf{}}
	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	var all sync.WaitGroup
	for i := range workers {
		share := 0
		if runs > 0 {
			if share = (runs - i + workers - 1) / workers; share == 0 {
				continue
			}
		}
		all.Go(func() {
			first, step := from+uint64(i), uint64(workers) //nolint:gosec // neither is negative
			// A run that ends its process is a failure like others: on with the next.
			for seed := first; ctx.Err() == nil; {
				left := limit - time.Since(began)
				if left <= 0 {
					return
				}
				cmd := simWorker(ctx, fmt.Sprintf("%d %d %d %d", seed, workers, share, left.Milliseconds()))
				pipe, err := cmd.StdoutPipe()
				if err != nil {
					t.Error(err)
					return
				}
				var complaints strings.Builder
				cmd.Stderr = &complaints
				if err := cmd.Start(); err != nil {
					t.Error(err)
					return
				}
				last := tally.read(pipe, func() bool { return tally.failed >= failures }, enough)
				if err := cmd.Wait(); err == nil || ctx.Err() != nil {
					return
				}
				tally.crashed(last, complaints.String())
				at, _ := strconv.ParseUint(last, 10, 64)
				if share > 0 {
					if share -= int((at-seed)/step) + 1; share <= 0 { //nolint:gosec // so many runs of the share are done
						return
					}
				}
				seed = at + step
			}
		})
	}
	all.Wait()
	tally.mu.Lock()
	defer tally.mu.Unlock()
	t.Logf("%d runs from seed %d in %s, %.1f ms of CPU each, %d requests and %d events each, %d failed",
		tally.runs, from, time.Since(began).Round(time.Second), float64(tally.cpu.Microseconds())/1000/float64(max(tally.runs, 1)),
		tally.requests/max(tally.runs, 1), tally.events/max(tally.runs, 1), tally.failed)
	if os.Getenv("KOMMO_SIM_TWICE") != "" {
		t.Logf("made twice: %d of %d came out otherwise, %d of them in more than the order within an instant, %d with another verdict", tally.differ, tally.runs, tally.loosely, tally.verdict)
	}
	kinds := make([]string, 0, len(tally.kinds))
	for k := range tally.kinds {
		kinds = append(kinds, k)
	}
	slices.SortFunc(kinds, func(a, b string) int { return cmp.Or(tally.kinds[b].n-tally.kinds[a].n, strings.Compare(a, b)) })
	for _, k := range kinds {
		t.Logf("%5d times, first with seed %d: %s", tally.kinds[k].n, tally.kinds[k].first, k)
	}
	for _, r := range tally.reports {
		t.Error(r)
	}
	if tally.failed > 0 {
		t.Fail()
	}
}

var simNumbers = regexp.MustCompile(`[-+]?\d[0-9a-zµ.:-]*`)

// crashed takes the end of a process.
func (s *simTally) crashed(seed, complaints string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed++
	s.runs++
	n, _ := strconv.ParseUint(seed, 10, 64)
	why := complaints[max(0, strings.Index(complaints, "panic: ")):]
	why, _, _ = strings.Cut(why, "\n")
	kind := "the process ended: " + simNumbers.ReplaceAllString(why, "#")
	if k := s.kinds[kind]; k != nil {
		k.n++
		k.first = min(k.first, n)
		return
	}
	s.kinds[kind] = &simKindOf{1, n}
	if len(s.reports) < 5 {
		s.reports = append(s.reports, fmt.Sprintf("seed %s: the process ended: %s", seed, complaints[:min(len(complaints), 6000)]))
	}
}

// read takes what a worker reports, and returns the seed that it was at.
func (s *simTally) read(pipe interface{ Read([]byte) (int, error) }, full func() bool, enough func()) (last string) {
	lines := bufio.NewScanner(pipe)
	lines.Buffer(nil, 16<<20)
	var report *strings.Builder
	for lines.Scan() {
		line := lines.Text()
		word, rest, _ := strings.Cut(line, " ")
		s.mu.Lock()
		switch word {
		case "@begin":
			last, report = rest, nil
		case "@done":
			var requests, events, differ, loosely, verdict int
			var cpu int64
			_, _ = fmt.Sscan(rest, &requests, &events, &cpu, &differ, &loosely, &verdict)
			s.runs, s.requests, s.events = s.runs+1, s.requests+requests, s.events+events
			s.verdict += verdict
			s.differ, s.loosely, s.cpu = s.differ+differ, s.loosely+loosely, s.cpu+time.Duration(cpu)
		case "@broken":
			s.failed++
			seed, _ := strconv.ParseUint(last, 10, 64)
			kind := simNumbers.ReplaceAllString(rest, "#")
			if k := s.kinds[kind]; k == nil {
				s.kinds[kind] = &simKindOf{1, seed}
				if report = (&strings.Builder{}); len(s.reports) < 5 {
					s.reports = append(s.reports, "")
				}
			} else {
				k.n++
				k.first = min(k.first, seed)
			}
		case "@end":
			if report != nil && len(s.reports) > 0 {
				if i := slices.Index(s.reports, ""); i >= 0 {
					s.reports[i] = report.String()
				}
			}
			report = nil
			if full() {
				enough()
			}
		default:
			if report != nil {
				report.WriteString(line + "\n")
			}
		}
		s.mu.Unlock()
	}
	return last
}

// simWork makes runs one after the other and reports on standard output.
func simWork(t *testing.T) {
	t.Helper()
	var seed, step uint64
	var share, ms int
	var show string
	_, _ = fmt.Sscan(os.Getenv("KOMMO_SIM_WORKER"), &seed, &step, &share, &ms, &show)
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(2 << 30) // a run of very many requests
	patience := simEnv("KOMMO_SIM_PATIENCE", time.Minute, time.ParseDuration)
	watch := time.AfterFunc(time.Hour, func() {
		debug.SetTraceback("all")
		if w := simNow.Load(); w != nil {
			fmt.Fprintf(os.Stderr, "ingredients: %s\n%s\n", w.on, w.tail(simEnv("KOMMO_SIM_TAIL", 30, strconv.Atoi), 0)) // with no lock: who holds it may never let go
		}
		panic("a run takes too long: somebody waits for a lock whose holder sleeps, or spins")
	})
	defer watch.Stop()
	simWatch = func() { watch.Reset(patience) }
	explained := map[string]bool{}
	for began, n := time.Now(), 0; (share == 0 || n < share) && (ms == 0 || time.Since(began) < time.Duration(ms)*time.Millisecond); n++ {
		if n%20 == 0 {
			runtime.GC()
		}
		fmt.Println("@begin", seed)
		start := time.Now()
		on := ingredientsOf(seed)
		r := simSeeded(t, seed, on)
		took := time.Since(start)
		differ, loosely, verdict := 0, 0, 0
		if os.Getenv("KOMMO_SIM_TWICE") != "" {
			again := simSeeded(t, seed, on)
			differ, loosely = btoi(again.exact != r.exact), btoi(again.loose != r.loose)
			verdict = btoi(kindOf(again) != kindOf(r))
			if differ > 0 && show != "" {
				fmt.Println(firstDifference(r.w, again.w))
			}
		}
		if len(r.broken) > 0 {
			fmt.Println("@broken", strings.ReplaceAll(r.broken[0], "\n", " "))
			if kind := simNumbers.ReplaceAllString(r.broken[0], "#"); !explained[kind] && len(explained) < 6 {
				explained[kind] = true
				fmt.Print(r.w.report())
				fmt.Printf("it needs: %s\n", minimal(t, r))
				fmt.Printf("go on with: KOMMO_SIM_SEED=%d KOMMO_SIM_ONLY=… go test -tags core -run 'TestSimulator$' -v ./plugin/chathistory\n", seed)
				fmt.Printf("%s\n%s\n", r.w.yaml(r.w.procs[len(r.w.procs)-1]), r.w.tail(25, r.w.brokenChat))
			}
			fmt.Println("@end")
		}
		if show != "" {
			fmt.Println(r.w.tail(simEnv("KOMMO_SIM_TAIL", 400, strconv.Atoi), simEnv("KOMMO_SIM_CHAT", 0, strconv.Atoi)))
			fmt.Printf("seed %d: %d requests, %d events, %s of virtual time, %s, hash %016x\n", seed, len(r.w.api.ledger), len(r.w.log.events), r.took, took, r.exact)
		}
		fmt.Println("@done", len(r.w.api.ledger), len(r.w.log.events), int64(took), differ, loosely, verdict)
		seed += step
	}
}

// kindOf is what a run is told by: the first promise that it broke, without the
// numbers.
func kindOf(r simResult) string {
	if len(r.broken) == 0 {
		return ""
	}
	return simNumbers.ReplaceAllString(r.broken[0], "#")
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// simSeeded is simulate with the library's jitter from the seed as well.
func simSeeded(t *testing.T, seed uint64, on simSet) simResult {
	t.Helper()
	simWatch()
	rand.Seed(int64(seed)) //nolint:staticcheck,gosec // there is no other way to have that library repeat itself, and it takes any bits
	return simulate(t, seed, on)
}

// minimal leaves out one ingredient after the other as long as the same promise is
// broken.
func minimal(t *testing.T, r simResult) simSet {
	t.Helper()
	promise := func(broken []string) string {
		if len(broken) == 0 {
			return ""
		}
		p, _, _ := strings.Cut(broken[0], ":")
		return p
	}
	on := r.on
	for i := range simNames {
		if on.has(i) && promise(simSeeded(t, r.seed, on&^(1<<i)).broken) == promise(r.broken) {
			on &^= 1 << i
		}
	}
	return on
}

// firstDifference shows where two runs part.
func firstDifference(a, b *simWorld) string {
	for i := range a.log.events {
		if i >= len(b.log.events) || a.log.events[i] != b.log.events[i] {
			var s strings.Builder
			for _, w := range []*simWorld{a, b} {
				for _, e := range w.log.events[max(0, i-3):min(i+3, len(w.log.events))] {
					s.WriteString(e.String() + "\n")
				}
				s.WriteString("--\n")
			}
			return s.String()
		}
	}
	return "one is longer"
}
