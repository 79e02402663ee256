// SPDX-License-Identifier: Apache-2.0

package chathistory

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

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
func startInBubble(t *testing.T, chats, messages int, conf string) (*input, *pipetest.LogBook) {
	t.Helper()
	in, log, _ := startInBubbleWith(t, chats, messages, conf)
	return in, log
}

// startInBubbleWith does so on a bad day.
func startInBubbleWith(t *testing.T, chats, messages int, conf string, faults ...sandbox.Fault) (*input, *pipetest.LogBook, *sandbox.Server) {
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

	log := &pipetest.LogBook{}
	parsed, err := spec().ParseYAML(testConf("http://kommo.test", sandbox.DemoSecret,
		conf+", chats: [ "+strings.Join(ids, ", ")+" ]"), nil)
	require.NoError(t, err)
	in, err := newInput(parsed, service.MockResources(service.MockResourcesOptUseLogger(service.NewLoggerFromSlog(slog.New(log)))))
	require.NoError(t, err)
	in.conf.Transport.Proxy = nil
	in.conf.Transport.DialContext = network.dial
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
		rejects     bool
	}{
		"an output that waits":        {"requests_per_second: 0", "an output that batches by count without a period", 5, false},
		"checkpoint_limit is used up": {"requests_per_second: 0, checkpoint_limit: 20", "checkpoint_limit is used up", 30, false},
		"what is rejected uses it up": {"requests_per_second: 0, checkpoint_limit: 20", "the output rejects messages again and again", 30, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				in, log := startInBubble(t, 1, tc.messages, tc.conf)
				b, err := in.Read(t.Context())
				require.NoError(t, err)
				if tc.rejects {
					time.Sleep(time.Millisecond)
					in.report.OutputRejected()
				}

				time.Sleep(component.StalledAfter - time.Second)
				assert.Empty(t, log.With("No acknowledgement"))
				time.Sleep(3 * time.Second)
				require.Len(t, log.With("No acknowledgement"), 1)
				assert.Contains(t, log.With("No acknowledgement")[0], "WARN No acknowledgement for 30s while ")
				assert.Contains(t, log.With("No acknowledgement")[0], tc.cause)
				time.Sleep(10 * time.Minute)
				assert.Len(t, log.With("No acknowledgement"), 1, "once")
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
			time.Sleep(component.StalledAfter - 5*time.Second)
			b.Ack()
		}
		time.Sleep(30 * time.Minute)
		assert.Empty(t, log.With("No acknowledgement"))
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
				assert.Empty(t, log.With("chats done"), "not in the first ten seconds")
			}
		}
		_, err := in.Read(t.Context())
		require.ErrorIs(t, err, service.ErrEndOfInput)
		got := log.With("chats done")
		require.Len(t, got, 3)
		assert.Regexp(t, `^INFO 5 of 20 chats done, 15 messages, (0\.9|1\.[01]) requests/s, time left: about 30s$`, got[0])
		assert.Regexp(t, `^INFO 15 of 20 chats done, 45 messages, (0\.9|1\.[01]) requests/s, time left: about 10s$`, got[2])
		assertTotals(t, log, `20 chats, 60 messages, 40 requests in (39|40)s, 1\.0 requests/s; unknown or empty: 0`)
	})
}

// assertTotals finds the one line of totals.
func assertTotals(t *testing.T, log *pipetest.LogBook, want string) {
	t.Helper()
	got := log.With("All is read")
	require.Len(t, got, 1)
	assert.Regexp(t, "^INFO All is read: "+want+"$", got[0])
}

func TestProgress_OfAServiceUntilItsFirstReadingIsComplete(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in, log, kommo := startInBubbleWith(t, 20, 3, "requests_per_second: 1, parallel_chats: 1, poll_interval: 1m")
		for kommo.DeleteAt(sandbox.SyntheticChat(19), 0) {
			continue
		}
		reading, stop := context.WithCancel(t.Context())
		defer stop()
		go func() {
			for {
				b, err := in.Read(reading)
				if err != nil {
					return
				}
				b.Ack()
			}
		}()
		time.Sleep(time.Minute)
		got := log.With("chats done")
		require.NotEmpty(t, got)
		assert.Regexp(t, `^INFO [4-6] of 20 chats done, 1[0-9] messages, (0\.9|1\.[01]) requests/s, time left: about [23][0-9]s$`, got[0])
		assertTotals(t, log, `20 chats, 57 messages, \d+ requests in \d+s, 1\.\d requests/s; unknown or empty: 1`)

		before := len(log.With(""))
		kommo.Append(sandbox.SyntheticChat(0), sandbox.Text("new", time.Now(), "words"))
		time.Sleep(time.Hour)
		assert.Len(t, log.With(""), before, "a healthy tail logs nothing")
	})
}

func TestProgress_OfAFirstReadingThatIsShortNothingIsSaid(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in, log := startInBubble(t, 2, 3, "requests_per_second: 1")
		for {
			b, err := in.Read(t.Context())
			if err != nil {
				require.ErrorIs(t, err, service.ErrEndOfInput)
				break
			}
			b.Ack()
		}
		assert.Empty(t, log.With("All is read"))
	})
}

func TestProgress_TimeLeftIsNotGuessedBeforeAChatIsDone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in, log := startInBubble(t, 2, 200, "requests_per_second: 0.1, parallel_chats: 1, page_size: 10")
		time.Sleep(25 * time.Second)
		got := log.With("chats done")
		require.Len(t, got, 2)
		assert.Regexp(t, `^INFO 0 of 2 chats done, 0 messages, 0\.[12] requests/s, time left: not known yet$`, got[1])
		assert.NotNil(t, in)
	})
}
