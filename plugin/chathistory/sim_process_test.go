// SPDX-License-Identifier: Apache-2.0

package chathistory_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/chathistory"
	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"
)

// simProcess is one life of the process. After a kill it goes on for a moment, but
// nothing that it does reaches anybody.
type simProcess struct {
	w      *simWorld
	n      int // from 1
	host   string
	began  time.Duration
	stream *service.Stream
	done   chan struct{}
	err    error // of Run, after done

	// The rest is guarded by the world's mu.
	gone     bool
	stopping bool
	flights  map[*simChat][]*simFlight
	changes  map[simOp]*simFlight  // edits and deletions that are out
	unacked  int                   // messages
	loaded   map[*simChat]simKnown // what the store said was acknowledged, when the chat was first looked at
	tags     int
	ends     int  // short pages that were honest
	longest  int  // messages of the longest page,
	longEnds int  // and short pages as long that were honest
	deceived bool // one that was not
	logs     []simLine
	gauges   map[string]int64
}

type simLine struct {
	at    time.Duration
	level slog.Level
	text  string
}

// simProcesses are all processes of all runs, by the host that they ask.
var (
	simProcesses sync.Map
)

func simProcessAt(host string) *simProcess {
	if p, ok := simProcesses.Load(host); ok {
		return p.(*simProcess) //nolint:forcetypeassert // startProcess puts nothing else there
	}
	return nil
}

// simEnvironment has the components that stand for what surrounds the input.
var simEnvironment = sync.OnceValue(func() *service.Environment {
	chathistory.RegisterTransport(simTransport{})
	env := service.GlobalEnvironment().Clone()
	spec := func() *service.ConfigSpec { return service.NewConfigSpec().Field(service.NewStringField("process")) }
	find := func(conf *service.ParsedConfig) (*simProcess, error) {
		host, err := conf.FieldString("process")
		return simProcessAt(host), err
	}
	for _, err := range []error{
		env.RegisterBatchOutput("sim_output", spec().Field(service.NewBatchPolicyField("batching")),
			func(conf *service.ParsedConfig, _ *service.Resources) (service.BatchOutput, service.BatchPolicy, int, error) {
				p, err := find(conf)
				if err != nil {
					return nil, service.BatchPolicy{}, 0, err
				}
				policy, err := conf.FieldBatchPolicy("batching")
				return simWriter{p}, policy, p.w.cfg.maxInFlight, err
			}),
		env.RegisterCache("sim_cache", spec(), func(conf *service.ParsedConfig, _ *service.Resources) (service.Cache, error) {
			p, err := find(conf)
			return simCache{p}, err
		}),
		env.RegisterRateLimit("sim_limit", spec(), func(conf *service.ParsedConfig, _ *service.Resources) (service.RateLimit, error) {
			p, err := find(conf)
			return pipetest.Limit(func() (time.Duration, error) {
				p.w.mu.Lock()
				defer p.w.mu.Unlock()
				if p.w.api.in(p.w.now(), windowLimit) {
					return 0, errors.New("the rate limit can't be asked")
				}
				return 0, nil
			}), err
		}),
		env.RegisterBatchInput("sim_queue", spec(), func(conf *service.ParsedConfig, _ *service.Resources) (service.BatchInput, error) {
			p, err := find(conf)
			return &simReader{p: p}, err
		}),
		env.RegisterBatchProcessor("sim_tag", spec(), func(conf *service.ParsedConfig, _ *service.Resources) (service.BatchProcessor, error) {
			p, err := find(conf)
			return simTagger{p}, err
		}),
		env.RegisterMetricsExporter("sim_metrics", spec(), func(conf *service.ParsedConfig, _ *service.Logger) (service.MetricsExporter, error) {
			p, err := find(conf)
			return simMetrics{p}, err
		}),
	} {
		if err != nil {
			panic(err)
		}
	}
	return env
})

