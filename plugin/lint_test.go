// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// lints returns what the linter says about an input.
func lints(t *testing.T, conf string) []string {
	t.Helper()
	found, err := service.GlobalEnvironment().NewComponentConfigLinter().LintInputYAML([]byte(conf))
	require.NoError(t, err)
	out := []string{}
	for _, l := range found {
		out = append(out, l.What)
	}
	return out
}

func TestLint(t *testing.T) {
	t.Parallel()
	const (
		head = "kommo_chat_history:\n  scope_id: channel_account\n  channel_secret: s\n"
		one  = head + "  chats: [ a ]\n"
	)
	for name, tc := range map[string]struct {
		conf string
		want string // empty: no lint
	}{
		"minimal":                  {one, ""},
		"two chats":                {head + "  chats: [ a, b ]\n", ""},
		"chats_input":              {head + "  chats_input: { stdin: {} }\n", ""},
		"chats_input, empty chats": {head + "  chats: []\n  chats_input: { stdin: {} }\n", ""},
		"no chats":                 {head, "there is no chat to read: list them in chats, or set chats_input to an input that names them"},
		"empty chats":              {head + "  chats: []\n", "there is no chat to read: list them in chats, or set chats_input to an input that names them"},
		"both":                     {one + "  chats_input: { stdin: {} }\n", "both chats and chats_input say what to read: remove one of them"},
		"a chat twice":             {head + "  chats: [ a, b, a ]\n", "chats names a chat twice: remove one of them"},
		"scope without _":          {"kommo_chat_history: { scope_id: channel, channel_secret: s, chats: [ a ] }", "want {channel_id}_{amojo_id}, joined by an underscore, as the channel's connect call returned it"},
		"scope without channel":    {"kommo_chat_history: { scope_id: _account, channel_secret: s, chats: [ a ] }", "want {channel_id}_{amojo_id}, joined by an underscore, as the channel's connect call returned it"},
		"scope from a variable":    {"kommo_chat_history: { scope_id: \"\", channel_secret: \"\", chats: [ a ] }", ""},
		"page_size 0":              {one + "  page_size: 0\n", "want 1 to 50, the most the API gives in a page"},
		"page_size 51":             {one + "  page_size: 51\n", "want 1 to 50, the most the API gives in a page"},
		"page_size 1":              {one + "  page_size: 1\n", ""},
		"parallel_chats 0":         {one + "  parallel_chats: 0\n", "want 1 or more"},
		"checkpoint_limit 0":       {one + "  checkpoint_limit: 0\n", "want 1 or more"},
		"max_buffered_pages 0":     {one + "  max_buffered_pages: 0\n", "want 1 or more"},
		"burst 0":                  {one + "  burst: 0\n", "want 1 or more"},
		"requests_per_second -1":   {one + "  requests_per_second: -1\n", "want 0 or more, where 0 means no limit"},
		"start_from":               {one + "  start_from: yesterday\n", "value yesterday is not a valid option for this field"},
		"no scope":                 {"kommo_chat_history: { channel_secret: s, chats: [ a ] }", "field scope_id is required"},
		"no secret":                {"kommo_chat_history: { scope_id: channel_account, chats: [ a ] }", "field channel_secret is required"},
		"an unknown field":         {one + "  polls: 1\n", "field polls not recognised"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := lints(t, tc.conf)
			if tc.want == "" {
				assert.Empty(t, got)
				return
			}
			require.Len(t, got, 1)
			assert.Contains(t, got[0], tc.want)
		})
	}
}

// What only shows when the input is built: labels, and whatever came from a
// variable or past the linter.
func TestBuild_AWrongConfigurationIsNamed(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		conf fields
		want string
	}{
		"cache label":          {fields{"checkpoint_cache": "nowhere"}, `checkpoint_cache: there is no cache resource with the label "nowhere": add it under cache_resources, or correct the label`},
		"rate limit label":     {fields{"rate_limit": "nowhere"}, `rate_limit: there is no rate limit resource with the label "nowhere": add it under rate_limit_resources, or correct the label`},
		"scope":                {fields{"scope_id": ""}, "scope_id: it is empty: want {channel_id}_{amojo_id}"},
		"secret":               {fields{"channel_secret": ""}, "channel_secret: it is empty"},
		"base_url":             {fields{"base_url": "ftp://example.com"}, "base_url: its scheme is neither http nor https"},
		"chat twice":           {fields{"chats": []string{"a", " a "}}, "chats: a is named twice: remove one of them"},
		"empty chat":           {fields{"chats": []string{"a", " "}}, "chats: entry 2 is empty: want a chat's id in the Chats API"},
		"since":                {fields{"since": "yesterday"}, `since: want a time in RFC 3339, as in 2024-01-01T00:00:00Z, got "yesterday"`},
		"poll_interval":        {fields{"poll_interval": "0s"}, "poll_interval: want 1ms or more, got 0s"},
		"lookback":             {fields{"lookback": "-1s"}, "lookback: want 0s or more, got -1s"},
		"timeout":              {fields{"timeout": "0s"}, "timeout: want 1ms or more, got 0s"},
		"checkpoint_interval":  {fields{"checkpoint_interval": "-1s"}, "checkpoint_interval: want 0s or more, got -1s"},
		"checkpoint_cache_key": {fields{"checkpoint_cache_key": ""}, "checkpoint_cache_key: want a prefix for the keys"},
		"proxy_url":            {fields{"proxy_url": "ftp://user:pass@example.com"}, "proxy_url: "},
		"backoff":              {fields{"backoff": fields{"initial_interval": "2s", "max_interval": "1s"}}, "backoff: want an initial_interval above 0, a max_interval that is no less"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKommo(t, sandbox.Config{})
			conf := fields{"chats": []string{chatID(1)}}
			maps.Copy(conf, tc.conf)
			s := k.start(t, conf, options{})
			s.until("the pipeline has failed", s.hasEnded)
			require.ErrorContains(t, s.err, tc.want)
			assert.NotContains(t, s.err.Error(), "user:pass")
			assert.Zero(t, k.requests())
		})
	}
}

// An input whose fields are filled from variables that may be empty.
func TestBuild_AnEmptyOptionalFieldIsAbsent(t *testing.T) {
	t.Parallel()
	k := newKommo(t, sandbox.Config{})
	chat := k.chat(3)
	s := k.start(t, fields{
		"chats": []string{chat}, "poll_interval": "", "since": "", "rate_limit": "", "checkpoint_cache": "", "proxy_url": "",
	}, options{limit: func() (time.Duration, error) { return 0, errors.New("nobody asks") }})
	s.ended()
	s.delivers(chat)
}
