// SPDX-License-Identifier: Apache-2.0

package talkhistory

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
	"github.com/kommo-connect/kommo-connect/plugin/internal/evidence"
	"github.com/kommo-connect/kommo-connect/plugin/internal/feed"
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
		InPlace:  map[string]any{fieldTalksInput: map[string]any{"stdin": map[string]any{}}},
	})
}

// input is the input kommo_talk_history.
type input struct {
	conf    *config
	log     *service.Logger
	metrics *metrics
	client  *crm.Client // retries as configured
	probe   *crm.Client // tries once: for ConnectionTest, and while the API is down
	health  *component.Health
	source  *source
	named   *named
	reader  *reader.Reader
	report  *report
	queue   component.Queue // of talks_input
	account *account        // nil: something else names the talks

	checkpoints *component.CacheStore // of talks
	feedStore   *component.CacheStore // of the feed
	starts      *component.CacheStore // nil: none is kept

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
		named:   newNamed(conf.Changes),
	}
	in.stopped, in.stop = context.WithCancel(context.Background())

	in.report = newReport(in)
	callConf := conf.Caller(mgr, in.report.Attempt)
	callConf.URLField = fieldAPIURL
	tokens, err := conf.Source()
	if err != nil {
		return nil, err
	}
	if in.client, err = in.newClient(tokens, callConf); err != nil {
		return nil, err
	}
	if in.probe, err = in.newClient(tokens, component.OnlyOnce(callConf)); err != nil {
		return nil, err
	}
	if conf.account() {
		in.account = newAccount(in)
		in.report.Account = in.account.backfill
	}
	in.health = component.NewHealth(callConf.Limiter, conf.Backoff, in.chats, conf.ParallelChats, in.report.healthChanged)
	in.source = newSource(in.client, in.probe, in.health, newRefusals(in.health, in.report.alsoRefused))
	in.source.hashed, in.source.named = conf.Changes, in.named

	in.checkpoints = component.NewCacheStore(mgr, conf.CheckpointCache, conf.CheckpointCacheKey, in.client.Host(), chat.CheckCheckpoint)
	in.feedStore = component.NewCacheStore(mgr, conf.CheckpointCache, conf.CheckpointCacheKey, in.client.Host(), feed.CheckCheckpoint)
	readerConf := conf.Reader()
	if conf.CheckpointCache != "" {
		readerConf.Store = in.checkpoints
		in.starts = component.NewCacheStore(mgr, conf.CheckpointCache, conf.CheckpointCacheKey, in.client.Host(), checkStart)
	}
	readerConf.NewPass = in.newPass(chat.FromTalks(in.source, &evidence.Server{}))
	readerConf.Hooks = in.report.Hooks()
	readerConf.OncePerAdd = len(conf.talks) == 0
	readerConf.Latest = conf.StartLatest && in.account == nil // an account has a start of its own
	readerConf.RetryNotOurs = conf.Backoff.MaxInterval        // no talk is that
	readerConf.Transient = transient
	if in.account != nil {
		readerConf.KeepFrom = in.named.keepFrom
	}
	if in.reader, err = reader.NewReader(readerConf); err != nil {
		return nil, err
	}
	in.report.Health, in.report.Reader, in.report.Checkpoints = in.health, in.reader, in.checkpoints
	in.queue = component.Queue{
		Input: conf.talksInput, Field: fieldTalksInput, Log: in.log, Reader: in.reader,
		ID: in.queuedTalk, Named: in.hold, Done: in.named.release,
	}
	return in, nil
}

func (in *input) newClient(tokens crm.TokenSource, conf apicall.Config) (*crm.Client, error) {
	return crm.NewClient(crm.Config{URL: in.conf.apiURL, Tokens: tokens, Call: apicall.New(conf)})
}

// chats returns how many there are for Health: the feed is one of them.
func (in *input) chats() int {
	n := component.ChatsOf(in.reader)
	if in.account != nil {
		n++
	}
	return n
}

