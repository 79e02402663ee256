// SPDX-License-Identifier: Apache-2.0

package component

import (
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/internal/reader"
)

// The fields that say how messages are read, of every input that reads them. They are a
// public contract.
const (
	FieldPageSize         = "page_size"
	FieldPollInterval     = "poll_interval"
	FieldStartFrom        = "start_from"
	FieldSince            = "since"
	FieldLookback         = "lookback"
	FieldChanges          = "changes"
	FieldChangesInterval  = "changes_interval"
	FieldParallelChats    = "parallel_chats"
	FieldCheckpointLimit  = "checkpoint_limit"
	FieldPreserveOrder    = "preserve_order"
	FieldMaxBufferedPages = "max_buffered_pages"
)

// The values of [FieldStartFrom].
const (
	StartOldest = "oldest"
	StartLatest = "latest"
)

// HistoryTexts are what the descriptions of those fields say of one input.
type HistoryTexts struct {
	Chat, Chats string // what one of those that are read is called, and many
	MaxPage     int    // the most messages that the API gives in a page

	PageSize, PollInterval, StartFrom, Since, Lookback, Changes, ChangesInterval, CheckpointLimit, MaxBufferedPages string
}

// HistoryFields returns those fields.
func HistoryFields(texts HistoryTexts) []*service.ConfigField {
	return []*service.ConfigField{
		service.NewIntField(FieldPageSize).
			Description(texts.PageSize).
			Default(texts.MaxPage).
			Advanced(),
		service.NewDurationField(FieldPollInterval).
			Description(texts.PollInterval).
			Optional().
			Example("30s"),
		service.NewStringEnumField(FieldStartFrom, StartOldest, StartLatest).
			Description(texts.StartFrom).
			Default(StartOldest).
			LintRule(""), // the engine's own would refuse an empty one, as of a variable that may be empty
		service.NewStringField(FieldSince).
			Description(texts.Since).
			Optional().
			Example("2024-01-01T00:00:00Z"),
		service.NewDurationField(FieldLookback).
			Description(texts.Lookback).
			Default("5m").
			Advanced(),
		service.NewBoolField(FieldChanges).
			Description(texts.Changes).
			Default(false),
		service.NewDurationField(FieldChangesInterval).
			Description(texts.ChangesInterval).
			Default("15m").
			Advanced(),
		service.NewIntField(FieldParallelChats).
			Description("How many " + texts.Chats + " are fetched side by side. One that only waits for its acknowledgements does not count.").
			Default(4),
		service.NewIntField(FieldCheckpointLimit).
			Description(texts.CheckpointLimit).
			Default(4096).
			Advanced(),
		service.NewBoolField(FieldPreserveOrder).
			Description("Whether a " + texts.Chat + "'s next batch waits for the acknowledgement of the one before. `false` lets several batches of one " + texts.Chat + " be in flight, so that outputs with large or slow batches stay busy; the order then rests on `pipeline.threads: 1` and the output's `max_in_flight: 1`. A checkpoint still covers only what is acknowledged without a gap.").
			Default(true).
			Advanced(),
		service.NewIntField(FieldMaxBufferedPages).
			Description(texts.MaxBufferedPages).
			Default(100).
			Advanced(),
	}
}

// ChangesText describes [FieldChanges].
func ChangesText(chat string) string {
	return "Whether messages come out again that were edited, delivered, read or deleted, and all get the metadata `kommo_operation`. They are looked for within `lookback` of the newest message of a " + chat +
		", so set that to how long after it was sent a message may change, as in `24h`, and mind the 1,000 messages of which a checkpoint keeps the ids. A deletion is believed only after two readings over its place. " +
		"The checkpoint keeps eight bytes of hash for each id: some 90 bytes a message instead of 70, and 100 kB a " + chat + " at most where no message claims to be of the future. One from before is read as it is."
}

// ChangesIntervalText describes [FieldChangesInterval]. queued is what to say of the input
// that names what is read.
func ChangesIntervalText(chat, queued string) string {
	return "With `changes`: how long after its last reading a " + chat + " is read again by itself that has messages younger than `lookback`: nothing tells of an edit. It is one request where nothing happened and the span fits a page, and waits behind what has news. " +
		"With a shorter `poll_interval` that counts; in a run that has an end nothing is read twice. " + queued + " So many are looked after as fit into 64 MiB, with some 32 bytes a message and 500 a " + chat + "."
}

