// SPDX-License-Identifier: Apache-2.0

package chatlist

import (
	"context"
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

func TestChats_ConnectionTest(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		token string
		fault int
		want  string // of the error; empty: it succeeds
	}{
		"good":          {sandbox.DemoAccessToken, 0, ""},
		"wrong token":   {"wrong", 0, "access_token has expired"},
		"missing right": {sandbox.DemoAccessToken, 403, "administrator's token"},
		"out of order":  {sandbox.DemoAccessToken, 503, "status 503"},
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
