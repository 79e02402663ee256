// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/amojo"
)

// inputConfig is the configuration of the input, parsed and checked. Optional
// durations and times are zero where they are absent; pollSet tells a
// poll_interval of 0 from none.
type inputConfig struct {
	baseURL       string
	scopeID       string
	channelSecret string

	chats      []string
	chatsInput *service.OwnedInput
	chatID     *service.InterpolatedString

	pageSize         int
	pollInterval     time.Duration
	pollSet          bool
	startLatest      bool
	since            time.Time
	lookback         time.Duration
	parallelChats    int
	checkpointLimit  int
	preserveOrder    bool
	maxBufferedPages int

	callConfig
	checkpointConfig
}

// fieldReader reads fields and keeps the first error, which names the field.
type fieldReader struct {
	conf *service.ParsedConfig
	err  error
}

func read[T any](r *fieldReader, get func(path ...string) (T, error), field string) T {
	v, err := get(field)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("%s: %w", field, err)
	}
	return v
}

// text reads an optional string. An empty one counts as absent, so that a field
// can be filled from an environment variable that may be empty.
func (r *fieldReader) text(field string) string {
	if !r.conf.Contains(field) {
		return ""
	}
	return strings.TrimSpace(read(r, r.conf.FieldString, field))
}

func (r *fieldReader) duration(field string, least time.Duration) time.Duration {
	d := read(r, r.conf.FieldDuration, field)
	r.require(d >= least, "%s: want %s or more, got %s", field, least, d)
	return d
}

func (r *fieldReader) positive(field string) int {
	n := read(r, r.conf.FieldInt, field)
	r.require(n >= 1, "%s: want 1 or more, got %d", field, n)
	return n
}

// time reads what a field has as text.
func (r *fieldReader) time(field, text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	r.require(err == nil, "%s: want a time in RFC 3339, as in 2024-01-01T00:00:00Z, got %q", field, text)
	return t
}

func (r *fieldReader) require(ok bool, format string, args ...any) {
	if !ok && r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func parseInputConfig(conf *service.ParsedConfig, mgr *service.Resources) (*inputConfig, error) {
	r := &fieldReader{conf: conf}
	c := &inputConfig{
		baseURL:          read(r, conf.FieldString, fieldBaseURL),
		scopeID:          read(r, conf.FieldString, fieldScopeID),
		channelSecret:    read(r, conf.FieldString, fieldChannelSecret),
		chats:            read(r, conf.FieldStringList, fieldChats),
		pageSize:         read(r, conf.FieldInt, fieldPageSize),
		lookback:         r.duration(fieldLookback, 0),
		parallelChats:    r.positive(fieldParallelChats),
		checkpointLimit:  r.positive(fieldCheckpointLimit),
		preserveOrder:    read(r, conf.FieldBool, fieldPreserveOrder),
		maxBufferedPages: r.positive(fieldMaxBufferedPages),
		callConfig:       r.call(),
		checkpointConfig: r.checkpoint(inputName),
	}
	r.require(c.pageSize >= 1 && c.pageSize <= amojo.MaxLimit, "%s: want 1 to %d, the most the API gives in a page, got %d", fieldPageSize, amojo.MaxLimit, c.pageSize)

	if poll := r.text(fieldPollInterval); poll != "" {
		c.pollSet = true
		c.pollInterval = r.duration(fieldPollInterval, time.Millisecond)
	}
	switch start := read(r, conf.FieldString, fieldStartFrom); start {
	case startOldest, "":
	case startLatest:
		c.startLatest = true
	default:
		r.require(false, "%s: want %s or %s, got %q", fieldStartFrom, startOldest, startLatest, start)
	}
	if since := r.text(fieldSince); since != "" {
		c.since = r.time(fieldSince, since)
	}
	if r.err != nil {
		return nil, r.err
	}

	if err := c.readChats(conf); err != nil {
		return nil, err
	}
	if err := c.checkCache(mgr); err != nil {
		return nil, err
	}
	if err := c.finishCall(r, mgr, c.parallelChats); err != nil {
		return nil, err
	}
	return c, nil
}

// readChats reads which chats there are to read.
func (c *inputConfig) readChats(conf *service.ParsedConfig) error {
	listed, fromInput := len(c.chats) > 0, conf.Contains(fieldChatsInput)
	switch {
	case !listed && !fromInput:
		return errors.New("there is no chat to read: list them in chats, or set chats_input to an input that names them")
	case listed && fromInput:
		return errors.New("both chats and chats_input say what to read: remove one of them")
	}
	seen := make(map[string]struct{}, len(c.chats))
	for i, id := range c.chats {
		if id = strings.TrimSpace(id); id == "" {
			return fmt.Errorf("%s: entry %d is empty: want a chat's id in the Chats API", fieldChats, i+1)
		}
		if _, twice := seen[id]; twice {
			return fmt.Errorf("%s: %s is named twice: remove one of them", fieldChats, id)
		}
		seen[id] = struct{}{}
		c.chats[i] = id
	}
	if !fromInput {
		return nil
	}
	var err error
	if c.chatID, err = conf.FieldInterpolatedString(fieldChatID); err != nil {
		return fmt.Errorf("%s: %w", fieldChatID, err)
	}
	if c.chatsInput, err = conf.FieldInput(fieldChatsInput); err != nil {
		return fmt.Errorf("%s: %w", fieldChatsInput, err)
	}
	return nil
}
