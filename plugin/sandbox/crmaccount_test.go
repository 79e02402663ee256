// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAccount_HasTheAmojoIDIfItIsAskedFor(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{ScopeID: "channel_of-the-account"})
	w := crm(s, "/api/v4/account?with=amojo_id")
	require.Equal(t, 200, w.Code)
	assert.JSONEq(t, `{"id":31337,"name":"Sandbox","subdomain":"sandbox","amojo_id":"of-the-account"}`, w.Body.String())
	assert.NotContains(t, crm(s, "/api/v4/account").Body.String(), "amojo")
	assert.Equal(t, 2, s.Ledger().ByEndpoint[EndpointAccount])

	require.NoError(t, s.SetFaults(Fault{Kind: FaultStatus, Status: 402, Endpoint: EndpointAccount}))
	assert.Equal(t, 402, crm(s, "/api/v4/account").Code)
	assert.Equal(t, 204, crm(s, "/api/v4/talks").Code)
}
