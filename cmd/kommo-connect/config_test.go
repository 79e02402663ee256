// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

const (
	serviceConfig = "config/kommo-connect.yaml"
	accountConfig = "config/account.yaml"
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

// accountEnv is what config/account.yaml cannot do without.
func accountEnv() map[string]string {
	return map[string]string{"KOMMO_API_URL": "https://example.kommo.com", "KOMMO_ACCESS_TOKEN": sandbox.DemoAccessToken}
}

// seeded is a sandbox with chats, and the environment in which config/kommo-connect.yaml
// reads them.
type seeded struct {
	kommo   *sandbox.Server
	chats   []string
	address string // of HTTP
	env     map[string]string
}

func newSeeded(t *testing.T, chats, messages int) *seeded {
	t.Helper()
	kommo, err := sandbox.New(sandbox.Config{Secret: testSecret})
	require.NoError(t, err)
	server := httptest.NewServer(kommo)
	t.Cleanup(server.Close)
	s := &seeded{kommo: kommo, chats: kommo.Seed(1, chats, messages), address: freeAddress(t)}
	s.env = map[string]string{
		"KOMMO_SCOPE_ID":          kommo.ScopeID(),
		"KOMMO_CHANNEL_SECRET":    testSecret,
		"KOMMO_CHATS":             strings.Join(s.chats, ","),
		"KOMMO_BASE_URL":          server.URL,
		"KOMMO_HTTP_ADDRESS":      s.address,
		"KOMMO_CHECKPOINT_CONFIG": "directory: " + t.TempDir(),
	}
	return s
}

func TestConfig_ShippedPipelinesAreClean(t *testing.T) {
	t.Parallel()
	files := []string{serviceConfig, accountConfig, "examples/quickstart/pipeline.yaml"}
	if full {
		files = shippedConfigs(t)
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			args := []string{"lint", "--skip-env-var-check"}
			if strings.HasPrefix(file, "examples/webhook/") {
				args = append(args, "-r", "examples/webhook/resources.yaml")
			}
			env := neededEnv()
			maps.Copy(env, accountEnv())
			r := run(t, env, append(args, file)...)
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

// The whole account from two variables: what there is, then what arrives.
func TestConfig_AnAccountRunsFromItsEnvironmentAlone(t *testing.T) {
	t.Parallel()
	kommo, err := sandbox.New(sandbox.Config{AccessToken: sandbox.DemoAccessToken})
	require.NoError(t, err)
	server := httptest.NewServer(kommo)
	t.Cleanup(server.Close)
	require.NoError(t, kommo.SyntheticTalks(5, 40, time.Now().Add(-time.Hour), time.Second))
	env := accountEnv()
	env["KOMMO_API_URL"] = server.URL
	env["KOMMO_HTTP_ADDRESS"] = freeAddress(t)
	env["KOMMO_CHECKPOINT_CONFIG"] = "directory: " + t.TempDir()
	env["KOMMO_POLL_INTERVAL"], env["KOMMO_REQUESTS_PER_SECOND"] = "100ms", "100"
	s := start(t, env, "run", accountConfig)
	s.waitFor(t, func() bool { return s.stdout.count("\n") == 200 }, "the 200 messages of all talks")
	require.NoError(t, kommo.AppendTalk(3, sandbox.TalkText("5f0c9a1e-0000-4000-8000-000000000001", time.Now(), "one more")))
	s.waitFor(t, func() bool { return s.stdout.count("one more") == 1 }, "a message that came later")
	assert.Zero(t, s.interrupt(t), s.stderr.String())
	assert.NotContains(t, s.stderr.String(), sandbox.DemoAccessToken)

	// A second process goes on where the first one was.
	s = start(t, env, "run", accountConfig)
	require.NoError(t, kommo.AppendTalk(9, sandbox.TalkText("5f0c9a1e-0000-4000-8000-000000000002", time.Now(), "and another")))
	s.waitFor(t, func() bool { return s.stdout.count("\n") >= 1 }, "what is new")
	assert.Zero(t, s.interrupt(t), s.stderr.String())
	assert.Equal(t, 1, s.stdout.count("and another"))
	assert.Equal(t, 1, s.stdout.count("\n"), "nothing is read twice")
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
				assert.NotContains(t, r.stdout+r.stderr, "there is no chat to read", "nor what follows from it")
				assert.NotContains(t, r.stdout+r.stderr, "it is empty")
				assert.NotContains(t, r.stdout+r.stderr, "Launching")
				assert.NotContains(t, r.stdout+r.stderr, testSecret)
			})
		}
	}
}

