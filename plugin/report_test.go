// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// lines is a slog.Handler that keeps what is logged.
type lines struct {
	mu   sync.Mutex
	text []string
}

func (*lines) Enabled(context.Context, slog.Level) bool { return true }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler     { return l }
func (l *lines) WithGroup(string) slog.Handler          { return l }
func (l *lines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, r.Level.String()+" "+r.Message)
	return nil
}

// with returns the lines that have a text in them.
func (l *lines) with(part string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(l.text), func(s string) bool { return !strings.Contains(s, part) })
}

// memory is a listener of connections that exist in memory only, so that they can
// be used where time is not real.
type memory struct {
	conns chan net.Conn
	ended chan struct{}
	once  sync.Once
}

func (m *memory) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case m.conns <- there:
		return here, nil
	case <-m.ended:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.ended:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error {
	m.once.Do(func() { close(m.ended) })
	return nil
}

func (*memory) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

// startInBubble connects an input to a sandbox with chats of some messages, in
// the synctest bubble of t.
func startInBubble(t *testing.T, chats, messages int, conf string) (*chatHistory, *lines) {
	t.Helper()
	in, log, _ := startInBubbleWith(t, chats, messages, conf)
	return in, log
}

// startInBubbleWith does so on a bad day.
func startInBubbleWith(t *testing.T, chats, messages int, conf string, faults ...sandbox.Fault) (*chatHistory, *lines, *sandbox.Server) {
	t.Helper()
	kommo, err := sandbox.New(sandbox.Config{})
	require.NoError(t, err)
	var ids []string
	for i := range chats {
		ids = append(ids, sandbox.SyntheticChat(i))
		kommo.Append(ids[i])
		for m := range messages {
			kommo.Append(ids[i], sandbox.Text(fmt.Sprintf("%d-%d", i, m), time.Now().Add(time.Duration(m-messages)*time.Second), "words"))
		}
	}
	require.NoError(t, kommo.SetFaults(faults...))
	network := &memory{conns: make(chan net.Conn), ended: make(chan struct{})}
	server := &http.Server{Handler: kommo, ReadHeaderTimeout: time.Minute}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(network)
	}()

	log := &lines{}
	parsed, err := inputSpec().ParseYAML(testConf("http://kommo.test", sandbox.DemoSecret,
		conf+", chats: [ "+strings.Join(ids, ", ")+" ]"), nil)
	require.NoError(t, err)
	in, err := newInput(parsed, service.MockResources(service.MockResourcesOptUseLogger(service.NewLoggerFromSlog(slog.New(log)))))
	require.NoError(t, err)
	in.conf.transport.Proxy = nil
	in.conf.transport.DialContext = network.dial
	require.NoError(t, in.Connect(t.Context()))
	t.Cleanup(func() {
		assert.NoError(t, in.Close(context.Background()))
		assert.NoError(t, server.Close())
		<-served
	})
	return in, log, kommo
}

func TestStall_OneWarningAfterThirtySecondsWithoutAnAcknowledgement(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		conf, cause string
		messages    int
	}{
		"an output that waits":        {"requests_per_second: 0", "an output that batches by count without a period", 5},
		"checkpoint_limit is used up": {"requests_per_second: 0, checkpoint_limit: 20", "checkpoint_limit is used up", 30},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				in, log := startInBubble(t, 1, tc.messages, tc.conf)
				b, err := in.Read(t.Context())
				require.NoError(t, err)

				time.Sleep(stalledAfter - time.Second)
				assert.Empty(t, log.with("No acknowledgement"))
				time.Sleep(3 * time.Second)
				require.Len(t, log.with("No acknowledgement"), 1)
				assert.Contains(t, log.with("No acknowledgement")[0], "WARN No acknowledgement for 30s while ")
				assert.Contains(t, log.with("No acknowledgement")[0], tc.cause)
				time.Sleep(10 * time.Minute)
				assert.Len(t, log.with("No acknowledgement"), 1, "once")
				b.Ack()
			})
		})
	}
}

