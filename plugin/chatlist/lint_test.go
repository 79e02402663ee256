// SPDX-License-Identifier: Apache-2.0

package chatlist_test

import (
	"testing"

	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"

	"github.com/stretchr/testify/assert"
)

func TestLint(t *testing.T) {
	t.Parallel()
	const list = "kommo_chats:\n  api_url: https://example.kommo.com\n  access_token: t\n"
	for name, tc := range map[string]struct {
		conf string
		want []string
	}{
		"minimal":        {list, nil},
		"source":         {list + "  source: leads\n", []string{`source: want talks, contact_chats, events or talk_ids, got "leads"`}},
		"from variables": {"kommo_chats: { api_url: '', access_token: '', origins: [ '' ] }", nil},
		"no url":         {"kommo_chats: { access_token: t }", []string{"field api_url is required"}},
		"no token": {"kommo_chats: { api_url: https://example.kommo.com }", []string{
			"access_token: it is empty: want a token of an integration in this account, or access_token_file with the path of a file that holds one",
		}},
		"token in a file": {"kommo_chats: { api_url: https://example.kommo.com, access_token_file: /run/secrets/elsewhere }", nil},
		"two tokens":      {list + "  access_token_file: /run/secrets/elsewhere\n", []string{"both access_token and access_token_file give a token: remove one of them"}},
		"events":          {list + "  source: events\n  origins: [ waba ]\n  updated_since: 2024-01-01T00:00:00Z\n", nil},
		"talk_ids":        {list + "  source: talk_ids\n  origins: [ waba ]\n  updated_since: 2024-01-01T00:00:00Z\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.ElementsMatch(t, tc.want, pipetest.Lints(t, tc.conf))
		})
	}
}