func TestConfig_ServiceRunsFromTheDefaultPathAndEnvironmentAlone(t *testing.T) {
	t.Parallel()
	with := newSeeded(t, 2, 60)
	with.env["KOMMO_POLL_INTERVAL"] = "100ms"
	with.env["KOMMO_REQUESTS_PER_SECOND"] = "100"
	s := start(t, with.env, "run")

	s.waitFor(t, func() bool { return s.stdout.count("\n") == 120 }, "the 120 messages of both chats")
	with.kommo.Append(with.chats[0], sandbox.Text("5f0c9a1e-0000-4000-8000-000000000001", time.Now(), "one more"))
	s.waitFor(t, func() bool { return s.stdout.count("one more") == 1 }, "a message that came later")

	for _, path := range []string{"/ping", "/ready"} {
		status, _ := get(t, "http://"+with.address+path)
		assert.Equal(t, http.StatusOK, status, path)
	}
	status, metrics := get(t, "http://"+with.address+"/metrics")
	assert.Equal(t, http.StatusOK, status)
	assert.Regexp(t, `(?m)^kommo_chat_history_messages_total(\{[^}]*\})? 121$`, metrics)

	code := s.interrupt(t)
	assert.Zero(t, code, s.stderr.String())
	logs := s.stderr.String()
	assert.Contains(t, logs, "path="+serviceConfig)
	assert.NotContains(t, logs+metrics, testSecret)
	assert.Equal(t, 121, s.stdout.count("\n"), "nothing is read twice")
}

// What a processor fails on must not go on as it is: an item has names and phone
// numbers.
func TestConfig_WhatAProcessorFailsOnGoesNowhere(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ config, set, word string }{
		"the service, mapped twice": {serviceConfig, "kommo_message.personal_data=true", "this is a flat message already"},
		"the service, a mapping":    {serviceConfig, "mapping=root = this.nothing.uppercase()", "nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			directory := t.TempDir()
			with := newSeeded(t, 2, 60)
			with.env["KOMMO_REQUESTS_PER_SECOND"] = "100"
			with.env["KOMMO_CHECKPOINT_CONFIG"] = "directory: " + directory
			with.env["KOMMO_CHECKPOINT_DIR"] = directory
			s := start(t, with.env, "run", "--set", "pipeline.processors.-."+tc.set, tc.config)
			s.waitFor(t, func() bool { return s.stderr.count("Rejecting ") >= 2 }, "a word of it in the log")
			s.interrupt(t)
			assert.Contains(t, s.stderr.String(), tc.word)
			assert.Empty(t, s.stdout.String())
			for _, chat := range with.chats {
				for _, raw := range with.kommo.Messages(chat) {
					var item sandbox.Item
					require.NoError(t, json.Unmarshal(raw, &item))
					if phone := item.Sender.Phone; phone != "" {
						assert.NotContains(t, s.stderr.String(), phone)
					}
				}
			}
			left, err := os.ReadDir(directory)
			require.NoError(t, err)
			assert.Empty(t, left, "no checkpoint covers what was rejected")
		})
	}
}