// start begins a new life. Nobody holds mu.
func (w *simWorld) start() *simProcess {
	env := simEnvironment()
	p := &simProcess{
		w: w, n: len(w.procs) + 1, done: make(chan struct{}), began: w.now(),
		flights: map[*simChat][]*simFlight{}, changes: map[simOp]*simFlight{}, loaded: map[*simChat]simKnown{}, gauges: map[string]int64{},
	}
	p.host = fmt.Sprintf("p%d.seed%d.invalid", p.n, w.seed)
	simProcesses.Store(p.host, p)
	w.mu.Lock()
	w.procs = append(w.procs, p)
	clear(w.store.rotten)
	w.note("start", nil, p.n, 0, "")
	w.mu.Unlock()

	b := env.NewStreamBuilder()
	b.DisableLinting()
	b.SetLogger(slog.New(simLogger{p}))
	if err := b.SetYAML(w.yaml(p)); err != nil {
		panic(err)
	}
	if err := b.SetMetricsYAML("sim_metrics: {process: " + p.host + "}"); err != nil {
		panic(err)
	}
	var err error
	if p.stream, err = b.Build(); err != nil {
		panic(err)
	}
	// Resources are made when they are first asked for, under a lock: nobody waits for
	// that in virtual time.
	res := p.stream.Resources()
	_ = res.AccessCache(context.Background(), "progress", func(service.Cache) {})
	_ = res.AccessRateLimit(context.Background(), "shared", func(service.RateLimit) {})
	go func() {
		defer close(p.done)
		err := p.stream.Run(context.Background())
		w.mu.Lock()
		defer w.mu.Unlock()
		p.err = err
		if !p.gone {
			w.note("ended", nil, p.n, 0, fmt.Sprint(err))
		}
	}()
	synctest.Wait() // a stream that does not run yet can't be stopped
	return p
}

// ended says whether the process has come to an end by itself.
func (p *simProcess) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// until waits for the end of the process, or for a time.
func (p *simProcess) until(at time.Duration) (ended bool) {
	t := time.NewTimer(at - p.w.now())
	defer t.Stop()
	select {
	case <-p.done:
		return true
	case <-t.C:
		return p.ended()
	}
}

// kill ends the process as kill -9 does.
func (p *simProcess) kill() {
	w := p.w
	w.mu.Lock()
	if p.ended() || p.gone {
		w.mu.Unlock()
		return
	}
	w.note("kill", nil, p.n, 0, "")
	if before := w.now() - w.cfg.interval - saveSlack; !w.store.held(before) {
		p.checkSaved(before, w.store.trouble)
	}
	p.vanish()
	w.mu.Unlock()
}

// stopPatience is how long a clean stop may take: the output may be slow.
const stopPatience = 2 * time.Minute

// stop ends the process as SIGTERM does.
func (p *simProcess) stop() {
	w := p.w
	w.mu.Lock()
	p.stopping = true
	w.note("stop", nil, p.n, 0, "")
	w.mu.Unlock()
	err := p.stream.StopWithin(stopPatience)
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.gone {
		return
	}
	w.note("stopped", nil, p.n, 0, fmt.Sprint(err))
	if err != nil && w.calm {
		w.violated(7, "a clean stop failed: %v", err)
	}
	if err == nil && !w.store.held(w.now()) {
		p.checkSaved(w.now(), w.store.trouble)
	}
	p.vanish()
}

// vanish lets nothing that the process still does reach anybody. Caller holds mu.
func (p *simProcess) vanish() {
	w := p.w
	if p.gone {
		return
	}
	w.store.kill(p)
	p.gone = true
	w.forgetUnsaved()
	go func() {
		for range 100 {
			if p.ended() {
				return
			}
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			_ = p.stream.Stop(ctx)
			cancel()
			time.Sleep(time.Second)
		}
	}()
}

// arrives takes a message that reached the output. Caller holds mu.
func (p *simProcess) arrives(m *simMsg, tag string, tags map[string]*simFlight) {
	w := p.w
	f := m.flight
	if f == nil || !p.owns(f, m.c) {
		p.checkRepeat(m)
		f = p.flightOf(m.c, tag, tags)
		f.msgs = append(f.msgs, m)
		f.left++
		p.unacked++
		m.flight = f
		m.counted = false
		return
	}
	if f.left == 0 && !w.blurred() && !p.mayRepeat(m) {
		w.violated(3, "%s came again in one process after its batch was acknowledged", m)
	}
}

// flightOf returns the batch in which something of a chat reached the output.
func (p *simProcess) flightOf(c *simChat, tag string, tags map[string]*simFlight) *simFlight {
	key := c.id + "/" + tag
	f := tags[key]
	if f == nil && tag != "" {
		f = p.tagged(c, tag)
	}
	if f == nil {
		f = &simFlight{out: p.w.now(), acked: noTime, tag: tag, p: p}
		p.flights[c] = append(p.flights[c], f)
	}
	tags[key] = f
	return f
}

// simOp is an edit or a deletion as it reached the output.
type simOp struct {
	m   *simMsg
	got simGot
}

