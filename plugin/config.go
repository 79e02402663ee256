// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/amojo"
	"github.com/kommo-connect/kommo-connect/plugin/apicall"
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

	requestsPerSecond float64
	burst             int
	rateLimit         string
	timeout           time.Duration
	backoff           apicall.Backoff

	checkpointCache    string
	checkpointCacheKey string
	checkpointInterval time.Duration

	transport http.RoundTripper
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

func (r *fieldReader) atLeast(field string, least int) int {
	n := read(r, r.conf.FieldInt, field)
	r.require(n >= least, "%s: want %d or more, got %d", field, least, n)
	return n
}

func (r *fieldReader) require(ok bool, format string, args ...any) {
	if !ok && r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func parseInputConfig(conf *service.ParsedConfig, mgr *service.Resources) (*inputConfig, error) {
	r := &fieldReader{conf: conf}
	c := &inputConfig{
		baseURL:            read(r, conf.FieldString, fieldBaseURL),
		scopeID:            read(r, conf.FieldString, fieldScopeID),
		channelSecret:      read(r, conf.FieldString, fieldChannelSecret),
		chats:              read(r, conf.FieldStringList, fieldChats),
		pageSize:           read(r, conf.FieldInt, fieldPageSize),
		lookback:           r.duration(fieldLookback, 0),
		parallelChats:      r.atLeast(fieldParallelChats, 1),
		checkpointLimit:    r.atLeast(fieldCheckpointLimit, 1),
		preserveOrder:      read(r, conf.FieldBool, fieldPreserveOrder),
		maxBufferedPages:   r.atLeast(fieldMaxBufferedPages, 1),
		requestsPerSecond:  read(r, conf.FieldFloat, fieldRequestsPerSecond),
		burst:              r.atLeast(fieldBurst, 1),
		rateLimit:          r.text(fieldRateLimit),
		timeout:            r.duration(fieldTimeout, time.Millisecond),
		checkpointCache:    r.text(fieldCheckpointCache),
		checkpointCacheKey: read(r, conf.FieldString, fieldCheckpointCacheKey),
		checkpointInterval: r.duration(fieldCheckpointInterval, 0),
	}
	r.require(c.pageSize >= 1 && c.pageSize <= amojo.MaxLimit, "%s: want 1 to %d, the most the API gives in a page, got %d", fieldPageSize, amojo.MaxLimit, c.pageSize)
	r.require(c.requestsPerSecond >= 0 && !math.IsInf(c.requestsPerSecond, 0), "%s: want 0 or more, where 0 means no limit", fieldRequestsPerSecond)
	r.require(c.checkpointCacheKey != "", "%s: want a prefix for the keys, as in %s", fieldCheckpointCacheKey, inputName)

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
		var err error
		c.since, err = time.Parse(time.RFC3339, since)
		r.require(err == nil, "%s: want a time in RFC 3339, as in 2024-01-01T00:00:00Z, got %q", fieldSince, since)
	}
	if r.err == nil {
		b, err := conf.FieldBackOff(fieldBackoff)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", fieldBackoff, err)
		}
		c.backoff = apicall.Backoff{InitialInterval: b.InitialInterval, MaxInterval: b.MaxInterval, MaxElapsedTime: b.MaxElapsedTime}
		r.require(b.InitialInterval > 0 && b.MaxInterval >= b.InitialInterval && b.MaxElapsedTime >= 0,
			"%s: want an initial_interval above 0, a max_interval that is no less, and a max_elapsed_time of 0 or more", fieldBackoff)
	}
	if r.err != nil {
		return nil, r.err
	}

	if err := c.readChats(conf); err != nil {
		return nil, err
	}
	if c.checkpointCache != "" && !mgr.HasCache(c.checkpointCache) {
		return nil, fmt.Errorf("%s: there is no cache resource with the label %q: add it under cache_resources, or correct the label", fieldCheckpointCache, c.checkpointCache)
	}
	if c.rateLimit != "" && !mgr.HasRateLimit(c.rateLimit) {
		return nil, fmt.Errorf("%s: there is no rate limit resource with the label %q: add it under rate_limit_resources, or correct the label", fieldRateLimit, c.rateLimit)
	}
	return c, c.readTransport(conf, r)
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

func (c *inputConfig) readTransport(conf *service.ParsedConfig, r *fieldReader) error {
	tlsConf, enabled, err := conf.FieldTLSToggled(fieldTLS)
	if err != nil {
		return fmt.Errorf("%s: %w", fieldTLS, err)
	}
	var custom *tls.Config
	if enabled {
		custom = tlsConf
	}
	proxy := r.text(fieldProxyURL)
	if r.err != nil {
		return r.err
	}
	transport, err := apicall.NewTransport(proxy, custom)
	if err != nil {
		return fmt.Errorf("%s: %w", fieldProxyURL, err)
	}
	transport.MaxIdleConnsPerHost = max(transport.MaxIdleConnsPerHost, c.parallelChats)
	transport.MaxIdleConns = max(transport.MaxIdleConns, transport.MaxIdleConnsPerHost)
	c.transport = transport
	return nil
}
