// SPDX-License-Identifier: Apache-2.0

package chathistory

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"

	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/replay"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// newTestInput builds an input as the engine does, without starting it.
func newTestInput(t *testing.T, conf string) *input {
	t.Helper()
	parsed, err := spec().ParseYAML(conf, nil)
	require.NoError(t, err)
	in, err := newInput(parsed, service.MockResources())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, in.Close(context.Background())) })
	return in
}

func testConf(url, secret, more string) string {
	return fmt.Sprintf("{ base_url: %q, scope_id: %q, channel_secret: %q, %s }", url, sandbox.DemoScopeID, secret, more)
}

func TestClose_IsSafeTwiceBeforeConnectAndDuringARead(t *testing.T) {
	t.Parallel()
	kommo, err := sandbox.New(sandbox.Config{})
	require.NoError(t, err)
	server := httptest.NewServer(kommo)
	t.Cleanup(server.Close)
	conf := testConf(server.URL, sandbox.DemoSecret, "chats: [ a ], poll_interval: 1h")

	t.Run("before Connect", func(t *testing.T) {
		t.Parallel()
		in := newTestInput(t, conf)
		require.NoError(t, in.Close(t.Context()))
		require.NoError(t, in.Close(t.Context()))
		assert.ErrorIs(t, in.Connect(t.Context()), service.ErrNotConnected)
		_, err := in.Read(t.Context())
		assert.ErrorIs(t, err, service.ErrNotConnected)
	})
	t.Run("during a read", func(t *testing.T) {
		t.Parallel()
		in := newTestInput(t, conf)
		require.NoError(t, in.Connect(t.Context()))
		require.NoError(t, in.Connect(t.Context()), "a second time changes nothing")
		read := make(chan error)
		go func() {
			_, err := in.Read(context.WithoutCancel(t.Context()))
			read <- err
		}()
		require.NoError(t, in.Close(t.Context()))
		assert.ErrorIs(t, <-read, service.ErrNotConnected)
	})
	t.Run("a read whose context ends", func(t *testing.T) {
		t.Parallel()
		in := newTestInput(t, conf)
		require.NoError(t, in.Connect(t.Context()))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := in.Read(ctx)
		assert.ErrorIs(t, err, context.Canceled)
	})
}

// With auto_replay_nacks: false a rejection counts as delivered, but not one that
// only says that everything is being stopped.
func TestAck_ARejectionBecauseOfAStopIsNoDelivery(t *testing.T) {
	t.Parallel()
	kommo, err := sandbox.New(sandbox.Config{})
	require.NoError(t, err)
	server := httptest.NewServer(kommo)
	t.Cleanup(server.Close)
	kommo.Demo()
	conf := testConf(server.URL, sandbox.DemoSecret, "auto_replay_nacks: false, chats: [ "+sandbox.DemoChatMedia+" ]")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	rejected := errors.New("rejected")

	for name, tc := range map[string]struct {
		ctx       context.Context
		stopFirst bool
		delivered bool
	}{
		"by the output":             {t.Context(), false, true},
		"by a context that ended":   {ended, false, false},
		"when the input is stopped": {t.Context(), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := newTestInput(t, conf)
			parsed, err := spec().ParseYAML(conf, nil)
			require.NoError(t, err)
			wrapped, err := replay.New(parsed, in)
			require.NoError(t, err)
			require.NoError(t, wrapped.Connect(t.Context()))
			batch, ack, err := wrapped.ReadBatch(t.Context())
			require.NoError(t, err)
			require.Equal(t, len(batch), in.reader.Stats().Unacked)
			if tc.stopFirst {
				require.NoError(t, wrapped.Close(t.Context()))
			}
			require.NoError(t, ack(tc.ctx, rejected))
			if tc.delivered {
				assert.Zero(t, in.reader.Stats().Unacked)
			} else {
				assert.Equal(t, len(batch), in.reader.Stats().Unacked)
			}
		})
	}
}
