// SPDX-License-Identifier: Apache-2.0

package pipetest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

// Stream is a running pipeline of the input, no processor, and an output that
// keeps what it gets.
type Stream struct {
	T       *testing.T
	Kommo   *Kommo
	bell    *bell
	Out     *collector
	Logs    *LogBook
	Metrics *metricBook
	stream  *service.Stream
	done    chan struct{}
	Err     error // of Run, after done

	messages func(chat string) []json.RawMessage // that the server has
}

// Start runs a pipeline of kommo_chat_history, with some fields changed.
func (k *Kommo) Start(t *testing.T, input Fields, o Options) *Stream {
	t.Helper()
	return k.Run(t, Fields{"kommo_chat_history": k.Input(input)}, o)
}

// Lists runs a pipeline of kommo_chats, with some fields changed.
func (k *Kommo) Lists(t *testing.T, input Fields, o Options) *Stream {
	t.Helper()
	return k.Run(t, Fields{"kommo_chats": k.Account(input)}, o)
}

// Run runs a pipeline of any input. It ends with the test at the latest, and then its
// log is searched for what must not be there.
func (k *Kommo) Run(t *testing.T, input Fields, o Options) *Stream {
	t.Helper()
	s := &Stream{T: t, Kommo: k, bell: k.bell, done: make(chan struct{})}
	s.Out = &collector{bell: k.bell, write: o.Write, key: cmp.Or(o.key, "kommo_chat_id")}
	if s.messages = o.messages; s.messages == nil {
		s.messages = k.Messages
	}
	s.Logs = &LogBook{bell: k.bell}
	s.Metrics = &metricBook{bell: k.bell, values: map[string]int64{}}

	env := testEnvironment(t, s, o)
	builder := env.NewStreamBuilder()
	builder.SetLogger(slog.New(s.Logs))
	require.NoError(t, builder.SetYAML(o.config(t, input)))
	require.NoError(t, builder.SetMetricsYAML("test_metrics: {}"))
	var err error
	s.stream, err = builder.Build()
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	go func() {
		defer close(s.done)
		s.Err = s.stream.Run(ctx)
		k.bell.ring()
	}()
	t.Cleanup(func() {
		s.Out.setWrite(nil)
		s.Stop()
		cancel()
		s.checkLogs()
	})
	return s
}

func (o *Options) config(t *testing.T, input Fields) string {
	t.Helper()
	output := Fields{"test_output": Fields{}}
	if o.batching != nil {
		output = Fields{"test_output": Fields{"batching": o.batching}}
	}
	conf := Fields{"http": Fields{"enabled": false}, "input": input, "output": output}
	if o.Mapping != "" {
		conf["pipeline"] = Fields{"threads": 1, "processors": []Fields{{"mapping": o.Mapping}}}
	}
	if o.Cache != nil {
		conf["cache_resources"] = []Fields{{"label": "progress", "test_cache": Fields{}}}
	}
	if o.Limit != nil {
		conf["rate_limit_resources"] = []Fields{{"label": "shared", "test_limit": Fields{}}}
	}
	text, err := yaml.Marshal(conf)
	require.NoError(t, err)
	return string(text)
}

