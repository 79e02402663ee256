// SPDX-License-Identifier: Apache-2.0

package crm

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

func TestClient_Account(t *testing.T) {
	t.Parallel()
	s, c := account(t, sandbox.Config{ScopeID: "channel_of-the-account"}, nil)
	got, err := c.Account(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "of-the-account", got.AmojoID)
	assert.WithinDuration(t, time.Now(), got.Date, time.Minute)

	require.NoError(t, s.SetFaults(sandbox.Fault{Kind: sandbox.FaultStatus, Status: 401}))
	_, err = c.Account(t.Context())
	refused := requireRefused(t, err)
	assert.Equal(t, RefusedToken, refused.Reason)
	assert.True(t, refused.Everything())

	require.NoError(t, s.SetFaults(sandbox.Fault{Kind: sandbox.FaultCutJSON}))
	_, err = c.Account(t.Context())
	require.ErrorIs(t, err, apicall.ErrBrokenBody)
}

func requireRefused(t *testing.T, err error) *RefusedError {
	t.Helper()
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	return refused
}