// changeArrives takes one: its batch is acknowledged when it is accepted too. Caller holds mu.
func (p *simProcess) changeArrives(ch simOp, tag string, tags map[string]*simFlight) {
	if p.changes[ch] == nil {
		f := p.flightOf(ch.m.c, tag, tags)
		f.left++
		p.changes[ch] = f
	}
}

// changeAccepted takes one that the output has accepted. Caller holds mu.
func (p *simProcess) changeAccepted(ch simOp, whole bool) {
	if f := p.changes[ch]; f != nil && (whole || !p.w.blurred()) {
		delete(p.changes, ch)
		p.landed(f)
	}
}

// landed notes that one more of a batch was accepted. Caller holds mu.
func (p *simProcess) landed(f *simFlight) {
	if f.left--; f.left == 0 {
		f.acked = p.w.now()
		p.unacked -= len(f.msgs)
	}
}

func (p *simProcess) owns(f *simFlight, _ *simChat) bool { return f.p == p }

// tagged finds the batch of a tag, which the output got in parts.
func (p *simProcess) tagged(c *simChat, tag string) *simFlight {
	for _, f := range p.flights[c] {
		if f.tag == tag {
			return f
		}
	}
	return nil
}

// blurred says that the engine makes other batches of those of the input, and
// rejects them whole where the output rejects a part: what was accepted beside it is
// sent again, and nobody but the engine knows what counts as acknowledged.
func (w *simWorld) blurred() bool {
	return w.cfg.batchCount > 0 && (w.on.has(simPartial) || w.on.has(simWhole))
}

// accepted takes a message that the output has accepted, with its whole batch or
// without others of it. Caller holds mu.
func (p *simProcess) accepted(m *simMsg, whole bool) {
	w, now := p.w, p.w.now()
	if m.accepted == noTime {
		m.accepted = now
		m.c.order = append(m.c.order, m)
		m.acceptance = len(m.c.order)
		p.checkOrder(m)
		p.checkWanted(m)
		w.out.total++
	}
	f := m.flight
	if m.counted || !whole && w.blurred() {
		return
	}
	m.counted = true
	p.landed(f)
}

// covered returns which of a chat's messages have been acknowledged before a time
// without a gap, in the order in which they came.
func (p *simProcess) covered(c *simChat, before time.Duration) simBits {
	var bits simBits
	for _, f := range p.flights[c] {
		if f.acked >= before {
			break
		}
		for _, m := range f.msgs {
			bits.add(m.n)
		}
	}
	return bits
}

// simLogger keeps the lines that a person would read.
type simLogger struct{ p *simProcess }

func (simLogger) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }
func (l simLogger) WithAttrs([]slog.Attr) slog.Handler         { return l }
func (l simLogger) WithGroup(string) slog.Handler              { return l }
func (l simLogger) Handle(_ context.Context, r slog.Record) error {
	p := l.p
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if p.gone {
		return nil
	}
	p.logs = append(p.logs, simLine{p.w.now(), r.Level, r.Message})
	p.w.note("log", nil, int(r.Level), 0, r.Message)
	if strings.Contains(r.Message, simSecretText) || strings.Contains(r.Message, "private") {
		p.w.violated(8, "something private is in the log: %s", r.Message)
	}
	return nil
}

// simMetrics keeps the gauges of the chats.
type simMetrics struct{ p *simProcess }

func (m simMetrics) NewCounterCtor(string, ...string) service.MetricsExporterCounterCtor {
	return func(...string) service.MetricsExporterCounter { return simIgnored{} }
}

func (m simMetrics) NewTimerCtor(string, ...string) service.MetricsExporterTimerCtor {
	return func(...string) service.MetricsExporterTimer { return simIgnored{} }
}

func (m simMetrics) NewGaugeCtor(name string, keys ...string) service.MetricsExporterGaugeCtor {
	if name != "kommo_chat_history_chats" {
		return func(...string) service.MetricsExporterGauge { return simIgnored{} }
	}
	return func(values ...string) service.MetricsExporterGauge {
		for i, k := range keys {
			if k == "state" {
				return simGauge{m.p, values[i]}
			}
		}
		return simIgnored{}
	}
}

func (simMetrics) Close(context.Context) error { return nil }

type simIgnored struct{}

func (simIgnored) Incr(int64)   {}
func (simIgnored) Set(int64)    {}
func (simIgnored) Timing(int64) {}

type simGauge struct {
	p     *simProcess
	state string
}

func (g simGauge) Set(n int64) {
	g.p.w.mu.Lock()
	defer g.p.w.mu.Unlock()
	g.p.gauges[g.state] = n
}
