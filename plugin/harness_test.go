// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	_ "github.com/kommo-connect/kommo-connect/plugin"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

const (
	secret = "5ecre7-of-the-channel-that-no-log-may-show"

	// patience is how long a test waits for what must happen. It is reached only
	// where that does not happen.
	patience = 30 * time.Second
)

// noon is when the first message of chats made by these tests was sent.
var noon = time.Date(2026, time.March, 3, 12, 0, 0, 0, time.UTC)

// bell tells those who wait that something has happened.
type bell struct {
	mu   sync.Mutex
	rung chan struct{}
}

func newBell() *bell { return &bell{rung: make(chan struct{})} }

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.rung)
	b.rung = make(chan struct{})
}

func (b *bell) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rung
}

// kommo is a sandbox behind a real listener.
type kommo struct {
	*sandbox.Server
	url  string
	bell *bell
	http *httptest.Server

	mu         sync.Mutex
	signatures map[string]bool // of all requests
	open       int             // connections
}

func newKommo(t *testing.T, config sandbox.Config) *kommo {
	t.Helper()
	k := unstartedKommo(t, config)
	k.http.Start()
	k.url = k.http.URL
	return k
}

func unstartedKommo(t *testing.T, config sandbox.Config) *kommo {
	t.Helper()
	config.Secret = cmp.Or(config.Secret, secret)
	server, err := sandbox.New(config)
	require.NoError(t, err)
	k := &kommo{Server: server, bell: newBell(), signatures: map[string]bool{}}
	k.http = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.mu.Lock()
		k.signatures[r.Header.Get("X-Signature")] = true
		k.mu.Unlock()
		defer k.bell.ring()
		server.ServeHTTP(w, r)
	}))
	k.http.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	k.http.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		k.mu.Lock()
		switch s {
		case http.StateNew:
			k.open++
		case http.StateClosed, http.StateHijacked:
			k.open--
		}
		k.mu.Unlock()
		k.bell.ring()
	}
	t.Cleanup(k.http.Close)
	return k
}

func (k *kommo) connections() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.open
}

// chat makes a chat with n text messages, one a second, and returns its id.
func (k *kommo) chat(n int) string {
	id := chatID(int(chats.Add(1)))
	k.Append(id)
	for i := range n {
		k.say(id, noon.Add(time.Duration(i)*time.Second))
	}
	return id
}

// say appends a message sent at a time, and returns its id.
func (k *kommo) say(chat string, at time.Time) string {
	n := said.Add(1)
	id := fmt.Sprintf("%08x-0000-4000-8000-%012x", n, n)
	text := fmt.Sprintf("private words, number %d", n)
	if n%2 == 0 {
		k.Append(chat, sandbox.Reply(id, at, text))
	} else {
		k.Append(chat, sandbox.Text(id, at, text))
	}
	return id
}

var chats, said atomic.Int64

func chatID(n int) string { return fmt.Sprintf("c4a70000-0000-4000-8000-%012d", n) }

// pages returns the requests for a chat, in order of arrival.
func (k *kommo) pages(chat string) []sandbox.PageRequest { return k.Ledger().Chats[chat].Pages }

func (k *kommo) requests() int { return k.Ledger().Requests }

// fail switches faults on.
func (k *kommo) fail(t *testing.T, faults ...sandbox.Fault) {
	t.Helper()
	require.NoError(t, k.SetFaults(faults...))
}

// private lists what no log may show of what went over the wire: signatures, and
// the texts and phone numbers of all messages.
func (k *kommo) private() []string {
	k.mu.Lock()
	out := slices.Collect(maps.Keys(k.signatures))
	k.mu.Unlock()
	for _, chat := range k.Chats() {
		for _, raw := range k.Messages(chat) {
			var item sandbox.Item
			if json.Unmarshal(raw, &item) != nil {
				continue
			}
			out = append(out, item.Message.Text)
			for _, p := range []*sandbox.Party{item.Sender, item.Receiver} {
				if p != nil {
					out = append(out, p.Phone)
				}
			}
			if c := item.Message.Contact; c != nil {
				out = append(out, c.Phone)
			}
		}
	}
	slices.Sort(out)
	// Words too short to mean anything by themselves turn up anywhere.
	return slices.DeleteFunc(slices.Compact(out), func(s string) bool { return len(s) < 6 })
}

