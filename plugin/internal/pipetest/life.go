// SPDX-License-Identifier: Apache-2.0

package pipetest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// Life is one life of a process that runs a pipeline in virtual time, between models of
// all that it touches: the API, a cache, an output, the log and the metrics. After a kill
// it goes on for a moment, but nothing that it does reaches them.
//
// In the pipeline the cache is life_cache and the output life_output, each with the field
// life, which is the Name; requests go through [Network], with the Name as bearer token.
type Life struct {
	Name   string // no two have the same
	Around Surroundings
	Done   chan struct{} // closed at its end
	Err    error         // of the pipeline, after Done

	stream *service.Stream
}

// Surroundings are what a [Life] touches. They are called by many goroutines at once.
type Surroundings interface {
	http.RoundTripper
	service.Cache
	// WriteBatch is that of an output. It returns a *service.BatchError where it rejects some.
	WriteBatch(ctx context.Context, b service.MessageBatch) error
	// MaxInFlight is how many batches it takes at once.
	MaxInFlight() int
	// Logged is told of each line of INFO and above.
	Logged(level slog.Level, line string)
	// Counted is told of each increment of a counter.
	Counted(metric string, n int64)
}

// lives are all of them, by Name.
var lives sync.Map

func lifeOf(name string) (*Life, error) {
	if l, ok := lives.Load(name); ok {
		return l.(*Life), nil //nolint:forcetypeassert // nothing else is put there
	}
	return nil, errors.New("there is no such life: " + name)
}

// Network brings each request to the Surroundings of the Life that its token names.
type Network struct{}

// RoundTrip implements http.RoundTripper.
func (Network) RoundTrip(req *http.Request) (*http.Response, error) {
	l, err := lifeOf(strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer "))
	if err != nil {
		return nil, err
	}
	return l.Around.RoundTrip(req)
}

var lifeEnvironment = sync.OnceValue(func() *service.Environment {
	env := service.GlobalEnvironment().Clone()
	spec := func() *service.ConfigSpec { return service.NewConfigSpec().Field(service.NewStringField("life")) }
	find := func(conf *service.ParsedConfig) (*Life, error) {
		name, err := conf.FieldString("life")
		if err != nil {
			return nil, err
		}
		return lifeOf(name)
	}
	for _, err := range []error{
		env.RegisterBatchOutput("life_output", spec(), func(conf *service.ParsedConfig, _ *service.Resources) (service.BatchOutput, service.BatchPolicy, int, error) {
			l, err := find(conf)
			if err != nil {
				return nil, service.BatchPolicy{}, 0, err
			}
			return lifeOutput{l}, service.BatchPolicy{}, l.Around.MaxInFlight(), nil
		}),
		env.RegisterCache("life_cache", spec(), func(conf *service.ParsedConfig, _ *service.Resources) (service.Cache, error) {
			l, err := find(conf)
			if err != nil {
				return nil, err
			}
			return l.Around, nil
		}),
		env.RegisterMetricsExporter("life_metrics", spec(), func(conf *service.ParsedConfig, _ *service.Logger) (service.MetricsExporter, error) {
			l, err := find(conf)
			return lifeMetrics{l}, err
		}),
	} {
		if err != nil {
			panic(err)
		}
	}
	return env
})

// Begin starts a life with a pipeline. It panics where the pipeline can't be built: a
// simulator that makes such a one is wrong.
func (l *Life) Begin(pipeline string) {
	lives.Store(l.Name, l)
	l.Done = make(chan struct{})
	b := lifeEnvironment().NewStreamBuilder()
	b.DisableLinting()
	b.SetLogger(slog.New(lifeLog{l}))
	err := errors.Join(b.SetYAML(pipeline), b.SetMetricsYAML("life_metrics: {life: "+l.Name+"}"))
	if err == nil {
		l.stream, err = b.Build()
	}
	if err != nil {
		panic(err)
	}
	// Resources are made when they are first asked for, under a lock: nobody waits for
	// that in virtual time.
	_ = l.stream.Resources().AccessCache(context.Background(), "progress", func(service.Cache) {})
	go func() {
		defer close(l.Done)
		l.Err = l.stream.Run(context.Background())
	}()
	synctest.Wait() // a stream that does not run yet can't be stopped
}

// Ended says whether it has come to its end.
func (l *Life) Ended() bool {
	select {
	case <-l.Done:
		return true
	default:
		return false
	}
}

// Wait returns at its end, or after a time, and says whether it has ended.
func (l *Life) Wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-l.Done:
		return true
	case <-t.C:
		return l.Ended()
	}
}

// Stop ends it as SIGTERM does.
func (l *Life) Stop(patience time.Duration) error { return l.stream.StopWithin(patience) }

// Kill has its goroutines end in a while. What they do until then must reach nobody: that
// is for the Surroundings to see to, from before Kill on.
func (l *Life) Kill() {
	go func() {
		for range 100 {
			if l.Ended() {
				return
			}
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			_ = l.stream.Stop(ctx)
			cancel()
			time.Sleep(time.Second)
		}
	}()
}

// Forget is called after its end.
func (l *Life) Forget() { lives.Delete(l.Name) }

type lifeOutput struct{ l *Life }

func (lifeOutput) Connect(context.Context) error { return nil }
func (lifeOutput) Close(context.Context) error   { return nil }
func (o lifeOutput) WriteBatch(ctx context.Context, b service.MessageBatch) error {
	return o.l.Around.WriteBatch(ctx, b)
}

type lifeLog struct{ l *Life }

func (lifeLog) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }
func (l lifeLog) WithAttrs([]slog.Attr) slog.Handler         { return l }
func (l lifeLog) WithGroup(string) slog.Handler              { return l }
func (l lifeLog) Handle(_ context.Context, r slog.Record) error {
	l.l.Around.Logged(r.Level, r.Message)
	return nil
}

type lifeMetrics struct{ l *Life }

func (m lifeMetrics) NewCounterCtor(name string, _ ...string) service.MetricsExporterCounterCtor {
	return func(...string) service.MetricsExporterCounter { return lifeCounter{m.l, name} }
}

func (lifeMetrics) NewTimerCtor(string, ...string) service.MetricsExporterTimerCtor {
	return func(...string) service.MetricsExporterTimer { return ignored{} }
}

func (lifeMetrics) NewGaugeCtor(string, ...string) service.MetricsExporterGaugeCtor {
	return func(...string) service.MetricsExporterGauge { return ignored{} }
}

func (lifeMetrics) Close(context.Context) error { return nil }

type lifeCounter struct {
	l    *Life
	name string
}

func (c lifeCounter) Incr(n int64) { c.l.Around.Counted(c.name, n) }

type ignored struct{}

func (ignored) Set(int64)    {}
func (ignored) Timing(int64) {}
