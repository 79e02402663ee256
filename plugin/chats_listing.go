// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/history"
	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
	"github.com/kommo-connect/kommo-connect/plugin/internal/listing"
	"github.com/kommo-connect/kommo-connect/plugin/internal/replay"
)

func init() {
	service.MustRegisterBatchInput(chatsName, chatsSpec(),
		func(conf *service.ParsedConfig, mgr *service.Resources) (service.BatchInput, error) {
			in, err := newChatList(conf, mgr)
			if err != nil {
				return nil, err
			}
			return replay.New(conf, in)
		})
}

// maxChatsOut is how many chats may be delivered and not acknowledged before the
// listing waits. One takes some 3 kB, most of it the message that may have to be
// sent again. What reads them holds the listing back long before, unless it
// rejects them for ever: then each takes its own place, and no more.
const maxChatsOut = 65_536

// chatList is the input kommo_chats.
type chatList struct {
	conf    *chatsConfig
	log     *service.Logger
	metrics *chatsMetrics
	lister  *listing.Lister
	probe   *crm.Client // tries once, for ConnectionTest

	stopped context.Context // ends with Close
	stop    context.CancelFunc
	start   sync.Once
	running sync.WaitGroup // the goroutine of Connect

	acked chan struct{} // for save: the checkpoint may have moved
	wake  chan struct{} // for Read: it may go on
	stuck atomic.Bool   // what was acknowledged can't be saved

	// For Read alone:
	ended    bool
	next     time.Time // when the next listing begins
	failures int       // in a row
	failed   *throttle
	listed   int
	reported time.Time
	odd      int
}

func newChatList(parsed *service.ParsedConfig, mgr *service.Resources) (*chatList, error) {
	conf, err := parseChatsConfig(parsed, mgr)
	if err != nil {
		return nil, err
	}
	in := &chatList{
		conf:     conf,
		log:      mgr.Logger(),
		metrics:  newChatsMetrics(mgr.Metrics()),
		acked:    make(chan struct{}, 1),
		wake:     make(chan struct{}, 1),
		failed:   newThrottle(),
		reported: time.Now(),
	}
	in.stopped, in.stop = context.WithCancel(context.Background())

	attempts := newAttemptLog(in.log)
	callConf := conf.caller(mgr, func(a apicall.Attempt) {
		in.metrics.attempt(a)
		in.metrics.reached(a.Outcome)
		attempts.observe(a)
	})
	callConf.LimitFailed = limitLog(in.log)
	callConf.URLField = fieldAPIURL
	client, err := in.newClient(callConf)
	if err != nil {
		return nil, err
	}
	if in.probe, err = in.newClient(onlyOnce(callConf)); err != nil {
		return nil, err
	}
	listConf := listing.Config{
		Source:   &chatsSource{client: client, list: conf.source},
		Name:     string(conf.source),
		PageSize: conf.pageSize,
		Origins:  conf.origins,
		Since:    conf.updatedSince,
		Once:     conf.source == crm.ContactChats,
	}
	store := newCacheStore(mgr, conf.checkpointCache, conf.checkpointCacheKey, client.Host())
	store.decode = listing.CheckCheckpoint
	if conf.checkpointCache != "" {
		listConf.Store = chatsStore{store}
	}
	listConf.Hooks = in.hooks(store)
	in.lister = listing.New(listConf)
	return in, nil
}

func (in *chatList) newClient(conf apicall.Config) (*crm.Client, error) {
	return crm.NewClient(crm.Config{URL: in.conf.apiURL, Token: in.conf.accessToken, Call: apicall.New(conf)})
}

// Connect starts to save progress. The listing itself happens in Read.
func (in *chatList) Connect(context.Context) error {
	if in.stopped.Err() != nil {
		return service.ErrNotConnected
	}
	in.start.Do(func() {
		if in.conf.checkpointCache == "" {
			in.log.Info("Progress is kept in memory, and a restart will list all chats as new: set checkpoint_cache to keep it")
		}
		in.running.Go(in.save)
	})
	return nil
}

// Read implements replay.Input: it returns the chats of the next page on which
// some are new or changed.
func (in *chatList) Read(ctx context.Context) (*replay.Batch, error) {
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
		signal(in.acked) // a page without anything new moves the checkpoint too
		if b.Done {
			in.ended = in.conf.pollInterval == 0
			in.next = time.Now().Add(in.conf.pollInterval)
		}
		in.listed += len(b.Rows)
		in.reportProgress()
		if len(b.Rows) > 0 {
			return in.batch(b), nil
		}
	}
	return nil, service.ErrEndOfInput
}

