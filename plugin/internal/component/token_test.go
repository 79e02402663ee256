// SPDX-License-Identifier: Apache-2.0

package component

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

func TestCheckClaims(t *testing.T) {
	t.Parallel()
	end := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	check := func(token string, scopes ...string) error {
		client, err := crm.NewClient(crm.Config{URL: "https://example.kommo.com", Token: token})
		require.NoError(t, err)
		return CheckClaims(client, end, scopes...)
	}
	require.NoError(t, check("opaque", crm.ScopeMessages), "nothing is known of it")
	require.NoError(t, check(sandbox.NewToken(sandbox.Claims{Expires: end.Add(1e9), Scopes: []string{"crm", crm.ScopeMessages}}), crm.ScopeMessages))
	require.ErrorContains(t, check(sandbox.NewToken(sandbox.Claims{Expires: end})), "access_token: it expired at 2026-01-01T00:00:00Z: make a new one")
	lacks := sandbox.NewToken(sandbox.Claims{Expires: end.Add(1e9), Scopes: []string{"crm"}})
	require.NoError(t, check(lacks))
	err := check(lacks, crm.ScopeMessages)
	require.ErrorContains(t, err, `access_token: it lacks the scope list_external_messages: enable "External chat history" in the integration's scopes, and make a new token`)
	assert.NotContains(t, err.Error(), lacks)
}
