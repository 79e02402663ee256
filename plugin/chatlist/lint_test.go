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
		"source":         {list + "  source: leads\n", []string{`source: want talks or contact_chats, got "leads"`}},
		"from variables": {"kommo_chats: { api_url: '', access_token: '', origins: [ '' ] }", nil},
		"no url":         {"kommo_chats: { access_token: t }", []string{"field api_url is required"}},
		"no token":       {"kommo_chats: { api_url: https://example.kommo.com }", []string{"field access_token is required"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.ElementsMatch(t, tc.want, pipetest.Lints(t, tc.conf))
		})
	}
}