// Without personal data nothing that is printed names or reaches a person.
func TestConfig_WithoutPersonalData(t *testing.T) {
	t.Parallel()
	with := newSeeded(t, 2, 60)
	with.env["KOMMO_REQUESTS_PER_SECOND"] = "100"
	with.env["KOMMO_PERSONAL_DATA"] = "false"
	s := start(t, with.env, "run", serviceConfig)
	s.waitFor(t, func() bool { return s.stdout.count("\n") == 120 }, "the 120 messages of both chats")
	s.interrupt(t)
	printed := s.stdout.String()
	for _, chat := range with.chats {
		for _, raw := range with.kommo.Messages(chat) {
			var item sandbox.Item
			require.NoError(t, json.Unmarshal(raw, &item))
			for _, personal := range []string{item.Sender.Name, item.Sender.Phone, item.Sender.Email, item.Sender.Avatar} {
				if personal != "" && strings.Contains(printed, personal) {
					t.Errorf("%q was printed", personal)
				}
			}
		}
	}
}

// Every pipeline that is shipped rejects what a processor fails on, and serves no
// endpoint that shows its configuration.
func TestConfig_EveryShippedPipelineIsStrictAndHidesItself(t *testing.T) {
	t.Parallel()
	parts := map[string]string{ // pipelines that get these from another file
		"examples/webhook/read.yaml":    "examples/webhook/service.yaml",
		"examples/webhook/receive.yaml": "examples/webhook/service.yaml",
	}
	for _, file := range shippedConfigs(t) {
		if other, ok := parts[file]; ok {
			file = other
		}
		text, err := os.ReadFile(filepath.Join(root(t), file))
		require.NoError(t, err)
		// Without the variables of it, which need not make YAML.
		text = regexp.MustCompile(`\${!?[^}]*}`).ReplaceAll(text, []byte("x"))
		var config struct {
			ErrorHandling struct{ Strict bool } `yaml:"error_handling"`
			HTTP          struct {
				Enabled        *bool
				DebugEndpoints *bool `yaml:"debug_endpoints"`
			}
		}
		require.NoError(t, yaml.Unmarshal(text, &config), file)
		assert.True(t, config.ErrorHandling.Strict, "%s: error_handling.strict", file)
		if on := config.HTTP.Enabled; on == nil || *on {
			if assert.NotNil(t, config.HTTP.DebugEndpoints, "%s: http.debug_endpoints", file) {
				assert.False(t, *config.HTTP.DebugEndpoints, "%s: http.debug_endpoints", file)
			}
		}
	}
	readme, err := os.ReadFile(filepath.Join(root(t), "examples", "webhook", "README.md"))
	require.NoError(t, err)
	assert.Equal(t, bytes.Count(readme, []byte("kommo-connect streams ")), bytes.Count(readme, []byte("kommo-connect streams --no-api ")),
		"with the API of streams, GET /streams/{id} shows the secret")
}

// secured is what the components that talk to a system of their own need for a
// secured one: each of these fields has a variable in every example.
var secured = map[string][]string{
	"kafka_franz":            {"tls", "sasl"},
	"redpanda":               {"tls", "sasl"},
	"elasticsearch_v8":       {"tls", "basic_auth", "api_key"},
	"opensearch":             {"tls", "basic_auth"},
	"redis":                  {"tls", "url"},
	"sql_insert":             {"dsn"},
	"schema_registry_encode": {"url", "tls", "basic_auth"},
}

// A cluster that asks for a password needs variables, not another pipeline.
func TestConfig_EverySecuredClusterHasVariables(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	reference := regexp.MustCompile(`\${!?([A-Z_]*)[^}]*}`)
	for _, file := range shippedConfigs(t) {
		if !strings.HasPrefix(file, "examples/") {
			continue // config/kommo-connect.yaml takes whole components from variables
		}
		text, err := os.ReadFile(filepath.Join(root(t), file))
		require.NoError(t, err)
		text = reference.ReplaceAll(text, []byte("VARIABLE_$1"))
		var config any
		require.NoError(t, yaml.Unmarshal(text, &config), file)
		var walk func(node any)
		walk = func(node any) {
			switch node := node.(type) {
			case []any:
				for _, element := range node {
					walk(element)
				}
			case map[string]any:
				for name, component := range node {
					fields, _ := component.(map[string]any)
					for _, field := range secured[name] {
						seen[name] = true
						value, err := yaml.Marshal(fields[field])
						require.NoError(t, err)
						assert.Contains(t, string(value), "VARIABLE_", "%s: %s.%s", file, name, field)
					}
					walk(component)
				}
			}
		}
		walk(config)
	}
	for name := range secured {
		assert.True(t, seen[name], "no example has %s any more", name)
	}
}

