// SPDX-License-Identifier: Apache-2.0

package chatlist

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/internal/checkpoint"
	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
	"github.com/kommo-connect/kommo-connect/plugin/internal/feed"
	"github.com/kommo-connect/kommo-connect/plugin/internal/listing"
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
		StandIns: map[string]any{fieldAPIURL: "https://example.kommo.com"},
		Complete: component.CompleteToken,
	})
}

// maxChatsOut is how many chats may be delivered and not acknowledged before listing
// waits. Each takes some 3 kB, most of it the message, which may have to be sent again.
// It is reached only where thousands of chats are rejected again and again.
const maxChatsOut = 65_536

// input is the input kommo_chats.
type input struct {
	conf    *config
	log     *service.Logger
	metrics *metrics
	lister  lister
	client  *crm.Client
	probe   *crm.Client // tries once, for ConnectionTest

	stopped context.Context // ends with Close
	stop    context.CancelFunc
	start   sync.Once
	running sync.WaitGroup // the goroutine of Connect

	saver *component.Saver
	wake  component.Signal // for Read: it may go on

	// For Read alone:
	ended    bool
	next     time.Time // when the next listing begins
	failures int       // in a row
	failed   *component.Throttle
	listed   int
	complete bool // the first listing is
	began    time.Time
	reported time.Time
	odd      int
}

func newInput(parsed *service.ParsedConfig, mgr *service.Resources) (*input, error) {
	conf, err := parseConfig(parsed, mgr)
	if err != nil {
		return nil, err
	}
	in := &input{
		conf:     conf,
		log:      mgr.Logger(),
		metrics:  newMetrics(mgr.Metrics()),
		wake:     component.NewSignal(),
		failed:   component.NewThrottle(),
		began:    time.Now(),
		reported: time.Now(),
	}
	in.stopped, in.stop = context.WithCancel(context.Background())

	attempts := component.NewAttemptLog(in.log)
	callConf := conf.Caller(mgr, func(a apicall.Attempt) {
		in.metrics.Attempt(a)
		in.metrics.reached(a.Outcome)
		attempts.Observe(a)
	})
	callConf.URLField = fieldAPIURL
	tokens, err := conf.Source()
	if err != nil {
		return nil, err
	}
	in.client, err = crm.NewClient(crm.Config{URL: conf.apiURL, Tokens: tokens, Call: apicall.New(callConf)})
	if err != nil {
		return nil, err
	}
	in.probe, err = crm.NewClient(crm.Config{URL: conf.apiURL, Tokens: tokens, Call: apicall.New(component.OnlyOnce(callConf))})
	if err != nil {
		return nil, err
	}
	in.lister = in.newLister(mgr)
	in.saver = in.newSaver()
	return in, nil
}

func (in *input) newLister(mgr *service.Resources) lister {
	conf := in.conf
	checkpoints := component.NewCacheStore(mgr, conf.CheckpointCache, conf.CheckpointCacheKey, in.client.Host(), feed.CheckCheckpoint)
	var store checkpoint.Store
	if conf.CheckpointCache != "" {
		store = checkpoints
	}
	talked := feed.Config{
		API: in.client, Store: store, PageSize: conf.pageSize, Origins: conf.origins, Since: conf.updatedSince, Hooks: in.feedHooks(checkpoints),
	}
	switch conf.source {
	case events:
		return &discovered{Discovery: feed.NewEvents(talked)}
	case talkIDs:
		return &discovered{Discovery: feed.NewIDs(talked), client: in.client}
	}
	return chats{listing.New(listing.Config{
		Source:   &pages{client: in.client, list: crm.Source(conf.source)},
		Name:     string(conf.source),
		Store:    store,
		PageSize: conf.pageSize,
		Origins:  conf.origins,
		Since:    conf.updatedSince,
		Once:     conf.source == contactChats,
		Hooks:    in.hooks(checkpoints),
	})}
}

// Connect starts to save progress. The listing itself happens in Read.
func (in *input) Connect(context.Context) error {
	if in.stopped.Err() != nil {
		return service.ErrNotConnected
	}
	in.start.Do(func() {
		if err := component.CheckClaims(in.client, time.Now()); err != nil {
			in.log.Errorf("The API will refuse this: %v", err)
		}
		if in.conf.CheckpointCache == "" {
			in.log.Info("Progress is kept in memory, and a restart will list all chats as new: set checkpoint_cache to keep it")
		}
		in.running.Go(func() { in.saver.Run(in.stopped) })
	})
	return nil
}