func TestStall_NoWarningWhileAcknowledgementsComeOrNothingIsOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in, log := startInBubble(t, 20, 3, "requests_per_second: 0, poll_interval: 1h")
		for range 20 {
			b, err := in.Read(t.Context())
			require.NoError(t, err)
			time.Sleep(stalledAfter - 5*time.Second)
			b.Ack()
		}
		time.Sleep(30 * time.Minute)
		assert.Empty(t, log.with("No acknowledgement"))
		assert.Empty(t, log.with("chats done"), "an input that goes on has no progress to report")
	})
}

func TestProgress_EveryTenSecondsOfARunThatEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// 40 requests at 1 a second: a page of each chat, and a look behind it.
		in, log := startInBubble(t, 20, 3, "requests_per_second: 1, parallel_chats: 1")
		for i := range 20 {
			b, err := in.Read(t.Context())
			require.NoError(t, err)
			b.Ack()
			if i == 3 {
				assert.Empty(t, log.with("chats done"), "not in the first ten seconds")
			}
		}
		_, err := in.Read(t.Context())
		require.ErrorIs(t, err, service.ErrEndOfInput)
		got := log.with("chats done")
		require.Len(t, got, 3)
		assert.Regexp(t, `^INFO 5 of 20 chats done, 15 messages, 1\.[01] requests/s, time left: about 30s$`, got[0])
		assert.Regexp(t, `^INFO 15 of 20 chats done, 45 messages, 1\.[01] requests/s, time left: about 10s$`, got[2])
	})
}

func TestProgress_TimeLeftIsNotGuessedBeforeAChatIsDone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in, log := startInBubble(t, 2, 200, "requests_per_second: 0.1, parallel_chats: 1, page_size: 10")
		time.Sleep(25 * time.Second)
		got := log.with("chats done")
		require.Len(t, got, 2)
		assert.Regexp(t, `^INFO 0 of 2 chats done, 0 messages, 0\.[12] requests/s, time left: not known yet$`, got[1])
		assert.NotNil(t, in)
	})
}

func TestThrottle_AFewLinesInEachPeriodAndThenHowManyWereLeftOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle()
		allowed := 0
		for range 100 {
			more, ok := th.allow()
			if ok {
				allowed++
				assert.Empty(t, more)
			}
		}
		assert.Equal(t, throttleLines, allowed)

		time.Sleep(throttlePeriod - time.Second)
		_, ok := th.allow()
		assert.False(t, ok)
		time.Sleep(time.Second)
		more, ok := th.allow()
		assert.True(t, ok)
		assert.Equal(t, " (96 lines like this one were left out)", more)
		more, ok = th.allow()
		assert.True(t, ok)
		assert.Empty(t, more, "said once")
	})
}

// One kind of failure must not hide another, and the last attempt is reported by
// whoever made the call.
func TestAttempts_AreThrottledByTheirOutcome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &lines{}
		attempts := newAttemptLog(service.NewLoggerFromSlog(slog.New(log)))
		for range 50 {
			attempts.observe(apicall.Attempt{Outcome: apicall.OutcomeTimeout, Err: errors.New("slow"), Try: 2, RetryIn: 1500 * time.Millisecond})
		}
		attempts.observe(apicall.Attempt{Outcome: apicall.OutcomeServerError, Err: errors.New("broken"), Try: 1, RetryIn: 250 * time.Millisecond})
		attempts.observe(apicall.Attempt{Outcome: apicall.OutcomeRejected, Err: errors.New("last"), Try: 1, RetryIn: -1})
		attempts.observe(apicall.Attempt{Outcome: apicall.OutcomeOK, Try: 1, RetryIn: -1})
		assert.Equal(t, []string{"WARN Attempt 2 failed, next in 2s: slow"}, log.with("slow"))
		assert.Equal(t, []string{"WARN Attempt 1 failed, next in 250ms: broken"}, log.with("broken"))
		assert.Empty(t, log.with("last"))
		assert.Len(t, log.with(""), 2)

		time.Sleep(10 * time.Minute)
		attempts.observe(apicall.Attempt{Outcome: apicall.OutcomeTimeout, Err: errors.New("still slow"), Try: 1, RetryIn: time.Second})
		assert.Equal(t, []string{"WARN Attempt 1 failed, next in 1s (49 lines like this one were left out): still slow"}, log.with("still slow"))
	})
}