// Whoever reads an example's page finds each of its variables there, or on the page it refers to.
func TestConfig_EveryVariableOfAnExampleIsDocumented(t *testing.T) {
	t.Parallel()
	refers := map[string][]string{"fan-out": {"kafka", "opensearch"}}
	reference := regexp.MustCompile(`\${([A-Z0-9_]+)`)
	for _, file := range shippedConfigs(t) {
		example, ok := strings.CutPrefix(filepath.ToSlash(filepath.Dir(file)), "examples/")
		if !ok {
			continue
		}
		var pages string
		for _, name := range append(refers[example], example) {
			page, err := os.ReadFile(filepath.Join(root(t), "examples", name, "README.md"))
			require.NoError(t, err)
			pages += string(page)
		}
		text, err := os.ReadFile(filepath.Join(root(t), file))
		require.NoError(t, err)
		for _, variable := range reference.FindAllSubmatch(text, -1) {
			named := regexp.MustCompile(`\b` + string(variable[1]) + `\b`).MatchString(pages)
			assert.True(t, named, "%s: its README does not name %s", file, variable[1])
		}
	}
}

// What the engine would show of a configuration, and change in it, is not there.
func TestConfig_HTTPShowsNoSecret(t *testing.T) {
	t.Parallel()
	with := newSeeded(t, 1, 10)
	s := start(t, with.env, "run", serviceConfig)
	s.waitFor(t, func() bool { return s.stdout.count("\n") == 10 }, "the messages")
	for name, address := range map[string]string{"service": with.address, "webhook": startWebhooks(t, "1h").http} {
		for _, path := range []string{"/ping", "/ready", "/metrics", "/stats", "/version", "/endpoints"} {
			status, text := get(t, "http://"+address+path)
			assert.Equal(t, http.StatusOK, status, "%s %s", name, path)
			assert.NotContains(t, text, testSecret, "%s %s", name, path)
		}
		_, text := get(t, "http://"+address+"/endpoints")
		var endpoints map[string]string
		require.NoError(t, json.Unmarshal([]byte(text), &endpoints))
		for path := range endpoints {
			assert.Contains(t, []string{"/ping", "/ready", "/read/ready", "/receive/ready", "/metrics", "/stats", "/version", "/endpoints"}, path, name)
		}
		for _, path := range []string{
			"/streams", "/streams/read", "/streams/kommo", "/resources", "/resources/cache/checkpoints",
			"/debug/config/json", "/debug/config/yaml", "/debug/stack", "/debug/pprof/heap",
		} {
			status, _ := get(t, "http://"+address+path)
			assert.Equal(t, http.StatusNotFound, status, "%s %s", name, path)
		}
	}
}

// A service whose health nobody can ask for ends, and says why.
func TestConfig_APortInUseEndsTheProcess(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, taken.Close()) }()
	env := neededEnv()
	env["KOMMO_BASE_URL"] = "http://127.0.0.1:1"
	env["KOMMO_HTTP_ADDRESS"] = taken.Addr().String()
	env["KOMMO_CHECKPOINT_CONFIG"] = "directory: " + t.TempDir()
	env["KOMMO_LOG_LEVEL"] = "OFF"

	r := run(t, env, "run", serviceConfig)
	assert.Equal(t, 1, r.code, r)
	assert.Contains(t, r.stderr, "shutting down because /ready and /metrics can't be served: listen tcp "+taken.Addr().String())
	assert.Contains(t, r.stderr, "set http.address to a free one")
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
		case <-s.stderr.news:
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
