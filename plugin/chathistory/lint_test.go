// SPDX-License-Identifier: Apache-2.0

package chathistory_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// What a program has that only imports the plugin: it is not known there which
// labels there are, nor whether a field is empty because a variable is not set.
// cmd/kommo-connect has the table of all that is refused.
func TestLint(t *testing.T) {
	t.Parallel()
	const (
		head = "kommo_chat_history:\n  scope_id: channel_account\n  channel_secret: s\n"
		one  = head + "  chats: [ a ]\n"
	)
	for name, tc := range map[string]struct {
		conf string
		want []string
	}{
		"minimal":                    {one, nil},
		"chats_input":                {head + "  chats_input: { stdin: {} }\n", nil},
		"no chats":                   {head, []string{"there is no chat to read: list them in chats, or set chats_input to an input that names them"}},
		"both":                       {one + "  chats_input: { stdin: {} }\n", []string{"both chats and chats_input say what to read: remove one of them"}},
		"all that is wrong":          {one + "  burst: 0\n  timeout: soon\n", []string{"burst: want 1 or more, got 0", `timeout: want a duration with its unit, as in 30s or 5m, got "soon"`}},
		"what may be from variables": {"kommo_chat_history: { base_url: '', scope_id: '', channel_secret: '', chats: [ '' ], timeout: '' }", nil},
		"chats from a variable":      {head + "  chats: [ '' ]\n", nil},
		"wrong beside what may be":   {"kommo_chat_history: { scope_id: '', channel_secret: '', chats: [ '' ], burst: 0 }", []string{"burst: want 1 or more, got 0"}},
		"labels":                     {one + "  checkpoint_cache: somewhere\n  rate_limit: somewhere\n", nil},
		"no scope":                   {"kommo_chat_history: { channel_secret: s, chats: [ a ] }", []string{"field scope_id is required"}},
		"no secret":                  {"kommo_chat_history: { scope_id: channel_account, chats: [ a ] }", []string{"field channel_secret is required"}},
		"an unknown field":           {one + "  polls: 1\n", []string{"field polls not recognised"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.ElementsMatch(t, tc.want, pipetest.Lints(t, tc.conf))
		})
	}
}

// A text that is no id is refused without being repeated.
func TestLint_WhatIsNoChatIsNotRepeated(t *testing.T) {
	t.Parallel()
	for _, id := range []string{`{ "phone": "+1555" }`, "+1555 +1666", "https://example.com/+1555", "+1555\t"} {
		got := strings.Join(pipetest.Lints(t, fmt.Sprintf("kommo_chat_history: { scope_id: a_b, channel_secret: s, chats: [ x, %q ] }", id)), "\n")
		if strings.TrimSpace(id) == "+1555" {
			assert.Empty(t, got, "space around an id is removed")
			continue
		}
		assert.Contains(t, got, "chats: entry 2 ")
		assert.NotContains(t, got, "+1555")
	}
}

// What comes past the linter is refused when the input is built, before any request.
func TestBuild_AWrongConfigurationIsNamed(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		conf pipetest.Fields
		want string
	}{
		"cache label":      {pipetest.Fields{"checkpoint_cache": "nowhere"}, `checkpoint_cache: there is no cache resource with the label "nowhere": add it under cache_resources, or correct the label`},
		"rate limit label": {pipetest.Fields{"rate_limit": "nowhere"}, `rate_limit: there is no rate limit resource with the label "nowhere": add it under rate_limit_resources, or correct the label`},
		"scope":            {pipetest.Fields{"scope_id": ""}, "scope_id: it is empty: want {channel_id}_{amojo_id}"},
		"secret":           {pipetest.Fields{"channel_secret": ""}, "channel_secret: it is empty"},
		"the first of two": {pipetest.Fields{"channel_secret": "", "checkpoint_cache": "nowhere"}, "checkpoint_cache: there is no cache resource"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := pipetest.NewKommo(t, sandbox.Config{})
			conf := pipetest.Fields{"chats": []string{pipetest.ChatID(1)}}
			maps.Copy(conf, tc.conf)
			s := k.Start(t, conf, pipetest.Options{})
			s.Until("the pipeline has failed", s.HasEnded)
			require.ErrorContains(t, s.Err, tc.want)
			assert.Zero(t, k.Requests())
		})
	}
}

// chat_id finds the chat in what kommo_chats delivers, and in a queue of ids.
func TestChatID_IsTheMetadataOrElseTheContent(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	listed, queued := k.Chat(2), k.Chat(3)
	for name, tc := range map[string]struct{ mapping, chat string }{
		"metadata": {fmt.Sprintf(`meta kommo_chat_id = %q
root = {"chat_id": "another", "origin": "a"}`, listed), listed},
		"content": {fmt.Sprintf(`root = " %s\n"`, queued), queued},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := k.Start(t, pipetest.Fields{"chats_input": pipetest.Fields{"generate": pipetest.Fields{"count": 1, "interval": "", "mapping": tc.mapping}}}, pipetest.Options{})
			s.Ended()
			s.Delivers(tc.chat)
		})
	}
}

// An input whose fields are filled from variables that may be empty.
func TestBuild_AnEmptyOptionalFieldIsAbsent(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(3)
	s := k.Start(t, pipetest.Fields{
		"chats": []string{chat}, "poll_interval": "", "since": "", "rate_limit": "", "checkpoint_cache": "", "proxy_url": "",
	}, pipetest.Options{Limit: func() (time.Duration, error) { return 0, errors.New("nobody asks") }})
	s.Ended()
	s.Delivers(chat)
}
