// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

func noEnv(string) string { return "" }

// start runs the program until stop is called, which returns its exit code and
// what it wrote to stderr.
func start(t *testing.T, args ...string) (url string, stop func() (int, string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	var stderr bytes.Buffer
	done := make(chan int, 1)
	go func() {
		code := run(ctx, append([]string{"--listen", "127.0.0.1:0"}, args...), noEnv, writer, &stderr)
		_ = writer.Close()
		done <- code
	}()
	line, err := bufio.NewReader(reader).ReadString('\n')
	if err != nil {
		cancel()
		t.Fatalf("no URL, exit code %d: %s", <-done, stderr.String())
	}
	return strings.TrimSpace(line), func() (int, string) {
		cancel()
		return <-done, stderr.String()
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

func TestRun_ServesUntilStopped(t *testing.T) {
	t.Parallel()
	url, stop := start(t)
	assert.Regexp(t, `^http://127\.0\.0\.1:\d+$`, url)
	code, body := get(t, url+"/sandbox/chats")
	assert.Equal(t, 200, code)
	assert.Contains(t, body, sandbox.DemoChatLong)
	code, _ = get(t, url+"/v2/origin/custom/x/chats/y/history")
	assert.Equal(t, 403, code)
	exit, stderr := stop()
	assert.Equal(t, 0, exit, stderr)
	assert.Contains(t, stderr, sandbox.DemoChatScripts)
	assert.Contains(t, stderr, "1 requests, at most 1 in one second, 1 refused")
	_, err := http.Get(url + "/sandbox/health")
	assert.Error(t, err, "it has stopped listening")
}

func TestRun_StopsWhileAnAnswerIsDelayed(t *testing.T) {
	t.Parallel()
	url, stop := start(t, "--fault", "delay,delay=1h")
	done := make(chan struct{})
	go func() {
		defer close(done)
		if response, err := http.Get(url + "/v2/origin/custom/x/chats/y/history"); err == nil {
			response.Body.Close()
		}
	}()
	for {
		if _, body := get(t, url+"/sandbox/ledger"); strings.Contains(body, `"requests":1`) {
			break
		}
	}
	exit, stderr := stop()
	assert.Equal(t, 0, exit, stderr)
	<-done
}

func TestRun_SeedsAndChurns(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "seed.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"mine":[{"x":1.0}]}`), 0o600))
	url, stop := start(t, "--seed", file, "--synthetic", "chats=2,messages=1000000,start=2020-01-01T00:00:00Z,step=1m",
		"--random", "chats=1,messages=7,seed=3", "--grow", "1000/s")
	_, body := get(t, url+"/sandbox/chats")
	assert.Contains(t, body, sandbox.SyntheticChat(1))
	assert.Contains(t, body, `"id":"mine"`)
	deadline := time.Now().Add(10 * time.Second)
	for {
		_, later := get(t, url+"/sandbox/chats")
		if later != body {
			break
		}
		require.True(t, time.Now().Before(deadline), "nothing has grown")
	}
	exit, stderr := stop()
	assert.Equal(t, 0, exit, stderr)
	assert.NotContains(t, body, sandbox.DemoChatLong, "the demo is only the default")
}

func TestRun_Talks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ args, path, want, said string }{
		{"--account", "/sandbox/talks/5/messages", `"author"`, "16 talks of five channels"},
		{"--account", "/sandbox/chats", sandbox.DemoChatLong, ""},
		{"--synthetic-talks talks=30,messages=2", "/sandbox/talks", `"talk_id":30`, "talks 1 to 30 with 2 messages each"},
		{"--account --fault late,endpoint=talk-messages,talks=5", "/sandbox/faults", `"talks":[5]`, ""},
	} {
		url, stop := start(t, strings.Fields(c.args)...)
		code, body := get(t, url+c.path)
		assert.Equal(t, 200, code, c.args)
		assert.Contains(t, body, c.want, c.args)
		exit, stderr := stop()
		assert.Equal(t, 0, exit, stderr)
		assert.Contains(t, stderr, c.said, c.args)
	}
}

func TestRun_NamesTheBadFlag(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ args, want string }{
		{"--nonsense", "nonsense"}, {"extra", "extra"}, {"--grow x", "grow"}, {"--grow 2/y", "grow"}, {"--shrink -1", "shrink"},
		{"--fault zap", "fault"}, {"--fault 500,count=x", "fault"}, {"--synthetic chats=x", "synthetic"}, {"--synthetic colour=1", "synthetic"},
		{"--synthetic messages=-1", "synthetic"}, {"--synthetic start=now", "synthetic"}, {"--synthetic-talks chats=1", "synthetic-talks"},
		{"--synthetic-talks step=-1s", "--synthetic-talks:"},
		{"--account --synthetic-talks talks=1", "--synthetic-talks:"}, {"--random step=1s", "random"},
		{"--past-end x", "--past-end:"}, {"--burst -1", "--burst:"}, {"--latency x", "latency"}, {"--latency -1s", "--latency:"},
		{"--scope-id x", "--scope-id:"}, {"--seed /nowhere/at/all", "--seed:"}, {"--requests-per-second x", "requests-per-second"},
		{"--random-seed x", "random-seed"}, {"--block-after -1", "--block-after:"}, {"--burst", "burst"},
		{"--order x", "--order:"}, {"--clocks 3", "clocks"}, {"--limit-kind x", "--limit-kind:"}, {"--limit-window -1s", "--limit-window:"},
		{"--retry-after-in x", "--retry-after-in:"}, {"--block-body json", "--block-body:"},
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, 2, run(t.Context(), strings.Fields(c.args), noEnv, &stdout, &stderr), c.args)
		assert.Contains(t, stderr.String(), c.want, c.args)
		assert.Empty(t, stdout.String(), c.args)
	}
	var stdout, stderr bytes.Buffer
	assert.Equal(t, 1, run(t.Context(), []string{"--listen", "127.0.0.1:x"}, noEnv, &stdout, &stderr))
	assert.Contains(t, stderr.String(), "--listen:")
}

