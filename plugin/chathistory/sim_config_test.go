// SPDX-License-Identifier: Apache-2.0

package chathistory_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// simSet is which ingredients a run has.
type simSet uint64

// The ingredients. Each run has a random part of them, so that each comes in many
// combinations, and a failure is understood by leaving them out one by one.
const (
	simDeletions   = iota // messages vanish in runs anywhere
	simEmptied            // whole chats are emptied
	simBursts             // messages arrive many at once
	simMidway             // chats change between any two requests, not only now and then
	simSkew               // senders' clocks differ by seconds
	simAhead              // a message an hour ahead
	simFuture             // a message of the year 2106
	simEpoch              // a message of 1970
	simImports            // old messages arrive late
	simMsecSeconds        // msec_timestamp in seconds
	simNoMsec             // no msec_timestamp
	simNoTime             // no time at all
	simTies               // many messages share a second
	simByArrival          // the API lists by arrival, else by time
	simFreeOrder          // the order within a second is any
	simHidden             // items are hidden after limit was applied
	simHiddenPages        // whole pages of them
	simCapped             // the server gives less than limit
	simNulls              // entries that are null, or no objects
	simNoIDs              // messages without an id
	simLong               // chats of many pages
	simMany               // many chats
	simForeign            // chats of another channel
	simBroken             // chats that fail for good
	simFlaky              // chats that fail for a time
	simTransient          // single answers that fail
	simOutage             // the whole API fails for a time
	simBlock              // the address is blocked for a time
	simSecret             // the secret is not accepted for a time
	simThrottle           // the server has a limit of its own
	simNoHint             // and does not say how long to wait
	simAbsurd             // or says absurd things
	simClockOff           // the server's clock differs, or there is no Date
	simStoreFails         // the store fails and hangs for a time
	simTorn               // a kill leaves half of what was being written
	simRot                // values are torn at rest
	simForgets            // the store forgets one key, or all
	simExpires            // the store forgets after a time
	simOlder              // the store returns an older value
	simSlowOutput         // the output takes its time
	simPartial            // the output rejects parts of batches
	simWhole              // the output rejects whole batches
	simStubborn           // it does so more than twice
	simBatching           // the output batches
	simQueueIn            // the chats are named by an input
	simQueueEnds          // which ends at once
	simKills              // kill -9
	simStops              // clean stops
	simLatest             // start_from: latest
	simSince              // since
	simOnePass            // without poll_interval
	simNoCache            // no checkpoint_cache
	simSharedLimit        // a rate_limit resource that fails at times
	simLongID             // a chat id of 236 bytes
	simPatience           // the calm lasts for many polls
	simUnknown            // one of the chats does not exist
	simSpaces             // names have spaces around them
	simChanges            // changes: true, and messages are edited
	simIngredients
)

// simNames are the names of the ingredients, for KOMMO_SIM_WITHOUT and KOMMO_SIM_ONLY,
// and in how many of a hundred runs each is.
var simNames = [simIngredients]struct {
	name    string
	percent int
}{
	simDeletions: {"deletions", 40}, simEmptied: {"emptied", 10}, simBursts: {"bursts", 40}, simMidway: {"midway", 40},
	simSkew: {"skew", 35}, simAhead: {"ahead", 15}, simFuture: {"future", 10}, simEpoch: {"epoch", 10}, simImports: {"imports", 20},
	simMsecSeconds: {"msecseconds", 10}, simNoMsec: {"nomsec", 20}, simNoTime: {"notime", 10}, simTies: {"ties", 30},
	simByArrival: {"byarrival", 50}, simFreeOrder: {"freeorder", 30},
	simHidden: {"hidden", 12}, simHiddenPages: {"hiddenpages", 4}, simCapped: {"capped", 6}, simNulls: {"nulls", 10}, simNoIDs: {"noids", 10},
	simLong: {"long", 25}, simMany: {"many", 12}, simForeign: {"foreign", 12}, simBroken: {"broken", 15}, simFlaky: {"flaky", 20},
	simTransient: {"transient", 30}, simOutage: {"outage", 15}, simBlock: {"block", 10}, simSecret: {"secret", 7},
	simThrottle: {"throttle", 15}, simNoHint: {"nohint", 40}, simAbsurd: {"absurd", 10}, simClockOff: {"clockoff", 15},
	simStoreFails: {"storefails", 20}, simTorn: {"torn", 40}, simRot: {"rot", 8}, simForgets: {"forgets", 12}, simExpires: {"expires", 10},
	simOlder: {"older", 6}, simSlowOutput: {"slowoutput", 25}, simPartial: {"partial", 25}, simWhole: {"whole", 20}, simStubborn: {"stubborn", 30},
	simBatching: {"batching", 15}, simQueueIn: {"queue", 20}, simQueueEnds: {"queueends", 40}, simKills: {"kills", 50}, simStops: {"stops", 25},
	simLatest: {"latest", 10}, simSince: {"since", 10}, simOnePass: {"onepass", 30}, simNoCache: {"nocache", 6},
	simSharedLimit: {"sharedlimit", 6}, simLongID: {"longid", 5}, simPatience: {"patience", 8}, simUnknown: {"unknown", 10}, simSpaces: {"spaces", 10},
	simChanges: {"changes", 30},
}