// fields are fields of the input.
type fields map[string]any

// without returns the fields without one, for a config that leaves it out.
func (f fields) without(name string) fields {
	f = maps.Clone(f)
	delete(f, name)
	return f
}

// input returns the fields of an input that reads chats of this server as fast as
// it can and retries after milliseconds, with some fields changed.
func (k *kommo) input(changed fields) fields {
	f := fields{
		"base_url":            k.url,
		"scope_id":            k.ScopeID(),
		"channel_secret":      secret,
		"requests_per_second": 0,
		"backoff":             fields{"initial_interval": "1ms", "max_interval": "20ms"},
	}
	maps.Copy(f, changed)
	return f
}

// options are what surrounds the input.
type options struct {
	write       func(ctx context.Context, batch []message) error // nil: acknowledge
	maxInFlight int                                              // of the output; 0: 64
	batching    fields                                           // of the output
	mapping     string                                           // a processor of the input; empty: none
	cache       *cache                                           // labelled progress
	limit       func() (time.Duration, error)                    // labelled shared
	queue       *queue                                           // the input test_queue
}

// stream is a running pipeline of the input, no processor, and an output that
// keeps what it gets.
type stream struct {
	t       *testing.T
	kommo   *kommo
	bell    *bell
	out     *collector
	logs    *logBook
	metrics *metricBook
	stream  *service.Stream
	done    chan struct{}
	err     error // of Run, after done
}

func (k *kommo) config(t *testing.T, input fields, o options) string {
	t.Helper()
	output := fields{"test_output": fields{}}
	if o.batching != nil {
		output = fields{"test_output": fields{"batching": o.batching}}
	}
	conf := fields{
		"http":   fields{"enabled": false},
		"input":  fields{"kommo_chat_history": k.input(input)},
		"output": output,
	}
	if o.mapping != "" {
		conf["pipeline"] = fields{"threads": 1, "processors": []fields{{"mapping": o.mapping}}}
	}
	if o.cache != nil {
		conf["cache_resources"] = []fields{{"label": "progress", "test_cache": fields{}}}
	}
	if o.limit != nil {
		conf["rate_limit_resources"] = []fields{{"label": "shared", "test_limit": fields{}}}
	}
	text, err := yaml.Marshal(conf)
	require.NoError(t, err)
	return string(text)
}

// start runs a pipeline. It ends with the test at the latest, and then its log is
// searched for what must not be there.
func (k *kommo) start(t *testing.T, input fields, o options) *stream {
	t.Helper()
	s := &stream{t: t, kommo: k, bell: k.bell, done: make(chan struct{})}
	s.out = &collector{bell: k.bell, write: o.write}
	s.logs = &logBook{bell: k.bell}
	s.metrics = &metricBook{bell: k.bell, values: map[string]int64{}}

	env := testEnvironment(t, s, o)
	builder := env.NewStreamBuilder()
	builder.SetLogger(slog.New(s.logs))
	require.NoError(t, builder.SetYAML(k.config(t, input, o)))
	require.NoError(t, builder.SetMetricsYAML("test_metrics: {}"))
	var err error
	s.stream, err = builder.Build()
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	go func() {
		defer close(s.done)
		s.err = s.stream.Run(ctx)
		k.bell.ring()
	}()
	t.Cleanup(func() {
		s.out.setWrite(nil)
		s.stop()
		cancel()
		s.checkLogs()
	})
	return s
}