// newPass has the passes over an account's talks begin where the account does, and find
// what was announced.
func (in *input) newPass(pass chat.NewPass) chat.NewPass {
	if in.account == nil {
		return pass
	}
	since := int64(math.MinInt64)
	if !in.conf.Since.IsZero() {
		since = in.conf.Since.UnixMilli()
	}
	return func(s chat.Start) chat.Pass {
		in.named.begins(s.Chat, s.Known, &s.From)
		// What is late is looked for from its announcement on.
		if from := in.named.awaitedFrom(s.Chat); s.Known && from < s.From.Time {
			s.Lookback = max(s.Lookback, time.Duration(s.From.Time-from)*time.Millisecond)
		}
		emit := s.Emit
		s.Emit = func(ctx context.Context, items []chat.Item, now int64) error {
			in.named.met(s.Chat, items) // first, for what is awaited is kept room for
			return emit(ctx, items, now)
		}
		begin := func(s chat.Start) chat.Pass {
			return newRecovery(pass, s, in, since)
		}
		if in.account.start.Time == 0 {
			return begin(s)
		}
		return &sinceStart{account: in.account, start: s, pass: begin}
	}
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
		if err := in.checkToken(); err != nil {
			in.source.refusals.begin(messageCalls, err, in.health.MarkDown)
		}
		in.reader.Start()
		in.running.Go(func() { in.report.Watch(in.stopped) })
		switch {
		case in.conf.queued:
			in.running.Go(func() { in.queue.Run(in.stopped) })
		case in.account != nil:
			in.running.Go(func() { in.account.run(in.stopped) })
		default:
			for _, id := range in.conf.talks {
				in.reader.Add(id, nil)
			}
			in.reader.AllAdded()
		}
	})
	return in.health.Wait(ctx)
}

// checkToken says what the token itself tells: that it may not be used for this, or no
// longer. Of a token that tells nothing nothing is known.
func (in *input) checkToken() error {
	return component.CheckClaims(in.client, time.Now(), crm.ScopeMessages)
}

// Read returns the next messages of one talk, oldest first. It is not connected
// while the API does not answer and nothing is left of what was read before.
func (in *input) Read(ctx context.Context) (*replay.Batch, error) {
	b, err := in.health.Next(ctx, in.reader)
	if errors.Is(err, service.ErrEndOfInput) {
		in.report.Ended()
	}
	if err != nil {
		return nil, err
	}
	mint := mint{talk: b.Chat, facts: in.named.facts(b.Chat)}
	messages, newest := component.Messages(b.Items, in.conf.Changes, func(value any) *service.Message {
		return mint.message(value.(*crm.Message)) //nolint:forcetypeassert // source puts nothing else there
	}, mint.deleted)
	in.metrics.Delivered(len(messages), newest)
	rejected := func() {
		in.report.OutputRejected()
		b.Rejected()
	}
	return &replay.Batch{Messages: messages, Ack: b.Ack, Rejected: rejected}, nil
}

// Close stops reading and writes the last checkpoints, those of the talks first: the
// feed's covers them.
func (in *input) Close(ctx context.Context) error {
	in.stop()
	in.start.Do(func() { in.idle = true })
	ctx, cancel := context.WithTimeout(ctx, component.CloseTimeout)
	defer cancel()
	err := in.reader.Close(ctx)
	in.running.Wait()
	if in.account != nil && !in.idle {
		err = errors.Join(err, in.account.close(ctx))
	}
	in.conf.Transport.CloseIdleConnections()
	// An input that nobody has read from was never started, so it would never end.
	if in.conf.talksInput != nil && !in.idle {
		err = errors.Join(err, in.queue.Close(ctx))
	}
	return err
}

// ConnectionTest looks at the token, and asks for a page of a talk. That there is no such
// talk the API says only to who may read talks.
func (in *input) ConnectionTest(ctx context.Context) service.ConnectionTestResults {
	err := in.checkToken()
	if err == nil {
		id := "1"
		if len(in.conf.talks) > 0 {
			id = in.conf.talks[0]
		}
		_, err = in.probe.TalkMessages(ctx, id, crm.MessageQuery{Page: 1, Limit: 1})
		if len(in.conf.talks) == 0 && isNotFound(err) {
			err = nil
		}
	}
	if err == nil && in.account != nil {
		_, err = in.probe.Events(ctx, crm.EventQuery{Page: 1, Limit: 1})
	}
	if err != nil {
		return service.ConnectionTestFailed(err).AsList()
	}
	return service.ConnectionTestSucceeded().AsList()
}

// What is wrong with a message of talks_input. What it has in place of an id is not
// repeated: it may be anything.
var (
	errNoTalk = errors.New("there is no id: check that talk_id finds a talk's id in the message")
	errNoID   = errors.New("what talk_id finds is no talk's id, which is a number as talk_id of GET /api/v4/talks: check that it finds that alone in the message")
)

// queuedTalk returns the id in a message of talks_input.
func (in *input) queuedTalk(m *service.Message) (string, error) {
	id, err := in.conf.talkID.TryString(m)
	id = strings.TrimSpace(id)
	switch {
	case err != nil:
		return "", err
	case id == "" || id == "null":
		return "", errNoTalk
	case crm.CheckTalkID(id) != nil:
		return "", errNoID
	}
	return id, nil
}

// hold keeps what a message of talks_input says of its talk.
func (in *input) hold(id string, m *service.Message) {
	text := func(key string) string {
		v, _ := m.MetaGet(key)
		return v
	}
	in.named.hold(id, facts{
		origin: text(metaOrigin), contactID: text(metaContactID), entityID: text(metaEntityID), entityType: text(metaEntityType),
	}, nil, time.Time{})
}