// Read implements replay.Input: it returns the chats of the next page on which
// some are new or changed.
func (in *input) Read(ctx context.Context) (*replay.Batch, error) {
	for !in.ended {
		if err := in.turn(ctx); err != nil {
			return nil, err
		}
		b, err := in.lister.Next(ctx)
		if err != nil {
			if err := in.retry(ctx, err); err != nil {
				return nil, err
			}
			continue
		}
		in.failures = 0
		in.saver.Moved.Send() // a page without anything new moves the checkpoint too
		if b.done {
			in.ended = in.conf.pollInterval == 0
			in.next = time.Now().Add(in.conf.pollInterval)
		}
		in.listed += len(b.entries)
		in.reportProgress(b.done)
		if len(b.entries) > 0 {
			return in.batch(b), nil
		}
	}
	return nil, service.ErrEndOfInput
}

func (in *input) batch(b *batch) *replay.Batch {
	messages := make(service.MessageBatch, len(b.entries))
	newest := int64(0)
	for i, e := range b.entries {
		messages[i] = e.message
		newest = max(newest, e.updated)
	}
	in.metrics.delivered(len(messages), newest)
	ack := b.ack
	return &replay.Batch{
		Messages: messages,
		// Each chat is acknowledged by itself, so one that is always rejected holds up
		// no other.
		Accepted: func(i int) {
			ack(i)
			in.saver.Moved.Send()
			in.wake.Send()
		},
	}
}

// Stopped implements replay.Stopper: kommo_chat_history rejects with this error what it
// has not read when it is stopped.
func (*input) Stopped(err error) bool { return errors.Is(err, reader.ErrClosed) }

// turn waits until the next request may be made.
func (in *input) turn(ctx context.Context) error {
	if err := in.sleep(ctx, time.Until(in.next)); err != nil {
		return err
	}
	stalled := time.NewTimer(component.StalledAfter)
	defer stalled.Stop()
	for {
		if err := in.sleep(ctx, 0); err != nil {
			return err
		}
		full := in.lister.Unacked() >= maxChatsOut
		if !full && !in.saver.Stuck() {
			return nil
		}
		select {
		case <-in.wake:
		case <-ctx.Done():
		case <-stalled.C:
			if full {
				in.warnStalled()
			}
		}
	}
}

// retry reports an error and waits until the same may be tried again.
func (in *input) retry(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return in.sleep(ctx, 0)
	}
	wait := in.conf.Backoff.Doubled(in.failures)
	var store *listing.StoreError
	switch {
	case errors.As(err, &store):
		in.metrics.checkpointErrors.Incr(1)
	case !errors.Is(err, apicall.ErrSharedLimit):
		// The client has already repeated the call, where that could help.
		wait = in.conf.Backoff.MaxInterval
	}
	in.failures++
	if more, ok := in.failed.Allow(); ok {
		in.log.Errorf("Chats could not be listed; next try in %s%s: %v", component.Round(wait), more, err)
	}
	return in.sleep(ctx, wait)
}

// sleep waits, and returns an error as soon as the input is closed or ctx ends.
func (in *input) sleep(ctx context.Context, d time.Duration) error {
	err := apicall.Sleep(ctx, d)
	if in.stopped.Err() != nil {
		return service.ErrNotConnected
	}
	return err
}

func (in *input) newSaver() *component.Saver {
	failed := component.NewThrottle()
	return &component.Saver{
		Save: in.lister.Save, Interval: in.conf.CheckpointInterval, Backoff: in.conf.Backoff, Moved: component.NewSignal(),
		Saved: in.wake.Send,
		Failed: func(err error, retryIn time.Duration) {
			in.metrics.checkpointErrors.Incr(1)
			if more, ok := failed.Allow(); ok {
				in.log.Errorf("The checkpoint cache failed, and listing waits until it works again; next try in %s%s: %v", component.Round(retryIn), more, err)
			}
		},
	}
}

// Close stops listing and writes the last checkpoint.
func (in *input) Close(ctx context.Context) error {
	in.stop()
	in.running.Wait()
	in.conf.Transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, component.CloseTimeout)
	defer cancel()
	return in.lister.Save(ctx)
}

// ConnectionTest looks at the token, and asks for one entry.
func (in *input) ConnectionTest(ctx context.Context) service.ConnectionTestResults {
	err := component.CheckClaims(in.probe, time.Now())
	switch {
	case err != nil:
	case in.conf.source == events || in.conf.source == talkIDs:
		_, err = in.probe.Events(ctx, crm.EventQuery{Page: 1, Limit: 1})
	default:
		_, err = in.probe.List(ctx, crm.Source(in.conf.source), 1, 1)
	}
	if err != nil {
		return service.ConnectionTestFailed(err).AsList()
	}
	return service.ConnectionTestSucceeded().AsList()
}