func testEnvironment(t *testing.T, s *stream, o options) *service.Environment {
	t.Helper()
	env := service.GlobalEnvironment().Clone()
	spec := service.NewConfigSpec
	require.NoError(t, env.RegisterBatchOutput("test_output", spec().Field(service.NewBatchPolicyField("batching")),
		func(conf *service.ParsedConfig, _ *service.Resources) (service.BatchOutput, service.BatchPolicy, int, error) {
			policy, err := conf.FieldBatchPolicy("batching")
			return s.out, policy, cmp.Or(o.maxInFlight, 64), err
		}))
	require.NoError(t, env.RegisterMetricsExporter("test_metrics", spec(),
		func(*service.ParsedConfig, *service.Logger) (service.MetricsExporter, error) { return s.metrics, nil }))
	require.NoError(t, env.RegisterCache("test_cache", spec(),
		func(*service.ParsedConfig, *service.Resources) (service.Cache, error) { return o.cache, nil }))
	require.NoError(t, env.RegisterRateLimit("test_limit", spec(),
		func(*service.ParsedConfig, *service.Resources) (service.RateLimit, error) { return limit(o.limit), nil }))
	require.NoError(t, env.RegisterBatchInput("test_queue", spec(),
		func(*service.ParsedConfig, *service.Resources) (service.BatchInput, error) { return o.queue, nil }))
	return env
}

// until waits for a condition, looked at whenever anything happens.
func (s *stream) until(what string, cond func() bool) {
	s.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		news := s.bell.next()
		if cond() {
			return
		}
		select {
		case <-news:
		case <-time.After(20 * time.Millisecond): // what rings no bell
		case <-deadline.C:
			require.FailNow(s.t, "this did not happen: "+what, "delivered: %d\nlogs:\n%s", len(s.out.delivered()), s.logs)
		}
	}
}

// ended waits until the input has ended by itself.
func (s *stream) ended() {
	s.t.Helper()
	s.until("the input ends", s.hasEnded)
	require.NoError(s.t, s.err)
}

func (s *stream) hasEnded() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// stop asks the pipeline to stop cleanly, and waits until it has.
func (s *stream) stop() {
	s.t.Helper()
	if s.hasEnded() {
		return
	}
	assert.NoError(s.t, s.stream.StopWithin(patience))
	<-s.done
}

// crash stops the pipeline as a crash would: what the output has in hand is never
// acknowledged.
func (s *stream) crash() {
	s.t.Helper()
	s.out.setWrite(holdAll)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.t.Context()), 100*time.Millisecond)
	defer cancel()
	_ = s.stream.Stop(ctx) // it complains that messages were not acknowledged
	<-s.done
}

// delivers waits until exactly these chats' messages have been acknowledged, each
// once, each chat's in order.
func (s *stream) delivers(chats ...string) {
	s.t.Helper()
	total := 0
	for _, chat := range chats {
		total += s.kommo.Len(chat)
	}
	s.until(fmt.Sprintf("%d messages are delivered", total), func() bool { return len(s.out.delivered()) >= total })
	for _, chat := range chats {
		s.deliveredAll(chat)
	}
	assert.Len(s.t, s.out.delivered(), total)
}

// deliveredAll checks that what was acknowledged of a chat is what the server
// has, byte for byte and in order.
func (s *stream) deliveredAll(chat string) {
	s.t.Helper()
	var want, got []string
	for _, raw := range s.kommo.Messages(chat) {
		want = append(want, string(raw))
	}
	for _, m := range s.out.of(chat) {
		got = append(got, m.body)
	}
	require.Equal(s.t, want, got, "messages of chat %s", chat)
}

// checkLogs looks for private things in every log line, in the error that the
// pipeline ended with and in the labels of the metrics.
func (s *stream) checkLogs() {
	s.t.Helper()
	text := s.logs.String() + fmt.Sprint(s.err) + strings.Join(s.metrics.names(), "\n")
	for _, p := range append(s.kommo.private(), secret) {
		if strings.Contains(text, p) {
			assert.Fail(s.t, "something private is in the logs", "%q in:\n%s", p, text)
			return
		}
	}
}

// message is a message as the output got it.
type message struct {
	chat, id, body string
	meta           map[string]any
}

// collector is an output that keeps what it gets.
type collector struct {
	bell *bell

	mu      sync.Mutex
	write   func(ctx context.Context, batch []message) error
	batches [][]message // as they came, those that were rejected too
	acked   []message
}