func simSetOf(list string) simSet {
	var s simSet
	for _, name := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		i := slices.IndexFunc(simNames[:], func(n struct {
			name    string
			percent int
		}) bool {
			return n.name == name
		})
		if i < 0 {
			panic(fmt.Sprintf("the simulator has no ingredient %q", name))
		}
		s |= 1 << i
	}
	return s
}

func (s simSet) has(i int) bool { return s&(1<<i) != 0 }

func (s simSet) String() string {
	var out []string
	for i := range simNames {
		if s.has(i) {
			out = append(out, simNames[i].name)
		}
	}
	return strings.Join(out, ",")
}

// ingredientsOf draws which ingredients a run has. KOMMO_SIM_WITHOUT takes some
// away, KOMMO_SIM_WITH adds some, and KOMMO_SIM_ONLY says which there are.
func ingredientsOf(seed uint64) simSet {
	w := &simWorld{seed: seed}
	var s simSet
	r := w.rnd("ingredients")
	for i := range simNames {
		if chance(r, simNames[i].percent) {
			s |= 1 << i
		}
	}
	if only, set := os.LookupEnv("KOMMO_SIM_ONLY"); set {
		s = simSetOf(only)
	}
	s |= simSetOf(os.Getenv("KOMMO_SIM_WITH"))
	if s.has(simCapped) {
		// One reason for short pages is enough at a time.
		s &^= 1<<simHidden | 1<<simHiddenPages
	}
	if s.has(simChanges) {
		s |= 1 << simDeletions
	}
	s &^= simSetOf(os.Getenv("KOMMO_SIM_WITHOUT"))
	return s
}

// simConfig is how the input and the output are configured, and how long the chaos
// lasts.
type simConfig struct {
	pageSize, maxBufferedPages, parallel, limit, burst, maxInFlight, batchCount, readAhead int
	order, latest, queue, cache                                                            bool
	since                                                                                  time.Time
	poll                                                                                   time.Duration // 0: one pass
	lookback                                                                               time.Duration // as the input must have it
	lookbackSet                                                                            bool          // else it is the input's default
	interval, backoff, maxBackoff, maxElapsed, timeout, batchPeriod                        time.Duration
	rps                                                                                    float64
	chaos                                                                                  time.Duration
	stops                                                                                  []simStop
	changes                                                                                time.Duration // 0: not looked for
}

// simStop is an end of the process before the last.
type simStop struct {
	at   time.Duration
	kill bool
	rest time.Duration // before the next process
}

// simWide is a lookback over all that happens in a run.
const simWide = 24 * time.Hour

// leastDefaultLookback is what lookback must be at least where nobody sets it.
const leastDefaultLookback = time.Minute