func testEnvironment(t *testing.T, s *Stream, o Options) *service.Environment {
	t.Helper()
	env := service.GlobalEnvironment().Clone()
	spec := service.NewConfigSpec
	require.NoError(t, env.RegisterBatchOutput("test_output", spec().Field(service.NewBatchPolicyField("batching")),
		func(conf *service.ParsedConfig, _ *service.Resources) (service.BatchOutput, service.BatchPolicy, int, error) {
			policy, err := conf.FieldBatchPolicy("batching")
			var out service.BatchOutput = s.Out
			if o.Bad != nil {
				out = choosy{s.Out, o.Bad}
			}
			return out, policy, cmp.Or(o.MaxInFlight, 64), err
		}))
	require.NoError(t, env.RegisterMetricsExporter("test_metrics", spec(),
		func(*service.ParsedConfig, *service.Logger) (service.MetricsExporter, error) { return s.Metrics, nil }))
	require.NoError(t, env.RegisterCache("test_cache", spec(),
		func(*service.ParsedConfig, *service.Resources) (service.Cache, error) { return o.Cache, nil }))
	require.NoError(t, env.RegisterRateLimit("test_limit", spec(),
		func(*service.ParsedConfig, *service.Resources) (service.RateLimit, error) { return Limit(o.Limit), nil }))
	require.NoError(t, env.RegisterBatchInput("test_queue", spec(),
		func(*service.ParsedConfig, *service.Resources) (service.BatchInput, error) { return o.Queue, nil }))
	return env
}

// Until waits for a condition, looked at whenever anything happens.
func (s *Stream) Until(what string, cond func() bool) {
	s.T.Helper()
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
			require.FailNow(s.T, "this did not happen: "+what, "delivered: %d\nlogs:\n%s", len(s.Out.Delivered()), s.Logs)
		}
	}
}

// Ended waits until the input has ended by itself.
func (s *Stream) Ended() {
	s.T.Helper()
	s.Until("the input ends", s.HasEnded)
	require.NoError(s.T, s.Err)
}

// HasEnded tells whether the pipeline has ended.
func (s *Stream) HasEnded() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// Stop asks the pipeline to stop cleanly, and waits until it has.
func (s *Stream) Stop() {
	s.T.Helper()
	if s.HasEnded() {
		return
	}
	assert.NoError(s.T, s.stream.StopWithin(patience))
	<-s.done
}

// Crash stops the pipeline as a crash would: what the output has in hand is never
// acknowledged.
func (s *Stream) Crash() {
	s.T.Helper()
	s.Out.setWrite(HoldAll)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.T.Context()), 100*time.Millisecond)
	defer cancel()
	_ = s.stream.Stop(ctx) // it complains that messages were not acknowledged
	<-s.done
}

// Delivers waits until exactly these chats' messages have been acknowledged, each
// once, each chat's in order.
func (s *Stream) Delivers(chats ...string) {
	s.T.Helper()
	total := 0
	for _, chat := range chats {
		total += len(s.messages(chat))
	}
	s.Until(fmt.Sprintf("%d messages are delivered", total), func() bool { return len(s.Out.Delivered()) >= total })
	for _, chat := range chats {
		s.deliveredAll(chat)
	}
	assert.Len(s.T, s.Out.Delivered(), total)
}

// deliveredAll checks that what was acknowledged of a chat is what the server
// has, byte for byte and in order.
func (s *Stream) deliveredAll(chat string) {
	s.T.Helper()
	var want, got []string
	for _, raw := range s.messages(chat) {
		want = append(want, string(raw))
	}
	for _, m := range s.Out.Of(chat) {
		got = append(got, m.Body)
	}
	require.Equal(s.T, want, got, "messages of chat %s", chat)
}

// Chats returns the chats that were acknowledged, in their order.
func (s *Stream) Chats() []string {
	out := []string{}
	for _, m := range s.Out.Delivered() {
		out = append(out, m.Chat)
	}
	return out
}

// ChatsSorted returns them in the order of their ids.
func (s *Stream) ChatsSorted() []string { return slices.Sorted(slices.Values(s.Chats())) }

// checkLogs looks for private things in every log line, in the error that the
// pipeline ended with and in the labels of the metrics.
func (s *Stream) checkLogs() {
	s.T.Helper()
	text := s.Logs.String() + fmt.Sprint(s.Err) + strings.Join(s.Metrics.Names(), "\n")
	for _, p := range append(s.Kommo.private(), Secret, AccessToken) {
		if strings.Contains(text, p) {
			assert.Fail(s.T, "something private is in the logs", "%q in:\n%s", p, text)
			return
		}
	}
}
