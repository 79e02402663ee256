// SPDX-License-Identifier: Apache-2.0

package chathistory

import (
	"context"
	"errors"
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

// notOursFor is how long a chat of another channel is left alone.
const notOursFor = time.Hour

// input is the input kommo_chat_history.
type input struct {
	conf    *config
	log     *service.Logger
	metrics component.HistoryMetrics
	client  *amojo.Client // retries as configured
	probe   *amojo.Client // tries once: for ConnectionTest, and while the API is down
	health  *component.Health
	reader  *reader.Reader
	report  *report
	queue   component.Queue // of chats_input

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
		metrics: component.NewHistoryMetrics(mgr.Metrics(), inputName),
		scope:   conf.scopeID,
	}
	in.stopped, in.stop = context.WithCancel(context.Background())

	in.report = newReport(in)
	callConf := conf.Caller(mgr, in.report.Attempt)
	if in.client, err = in.newClient(callConf); err != nil {
		return nil, err
	}
	if in.probe, err = in.newClient(component.OnlyOnce(callConf)); err != nil {
		return nil, err
	}
	chats := func() int { return component.ChatsOf(in.reader) }
	in.health = component.NewHealth(callConf.Limiter, conf.Backoff, chats, conf.ParallelChats, in.report.healthChanged)

	in.checkpoints = component.NewCacheStore(mgr, conf.CheckpointCache, conf.CheckpointCacheKey, conf.scopeID, chat.CheckCheckpoint)
	var store checkpoint.Store
	if conf.CheckpointCache != "" {
		store = in.checkpoints
	}
	readerConf := conf.Reader()
	source := newSource(in.client, in.probe, in.health)
	source.hashed = conf.Changes
	readerConf.NewPass = chat.FromNewest(source, &evidence.Server{})
	readerConf.Store = store
	readerConf.Hooks = in.report.Hooks()
	readerConf.ReadAhead = conf.readAhead
	readerConf.OncePerAdd = conf.chatsInput != nil
	readerConf.RetryNotOurs = max(notOursFor, conf.Backoff.MaxInterval)
	readerConf.Transient = transient
	in.reader, err = reader.NewReader(readerConf)
	in.report.Health, in.report.Reader, in.report.Checkpoints = in.health, in.reader, in.checkpoints
	in.queue = component.Queue{Input: conf.chatsInput, Field: fieldChatsInput, Log: in.log, Reader: in.reader, ID: in.queuedChat}
	return in, err
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
		in.running.Go(func() { in.report.Watch(in.stopped) })
		if in.conf.chatsInput != nil {
			in.running.Go(func() { in.queue.Run(in.stopped) })
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
	b, err := in.health.Next(ctx, in.reader)
	if errors.Is(err, service.ErrEndOfInput) {
		in.report.Ended()
	}
	if err != nil {
		return nil, err
	}
	mint := mint{scope: in.scope, chat: b.Chat}
	messages, newest := component.Messages(b.Items, in.conf.Changes, func(value any) *service.Message {
		return mint.message(value.(*amojo.Item)) //nolint:forcetypeassert // source puts nothing else there
	}, mint.deleted)
	in.metrics.Delivered(len(messages), newest)
	rejected := func() {
		in.report.OutputRejected()
		b.Rejected()
	}
	return &replay.Batch{Messages: messages, Ack: b.Ack, Rejected: rejected}, nil
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
		if closeErr := in.queue.Close(ctx); err == nil {
			err = closeErr
		}
	}
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
