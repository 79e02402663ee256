// SPDX-License-Identifier: Apache-2.0

package chathistory

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/replay"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

func TestConnectionTest(t *testing.T) {
	t.Parallel()
	kommo, err := sandbox.New(sandbox.Config{})
	require.NoError(t, err)
	server := httptest.NewServer(kommo)
	t.Cleanup(server.Close)
	gone := httptest.NewServer(kommo)
	gone.Close()
	kommo.Demo()
	require.NoError(t, kommo.AddFault(sandbox.Fault{Kind: sandbox.FaultStatus, Status: 400, Chat: "00000000-0000-0000-0000-000000000000"}))
	require.NoError(t, kommo.AddFault(sandbox.Fault{Kind: sandbox.FaultStatus, Status: 404, Chat: "no-such-chat"}))

	const chats = "chats: [ " + sandbox.DemoChatMedia + " ]"
	for name, tc := range map[string]struct {
		conf string
		want []string // of the error; none: it succeeds
	}{
		"good": {testConf(server.URL, sandbox.DemoSecret, chats), nil},
		"chats_input, an API that rejects the chat asked for": {testConf(server.URL, sandbox.DemoSecret, "chats_input: { generate: { mapping: root = 1 } }"), nil},
		"wrong secret": {testConf(server.URL, "a wrong secret", chats),
			[]string{"refuses it with status 403", "check channel_secret, scope_id", "the clocks agree"}},
		"unreachable": {testConf(gone.URL, sandbox.DemoSecret, chats),
			[]string{"no answer: check base_url, proxy_url and the network", strings.TrimPrefix(gone.URL, "http://")}},
		"a listed chat that is rejected": {testConf(server.URL, sandbox.DemoSecret, "chats: [ no-such-chat ]"),
			[]string{"no-such-chat", "rejects it with status 404"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := newTestInput(t, tc.conf)
			before := kommo.Ledger().Requests
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			results := in.ConnectionTest(ctx)
			require.Len(t, results, 1)
			assert.Less(t, time.Since(began), 5*time.Second, "it wants an answer, not patience")
			assert.LessOrEqual(t, kommo.Ledger().Requests-before, 5)
			if tc.want == nil {
				assert.NoError(t, results[0].Err)
				return
			}
			require.Error(t, results[0].Err)
			for _, part := range tc.want {
				assert.Contains(t, results[0].Err.Error(), part)
			}
			assert.NotContains(t, results[0].Err.Error(), "a wrong secret")
			assert.NotContains(t, results[0].Err.Error(), sandbox.DemoSecret)
		})
	}
}

func TestConnectionTest_IsOfferedByTheRegisteredInput(t *testing.T) {
	t.Parallel()
	parsed, err := spec().ParseYAML(testConf("http://localhost:1", "s", "chats: [ a ]"), nil)
	require.NoError(t, err)
	in, err := newInput(parsed, service.MockResources())
	require.NoError(t, err)
	wrapped, err := replay.New(parsed, in)
	require.NoError(t, err)
	assert.Implements(t, (*service.ConnectionTestable)(nil), wrapped)
	require.NoError(t, wrapped.Close(t.Context()))
}
