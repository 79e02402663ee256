// SPDX-License-Identifier: Apache-2.0

package chatlist

import (
	"context"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

func TestChats_ConnectionTest(t *testing.T) {
	t.Parallel()
	expired := sandbox.NewToken(sandbox.Claims{Expires: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)})
	for name, tc := range map[string]struct {
		token string
		fault int
		want  string // of the error; empty: it succeeds
	}{
		"good":          {sandbox.DemoAccessToken, 0, ""},
		"wrong token":   {"wrong", 0, "access_token has expired"},
		"missing right": {sandbox.DemoAccessToken, 403, "administrator's token"},
		"out of order":  {sandbox.DemoAccessToken, 503, "status 503"},
		"expired":       {expired, 0, "access_token: it expired at 2024-01-01T00:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kommo, err := sandbox.New(sandbox.Config{})
			require.NoError(t, err)
			if tc.fault != 0 {
				require.NoError(t, kommo.AddFault(sandbox.Fault{Kind: sandbox.FaultStatus, Status: tc.fault}))
			}
			server := httptest.NewServer(kommo)
			t.Cleanup(server.Close)
			parsed, err := spec().ParseYAML(fmt.Sprintf("{ api_url: %q, access_token: %q }", server.URL, tc.token), nil)
			require.NoError(t, err)
			in, err := newInput(parsed, service.MockResources())
			require.NoError(t, err)
			t.Cleanup(func() {
				assert.NoError(t, in.Close(context.Background()))
				assert.NoError(t, in.Close(context.Background()), "twice")
				assert.ErrorIs(t, in.Connect(context.Background()), service.ErrNotConnected)
			})
			results := in.ConnectionTest(t.Context())
			require.Len(t, results, 1)
			if tc.want == "" {
				assert.NoError(t, results[0].Err)
				return
			}
			assert.ErrorContains(t, results[0].Err, tc.want)
		})
	}
}

// Each source asks for what it will read.
func TestChats_ConnectionTestOfEachSource(t *testing.T) {
	t.Parallel()
	for source, endpoint := range map[source]sandbox.Endpoint{
		talks: sandbox.EndpointTalks, contactChats: sandbox.EndpointContactChats, events: sandbox.EndpointEvents, talkIDs: sandbox.EndpointEvents,
	} {
		kommo, err := sandbox.New(sandbox.Config{})
		require.NoError(t, err)
		server := httptest.NewServer(kommo)
		t.Cleanup(server.Close)
		parsed, err := spec().ParseYAML(fmt.Sprintf("{ api_url: %q, access_token: %q, source: %s }", server.URL, sandbox.DemoAccessToken, source), nil)
		require.NoError(t, err)
		in, err := newInput(parsed, service.MockResources())
		require.NoError(t, err)
		results := in.ConnectionTest(t.Context())
		require.Len(t, results, 1)
		require.NoError(t, results[0].Err)
		assert.Equal(t, map[sandbox.Endpoint]int{endpoint: 1}, kommo.Ledger().ByEndpoint)
		require.NoError(t, in.Close(context.Background()))
	}
}
