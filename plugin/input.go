// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/amojo"
	"github.com/kommo-connect/kommo-connect/plugin/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/history"
)

func init() {
	service.MustRegisterBatchInput(inputName, inputSpec(),
		func(conf *service.ParsedConfig, mgr *service.Resources) (service.BatchInput, error) {
			in, err := newInput(conf, mgr)
			if err != nil {
				return nil, err
			}
			return service.AutoRetryNacksBatchedToggled(conf, in)
		})
}

// closeTimeout bounds how long Close tries to write the last checkpoints. The
// engine gives it all the time there is, and a cache that is gone must not hold
// up the shutdown.
const closeTimeout = 10 * time.Second

// chatHistory is the input kommo_chat_history.
type chatHistory struct {
	conf    *inputConfig
	log     *service.Logger
	metrics *inputMetrics
	client  *amojo.Client // retries as configured
	probe   *amojo.Client // tries once, for ConnectionTest
	reader  *history.Reader
	scope   any // the scope id, boxed once for the metadata of all messages

	start   sync.Once       // of Connect; of Close, where that comes first
	idle    bool            // Close came first; read it after start
	stopped context.Context // ends with Close
	stop    context.CancelFunc
	running sync.WaitGroup // the goroutines of Connect
}

func newInput(parsed *service.ParsedConfig, mgr *service.Resources) (*chatHistory, error) {
	conf, err := parseInputConfig(parsed, mgr)
	if err != nil {
		return nil, err
	}
	in := &chatHistory{
		conf:    conf,
		log:     mgr.Logger(),
		metrics: newInputMetrics(mgr.Metrics()),
		scope:   conf.scopeID,
	}
	in.stopped, in.stop = context.WithCancel(context.Background())

	attempts := newAttemptLog(in.log)
	callConf := conf.caller(mgr, func(a apicall.Attempt) {
		in.metrics.attempt(a)
		attempts.observe(a)
	})
	if in.client, err = in.newClient(callConf); err != nil {
		return nil, err
	}
	if in.probe, err = in.newClient(onlyOnce(callConf)); err != nil {
		return nil, err
	}

	var store history.Store = &history.MemoryStore{}
	if conf.checkpointCache != "" {
		store = newCacheStore(mgr, conf.checkpointCache, conf.checkpointCacheKey, conf.scopeID)
	}
	in.reader, err = history.NewReader(history.Config{
		Source:             &source{client: in.client, limiter: callConf.Limiter, slow: conf.backoff.MaxInterval},
		Store:              store,
		Hooks:              in.hooks(),
		PageSize:           max(2, conf.pageSize),
		MaxBufferedPages:   conf.maxBufferedPages,
		ParallelChats:      conf.parallelChats,
		CheckpointLimit:    conf.checkpointLimit,
		PreserveOrder:      conf.preserveOrder,
		Named:              conf.chatsInput != nil,
		Poll:               conf.pollInterval,
		Latest:             conf.startLatest,
		Since:              conf.since,
		Lookback:           conf.lookback,
		CheckpointInterval: conf.checkpointInterval,
		Retry:              conf.backoff.MaxInterval,
	})
	return in, err
}

func (in *chatHistory) newClient(conf apicall.Config) (*amojo.Client, error) {
	return amojo.NewClient(amojo.Config{
		BaseURL: in.conf.baseURL,
		ScopeID: in.conf.scopeID,
		Secret:  in.conf.channelSecret,
		Call:    apicall.New(conf),
	})
}

// Connect starts to read. What can be checked without the API was checked when
// the input was built, and what can't is retried while reading.
func (in *chatHistory) Connect(context.Context) error {
	if in.stopped.Err() != nil {
		return service.ErrNotConnected
	}
	in.start.Do(func() {
		if in.conf.checkpointCache == "" {
			in.log.Info("Progress is kept in memory, and a restart will read from the beginning: set checkpoint_cache to keep it")
		}
		in.reader.Start()
		in.running.Go(func() { in.watch(in.stopped) })
		if in.conf.chatsInput != nil {
			in.running.Go(func() { in.nameChats(in.stopped) })
			return
		}
		for _, id := range in.conf.chats {
			in.reader.Add(id, nil)
		}
		in.reader.Listed()
	})
	return nil
}

// ReadBatch returns the next messages of one chat, oldest first.
func (in *chatHistory) ReadBatch(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	b, err := in.reader.Next(ctx)
	switch {
	case errors.Is(err, io.EOF):
		return nil, nil, service.ErrEndOfInput
	case errors.Is(err, history.ErrClosed):
		return nil, nil, service.ErrNotConnected
	case err != nil:
		return nil, nil, err
	}
	mint := mint{scope: in.scope, chat: b.Chat}
	messages := make(service.MessageBatch, len(b.Items))
	newest := int64(0)
	for i := range b.Items {
		it := b.Items[i].Value.(*amojo.Item) //nolint:forcetypeassert // source puts nothing else there
		messages[i] = mint.message(it)
		newest = max(newest, b.Items[i].Time)
	}
	in.metrics.delivered(len(messages), newest)
	return messages, func(ctx context.Context, err error) error {
		if err != nil && (ctx.Err() != nil || in.stopped.Err() != nil) {
			// Rejected because everything is being stopped, not by the
			// output: it has not been delivered.
			return nil //nolint:nilerr // and nobody is left to hear of it
		}
		b.Ack()
		return nil
	}, nil
}

// Close stops reading and writes the last checkpoints.
func (in *chatHistory) Close(ctx context.Context) error {
	in.stop()
	in.start.Do(func() { in.idle = true })
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	err := in.reader.Close(ctx)
	in.running.Wait()
	in.conf.transport.CloseIdleConnections()
	// An input that nobody read from has not begun, and would never say that it has
	// ended.
	if in.conf.chatsInput != nil && !in.idle {
		if closeErr := closeNamed(ctx, in.conf.chatsInput); err == nil {
			err = closeErr
		}
	}
	return err
}

// closeNamed closes chats_input. Meanwhile it rejects whatever still comes of it:
// what was rejected when the reading stopped comes again, and as long as somebody
// in between holds it, the input does not end.
func closeNamed(ctx context.Context, in *service.OwnedInput) error {
	ctx, cancel := context.WithCancel(ctx)
	var draining sync.WaitGroup
	draining.Go(func() {
		for {
			_, ack, err := in.ReadBatch(ctx)
			if err != nil {
				return
			}
			_ = ack(ctx, history.ErrClosed)
		}
	})
	err := in.Close(ctx)
	cancel()
	draining.Wait()
	return err
}

// ConnectionTest makes one signed call. Any answer of the API to it shows that
// the host is reached and the signature accepted.
func (in *chatHistory) ConnectionTest(ctx context.Context) service.ConnectionTestResults {
	chat := "00000000-0000-0000-0000-000000000000"
	if len(in.conf.chats) > 0 {
		chat = in.conf.chats[0]
	}
	_, err := in.probe.History(ctx, chat, 0, 1)
	var rejected *amojo.Error
	if errors.As(err, &rejected) && in.conf.chatsInput != nil {
		// No such chat: but that is what the API said after it had checked
		// the signature.
		err = nil
	}
	if err != nil {
		return service.ConnectionTestFailed(err).AsList()
	}
	return service.ConnectionTestSucceeded().AsList()
}
