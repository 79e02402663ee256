// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

// object is a part of a configuration. A nil in it removes a field.
type object = map[string]any

const (
	noChat    = "there is no chat to read: list them in chats, or set chats_input to an input that names them"
	wantTime  = "want a time in RFC 3339, as in 2024-01-01T00:00:00Z, got "
	wantSpan  = "want a duration with its unit, as in 30s or 5m, got "
	wantAlone = "want the id alone"
	wantURL   = "want https:// and a host, as in https://amojo.kommo.com"
	wantSite  = "want the account's address, as in https://example.kommo.com"
	wantScope = "want {channel_id}_{amojo_id}"
)

// notSet is what both say of a variable that is not there.
const notSet = "required environment variables were not set: "

// wrongConfigs are configurations of the inputs, as changes of one that is right,
// and the sentence that refuses them.
var wrongConfigs = []struct {
	input  string // history or chats
	name   string
	change object
	env    map[string]string // added to that of a machine where all is set
	unset  string            // removed from it
	want   string
	start  string // what the start says, where that is the engine's own; else want
}{
	// What to read, and where.
	{input: "history", name: "no chats", change: object{"chats": nil}, want: noChat},
	{input: "history", name: "empty chats", change: object{"chats": []any{}}, want: noChat},
	{input: "history", name: "chats and chats_input", change: object{"chats_input": object{"stdin": object{}}}, want: "both chats and chats_input say what to read: remove one of them"},
	{input: "history", name: "a chat twice", change: object{"chats": []any{"a", "b", " a "}}, want: "chats: a is named twice, as entry 1 and as entry 3: remove one of them"},
	{input: "history", name: "an empty chat", change: object{"chats": []any{"a", " "}}, want: "chats: entry 2 is empty: want a chat's id in the Chats API"},
	{input: "history", name: "chats with spaces between", change: object{"chats": []any{"a b"}}, want: "chats: entry 1 has a space, a comma or the like in it, so it is no chat's id: want one id an entry"},
	{input: "history", name: "a chat that is JSON", change: object{"chats": []any{`{"chat_id":"a"}`}}, want: "chats: entry 1 is JSON, not a chat's id: " + wantAlone},
	{input: "history", name: "a chat that is an address", change: object{"chats": []any{"https://example.kommo.com/chats/1"}}, want: "chats: entry 1 is an address or a path, not a chat's id: " + wantAlone},
	{input: "history", name: "an empty chats_input", change: object{"chats": nil, "chats_input": object{}}, want: "chats_input: it is empty: want an input, as in kommo_chats: {…}"},
	{input: "history", name: "chats_input of null", change: object{"chats": nil, "chats_input": &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}}, want: "chats_input: it is empty: want an input"},
	{input: "history", name: "chat_id without a message", change: object{"chats": nil, "chats_input": object{"stdin": object{}}, "chat_id": "kommo_chat_id"}, want: `chat_id: it is the same for every message, got "kommo_chat_id": want an interpolation, as in ${! @kommo_chat_id }`},
	{input: "history", name: "an empty chat_id", change: object{"chats": nil, "chats_input": object{"stdin": object{}}, "chat_id": ""}, want: `chat_id: it is the same for every message, got "": want an interpolation`},
	{input: "history", name: "base_url without a scheme", change: object{"base_url": "amojo.kommo.com"}, want: "base_url: its scheme is neither http nor https: " + wantURL},
	{input: "history", name: "base_url with another scheme", change: object{"base_url": "ftp://amojo.kommo.com"}, want: "base_url: its scheme is neither http nor https: " + wantURL},
	{input: "history", name: "base_url without a host", change: object{"base_url": "https://"}, want: "base_url: it has no host: " + wantURL},
	{input: "history", name: "base_url that is none", change: object{"base_url": "https://a b"}, want: "base_url: it is not a URL: " + wantURL},
	{input: "history", name: "base_url with a user", change: object{"base_url": "https://u:hidden@amojo.kommo.com"}, want: "base_url: it names a user: remove everything up to the @"},
	{input: "history", name: "base_url with a query", change: object{"base_url": "https://amojo.kommo.com?a=b"}, want: "base_url: it has a query or a fragment: remove the ? or # and what follows"},
	{input: "history", name: "an empty scope_id", change: object{"scope_id": ""}, want: "scope_id: it is empty: " + wantScope},
	{input: "history", name: "scope_id without an underscore", change: object{"scope_id": "channel"}, want: "scope_id: " + wantScope},
	{input: "history", name: "scope_id without a channel", change: object{"scope_id": "_account"}, want: "scope_id: " + wantScope},
	{input: "history", name: "scope_id with a slash", change: object{"scope_id": "channel_account/chats"}, want: "scope_id: it has a character that no id has, " + wantScope},
	{input: "history", name: "an empty secret", change: object{"channel_secret": ""}, want: "channel_secret: it is empty: want the secret of the channel"},
	{input: "history", name: "a blank secret", change: object{"channel_secret": "  "}, want: "channel_secret: it is blank: want the secret itself"},
	{input: "history", name: "a secret with a line break", change: object{"channel_secret": "hidden\n"}, want: "channel_secret: it begins or ends with a space or a line break: remove that"},
	{input: "history", name: "page_size of 0", change: object{"page_size": 0}, want: "page_size: want 1 to 50, the most the API gives in a page, got 0"},
	{input: "history", name: "page_size of 51", change: object{"page_size": 51}, want: "page_size: want 1 to 50, the most the API gives in a page, got 51"},
	{input: "history", name: "start_from", change: object{"start_from": "yesterday"}, want: `start_from: want oldest or latest, got "yesterday"`},
	{input: "history", name: "since that is no time", change: object{"since": "yesterday"}, want: "since: " + wantTime + `"yesterday"`},
	{input: "history", name: "since that is a day", change: object{"since": "2024-01-01"}, want: "since: " + wantTime + `"2024-01-01"`},
	{input: "history", name: "poll_interval without a unit", change: object{"poll_interval": "30"}, want: "poll_interval: " + wantSpan + `"30"`},
	{input: "history", name: "poll_interval of 0", change: object{"poll_interval": "0s"}, want: "poll_interval: want 1ms or more, got 0s"},
	{input: "history", name: "lookback in days", change: object{"lookback": "1d"}, want: "lookback: " + wantSpan + `"1d"`},
	{input: "history", name: "a negative lookback", change: object{"lookback": "-1s"}, want: "lookback: want 0s or more, got -1s"},
	{input: "history", name: "parallel_chats", change: object{"parallel_chats": 0}, want: "parallel_chats: want 1 or more, got 0"},
	{input: "history", name: "checkpoint_limit", change: object{"checkpoint_limit": 0}, want: "checkpoint_limit: want 1 or more, got 0"},
	{input: "history", name: "max_buffered_pages", change: object{"max_buffered_pages": -1}, want: "max_buffered_pages: want 1 or more, got -1"},

	// How to call.
	{input: "history", name: "requests_per_second", change: object{"requests_per_second": -1}, want: "requests_per_second: want 0 or more, where 0 means no limit, got -1"},
	{input: "history", name: "burst", change: object{"burst": 0}, want: "burst: want 1 or more, got 0"},
	{input: "history", name: "rate_limit", change: object{"rate_limit": "nowhere"}, want: `rate_limit: there is no rate limit resource with the label "nowhere": add it under rate_limit_resources, or correct the label`},
	{input: "history", name: "timeout that is none", change: object{"timeout": "soon"}, want: "timeout: " + wantSpan + `"soon"`},
	{input: "history", name: "timeout of 0", change: object{"timeout": "0s"}, want: "timeout: want 1ms or more, got 0s"},
	{input: "history", name: "backoff that is none", change: object{"backoff": object{"max_interval": "soon"}}, want: "backoff.max_interval: " + wantSpan + `"soon"`},
	{input: "history", name: "backoff of 0", change: object{"backoff": object{"initial_interval": "0s"}}, want: "backoff.initial_interval: want more than 0s, got 0s"},
	{input: "history", name: "backoff upside down", change: object{"backoff": object{"initial_interval": "2s", "max_interval": "1s"}}, want: "backoff: want a max_interval that is no less than initial_interval, got 1s and 2s"},
	{input: "history", name: "proxy_url with another scheme", change: object{"proxy_url": "ftp://u:hidden@example.com"}, want: "proxy_url: its scheme must be http, https or socks5"},
	{input: "history", name: "proxy_url without a scheme", change: object{"proxy_url": "localhost:8080"}, want: "proxy_url: want http://host:port, https://host:port or socks5://host:port"},
	{input: "history", name: "tls", change: object{"tls": object{"enabled": true, "client_certs": []any{object{"cert": "a"}}}}, want: "tls: missing key field in client certificate config"},

	// Where progress is kept.
	{input: "history", name: "checkpoint_cache", change: object{"checkpoint_cache": "nowhere"}, want: `checkpoint_cache: there is no cache resource with the label "nowhere": add it under cache_resources, or correct the label`},
	{input: "history", name: "checkpoint_cache of another kind", change: object{"checkpoint_cache": "limit"}, want: `checkpoint_cache: there is no cache resource with the label "limit"`},
	{input: "history", name: "checkpoint_cache_key", change: object{"checkpoint_cache_key": ""}, want: "checkpoint_cache_key: it is empty: want a prefix for the keys, as in kommo_chat_history"},
	{input: "history", name: "checkpoint_interval", change: object{"checkpoint_interval": "-1s"}, want: "checkpoint_interval: want 0s or more, got -1s"},

	// The input that lists chats.
	{input: "chats", name: "an empty api_url", change: object{"api_url": ""}, want: "api_url: it is empty: " + wantSite},
	{input: "chats", name: "api_url without a scheme", change: object{"api_url": "example.kommo.com"}, want: "api_url: its scheme is neither http nor https: " + wantSite},
	{input: "chats", name: "api_url with a user", change: object{"api_url": "https://u:hidden@example.kommo.com"}, want: "api_url: it names a user: remove everything up to the @"},
	{input: "chats", name: "an empty access_token", change: object{"access_token": ""}, want: "access_token: it is empty: want a token of an integration in this account"},
	{input: "chats", name: "access_token with Bearer", change: object{"access_token": "Bearer hidden"}, want: "access_token: it has a space or another character that no token has: want the token alone, without Bearer"},
	{input: "chats", name: "source", change: object{"source": "leads"}, want: `source: want talks, contact_chats, events or talk_ids, got "leads"`},
	{input: "chats", name: "an empty origin", change: object{"origins": []any{"a", ""}}, want: "origins: entry 2 is empty: want a talk's origin"},
	{input: "chats", name: "origins of contact_chats", change: object{"source": "contact_chats", "origins": []any{"a"}}, want: "origins: contact_chats tells no origin: remove origins, or set source to talks"},
	{input: "chats", name: "updated_since of contact_chats", change: object{"source": "contact_chats", "updated_since": "2024-01-01T00:00:00Z"}, want: "updated_since: contact_chats tells no time of update: remove updated_since, or set source to talks"},
	{input: "chats", name: "updated_since", change: object{"updated_since": "yesterday"}, want: "updated_since: " + wantTime + `"yesterday"`},
	{input: "chats", name: "page_size of 0", change: object{"page_size": 0}, want: "page_size: want 1 to 250, the most the API gives in a page, got 0"},
	{input: "chats", name: "page_size of 251", change: object{"page_size": 251}, want: "page_size: want 1 to 250, the most the API gives in a page, got 251"},
	{input: "chats", name: "poll_interval", change: object{"poll_interval": "0s"}, want: "poll_interval: want 1ms or more, got 0s"},
	{input: "chats", name: "requests_per_second", change: object{"requests_per_second": -1}, want: "requests_per_second: want 0 or more, where 0 means no limit, got -1"},
	{input: "chats", name: "rate_limit", change: object{"rate_limit": "nowhere"}, want: `rate_limit: there is no rate limit resource with the label "nowhere"`},
	{input: "chats", name: "timeout", change: object{"timeout": ""}, want: "timeout: " + wantSpan + `""`},
	{input: "chats", name: "backoff", change: object{"backoff": object{"max_elapsed_time": "-1s"}}, want: "backoff.max_elapsed_time: want 0s or more, got -1s"},
	{input: "chats", name: "proxy_url", change: object{"proxy_url": "gopher://x"}, want: "proxy_url: its scheme must be http, https or socks5"},
	{input: "chats", name: "checkpoint_cache", change: object{"checkpoint_cache": "nowhere"}, want: `checkpoint_cache: there is no cache resource with the label "nowhere"`},
	{input: "chats", name: "checkpoint_cache_key", change: object{"checkpoint_cache_key": ""}, want: "checkpoint_cache_key: it is empty: want a prefix for the keys, as in kommo_chats"},

	// A value of another type, which the engine itself refuses at the start.
	{input: "history", name: "a word for a whole number", change: object{"page_size": "many"}, want: "page_size: cannot unmarshal !!str `many` into int: want a whole number", start: "cannot unmarshal !!str `many` into int"},
	{input: "history", name: "a word for a number", change: object{"requests_per_second": "fast"}, want: "requests_per_second: cannot unmarshal !!str `fast` into float64: want a number", start: "cannot unmarshal !!str `fast` into float64"},
	{input: "history", name: "a word for true or false", change: object{"preserve_order": "maybe"}, want: "preserve_order: cannot unmarshal !!str `maybe` into bool: want true or false", start: "cannot unmarshal !!str `maybe` into bool"},
	{input: "chats", name: "a word for a whole number", change: object{"burst": "one"}, want: "burst: cannot unmarshal !!str `one` into int: want a whole number", start: "cannot unmarshal !!str `one` into int"},

	// Variables that are empty, wrong or not there.
	{input: "history", name: "an empty variable for the scope", change: object{"scope_id": "${TEST_SCOPE}"}, env: map[string]string{"TEST_SCOPE": ""}, want: "scope_id: it is empty: " + wantScope},
	{input: "history", name: "an empty variable for the secret", change: object{"channel_secret": "${TEST_SECRET}"}, env: map[string]string{"TEST_SECRET": ""}, want: "channel_secret: it is empty: want the secret of the channel"},
	{input: "history", name: "an empty variable for the chats", change: object{"chats": "${TEST_CHATS}"}, env: map[string]string{"TEST_CHATS": "[]"}, want: noChat},
	{input: "history", name: "an empty variable for a chat", change: object{"chats": []any{"${TEST_CHATS}"}}, env: map[string]string{"TEST_CHATS": ""}, want: "chats: entry 1 is empty: want a chat's id in the Chats API"},
	{input: "history", name: "a variable with a wrong default", change: object{"poll_interval": "${TEST_POLL:30}"}, want: "poll_interval: " + wantSpan + `"30"`},
	{input: "history", name: "a variable with a wrong value", change: object{"lookback": "${TEST_LOOKBACK:5m}"}, env: map[string]string{"TEST_LOOKBACK": "1 week"}, want: "lookback: " + wantSpan + `"1 week"`},
	{input: "chats", name: "an empty variable for the address", change: object{"api_url": "${TEST_URL}"}, env: map[string]string{"TEST_URL": ""}, want: "api_url: it is empty: " + wantSite},
	{input: "chats", name: "an empty variable for the token", change: object{"access_token": "${TEST_TOKEN}"}, env: map[string]string{"TEST_TOKEN": ""}, want: "access_token: it is empty: want a token of an integration in this account"},
	{input: "history", name: "no variable for the scope", change: object{"scope_id": "${TEST_SCOPE}"}, unset: "TEST_SCOPE", want: notSet + "[TEST_SCOPE]"},
	{input: "history", name: "no variable for the secret", change: object{"channel_secret": "${TEST_SECRET}"}, unset: "TEST_SECRET", want: notSet + "[TEST_SECRET]"},
	{input: "history", name: "no variable for the chats", change: object{"chats": []any{"${TEST_CHATS}"}}, unset: "TEST_CHATS", want: notSet + "[TEST_CHATS]"},
	{input: "chats", name: "no variable for the address", change: object{"api_url": "${TEST_URL}"}, unset: "TEST_URL", want: notSet + "[TEST_URL]"},
	{input: "chats", name: "no variable for an origin", change: object{"origins": []any{"${TEST_ORIGIN}"}}, unset: "TEST_ORIGIN", want: notSet + "[TEST_ORIGIN]"},
}