// HistoryConfig is how messages are read. A component embeds it in its configuration.
// Optional durations and times are zero where they are absent; PollSet tells a
// poll_interval of 0 from none.
type HistoryConfig struct {
	PageSize         int
	PollInterval     time.Duration
	PollSet          bool
	StartLatest      bool
	Since            time.Time
	Lookback         time.Duration
	Changes          bool
	ChangesInterval  time.Duration
	ParallelChats    int
	CheckpointLimit  int
	PreserveOrder    bool
	MaxBufferedPages int

	CallConfig
	CheckpointConfig
}

// History reads those fields, with those of the calls and of the checkpoints. The API
// gives at most maxPage messages in a page, and so many calls of a chat may be made at once.
func (r *FieldReader) History(input string, l Labels, maxPage, calls int) HistoryConfig {
	c := HistoryConfig{
		PageSize:         Read(r, r.Conf.FieldInt, FieldPageSize),
		Lookback:         r.Duration(FieldLookback, 0),
		Changes:          Read(r, r.Conf.FieldBool, FieldChanges),
		ChangesInterval:  r.Duration(FieldChangesInterval, time.Millisecond),
		ParallelChats:    r.Positive(FieldParallelChats),
		CheckpointLimit:  r.Positive(FieldCheckpointLimit),
		PreserveOrder:    Read(r, r.Conf.FieldBool, FieldPreserveOrder),
		MaxBufferedPages: r.Positive(FieldMaxBufferedPages),
		CheckpointConfig: r.Checkpoint(input, l),
	}
	c.CallConfig = r.Call(l, c.ParallelChats*calls)
	r.Require(c.PageSize >= 1 && c.PageSize <= maxPage, "%s: want 1 to %d, the most the API gives in a page, got %d", FieldPageSize, maxPage, c.PageSize)

	r.Require(!c.Changes || c.Lookback > 0, "%s: changes are looked for within %s, and that is 0: raise it to how long after it was sent a message may still change, as in 24h", FieldChanges, FieldLookback)
	if r.Text(FieldPollInterval) != "" {
		c.PollSet = true
		c.PollInterval = r.Duration(FieldPollInterval, time.Millisecond)
	}
	switch start := r.Text(FieldStartFrom); start {
	case StartOldest, "":
	case StartLatest:
		c.StartLatest = true
	default:
		r.Require(false, "%s: want %s or %s, got %q", FieldStartFrom, StartOldest, StartLatest, start)
	}
	if since := r.Text(FieldSince); since != "" {
		c.Since = r.Time(FieldSince, since)
	}
	return c
}

// attemptsPerCall is how often a call is tried before its chat gives its place up to
// another.
const attemptsPerCall = 4

// Caller is that of CallConfig, for calls that are made for one of many chats.
func (c *HistoryConfig) Caller(mgr *service.Resources, observe func(apicall.Attempt)) apicall.Config {
	conf := c.CallConfig.Caller(mgr, observe)
	conf.MaxAttempts = attemptsPerCall
	return conf
}

// Reader returns the part of a reader's configuration that these fields say.
func (c *HistoryConfig) Reader() reader.Config {
	var changes time.Duration
	if c.Changes {
		changes = c.ChangesInterval
	}
	return reader.Config{
		Changes:            changes,
		PageSize:           max(2, c.PageSize),
		MaxBufferedPages:   c.MaxBufferedPages,
		ParallelChats:      c.ParallelChats,
		CheckpointLimit:    c.CheckpointLimit,
		PreserveOrder:      c.PreserveOrder,
		Poll:               c.PollInterval,
		Latest:             c.StartLatest,
		Since:              c.Since,
		Lookback:           c.Lookback,
		CheckpointInterval: c.CheckpointInterval,
		FirstRetry:         c.Backoff.InitialInterval,
		Retry:              c.Backoff.MaxInterval,
	}
}
