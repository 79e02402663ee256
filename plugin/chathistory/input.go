// SPDX-License-Identifier: Apache-2.0

package chathistory

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/amojo"
	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
	"github.com/kommo-connect/kommo-connect/plugin/internal/checkpoint"
	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
	"github.com/kommo-connect/kommo-connect/plugin/internal/evidence"
	"github.com/kommo-connect/kommo-connect/plugin/internal/reader"
	"github.com/kommo-connect/kommo-connect/plugin/internal/replay"
)

func init() {
	component.Register(&component.Input{
		Name: inputName,
		Spec: spec(),
		New: func(conf *service.ParsedConfig, mgr *service.Resources) (replay.Input, error) {
			return newInput(conf, mgr)
		},
		Check:    func(r *component.FieldReader, l component.Labels) { readConfig(r, l) },
		StandIns: map[string]any{fieldScopeID: "channel_account", fieldChannelSecret: "secret"},
		InPlace:  map[string]any{fieldChatsInput: map[string]any{"stdin": map[string]any{}}},
		Complete: completeForLint,
	})
}

const (
	// attemptsPerCall is how often a call is tried before its chat gives its place up
	// to another.
	attemptsPerCall = 4
	// notOursFor is how long a chat of another channel is left alone.
	notOursFor = time.Hour
)

// input is the input kommo_chat_history.
type input struct {
	conf    *config
	log     *service.Logger
	metrics *metrics
	client  *amojo.Client // retries as configured
	probe   *amojo.Client // tries once: for ConnectionTest, and while the API is down
	health  *component.Health
	reader  *reader.Reader
	report  *report

	checkpoints *component.CacheStore
	scope       any // the scope id, boxed once for the metadata of all messages

	start   sync.Once       // of Connect; of Close, where that comes first
	idle    bool            // Close came first; read it after start
	stopped context.Context // ends with Close
	stop    context.CancelFunc
	running sync.WaitGroup // the goroutines of Connect
}

func newInput(parsed *service.ParsedConfig, mgr *service.Resources) (*input, error) {
	conf, err := parseConfig(parsed, mgr)
	if err != nil {
		return nil, err
	}
	in := &input{
		conf:    conf,
		log:     mgr.Logger(),
		metrics: newMetrics(mgr.Metrics()),
		scope:   conf.scopeID,
	}
	in.stopped, in.stop = context.WithCancel(context.Background())

	in.report = newReport(in)
	callConf := conf.Caller(mgr, in.report.attempt)
	callConf.MaxAttempts = attemptsPerCall
	callConf.LimitFailed = component.LimitLog(in.log)
	if in.client, err = in.newClient(callConf); err != nil {
		return nil, err
	}
	if in.probe, err = in.newClient(component.OnlyOnce(callConf)); err != nil {
		return nil, err
	}
	chats := func() int {
		n := 0
		for _, some := range in.reader.Stats().Chats {
			n += some
		}
		return n
	}
	in.health = component.NewHealth(callConf.Limiter, conf.Backoff, chats, conf.parallelChats, in.report.healthChanged)

	in.checkpoints = component.NewCacheStore(mgr, conf.CheckpointCache, conf.CheckpointCacheKey, conf.scopeID, checkCheckpoint)
	var store checkpoint.Store
	if conf.CheckpointCache != "" {
		store = in.checkpoints
	}
	in.reader, err = reader.NewReader(reader.Config{
		NewPass:            chat.FromNewest(newSource(in.client, in.probe, in.health), &evidence.Server{}),
		Store:              store,
		Hooks:              in.report.hooks(),
		PageSize:           max(2, conf.pageSize),
		MaxBufferedPages:   conf.maxBufferedPages,
		ReadAhead:          conf.readAhead,
		ParallelChats:      conf.parallelChats,
		CheckpointLimit:    conf.checkpointLimit,
		PreserveOrder:      conf.preserveOrder,
		OncePerAdd:         conf.chatsInput != nil,
		Poll:               conf.pollInterval,
		Latest:             conf.startLatest,
		Since:              conf.since,
		Lookback:           conf.lookback,
		CheckpointInterval: conf.CheckpointInterval,
		FirstRetry:         conf.Backoff.InitialInterval,
		Retry:              conf.Backoff.MaxInterval,
		RetryNotOurs:       max(notOursFor, conf.Backoff.MaxInterval),
		Transient:          transient,
	})
	return in, err
}

