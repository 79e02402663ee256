// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"encoding/json"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

const fast = "--requests-per-second=200"

// demoAccount is a sandbox with the demo account, and the environment to check it in.
func demoAccount(t *testing.T) (s *sandbox.Server, env map[string]string) {
	t.Helper()
	s, err := sandbox.New(sandbox.Config{Secret: testSecret})
	require.NoError(t, err)
	s.DemoAccount()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, map[string]string{
		"KOMMO_API_URL": server.URL, "KOMMO_ACCESS_TOKEN": sandbox.DemoAccessToken,
		"KOMMO_BASE_URL": server.URL, "KOMMO_SCOPE_ID": sandbox.DemoScopeID, "KOMMO_CHANNEL_SECRET": testSecret,
		"KOMMO_CHATS": sandbox.DemoChatLong + "," + sandbox.DemoChatMedia,
	}
}

// checkReport is a report as JSON.
type checkReport struct {
	OK       bool
	Findings []struct{ ID, Status, Answer, Text string }
	Requests int
}

func readReport(t *testing.T, text string) (r checkReport) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(text), &r), text)
	return r
}

func (r checkReport) answer(id string) string {
	for _, f := range r.Findings {
		if f.ID == id {
			return f.Answer
		}
	}
	return ""
}

func TestCheck_OfTheEnvironment(t *testing.T) {
	t.Parallel()
	_, env := demoAccount(t)
	shared := filepath.Join(t.TempDir(), "report")
	r := run(t, env, "check", fast, "--report", shared)
	require.Zero(t, r.code, r)
	assert.Contains(t, r.stdout, "Nothing stands in the way of reading")
	assert.Contains(t, r.stdout, "scope_id names the account of the token")
	assert.Contains(t, r.stdout, "2 of 2 chats asked for have messages")

	public, err := os.ReadFile(shared)
	require.NoError(t, err)
	assert.Contains(t, string(public), "Nothing stands in the way of reading")
	for _, secret := range []string{testSecret, sandbox.DemoAccessToken} {
		assert.NotContains(t, r.String()+string(public), secret)
	}
	for _, private := range []string{"127.0.0.1", sandbox.DemoChatLong, "af9945ff", sandbox.DemoOrigin} {
		assert.NotContains(t, string(public), private)
	}
}

func TestCheck_OfAPipeline(t *testing.T) {
	t.Parallel()
	s, env := demoAccount(t)
	for name, tc := range map[string]struct {
		args    []string
		has, no string
	}{
		"the whole account":     {[]string{"check", accountConfig, "--json"}, "messages.answer", "channel.signature"},
		"the channel":           {[]string{"check", "--json", serviceConfig}, "channel.signature", "token.expiry"},
		"an option comes first": {[]string{"check", serviceConfig, "--json", "--api-url", env["KOMMO_API_URL"], "--access-token", sandbox.DemoAccessToken}, "token.expiry", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := maps.Clone(env)
			env["KOMMO_REQUESTS_PER_SECOND"] = "200"
			r := run(t, env, tc.args...)
			require.Zero(t, r.code, r)
			report := readReport(t, r.stdout)
			assert.True(t, report.OK)
			assert.NotEmpty(t, report.answer(tc.has))
			assert.Empty(t, report.answer(tc.no))
		})
	}
	t.Run("an output that this binary may not have", func(t *testing.T) {
		t.Parallel()
		r := run(t, env, "check", "--json", fast, "examples/whole-account/kafka.yaml")
		require.Zero(t, r.code, r)
		assert.Equal(t, "answers", readReport(t, r.stdout).answer("messages.answer"))
	})
	t.Run("several inputs with files and a shared limit", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "token"), []byte(sandbox.DemoAccessToken), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "chats"), []byte(sandbox.DemoChatSparse), 0o600))
		config := writeConfig(t, `
input:
  broker:
    inputs:
      - kommo_chats: { api_url: "${KOMMO_API_URL}", access_token_file: `+dir+`/token, source: talks, requests_per_second: 100 }
      - kommo_chat_history:
          base_url: "${KOMMO_BASE_URL}"
          scope_id: "${KOMMO_SCOPE_ID}"
          channel_secret: "${KOMMO_CHANNEL_SECRET}"
          chats_file: `+dir+`/chats
          requests_per_second: 300
          rate_limit: shared
          tls: { enabled: true, skip_cert_verify: true }
output: { drop: {} }
rate_limit_resources:
  - label: shared
    local: { count: 1000, interval: 1s }
`)
		r := run(t, env, "check", config, "--json")
		require.Zero(t, r.code, r)
		report := readReport(t, r.stdout)
		assert.Equal(t, "answers", report.answer("messages.answer"))
		assert.Equal(t, "answer", report.answer("history.given"))
		assert.LessOrEqual(t, s.Ledger().ByEndpoint[sandbox.EndpointContactChats], 200)
	})
}