func (*collector) Connect(context.Context) error { return nil }
func (*collector) Close(context.Context) error   { return nil }

func (c *collector) WriteBatch(ctx context.Context, batch service.MessageBatch) error {
	got := make([]message, len(batch))
	for i, m := range batch {
		body, err := m.AsBytes()
		if err != nil {
			return err
		}
		got[i] = message{body: string(body), meta: map[string]any{}}
		_ = m.MetaWalkMut(func(key string, value any) error {
			got[i].meta[key] = value
			return nil
		})
		got[i].chat, _ = got[i].meta["kommo_chat_id"].(string)
		got[i].id, _ = got[i].meta["kommo_message_id"].(string)
	}
	c.mu.Lock()
	c.batches = append(c.batches, got)
	write := c.write
	c.mu.Unlock()
	c.bell.ring()
	if write != nil {
		if err := write(ctx, got); err != nil {
			return err
		}
	}
	c.mu.Lock()
	c.acked = append(c.acked, got...)
	c.mu.Unlock()
	c.bell.ring()
	return nil
}

// setWrite changes what becomes of the batches to come.
func (c *collector) setWrite(write func(context.Context, []message) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write = write
}

// delivered returns what was acknowledged.
func (c *collector) delivered() []message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.acked)
}

// of returns what was acknowledged of one chat.
func (c *collector) of(chat string) []message {
	return slices.DeleteFunc(c.delivered(), func(m message) bool { return m.chat != chat })
}

// came returns the batches that came, acknowledged or not.
func (c *collector) came() [][]message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.batches)
}

// out counts the messages that came, acknowledged or not.
func (c *collector) out() (n int) {
	for _, b := range c.came() {
		n += len(b)
	}
	return n
}

func holdAll(ctx context.Context, _ []message) error {
	<-ctx.Done()
	return ctx.Err()
}

// gate holds batches until it is opened.
type gate struct{ opened chan struct{} }

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{opened: make(chan struct{})}
	t.Cleanup(g.open) // after the test but before the stream's own cleanup
	return g
}

var gates sync.Mutex

func (g *gate) open() {
	gates.Lock()
	defer gates.Unlock()
	select {
	case <-g.opened:
	default:
		close(g.opened)
	}
}

func (g *gate) hold(ctx context.Context, _ []message) error {
	select {
	case <-g.opened:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// logBook is a slog.Handler that keeps every line.
type logBook struct {
	bell *bell
	mu   sync.Mutex
	kept []logLine
}

type logLine struct {
	level slog.Level
	text  string
	at    time.Time
}

func (*logBook) Enabled(context.Context, slog.Level) bool { return true }
func (l *logBook) WithAttrs([]slog.Attr) slog.Handler     { return l }
func (l *logBook) WithGroup(string) slog.Handler          { return l }
func (l *logBook) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += " " + a.String()
		return true
	})
	l.mu.Lock()
	l.kept = append(l.kept, logLine{r.Level, text, time.Now()})
	l.mu.Unlock()
	l.bell.ring()
	return nil
}

func (l *logBook) String() string {
	var b strings.Builder
	for _, line := range l.lines(slog.LevelDebug - 10) {
		fmt.Fprintf(&b, "%s %s\n", line.level, line.text)
	}
	return b.String()
}

// lines returns the lines of at least a level.
func (l *logBook) lines(least slog.Level) []logLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(l.kept), func(line logLine) bool { return line.level < least })
}

// complaints returns the texts of warnings and errors.
func (l *logBook) complaints() []string {
	lines := l.lines(slog.LevelWarn)
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = line.text
	}
	return out
}

func (l *logBook) has(level slog.Level, parts ...string) bool {
	for _, line := range l.lines(level) {
		if line.level == level && !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line.text, p) }) {
			return true
		}
	}
	return false
}

// metricBook keeps metrics by name and labels, as name or name{label=value}.
type metricBook struct {
	bell   *bell
	mu     sync.Mutex
	values map[string]int64 // counters and gauges; of timers the number of timings
}