func checkCheckpoint(value []byte) error {
	_, err := chat.DecodeCheckpoint(value)
	return err
}

func (in *input) newClient(conf apicall.Config) (*amojo.Client, error) {
	return amojo.NewClient(amojo.Config{
		BaseURL: in.conf.baseURL,
		ScopeID: in.conf.scopeID,
		Secret:  in.conf.channelSecret,
		Call:    apicall.New(conf),
	})
}

// Connect starts to read. What can be checked without the API was checked when
// the input was built, and what can't is retried while reading.
//
// While the API does not answer, Connect takes a second, during which the input is not
// ready; then Read says again that it is not connected. It takes no longer because
// what was read before, or was rejected, has to go out meanwhile: the reader may wait
// for just that.
func (in *input) Connect(ctx context.Context) error {
	if in.stopped.Err() != nil {
		return service.ErrNotConnected
	}
	in.start.Do(func() {
		if in.conf.CheckpointCache == "" {
			in.log.Info("Progress is kept in memory, and a restart will read from the beginning: set checkpoint_cache to keep it")
		}
		in.reader.Start()
		in.running.Go(func() { in.report.watch(in.stopped) })
		if in.conf.chatsInput != nil {
			in.running.Go(func() { in.queueChats(in.stopped) })
			return
		}
		for _, id := range in.conf.chats {
			in.reader.Add(id, nil)
		}
		in.reader.AllAdded()
	})
	return in.health.Wait(ctx)
}

// Read returns the next messages of one chat, oldest first. It is not connected
// while the API does not answer and nothing is left of what was read before.
func (in *input) Read(ctx context.Context) (*replay.Batch, error) {
	down := in.health.WhenDown()
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-down:
			cancel()
		case <-waiting.Done():
		}
	}()
	b, err := in.reader.Next(waiting)
	switch {
	case errors.Is(err, io.EOF):
		in.report.ended()
		return nil, service.ErrEndOfInput
	case errors.Is(err, reader.ErrClosed):
		return nil, service.ErrNotConnected
	case err != nil && ctx.Err() == nil:
		return nil, service.ErrNotConnected
	case err != nil:
		return nil, err
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
	return &replay.Batch{Messages: messages, Ack: b.Ack, Rejected: in.report.outputRejected}, nil
}

// Close stops reading and writes the last checkpoints.
func (in *input) Close(ctx context.Context) error {
	in.stop()
	in.start.Do(func() { in.idle = true })
	ctx, cancel := context.WithTimeout(ctx, component.CloseTimeout)
	defer cancel()
	err := in.reader.Close(ctx)
	in.running.Wait()
	in.conf.Transport.CloseIdleConnections()
	// An input that nobody has read from was never started, so it would never end.
	if in.conf.chatsInput != nil && !in.idle {
		if closeErr := closeChatsInput(ctx, in.conf.chatsInput); err == nil {
			err = closeErr
		}
	}
	return err
}

// closeChatsInput closes chats_input. Meanwhile it rejects what still comes: messages
// that were rejected when reading stopped come again, and the input does not end while
// one of them is held by something in between.
func closeChatsInput(ctx context.Context, in *service.OwnedInput) error {
	ctx, cancel := context.WithCancel(ctx)
	var draining sync.WaitGroup
	draining.Go(func() {
		for {
			_, ack, err := in.ReadBatch(ctx)
			if err != nil {
				return
			}
			_ = ack(ctx, reader.ErrClosed)
		}
	})
	err := in.Close(ctx)
	cancel()
	draining.Wait()
	return err
}

// ConnectionTest makes one signed call. Any answer of the API to it shows that
// the host is reached and the signature accepted.
func (in *input) ConnectionTest(ctx context.Context) service.ConnectionTestResults {
	id := "00000000-0000-0000-0000-000000000000"
	if len(in.conf.chats) > 0 {
		id = in.conf.chats[0]
	}
	_, err := in.probe.History(ctx, id, 0, 1)
	var rejected *amojo.Error
	if errors.As(err, &rejected) && !rejected.NotRegistered() && in.conf.chatsInput != nil {
		// No such chat: but that is what the API said after it had checked
		// the signature.
		err = nil
	}
	if err != nil {
		return service.ConnectionTestFailed(err).AsList()
	}
	return service.ConnectionTestSucceeded().AsList()
}