// What is wrong and can be known without the network is refused by the linter and
// at the start, with the same sentence and with nothing beside it.
func TestRefused_ByLintAndAtTheStartAlike(t *testing.T) {
	t.Parallel()
	for _, tc := range wrongConfigs {
		t.Run(tc.input+", "+tc.name, func(t *testing.T) {
			t.Parallel()
			path := pipelineFile(t, tc.input, tc.change)
			env := maps.Clone(tc.env)
			for _, name := range []string{"TEST_SCOPE", "TEST_SECRET", "TEST_CHATS", "TEST_URL", "TEST_ORIGIN"} {
				if _, set := env[name]; !set && name != tc.unset && tc.unset != "" {
					if env == nil {
						env = map[string]string{}
					}
					env[name] = "a"
				}
			}

			lint := run(t, env, "lint", path)
			assert.Equal(t, 1, lint.code, lint)
			assert.Contains(t, lint.stderr, tc.want)
			assert.Equal(t, 1, strings.Count(lint.stderr, "\n"), "nothing beside it:\n%s", lint.stderr)

			// Chilled, so that it is not the linter that refuses it.
			args := []string{"run", "--chilled", path}
			if strings.HasPrefix(tc.want, notSet) {
				args = []string{"run", path} // it is the linter that knows
			}
			begin := run(t, env, args...)
			assert.Equal(t, 1, begin.code, begin)
			want, said := tc.want, begin.stdout+begin.stderr
			if tc.start != "" {
				want = tc.start
			}
			if args[1] == "--chilled" {
				_, said, _ = strings.Cut(begin.stderr, "service closing due to: ")
			} else {
				assert.Equal(t, 1, strings.Count(said, "level=error"), "nothing beside it:\n%s", said)
			}
			assert.Contains(t, said, want)
			assert.NotContains(t, lint.stderr+begin.stderr+begin.stdout, "hidden")
		})
	}
}