func TestCheck_ExitCodes(t *testing.T) {
	t.Parallel()
	s, env := demoAccount(t)
	empty := writeConfig(t, "input: { generate: { mapping: 'root = 1' } }\noutput: { drop: {} }\n")
	before := s.Ledger().Requests
	for want, args := range map[string][]string{
		"flag provided but not defined: -bogus":   {"--bogus"},
		"has no kommo_ input":                     {empty},
		"no such file":                            {"nowhere.yaml"},
		"want one pipeline at most":               {accountConfig, serviceConfig},
		"requests_per_second: want a number":      {"--requests-per-second=x"},
		"since: want a time":                      {"--since=x"},
		"timeout: want a duration":                {"--timeout=x"},
		"for flag -within":                        {"--within=x"},
		"within: want 0 or more":                  {"--within=-1s"},
		"both scope_id and channel_id name":       {"--scope-id=a_b", "--channel-id=c"},
		"--report: open":                          {"--report=nowhere/report"},
		"api_url: its scheme is neither http nor": {"--api-url=example.kommo.com"},
		"talks: want a talk's id":                 {"--talks=x"},
		"chats_file: open":                        {writeConfig(t, "input: { kommo_chat_history: { scope_id: a_b, channel_secret: s, chats_file: nowhere } }\n")},
		`there is no resource "l"`:                {writeConfig(t, "input: { kommo_chat_history: { scope_id: a_b, channel_secret: s, chats: [ c ], rate_limit: l } }\n")},
		"its inputs differ in scope_id":           {writeConfig(t, "input: { broker: { inputs: [ { kommo_chat_history: { scope_id: a_b, channel_secret: s, chats: [ c ] } }, { kommo_chat_history: { scope_id: c_d, channel_secret: s, chats: [ c ] } } ] } }\n")},
		"access_token: it is empty: want a token of an integration in this account; variables of the pipeline that are not set: KOMMO_NO_TOKEN\n": {writeConfig(t, "input: { kommo_talk_history: { api_url: https://example.kommo.com, access_token: \"${KOMMO_NO_TOKEN}\" } }\n")},
	} {
		r := run(t, env, append([]string{"check"}, args...)...)
		assert.Equal(t, 2, r.code, r)
		assert.Contains(t, r.stderr, want)
		assert.Empty(t, r.stdout)
	}
	r := run(t, nil, "check")
	assert.Equal(t, 2, r.code, r)
	assert.Contains(t, r.stderr, "there is nothing to check")
	assert.Equal(t, before, s.Ledger().Requests, "nothing was asked")

	r = run(t, env, "check", fast, "--access-token=another", "--json")
	assert.Equal(t, 1, r.code, r)
	assert.Equal(t, "token_refused", readReport(t, r.stdout).answer("account.answer"))
	assert.NotContains(t, r.String(), "another\"")

	r = run(t, nil, "check", "--help")
	assert.Zero(t, r.code, r)
	for _, option := range []string{"--api-url", "--channel-id", "--json", "--report", "EXIT CODE"} {
		assert.Contains(t, r.stdout, option)
	}
}

// What a person sees of a file of variables, which the engine reads.
func TestCheck_OfAFileOfVariables(t *testing.T) {
	t.Parallel()
	_, env := demoAccount(t)
	var lines strings.Builder
	for name, value := range env {
		lines.WriteString(name + "=\"" + value + "\"\n")
	}
	path := filepath.Join(t.TempDir(), ".env")
	require.NoError(t, os.WriteFile(path, []byte(lines.String()), 0o600))
	r := run(t, nil, "-e", path, "check", fast)
	require.Zero(t, r.code, r)
}