func newSimConfig(w *simWorld) simConfig {
	r := w.rnd("config")
	c := simConfig{
		pageSize:         3 + r.IntN(9),
		maxBufferedPages: 1 + r.IntN(6),
		parallel:         1 + r.IntN(5),
		limit:            oneOf(r, 1+r.IntN(5), 5+r.IntN(40), 50+r.IntN(200), 1000),
		burst:            1 + r.IntN(4),
		maxInFlight:      oneOf(r, 1, 1+r.IntN(4), 64),
		order:            chance(r, 70),
		interval:         oneOf(r, 0, 200*time.Millisecond, time.Second, 5*time.Second),
		backoff:          oneOf(r, 100*time.Millisecond, 500*time.Millisecond),
		maxBackoff:       oneOf(r, time.Second, 5*time.Second, 30*time.Second),
		timeout:          oneOf(r, 2*time.Second, 10*time.Second, 30*time.Second),
		chaos:            between(r, 20*time.Second, 150*time.Second),
		cache:            !w.on.has(simNoCache),
		queue:            w.on.has(simQueueIn),
	}
	if w.on.has(simHidden) || w.on.has(simHiddenPages) || w.on.has(simCapped) {
		// Pages that overlap can't be joined where next to nothing is shown of them.
		c.pageSize += 8
	}
	if chance(r, 15) {
		c.pageSize = 50
	}
	c.rps = oneOf(r, 0, 0, 2+3*r.Float64(), 5+20*r.Float64(), 50)
	if chance(r, 15) {
		c.maxElapsed = between(r, time.Second, 30*time.Second)
	}
	c.poll = c.chaos / time.Duration(3+r.IntN(12))
	if w.on.has(simOnePass) {
		c.poll = 0
	}
	c.lookback, c.lookbackSet = oneOf(r, 0, time.Second, 5*time.Second, time.Minute, 10*time.Minute), chance(r, 60)
	if !c.lookbackSet {
		c.lookback = leastDefaultLookback
	}
	c.batchCount, c.batchPeriod = 1+r.IntN(30), between(r, 50*time.Millisecond, 3*time.Second)
	if !w.on.has(simBatching) {
		c.batchCount = 0
	}
	c.latest = w.on.has(simLatest) && c.cache
	if w.on.has(simSince) {
		c.since = time.Now().Add(-between(r, -20*time.Second, 10*time.Minute)).Truncate(time.Second)
	}
	ahead := w.rnd("read ahead")
	c.readAhead = oneOf(ahead, 1, 2+ahead.IntN(4), 32)
	if w.on.has(simChanges) {
		changes := w.rnd("changes")
		c.changes = c.chaos / time.Duration(2+changes.IntN(8))
		if chance(changes, 60) && !c.queue { // what is named would be looked after for a day
			c.lookback, c.lookbackSet = simWide, true
		} else if c.lookbackSet {
			c.lookback = max(c.lookback, time.Second)
		}
	}
	stops := w.rnd("stops")
	at := time.Duration(0)
	for range 1 + stops.IntN(4) {
		kill := chance(stops, 60)
		at += oneOf(stops, between(stops, 0, 3*time.Second), between(stops, 0, c.chaos/3))
		s := simStop{at: at, kill: kill, rest: oneOf(stops, time.Millisecond, between(stops, 0, 10*time.Second))}
		if at += s.rest; at < c.chaos && w.on.has(map[bool]int{true: simKills, false: simStops}[kill]) {
			c.stops = append(c.stops, s)
		}
	}
	return c
}

// yaml is the pipeline of a process.
func (w *simWorld) yaml(p *simProcess) string {
	c := &w.cfg
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("http: {enabled: false}")
	line("input:")
	line("  kommo_chat_history:")
	line("    base_url: http://%s", p.host)
	line("    scope_id: %s", simScope)
	line("    channel_secret: %s", simSecretText)
	if w.queue == nil {
		line("    chats: [%s]", strings.Join(w.listed(), ", "))
	} else {
		line("    chats_input: {sim_queue: {process: %s}}", p.host)
	}
	line("    page_size: %d", c.pageSize)
	line("    max_buffered_pages: %d", c.maxBufferedPages)
	line("    read_ahead: %d", c.readAhead)
	line("    parallel_chats: %d", c.parallel)
	line("    checkpoint_limit: %d", c.limit)
	line("    preserve_order: %v", c.order)
	line("    checkpoint_interval: %s", c.interval)
	line("    requests_per_second: %v", c.rps)
	line("    burst: %d", c.burst)
	line("    timeout: %s", c.timeout)
	line("    backoff: {initial_interval: %s, max_interval: %s, max_elapsed_time: %s}", c.backoff, c.maxBackoff, c.maxElapsed)
	if c.poll > 0 {
		line("    poll_interval: %s", c.poll)
	}
	if c.lookbackSet {
		line("    lookback: %s", c.lookback)
	}
	if c.changes > 0 {
		line("    changes: true")
		line("    changes_interval: %s", c.changes)
	}
	if c.latest {
		line("    start_from: latest")
	}
	if !c.since.IsZero() {
		line("    since: %q", c.since.Format(time.RFC3339))
	}
	if w.on.has(simSharedLimit) {
		line("    rate_limit: shared")
	}
	if c.cache {
		line("    checkpoint_cache: progress")
	}
	if c.batchCount > 0 {
		line("  processors: [{sim_tag: {process: %s}}]", p.host)
	}
	line("output:")
	line("  sim_output:")
	line("    process: %s", p.host)
	if c.batchCount > 0 {
		line("    batching: {count: %d, period: %s}", c.batchCount, c.batchPeriod)
	}
	if c.cache {
		line("cache_resources: [{label: progress, sim_cache: {process: %s}}]", p.host)
	}
	if w.on.has(simSharedLimit) {
		line("rate_limit_resources: [{label: shared, sim_limit: {process: %s}}]", p.host)
	}
	return b.String()
}
