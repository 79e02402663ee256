// SPDX-License-Identifier: Apache-2.0

package talkhistory

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// direct answers requests without a network, so that time need not be real.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result(), nil
}

// startInBubble runs an input of an account in the synctest bubble of t, with an output
// that accepts all. It returns how many messages came.
func startInBubble(t *testing.T, conf string) (*sandbox.Server, *input, *pipetest.LogBook, *atomic.Int64) {
	t.Helper()
	kommo, err := sandbox.New(sandbox.Config{})
	require.NoError(t, err)
	log := &pipetest.LogBook{}
	parsed, err := spec().ParseYAML(fmt.Sprintf("{ api_url: http://kommo.test, access_token: %q, %s }", sandbox.DemoAccessToken, conf), nil)
	require.NoError(t, err)
	in, err := newInput(parsed, service.MockResources(service.MockResourcesOptUseLogger(service.NewLoggerFromSlog(slog.New(log)))))
	require.NoError(t, err)
	in.conf.Transport.RegisterProtocol("http", direct{kommo})
	came := &atomic.Int64{}
	require.NoError(t, in.Connect(t.Context()))
	go func() {
		for {
			b, err := in.Read(t.Context())
			if err == nil {
				came.Add(int64(len(b.Messages)))
				b.Ack()
			} else if in.stopped.Err() != nil || t.Context().Err() != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		assert.NoError(t, in.Close(context.Background()))
		time.Sleep(5 * time.Minute) // what waits to read a talk again finds that all is stopped
	})
	return kommo, in, log, came
}

// alarms are the complaints of an account that is empty when it is read first, but for that.
func alarms(log *pipetest.LogBook) []string {
	return slices.DeleteFunc(log.Complaints(), func(line string) bool { return strings.Contains(line, "names no conversation") })
}

// A list lags by anything up to two minutes; what comes then was never missing.
func TestAnnounced_TheListHasTwoMinutes(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		lag   time.Duration // 0: for good
		alarm bool
	}{
		"two seconds": {2 * time.Second, false}, "a minute": {time.Minute, false}, "for good": {0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				kommo, in, log, came := startInBubble(t, "poll_interval: 5s")
				require.NoError(t, kommo.SetFaults(sandbox.Fault{
					Kind: sandbox.FaultLate, Endpoint: sandbox.EndpointTalkMessages, Lag: tc.lag, Messages: []string{"late"},
				}))
				require.NoError(t, kommo.AppendTalk(5, sandbox.TalkText("first", time.Now(), "words"), sandbox.TalkText("late", time.Now(), "words")))
				time.Sleep(100 * time.Second)
				assert.Empty(t, alarms(log), "no alarm before two minutes are over")
				// Others go on, in the same talk too.
				require.NoError(t, kommo.AppendTalk(5, sandbox.TalkText("next", time.Now(), "words")))
				require.NoError(t, kommo.AppendTalk(6, sandbox.TalkText("other", time.Now(), "words")))
				time.Sleep(time.Hour)
				synctest.Wait()
				if !tc.alarm {
					assert.Equal(t, int64(4), came.Load())
					assert.Empty(t, alarms(log))
					return
				}
				assert.Equal(t, int64(3), came.Load())
				require.Len(t, alarms(log), 1)
				assert.Contains(t, alarms(log)[0], "Talk 5: the feed has announced 1 message that the talk does not list")
				assert.Contains(t, alarms(log)[0], ": late")
				assert.LessOrEqual(t, len(kommo.Ledger().Talks[5].Pages), 30, "it is not asked for without end")
				assert.Zero(t, in.account.discovery.Unacked(), "and the feed's position moves on")
			})
		})
	}
}

// The feed can name anything for a message.
func TestAnnounced_WhatIsMissingIsNamedByAnID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const odd = "+79161234567 wrote words"
		kommo, _, log, _ := startInBubble(t, "poll_interval: 5s")
		require.NoError(t, kommo.SetFaults(sandbox.Fault{Kind: sandbox.FaultLate, Endpoint: sandbox.EndpointTalkMessages, Messages: []string{odd}}))
		require.NoError(t, kommo.AppendTalk(5, sandbox.TalkText("first", time.Now(), "words"), sandbox.TalkText(odd, time.Now(), "words")))
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Len(t, alarms(log), 1)
		assert.Contains(t, alarms(log)[0], ": [not an id]")
		assert.NotContains(t, alarms(log)[0], "7916")
	})
}
