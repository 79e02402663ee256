// SPDX-License-Identifier: Apache-2.0

package talkhistory

import (
	"context"
	"fmt"
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
	all := []string{"crm", "list_external_messages"}
	for name, tc := range map[string]struct {
		claims   sandbox.Claims
		fault    *sandbox.Fault
		more     string
		want     string // of the error; empty: it succeeds
		requests int
	}{
		"good":                  {sandbox.Claims{Scopes: all}, nil, "", "", 2},
		"a talk that there is":  {sandbox.Claims{Scopes: all}, nil, "talks: [ '5' ]", "", 1},
		"a talk that is not":    {sandbox.Claims{Scopes: all}, nil, "talks: [ '6' ]", "the account has no such talk", 1},
		"no scope":              {sandbox.Claims{Scopes: all[:1]}, nil, "", "it lacks the scope list_external_messages", 0},
		"expired":               {sandbox.Claims{Expires: time.Now().Add(-time.Hour)}, nil, "", "it expired at", 0},
		"another plan":          {sandbox.Claims{Scopes: all}, &sandbox.Fault{Kind: sandbox.FaultStatus, Status: 402}, "", "Trial, Pro, Enterprise and Technical", 1},
		"a scope it hides":      {sandbox.Claims{}, &sandbox.Fault{Kind: sandbox.FaultStatus, Status: 403, Body: sandbox.BodyScope}, "", "External chat history", 1},
		"an API that is broken": {sandbox.Claims{Scopes: all}, &sandbox.Fault{Kind: sandbox.FaultStatus, Status: 500}, "", "500", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kommo, err := sandbox.New(sandbox.Config{})
			require.NoError(t, err)
			require.NoError(t, kommo.AppendTalk(5, sandbox.TalkText("a", time.Now(), "words")))
			if tc.fault != nil {
				require.NoError(t, kommo.AddFault(*tc.fault))
			}
			token := kommo.IssueToken(tc.claims)
			parsed, err := spec().ParseYAML(fmt.Sprintf("{ api_url: http://kommo.test, access_token: %q, %s }", token, tc.more), nil)
			require.NoError(t, err)
			in, err := newInput(parsed, service.MockResources())
			require.NoError(t, err)
			in.conf.Transport.RegisterProtocol("http", direct{kommo})
			wrapped, err := replay.New(parsed, in)
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, wrapped.Close(context.Background())) })
			testable, ok := wrapped.(service.ConnectionTestable)
			require.True(t, ok, "the registered input offers it")
			results := testable.ConnectionTest(t.Context())
			require.Len(t, results, 1)
			assert.Equal(t, tc.requests, kommo.Ledger().Requests)
			if tc.want == "" {
				require.NoError(t, results[0].Err)
				return
			}
			require.ErrorContains(t, results[0].Err, tc.want)
			assert.NotContains(t, results[0].Err.Error(), token)
		})
	}
}

func TestClose_IsSafeTwiceAndBeforeConnect(t *testing.T) {
	t.Parallel()
	parsed, err := spec().ParseYAML("{ api_url: http://kommo.test, access_token: t }", nil)
	require.NoError(t, err)
	in, err := newInput(parsed, service.MockResources())
	require.NoError(t, err)
	require.NoError(t, in.Close(t.Context()))
	require.NoError(t, in.Close(t.Context()))
	assert.ErrorIs(t, in.Connect(t.Context()), service.ErrNotConnected)
	_, err = in.Read(t.Context())
	assert.ErrorIs(t, err, service.ErrNotConnected)
}