func TestRefused_NothingThatIsRight(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		input, name string
		change      object
		env         map[string]string
	}{
		{"history", "as it is", nil, nil},
		{"history", "its labels", object{"checkpoint_cache": "progress", "rate_limit": "limit"}, nil},
		{"history", "chats_input", object{"chats": nil, "chats_input": object{"stdin": object{}}}, nil},
		{"history", "chats_input, empty chats", object{"chats": []any{}, "chats_input": object{"stdin": object{}}}, nil},
		{"history", "chats_input, no chats", object{"chats": nil, "chats_input": object{"kommo_chats": object{"api_url": "https://example.kommo.com", "access_token": "a"}}}, nil},
		{"history", "optional fields that are empty", object{"poll_interval": "", "since": "", "rate_limit": "", "checkpoint_cache": "", "proxy_url": "", "start_from": ""}, nil},
		{"history", "a file that another machine has", object{"tls": object{"enabled": true, "root_cas_file": "/nowhere/ca.pem"}}, nil},
		{"history", "variables", object{"scope_id": "${TEST_SCOPE}", "poll_interval": "${TEST_POLL}"}, map[string]string{"TEST_SCOPE": "a_b", "TEST_POLL": ""}},
		{"chats", "as it is", nil, nil},
		{"chats", "origins", object{"origins": []any{"a"}}, nil},
		{"chats", "no origins of contact_chats", object{"origins": []any{}, "source": "contact_chats"}, nil},
	} {
		t.Run(tc.input+", "+tc.name, func(t *testing.T) {
			t.Parallel()
			lint := run(t, tc.env, "lint", pipelineFile(t, tc.input, tc.change))
			assert.Zero(t, lint.code, lint)
			assert.Empty(t, lint.stderr)
		})
	}
}