type metric struct {
	book *metricBook
	key  string
}

func (m metric) change(f func(old int64) int64) {
	m.book.mu.Lock()
	m.book.values[m.key] = f(m.book.values[m.key])
	m.book.mu.Unlock()
	m.book.bell.ring()
}

func (m metric) Incr(n int64)   { m.change(func(old int64) int64 { return old + n }) }
func (m metric) Set(n int64)    { m.change(func(int64) int64 { return n }) }
func (m metric) Timing(_ int64) { m.change(func(old int64) int64 { return old + 1 }) }

func (b *metricBook) metric(name string, keys, values []string) metric {
	labels := make([]string, 0, len(keys))
	for i, k := range keys {
		if k != "label" && k != "path" { // the engine's own
			labels = append(labels, k+"="+values[i])
		}
	}
	if len(labels) > 0 {
		name += "{" + strings.Join(labels, ",") + "}"
	}
	m := metric{b, name}
	m.Incr(0) // it exists from now on
	return m
}

func (b *metricBook) NewCounterCtor(name string, keys ...string) service.MetricsExporterCounterCtor {
	return func(values ...string) service.MetricsExporterCounter { return b.metric(name, keys, values) }
}

func (b *metricBook) NewTimerCtor(name string, keys ...string) service.MetricsExporterTimerCtor {
	return func(values ...string) service.MetricsExporterTimer { return b.metric(name, keys, values) }
}

func (b *metricBook) NewGaugeCtor(name string, keys ...string) service.MetricsExporterGaugeCtor {
	return func(values ...string) service.MetricsExporterGauge { return b.metric(name, keys, values) }
}

func (*metricBook) Close(context.Context) error { return nil }

func (b *metricBook) get(key string) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.values[key]
}

// names returns the names of the input's metrics, with their labels, sorted.
func (b *metricBook) names() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	names := slices.Sorted(maps.Keys(b.values))
	return slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, "kommo_") })
}

// cache is a cache resource that fails when it is told to. It outlives the
// streams that use it.
type cache struct {
	mu     sync.Mutex
	values map[string]string
	broken error // of every call
	hook   func(op, key string)
	sets   []cacheSet
}

type cacheSet struct {
	key, value string
	at         time.Time
}

func newCache() *cache { return &cache{values: map[string]string{}} }

func (c *cache) call(op, key string) error {
	c.mu.Lock()
	hook := c.hook
	c.mu.Unlock()
	if hook != nil {
		hook(op, key)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken
}

func (c *cache) setBroken(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = err
}

func (c *cache) put(key, value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.values[key] = value
}

func (c *cache) keys() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.values))
}

func (c *cache) get(key string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.values[key]
}

// writes returns what was set under a key.
func (c *cache) writes(key string) []cacheSet {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.sets), func(s cacheSet) bool { return s.key != key })
}

func (c *cache) Get(_ context.Context, key string) ([]byte, error) {
	if err := c.call("get", key); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	value, ok := c.values[key]
	if !ok {
		return nil, service.ErrKeyNotFound
	}
	return append([]byte(nil), value...), nil // nil for an empty one, as some caches have it
}

func (c *cache) Set(_ context.Context, key string, value []byte, _ *time.Duration) error {
	if err := c.call("set", key); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.values[key] = string(value)
	c.sets = append(c.sets, cacheSet{key, string(value), time.Now()})
	return nil
}

func (c *cache) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	return c.Set(ctx, key, value, ttl)
}

func (c *cache) Delete(_ context.Context, key string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.values, key)
	return nil
}

func (*cache) Close(context.Context) error { return nil }

// key returns the key of a chat's checkpoint, as the documentation has it.
func (k *kommo) key(chat string) string { return "kommo_chat_history." + k.ScopeID() + "." + chat }

// limit is a rate limit resource.
type limit func() (time.Duration, error)

func (l limit) Access(context.Context) (time.Duration, error) { return l() }
func (limit) Close(context.Context) error                     { return nil }
