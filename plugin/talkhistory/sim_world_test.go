// SPDX-License-Identifier: Apache-2.0

package talkhistory_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat/chattest"
	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"
)

// The simulator runs the whole input kommo_talk_history through the public surface
// (StreamBuilder, YAML) in a bubble of virtual time, between models of everything that it
// touches, and checks what came out against what was promised:
//
//	sim_test.go         the many runs of go test, and one run
//	sim_world_test.go   what a run shares: its draws, its configuration, its event log
//	sim_talk_test.go    talks that change
//	sim_api_test.go     the API: the talks' messages, the feed, the list of talks, faults
//	sim_store_test.go   the checkpoint store: fails, hangs, forgets
//	sim_output_test.go  the output: slow, rejects any subset
//	sim_life_test.go    the lives of the process: start, kill, clean stop
//	sim_check_test.go   the promises
//	sim_changes_test.go messages that are edited and deleted, and what a consumer has of them
//
// Everything comes from one seed. A draw is keyed by what it is for (a talk and the number of
// its request, say), never by when it happens, so that a run does not come out otherwise
// because two goroutines changed places.

// simWorld is what one run is made of. mu guards all of it, and is never held while
// anybody sleeps.
type simWorld struct {
	seed  uint64
	cfg   simConfig
	epoch time.Time

	mu    sync.Mutex
	talks []*simTalk
	byID  map[string]*simTalk
	said  []*simMessage // of all talks, in the order in which they came
	known map[string]*simMessage
	api   simAPI
	store simStore
	lives []*simLife
	calm  bool
	// Once more was said to be missing than was named.
	unnamed bool
	log     []string
	broken  []string
}

// never is a time that does not come.
const never = time.Duration(1<<63 - 1)

// simConfig is how the input, the API and the chaos are drawn.
type simConfig struct {
	// The input.
	discover                                   string
	pageSize, bufferedPages, parallel, limit   int
	burst                                      int
	rps                                        float64
	poll, interval, lookback                   time.Duration // poll 0: one reading
	changes                                    time.Duration // how often they are looked for; 0: never
	backoff, timeout                           time.Duration
	latest                                     bool
	since                                      int64 // Unix seconds; 0: none
	origins                                    bool  // only those of the first channel
	inFlight                                   int
	rejectsPart, rejectsWhole, rejects, slowMS int // in percent; how often a message may be; how slow the output is

	// The API.
	talk, feed  chattest.Talk // order, filter, links, limit
	cut         int           // entries of the list of talks; 0: all
	feedLag     time.Duration // at most
	listLag     time.Duration // at most
	clock       time.Duration // the server's, ahead of ours
	bare        bool          // no milliseconds
	latency     time.Duration
	failing     int // in percent of the requests
	storeFails  bool
	storeForget bool

	chaos time.Duration
	stops []simStop
}

// simStop is an end of the process before the last.
type simStop struct {
	at, rest time.Duration
	kill     bool
}

func newSimWorld(seed uint64) *simWorld {
	w := &simWorld{seed: seed, epoch: time.Now(), byID: map[string]*simTalk{}, known: map[string]*simMessage{}}
	w.cfg = newSimConfig(w)
	w.setupTalks()
	w.setupChanges()
	w.api.setup(w)
	w.store.setup(w)
	return w
}