// Without the variables of the machine that runs it, a configuration can be linted
// for all else.
func TestRefused_NotForVariablesThatAreNotAskedFor(t *testing.T) {
	t.Parallel()
	path := pipelineFile(t, "history", object{
		"scope_id": "${TEST_SCOPE}", "channel_secret": "${TEST_SECRET}", "chats": []any{"${TEST_CHATS}"}, "timeout": "${TEST_TIMEOUT}", "page_size": 51,
	})
	lint := run(t, nil, "lint", "--skip-env-var-check", path)
	assert.Contains(t, lint.stderr, "page_size: want 1 to 50")
	assert.Equal(t, 1, strings.Count(lint.stderr, "\n"), lint.stderr)
}

// Resources may be in files of their own, named as for a run.
func TestRefused_NotForResourcesOfAnotherFile(t *testing.T) {
	t.Parallel()
	path := pipelineFile(t, "history", object{"checkpoint_cache": "elsewhere"})
	resources := filepath.Join(t.TempDir(), "resources.yaml")
	require.NoError(t, os.WriteFile(resources, []byte("cache_resources:\n  - label: ${TEST_LABEL:elsewhere}\n    memory: {}\n"), 0o600))
	for _, args := range [][]string{
		{"lint", "-r", resources, path},
		{"lint", "--resources=" + resources, path},
		{"lint", filepath.Dir(resources) + "/...", path},
	} {
		lint := run(t, nil, args...)
		assert.Zero(t, lint.code, lint)
	}
	lint := run(t, map[string]string{"TEST_LABEL": "another"}, "lint", "-r", resources, path)
	assert.Contains(t, lint.stderr, `checkpoint_cache: there is no cache resource with the label "elsewhere"`)
}

// pipelineFile writes a pipeline with one of the inputs, right but for the change.
func pipelineFile(t *testing.T, input string, change object) string {
	t.Helper()
	fields, component := object{"scope_id": "a_b", "channel_secret": "s", "chats": []any{"a"}, "base_url": "http://127.0.0.1:1"}, "kommo_chat_history"
	if input == "chats" {
		fields, component = object{"api_url": "http://127.0.0.1:1", "access_token": "s"}, "kommo_chats"
	}
	for field, value := range change {
		if fields[field] = value; value == nil {
			delete(fields, field)
		}
	}
	text, err := yaml.Marshal(object{
		"http":                 object{"enabled": false},
		"input":                object{component: fields},
		"output":               object{"drop": object{}},
		"cache_resources":      []any{object{"label": "progress", "memory": object{}}},
		"rate_limit_resources": []any{object{"label": "limit", "local": object{}}},
	})
	require.NoError(t, err)
	return writeConfig(t, string(text))
}
