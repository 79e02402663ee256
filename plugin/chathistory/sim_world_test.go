// SPDX-License-Identifier: Apache-2.0

package chathistory_test

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"
)

// The simulator runs the whole input kommo_chat_history through the public surface
// (StreamBuilder, YAML) in a bubble of virtual time, between models of everything
// that it touches, and checks what came out against what was promised:
//
//	sim_world_test.go   what one run shares: its draws, its chats, its event log
//	sim_config_test.go  which ingredients a run has, and how the input is configured
//	sim_chat_test.go    chats that change, and messages with clocks that err
//	sim_api_test.go     the API: listing, signature, limit, faults
//	sim_store_test.go   the checkpoint store: fails, hangs, tears, forgets
//	sim_output_test.go  the output: slow, rejects, acknowledges in any order
//	sim_queue_test.go   the queue that names chats
//	sim_process_test.go one life of the process: start, kill, clean stop
//	sim_check_test.go   the promises, and what is allowed instead
//	sim_run_test.go     one run, the many runs of go test, and what helps to understand one
//
// Everything comes from one seed. A draw is keyed by what it is for (a chat and the
// number of its request, say), never by when it happens, so that a run does not
// come out otherwise because two goroutines changed places, and so that leaving
// an ingredient out (KOMMO_SIM_WITHOUT) leaves the rest as it was.

// simWorld is what one run is made of. mu guards all of it, and is never held
// while anybody sleeps.
type simWorld struct {
	seed  uint64
	on    simSet
	cfg   simConfig
	epoch time.Time

	mu     sync.Mutex
	chats  []*simChat
	byID   map[string]*simChat
	bodies map[string]*simMsg
	api    simAPI
	store  simStore
	out    simOutput
	queue  *simQueue // nil: the chats are listed
	procs  []*simProcess

	calm   bool
	calmAt time.Duration
	log    simLog
	broken []string // promises

	brokenChat int // the chat that the first of them speaks of; 0: none
}

func newSimWorld(seed uint64, on simSet) *simWorld {
	w := &simWorld{
		seed: seed, on: on, epoch: time.Now(),
		byID: map[string]*simChat{}, bodies: map[string]*simMsg{},
	}
	w.cfg = newSimConfig(w)
	w.api.setup(w)
	w.store.setup(w)
	w.out.setup(w)
	w.setupChats()
	w.setupQueue()
	return w
}

// now is the virtual time since the run began.
func (w *simWorld) now() time.Duration { return time.Since(w.epoch) }

// serverMs is what the API's clock says at a time, in Unix milliseconds.
func (w *simWorld) serverMs(at time.Duration) int64 {
	return w.epoch.Add(at + w.api.clock).UnixMilli()
}

// shownMs is what the input can know of that: without a Date it goes by its own clock.
func (w *simWorld) shownMs(at time.Duration) int64 {
	if w.api.noDate {
		return w.epoch.Add(at).UnixMilli()
	}
	return w.serverMs(at)
}

// rnd returns the draws for a purpose.
func (w *simWorld) rnd(purpose string, ids ...int) *rand.Rand {
	return pipetest.Draws(w.seed, purpose, ids...)
}

// chance is true in so many of a hundred cases.
func chance(r *rand.Rand, percent int) bool { return r.IntN(100) < percent }

// between draws a duration, to the nanosecond, so that no two events fall on the
// same instant.
func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int64N(int64(most-least)+1))
}

func oneOf[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// violated notes that a promise was broken. Caller holds mu.
func (w *simWorld) violated(promise int, format string, args ...any) {
	text := fmt.Sprintf("promise %d: ", promise) + fmt.Sprintf(format, args...)
	w.note("BROKEN", nil, 0, 0, text)
	if len(w.broken) == 0 {
		_, _ = fmt.Sscanf(text[strings.Index(text+"chat ", "chat "):], "chat %d", &w.brokenChat)
	}
	if len(w.broken) < 20 {
		w.broken = append(w.broken, fmt.Sprintf("%s at %s", text, w.now()))
	}
}

// simEvent is a line of the event log.
type simEvent struct {
	at   time.Duration
	what string
	chat int // 0: none
	n, m int
	text string
}

// simLog keeps what happened, and two hashes of it: one of the events in their
// order, one that leaves open which of the same instant came first.
type simLog struct {
	events       []simEvent
	exact, loose uint64
}

// note adds to the event log. Caller holds mu.
func (w *simWorld) note(what string, c *simChat, n, m int, text string) {
	e := simEvent{at: w.now(), what: what, n: n, m: m, text: text}
	if c != nil {
		e.chat = c.n
	}
	h := uint64(14695981039346656037)
	for _, v := range [...]uint64{uint64(e.at), uint64(e.chat), uint64(n), uint64(m)} { //nolint:gosec // a hash takes any bits
		h = (h ^ v) * 1099511628211
		h ^= h >> 31
	}
	for i := range len(what) {
		h = (h ^ uint64(what[i])) * 1099511628211
	}
	if what != "log" {
		// The words of a log line may hold what the input draws itself.
		w.log.exact = (w.log.exact ^ h) * 1099511628211
		w.log.loose += h
	}
	w.log.events = append(w.log.events, e)
}

func (e simEvent) String() string {
	s := fmt.Sprintf("%14s  %-12s", e.at.Round(time.Microsecond), e.what)
	if e.chat != 0 {
		s += fmt.Sprintf(" chat %-3d", e.chat)
	}
	if e.n != 0 || e.m != 0 {
		s += fmt.Sprintf(" %d %d", e.n, e.m)
	}
	if e.text != "" {
		s += "  " + e.text
	}
	return s
}

// tail returns the last events, of one chat where one is given.
func (w *simWorld) tail(most, chat int) string {
	var lines []string
	for _, e := range slices.Backward(w.log.events) {
		if chat != 0 && e.chat != 0 && e.chat != chat {
			continue
		}
		lines = append(lines, e.String())
		if len(lines) == most {
			break
		}
	}
	slices.Reverse(lines)
	return strings.Join(lines, "\n")
}

func hashOf(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s))
	return h.Sum64()
}

// simBits is a set of a chat's messages by their numbers.
type simBits []uint64

func (b simBits) has(n int) bool { return n/64 < len(b) && b[n/64]&(1<<(n%64)) != 0 }

func (b *simBits) add(n int) {
	for n/64 >= len(*b) {
		*b = append(*b, 0)
	}
	(*b)[n/64] |= 1 << (n % 64)
}

func (b *simBits) join(o simBits) {
	for len(*b) < len(o) {
		*b = append(*b, 0)
	}
	for i := range o {
		(*b)[i] |= o[i]
	}
}
