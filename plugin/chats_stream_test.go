// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

const (
	accessToken = "t0ken-of-the-account-that-no-log-may-show"
	ownOrigin   = "com.example.channel"
)

// newAccount is a sandbox whose talks are all made by the test.
func newAccount(t *testing.T, config sandbox.Config) *kommo {
	t.Helper()
	config.AccessToken = accessToken
	return newKommo(t, config)
}

func talkChat(i int) string { return fmt.Sprintf("7a1c0000-0000-4000-8000-%012d", i) }

// talk returns the i-th talk, updated i minutes after noon.
func talk(i int) sandbox.Talk {
	at := noon.Add(time.Duration(i) * time.Minute).Unix()
	return sandbox.Talk{
		ID: i + 1, ChatID: talkChat(i), ContactID: 500 + i, EntityID: 900 + i, EntityType: "lead", Status: "in_work",
		Origin: ownOrigin, SourceID: 3, IsInWork: true, CreatedAt: at, UpdatedAt: at,
	}
}

func (k *kommo) talks(n int) {
	for i := range n {
		k.SetTalk(talk(i))
	}
}

// touchTalk updates the i-th talk some minutes after noon.
func (k *kommo) touchTalk(i, minutes int) {
	if !k.TouchTalk(i+1, noon.Add(time.Duration(minutes)*time.Minute)) {
		panic("no such talk")
	}
}

// account returns the fields of an input that lists this server's chats as fast
// as it can and retries after milliseconds, with some fields changed.
func (k *kommo) account(changed fields) fields {
	f := fields{
		"api_url":             k.url,
		"access_token":        accessToken,
		"requests_per_second": 0,
		"checkpoint_interval": "1ms",
		"backoff":             fields{"initial_interval": "1ms", "max_interval": "20ms"},
	}
	maps.Copy(f, changed)
	return f
}

// lists runs a pipeline of kommo_chats.
func (k *kommo) lists(t *testing.T, input fields, o options) *stream {
	t.Helper()
	return k.startInput(t, fields{"kommo_chats": k.account(input)}, o)
}

// rejects runs a pipeline of kommo_chats into an output that rejects some chats,
// and reports that chat by chat.
func (k *kommo) rejects(t *testing.T, input fields, o options, bad func(chat string) bool) *stream {
	t.Helper()
	return k.startInput(t, fields{"kommo_chats": k.account(input)}, o, bad)
}

func (k *kommo) startInput(t *testing.T, input fields, o options, bad ...func(chat string) bool) *stream {
	t.Helper()
	s := &stream{t: t, kommo: k, bell: k.bell, done: make(chan struct{})}
	s.out = &collector{bell: k.bell, write: o.write}
	s.logs = &logBook{bell: k.bell}
	s.metrics = &metricBook{bell: k.bell, values: map[string]int64{}}
	conf := fields{"http": fields{"enabled": false}, "input": input, "output": fields{"test_output": fields{}}}
	if o.cache != nil {
		conf["cache_resources"] = []fields{{"label": "progress", "test_cache": fields{}}}
	}
	if o.limit != nil {
		conf["rate_limit_resources"] = []fields{{"label": "shared", "test_limit": fields{}}}
	}
	text, err := yaml.Marshal(conf)
	require.NoError(t, err)
	env := testEnvironment(t, s, o)
	for _, bad := range bad {
		require.NoError(t, env.RegisterBatchOutput("test_output", service.NewConfigSpec(),
			func(*service.ParsedConfig, *service.Resources) (service.BatchOutput, service.BatchPolicy, int, error) {
				return choosy{s.out, bad}, service.BatchPolicy{}, cmp.Or(o.maxInFlight, 64), nil
			}))
	}
	builder := env.NewStreamBuilder()
	builder.SetLogger(slog.New(s.logs))
	require.NoError(t, builder.SetYAML(string(text)))
	require.NoError(t, builder.SetMetricsYAML("test_metrics: {}"))
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
		text := s.logs.String() + fmt.Sprint(s.err) + strings.Join(s.metrics.names(), "\n")
		assert.NotContains(t, text, accessToken)
	})
	return s
}

// named returns the chats that were acknowledged, in their order.
func (s *stream) named() []string {
	chats := []string{}
	for _, m := range s.out.delivered() {
		chats = append(chats, m.chat)
	}
	return chats
}

func (s *stream) namedSorted() []string { return slices.Sorted(slices.Values(s.named())) }

func talkChats(indexes ...int) []string {
	chats := []string{}
	for _, i := range indexes {
		chats = append(chats, talkChat(i))
	}
	return chats
}

func upTo(n int) (indexes []int) {
	for i := range n {
		indexes = append(indexes, i)
	}
	return indexes
}
