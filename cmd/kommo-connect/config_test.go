// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

const (
	serviceConfig = "config/kommo-connect.yaml"
	testSecret    = "a secret that no log may show"
)

// neededEnv is what config/kommo-connect.yaml cannot do without.
func neededEnv() map[string]string {
	return map[string]string{
		"KOMMO_SCOPE_ID":       sandbox.DemoScopeID,
		"KOMMO_CHANNEL_SECRET": testSecret,
		"KOMMO_CHATS":          "30477717-9f3c-4d3f-8101-60327e14dc48,8a3c7b54-6f5e-4f0f-9d53-1f6f3f0f2c11",
	}
}

func TestConfig_ShippedPipelinesAreClean(t *testing.T) {
	t.Parallel()
	files := []string{serviceConfig, "examples/quickstart/pipeline.yaml"}
	if full {
		files = shippedConfigs(t)
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			r := run(t, neededEnv(), "lint", "--skip-env-var-check", file)
			assert.Zero(t, r.code, r)
			assert.Empty(t, r.stderr)
		})
	}
}

func TestConfig_ShippedConfigTestsPass(t *testing.T) {
	t.Parallel()
	targets := []string{"examples/quickstart/pipeline.yaml"}
	if full {
		targets = []string{"config/...", "examples/..."}
	}
	for _, target := range targets {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			r := run(t, neededEnv(), "test", target)
			assert.Zero(t, r.code, r)
		})
	}
}

// shippedConfigs returns every pipeline below config and examples. Other YAML
// there, such as a compose file, is told by its not having an input.
func shippedConfigs(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, dir := range []string{"config", "examples"} {
		err := fs.WalkDir(os.DirFS(root(t)), dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".yaml" || strings.HasSuffix(path, "_benthos_test.yaml") {
				return err
			}
			text, err := os.ReadFile(filepath.Join(root(t), path))
			if bytes.Contains(text, []byte("\ninput:")) || bytes.HasPrefix(text, []byte("input:")) {
				files = append(files, path)
			}
			return err
		})
		require.NoError(t, err)
	}
	require.NotEmpty(t, files)
	return files
}

func TestConfig_MissingVariableIsNamedAndNothingStarts(t *testing.T) {
	t.Parallel()
	for name := range neededEnv() {
		for _, command := range []string{"lint", "run"} {
			t.Run(command+" without "+name, func(t *testing.T) {
				t.Parallel()
				server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
					t.Error("a request was made")
				}))
				defer server.Close()
				env := neededEnv()
				env["KOMMO_BASE_URL"] = server.URL
				env["KOMMO_HTTP_ADDRESS"] = "127.0.0.1:0"
				delete(env, name)

				r := run(t, env, command, serviceConfig)
				assert.NotZero(t, r.code, r)
				assert.Contains(t, r.stdout+r.stderr, "required environment variables were not set: ["+name+"]")
				for other := range neededEnv() {
					if other != name {
						assert.NotContains(t, r.stdout+r.stderr, other)
					}
				}
				assert.NotContains(t, r.stdout+r.stderr, "Launching")
				assert.NotContains(t, r.stdout+r.stderr, testSecret)
			})
		}
	}
}

func TestConfig_ServiceRunsFromTheDefaultPathAndEnvironmentAlone(t *testing.T) {
	t.Parallel()
	kommo, err := sandbox.New(sandbox.Config{Secret: testSecret})
	require.NoError(t, err)
	chats := kommo.Seed(1, 2, 60)
	server := httptest.NewServer(kommo)
	defer server.Close()

	address := freeAddress(t)
	env := map[string]string{
		"KOMMO_SCOPE_ID":            kommo.ScopeID(),
		"KOMMO_CHANNEL_SECRET":      testSecret,
		"KOMMO_CHATS":               strings.Join(chats, ","),
		"KOMMO_BASE_URL":            server.URL,
		"KOMMO_POLL_INTERVAL":       "100ms",
		"KOMMO_REQUESTS_PER_SECOND": "100",
		"KOMMO_HTTP_ADDRESS":        address,
		"KOMMO_CHECKPOINT_CONFIG":   "directory: " + t.TempDir(),
	}
	s := start(t, env, "run")

	s.waitFor(t, func() bool { return s.stdout.count("\n") == 120 }, "the 120 messages of both chats")
	kommo.Append(chats[0], sandbox.Text("5f0c9a1e-0000-4000-8000-000000000001", time.Now(), "one more"))
	s.waitFor(t, func() bool { return s.stdout.count("one more") == 1 }, "a message that came later")

	for _, path := range []string{"/ping", "/ready"} {
		status, _ := get(t, "http://"+address+path)
		assert.Equal(t, http.StatusOK, status, path)
	}
	status, metrics := get(t, "http://"+address+"/metrics")
	assert.Equal(t, http.StatusOK, status)
	assert.Regexp(t, `(?m)^kommo_chat_history_messages_total(\{[^}]*\})? 121$`, metrics)

	code := s.interrupt(t)
	assert.Zero(t, code, s.stderr.String())
	logs := s.stderr.String()
	assert.Contains(t, logs, "path="+serviceConfig)
	assert.NotContains(t, logs+metrics, testSecret)
	assert.Equal(t, 121, s.stdout.count("\n"), "nothing is read twice")
}

// freeAddress returns a loopback address that was free a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().String()
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(text)
}

// service is a running binary.
type service struct {
	stdout, stderr *output
	signal         func(os.Signal) error
	ended          <-chan struct{}
	code           func() int // after ended
}

// start starts the binary in the repository's root. It ends with the test.
func start(t *testing.T, env map[string]string, args ...string) *service {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	ended := make(chan struct{})
	cmd := command(ctx, root(t), maps.Clone(env), args...)
	s := &service{stdout: newOutput(), stderr: newOutput(), ended: ended}
	cmd.Stdout, cmd.Stderr = s.stdout, s.stderr
	require.NoError(t, cmd.Start())
	s.signal = cmd.Process.Signal
	s.code = func() int { return cmd.ProcessState.ExitCode() }
	go func() {
		_ = cmd.Wait() // code tells how it ended
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return s
}

// waitFor waits until done, looked at whenever the binary prints something.
func (s *service) waitFor(t *testing.T, done func() bool, what string) {
	t.Helper()
	for !done() {
		select {
		case <-s.stdout.news:
		case <-s.ended:
			require.True(t, done(), "the binary ended before %s came:\n%s", what, s.stderr)
			return
		}
	}
}

// interrupt asks the binary to stop, and returns its exit code.
func (s *service) interrupt(t *testing.T) int {
	t.Helper()
	require.NoError(t, s.signal(os.Interrupt))
	<-s.ended
	return s.code()
}

// output keeps what a process prints and tells of news.
type output struct {
	news chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
}

func newOutput() *output { return &output{news: make(chan struct{}, 1)} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.news <- struct{}{}:
	default:
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *output) count(s string) int { return strings.Count(o.String(), s) }