func TestRun_HelpNamesEveryFlag(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	assert.Equal(t, 0, run(t.Context(), []string{"--help"}, noEnv, &stdout, &stderr))
	newFlagSet(&options{}).VisitAll(func(f *flag.Flag) {
		assert.Contains(t, stdout.String(), "--"+f.Name, "help")
	})
	for _, kind := range sandbox.FaultKinds() {
		if kind != sandbox.FaultStatus {
			assert.Contains(t, stdout.String(), string(kind), "help")
		}
	}
	for line := range strings.SplitSeq(stdout.String(), "\n") {
		assert.LessOrEqual(t, len(line), 100, line)
	}
	stdout.Reset()
	assert.Equal(t, 0, run(t.Context(), []string{"--version"}, noEnv, &stdout, &stderr))
	assert.Regexp(t, `^kommo-sandbox \S+\n$`, stdout.String())
	assert.Empty(t, stderr.String())
}

func TestParse_EnvironmentAndItsSilence(t *testing.T) {
	t.Parallel()
	env := func(name string) string {
		return map[string]string{"KOMMO_SCOPE_ID": "env_scope", "KOMMO_CHANNEL_SECRET": "env-s3cr3t", "KOMMO_ACCESS_TOKEN": "env-t0k3n"}[name]
	}
	o, err := parse([]string{"--scope-id", "flag_scope"}, env)
	require.NoError(t, err)
	assert.Equal(t, "flag_scope", o.config.ScopeID)
	assert.Equal(t, "env-s3cr3t", o.config.Secret)
	assert.Equal(t, "env-t0k3n", o.config.AccessToken)
	for _, args := range [][]string{{"--help"}, {"--nonsense"}, {"--version"}, {"--past-end", "x"}} {
		var out bytes.Buffer
		run(t.Context(), args, env, &out, &out)
		assert.NotContains(t, out.String(), "env-s3cr3t", args)
		assert.NotContains(t, out.String(), "env-t0k3n", args)
	}
}

func TestParse_Settings(t *testing.T) {
	t.Parallel()
	o, err := parse(strings.Fields("--grow 90/m --shrink 1 --random-seed 7 --fault 500,count=1 --fault reset --past-end null "+
		"--latency 200ms --requests-per-second 5 --burst 2 --retry-after 1s --block-after 3 --block-for 1m "+
		"--order time --clocks 0s,-3s,1h --limit-kind fixed-window --limit-window 2s --retry-after-in body --block-body text --synthetic messages=5,step=2s"), noEnv)
	require.NoError(t, err)
	assert.Equal(t, sandbox.Churn{Grow: 1.5, Shrink: 1, Seed: 7, Clocks: []time.Duration{0, -3 * time.Second, time.Hour}}, o.churn)
	assert.Equal(t, []sandbox.Fault{{Kind: sandbox.FaultStatus, Status: 500, Count: 1}, {Kind: sandbox.FaultReset}}, o.faults)
	assert.Equal(t, sandbox.Config{
		PastEnd: sandbox.PastEndNull, Latency: 200 * time.Millisecond, RequestsPerSecond: 5, Burst: 2, RetryAfter: time.Second,
		BlockAfter: 3, BlockFor: time.Minute, RandomSeed: 7, Order: sandbox.OrderTime, Limit: sandbox.LimitFixed,
		LimitWindow: 2 * time.Second, RetryAfterIn: sandbox.HintBody, BlockBody: sandbox.BodyText,
	}, o.config)
	assert.Equal(t, crowd{chats: 1, messages: 5, start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), step: 2 * time.Second}, o.synthetic)
	assert.False(t, o.demo)

	s, err := newServer(o)
	require.NoError(t, err)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("GET", "/sandbox/chats", nil))
	assert.Contains(t, w.Body.String(), `{"id":"00000000-0000-4000-8000-000000000001","messages":5}`)
}