func (in *chatList) batch(b *listing.Batch) *replay.Batch {
	messages := make(service.MessageBatch, len(b.Rows))
	newest := int64(0)
	for i := range b.Rows {
		messages[i] = newChatMessage(b.Rows[i].Value.(*crm.Entry)) //nolint:forcetypeassert // chatsSource put it there
		newest = max(newest, b.Rows[i].Updated)
	}
	in.metrics.delivered(len(messages), newest)
	b.Rows = nil // or one chat that is never accepted would keep the page
	return &replay.Batch{
		Messages: messages,
		// Each chat counts by itself, so that one that is rejected for ever takes the
		// place of one.
		Accepted: func(i int) {
			b.AckRow(i)
			signal(in.acked)
			signal(in.wake)
		},
	}
}

// Stopped implements replay.Stopper: kommo_chat_history gives back what it has not
// read when it is stopped.
func (*chatList) Stopped(err error) bool { return errors.Is(err, history.ErrClosed) }

// turn waits until the next request may be made.
func (in *chatList) turn(ctx context.Context) error {
	if err := in.sleep(ctx, time.Until(in.next)); err != nil {
		return err
	}
	stalled := time.NewTimer(stalledAfter)
	defer stalled.Stop()
	for {
		if err := in.sleep(ctx, 0); err != nil {
			return err
		}
		full := in.lister.Stats().Unacked >= maxChatsOut
		if !full && !in.stuck.Load() {
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
func (in *chatList) retry(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return in.sleep(ctx, 0)
	}
	wait := in.backoff(in.failures)
	var store *listing.StoreError
	switch {
	case errors.As(err, &store):
		in.metrics.checkpointErrors.Incr(1)
	case !errors.Is(err, apicall.ErrSharedLimit):
		// The client has tried again already where that could help.
		wait = in.conf.backoff.MaxInterval
	}
	in.failures++
	if more, ok := in.failed.allow(); ok {
		in.log.Errorf("Chats could not be listed; next try in %s%s: %v", round(wait), more, err)
	}
	return in.sleep(ctx, wait)
}

func (in *chatList) backoff(failures int) time.Duration {
	return min(in.conf.backoff.InitialInterval<<min(failures, 20), in.conf.backoff.MaxInterval)
}

// sleep returns early, with an error, when the reading is to end.
func (in *chatList) sleep(ctx context.Context, d time.Duration) error {
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	if in.stopped.Err() != nil {
		return service.ErrNotConnected
	}
	return ctx.Err()
}

// save writes what was acknowledged, at most once in a checkpoint_interval. While
// that fails the listing waits: what can't be remembered would be repeated after a
// crash.
func (in *chatList) save() {
	failed := newThrottle()
	for failures := 0; ; {
		if failures == 0 {
			select {
			case <-in.acked:
			case <-in.stopped.Done():
				return
			}
		}
		wait := in.conf.checkpointInterval
		if err := in.lister.Save(in.stopped); err == nil {
			failures = 0
			in.stuck.Store(false)
			signal(in.wake)
		} else if in.stopped.Err() == nil {
			wait = in.backoff(failures)
			failures++
			in.stuck.Store(true)
			in.metrics.checkpointErrors.Incr(1)
			if more, ok := failed.allow(); ok {
				in.log.Errorf("The checkpoint cache failed, and listing waits until it works again; next try in %s%s: %v", round(wait), more, err)
			}
		}
		_ = in.sleep(in.stopped, wait)
	}
}

// Close stops listing and writes the last checkpoint.
func (in *chatList) Close(ctx context.Context) error {
	in.stop()
	in.running.Wait()
	in.conf.transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	return in.lister.Save(ctx)
}

// ConnectionTest asks for one entry.
func (in *chatList) ConnectionTest(ctx context.Context) service.ConnectionTestResults {
	if _, err := in.probe.List(ctx, in.conf.source, 1, 1); err != nil {
		return service.ConnectionTestFailed(err).AsList()
	}
	return service.ConnectionTestSucceeded().AsList()
}

// signal leaves a signal that is not lost if nobody waits for it yet.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