func newSimConfig(w *simWorld) simConfig {
	r := w.rnd("config")
	c := simConfig{
		discover: oneOf(r, "events", "events", "talks", "ids"),
		pageSize: oneOf(r, 4+r.IntN(9), 4+r.IntN(9), 50, 250),
		parallel: 1 + r.IntN(6), limit: oneOf(r, 20+r.IntN(60), 1000), burst: 1 + r.IntN(5), rps: oneOf(r, 7, 20, 2+5*r.Float64()),
		interval: oneOf(r, 0, 200*time.Millisecond, time.Second, 5*time.Second),
		lookback: oneOf(r, 0, time.Second, time.Minute, 10*time.Minute),
		backoff:  oneOf(r, 100*time.Millisecond, time.Second), timeout: oneOf(r, 5*time.Second, 30*time.Second),
		inFlight: oneOf(r, 1, 4, 64), slowMS: oneOf(r, 1, 20, 20, 1000),
		feedLag: oneOf(r, 0, 2*time.Second, 90*time.Second), listLag: oneOf(r, 0, 0, 3*time.Second, time.Minute),
		clock: oneOf(r, 0, between(r, -3*time.Second, 3*time.Second), between(r, -10*time.Minute, 10*time.Minute)),
		bare:  chance(r, 40), latency: between(r, time.Millisecond, 80*time.Millisecond),
		chaos: between(r, 30*time.Second, 5*time.Minute),
	}
	c.talk = chattest.Talk{Order: oneOf(r, "newest", "oldest", "none"), Next: oneOf(r, "", "missing", "always"), KeepFrom: true, KeepTo: true, Exclusive: chance(r, 20)}
	c.talk.FromOff, c.talk.ToOff = r.Int64N(3)-1, r.Int64N(3)-1
	if chance(r, 25) {
		c.talk.KeepFrom, c.talk.KeepTo = chance(r, 30), chance(r, 30)
	}
	c.feed = chattest.Talk{Order: oneOf(r, "asked", "newest", "oldest", "none"), Next: oneOf(r, "", "missing", "always"), KeepFrom: true, KeepTo: true}
	if c.feed.FromOff = oneOf[int64](r, 0, 0, 1, -1); chance(r, 20) {
		c.feed.KeepFrom, c.feed.KeepTo = false, false
	}
	c.feed.ToOff = c.feed.FromOff
	// Not less than half: a tenth of a page is believed to be all, so that the rest comes late or, where nothing
	// announces it, not before more is said; and pages of less than four hardly overlap.
	if chance(r, 20) && c.pageSize >= 8 {
		c.talk.Cap, c.talk.CapShifts = c.pageSize/2+r.IntN(c.pageSize/2), chance(r, 50)
	}
	// Where the filter is not kept, all of a talk has to be held.
	c.bufferedPages = max(2, 2*mostMessages/c.pageSize)
	if c.talk.KeepFrom && c.talk.KeepTo {
		c.bufferedPages = oneOf(r, 120/c.pageSize+1+r.IntN(4), c.bufferedPages)
	}
	if c.poll = c.chaos / time.Duration(3+r.IntN(12)); chance(r, 25) {
		c.poll = 0
	}
	if chance(r, 10) {
		c.latest = true
	} else if chance(r, 10) {
		c.since = w.epoch.Add(between(r, -10*time.Minute, 0)).Unix()
	}
	c.origins = chance(r, 15)
	if chance(r, 25) {
		c.rejectsPart = 1 + r.IntN(40)
	}
	if chance(r, 20) {
		c.rejectsWhole = 1 + r.IntN(40)
	}
	c.rejects = 1 + r.IntN(6)
	if c.discover == "talks" && chance(r, 30) {
		c.cut = 1 + r.IntN(4)
	}
	if chance(r, 40) {
		c.failing = 1 + r.IntN(15)
	}
	c.storeFails, c.storeForget = chance(r, 20), chance(r, 10)
	at := time.Duration(0)
	for range r.IntN(4) {
		s := simStop{at: at + oneOf(r, between(r, 0, 3*time.Second), between(r, 0, c.chaos/2)), kill: chance(r, 60), rest: between(r, time.Millisecond, 10*time.Second)}
		if at = s.at + s.rest; at < c.chaos {
			c.stops = append(c.stops, s)
		}
	}
	return c
}

// yaml is the pipeline of a life.
func (w *simWorld) yaml(name string) string {
	c := &w.cfg
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("http: {enabled: false}")
	line("input:")
	line("  kommo_talk_history:")
	line("    api_url: http://kommo.invalid")
	line("    access_token: %s", name)
	line("    discover: %s", c.discover)
	line("    page_size: %d", c.pageSize)
	line("    max_buffered_pages: %d", c.bufferedPages)
	line("    parallel_chats: %d", c.parallel)
	line("    checkpoint_limit: %d", c.limit)
	line("    checkpoint_interval: %s", c.interval)
	line("    checkpoint_cache: progress")
	line("    lookback: %s", c.lookback)
	if c.changes > 0 {
		line("    changes: true")
		line("    changes_interval: %s", c.changes)
	}
	line("    requests_per_second: %v", c.rps)
	line("    burst: %d", c.burst)
	line("    timeout: %s", c.timeout)
	line("    backoff: {initial_interval: %s, max_interval: 10s}", c.backoff)
	if c.poll > 0 {
		line("    poll_interval: %s", c.poll)
	}
	if c.latest {
		line("    start_from: latest")
	}
	if c.since > 0 {
		line("    since: %q", time.Unix(c.since, 0).UTC().Format(time.RFC3339))
	}
	if c.origins {
		line("    origins: [%s]", simOrigins[0])
	}
	line("output: {life_output: {life: %s}}", name)
	line("cache_resources: [{label: progress, life_cache: {life: %s}}]", name)
	return b.String()
}

// now is the virtual time since the run began.
func (w *simWorld) now() time.Duration { return time.Since(w.epoch) }

// server is the API's clock, in Unix seconds.
func (w *simWorld) server(at time.Duration) int64 { return w.epoch.Add(at + w.cfg.clock).Unix() }

// rnd returns the draws for a purpose.
func (w *simWorld) rnd(purpose string, ids ...int) *rand.Rand {
	return pipetest.Draws(w.seed, purpose, ids...)
}

// chance is true in so many of a hundred cases.
func chance(r *rand.Rand, percent int) bool { return r.IntN(100) < percent }

// between draws a duration, to the nanosecond, so that no two events fall on the same instant.
func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int64N(int64(most-least)+1))
}

func oneOf[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// note adds to the event log. Caller holds mu.
func (w *simWorld) note(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%14s  ", w.now().Round(time.Microsecond))+fmt.Sprintf(format, args...))
}

// violated notes that a promise was broken. Caller holds mu.
func (w *simWorld) violated(promise, format string, args ...any) {
	text := promise + ": " + fmt.Sprintf(format, args...)
	w.note("BROKEN %s", text)
	if len(w.broken) < 10 {
		w.broken = append(w.broken, fmt.Sprintf("%s, at %s", text, w.now()))
	}
}
