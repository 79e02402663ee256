// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/redpanda-data/benthos/v4/public/service"
	"gopkg.in/yaml.v3"

	"github.com/kommo-connect/kommo-connect/plugin/internal/amojo"
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

// labels tells which resources there are.
type labels interface {
	HasCache(label string) bool
	HasRateLimit(label string) bool
}

// fieldReader reads fields and keeps what is wrong with them. Each error begins
// with the field, and says what to do.
type fieldReader struct {
	conf *service.ParsedConfig
	// linting is for a reading that builds nothing: no input in a field, and no file
	// of this machine is missed.
	linting bool
	errs    []error
}

func (r *fieldReader) fail(err error) {
	if err != nil {
		r.errs = append(r.errs, err)
	}
}

// err is the first thing that is wrong.
func (r *fieldReader) err() error {
	if len(r.errs) == 0 {
		return nil
	}
	return r.errs[0]
}

func (r *fieldReader) require(ok bool, format string, args ...any) {
	if !ok {
		r.fail(fmt.Errorf(format, args...))
	}
}

func read[T any](r *fieldReader, get func(path ...string) (T, error), field string) T {
	v, err := get(field)
	if err != nil {
		r.fail(fmt.Errorf("%s: %w", field, err))
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

// duration reads a duration of at least so much. Where it is none the result is
// least, so that nothing else is found wrong for it.
func (r *fieldReader) duration(field string, least time.Duration) time.Duration {
	return r.durationAt(least, field)
}

func (r *fieldReader) durationAt(least time.Duration, path ...string) time.Duration {
	field := strings.Join(path, ".")
	text, err := r.conf.FieldString(path...)
	if err != nil {
		r.fail(fmt.Errorf("%s: %w", field, err))
		return least
	}
	d, err := time.ParseDuration(strings.TrimSpace(text))
	switch {
	case err != nil:
		r.require(false, "%s: want a duration with its unit, as in 30s or 5m, got %q", field, text)
		return least
	case d < least && least == 1:
		r.require(false, "%s: want more than 0s, got %s", field, d)
		return least
	case d < least:
		r.require(false, "%s: want %s or more, got %s", field, least, d)
		return least
	}
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

// secret reads a secret, which is used as it is. Its value is in no error.
func (r *fieldReader) secret(field string) string {
	s := read(r, r.conf.FieldString, field)
	r.require(s == "" || strings.TrimSpace(s) != "", "%s: it is blank: want the secret itself", field)
	r.require(s == strings.TrimSpace(s) || strings.TrimSpace(s) == "", "%s: it begins or ends with a space or a line break: remove that", field)
	return s
}

func parseInputConfig(conf *service.ParsedConfig, mgr *service.Resources) (*inputConfig, error) {
	r := &fieldReader{conf: conf}
	c := readInputConfig(r, mgr)
	if err := r.err(); err != nil {
		return nil, err
	}
	// Last, because it builds the input that is in the field.
	if conf.Contains(fieldChatsInput) {
		var err error
		if c.chatsInput, err = conf.FieldInput(fieldChatsInput); err != nil {
			return nil, fmt.Errorf("%s: %w", fieldChatsInput, err)
		}
	}
	return c, nil
}

// readInputConfig reads all but the input in chats_input. What is wrong is in the
// reader.
func readInputConfig(r *fieldReader, l labels) *inputConfig {
	conf := r.conf
	c := &inputConfig{
		baseURL:          strings.TrimSpace(read(r, conf.FieldString, fieldBaseURL)),
		scopeID:          strings.TrimSpace(read(r, conf.FieldString, fieldScopeID)),
		channelSecret:    r.secret(fieldChannelSecret),
		chats:            read(r, conf.FieldStringList, fieldChats),
		pageSize:         read(r, conf.FieldInt, fieldPageSize),
		lookback:         r.duration(fieldLookback, 0),
		parallelChats:    r.positive(fieldParallelChats),
		checkpointLimit:  r.positive(fieldCheckpointLimit),
		preserveOrder:    read(r, conf.FieldBool, fieldPreserveOrder),
		maxBufferedPages: r.positive(fieldMaxBufferedPages),
		checkpointConfig: r.checkpoint(inputName, l),
	}
	c.callConfig = r.call(l, c.parallelChats)
	r.require(c.pageSize >= 1 && c.pageSize <= amojo.MaxLimit, "%s: want 1 to %d, the most the API gives in a page, got %d", fieldPageSize, amojo.MaxLimit, c.pageSize)

	if r.text(fieldPollInterval) != "" {
		c.pollSet = true
		c.pollInterval = r.duration(fieldPollInterval, time.Millisecond)
	}
	switch start := r.text(fieldStartFrom); start {
	case startOldest, "":
	case startLatest:
		c.startLatest = true
	default:
		r.require(false, "%s: want %s or %s, got %q", fieldStartFrom, startOldest, startLatest, start)
	}
	if since := r.text(fieldSince); since != "" {
		c.since = r.time(fieldSince, since)
	}
	c.readChats(r)
	c.checkClient(r)
	return c
}

// checkClient has the client check what is its own, one field at a time so that
// each is reported.
func (c *inputConfig) checkClient(r *fieldReader) {
	const scope, secret = "channel_account", "secret" // any that are right
	for _, conf := range []amojo.Config{
		{BaseURL: c.baseURL, ScopeID: scope, Secret: secret},
		{ScopeID: c.scopeID, Secret: secret},
		{ScopeID: scope, Secret: c.channelSecret},
	} {
		_, err := amojo.NewClient(conf)
		r.fail(err)
	}
}

// readChats reads which chats there are to read.
func (c *inputConfig) readChats(r *fieldReader) {
	listed, fromInput := len(c.chats) > 0, r.conf.Contains(fieldChatsInput)
	switch {
	case !listed && !fromInput:
		r.fail(errors.New("there is no chat to read: list them in chats, or set chats_input to an input that names them"))
	case listed && fromInput:
		r.fail(errors.New("both chats and chats_input say what to read: remove one of them"))
	}
	seen := make(map[string]int, len(c.chats))
	for i, id := range c.chats {
		id = strings.TrimSpace(id)
		c.chats[i] = id
		if err := checkChatID(id); err != nil {
			r.fail(fmt.Errorf("%s: entry %d %w", fieldChats, i+1, err))
			continue
		}
		if first, twice := seen[id]; twice {
			r.require(false, "%s: %s is named twice, as entry %d and as entry %d: remove one of them", fieldChats, id, first, i+1)
			continue
		}
		seen[id] = i + 1
	}
	if !fromInput {
		return
	}
	if input, _ := r.conf.FieldAny(fieldChatsInput); isEmpty(input) {
		r.require(false, "%s: it is empty: want an input, as in kommo_chats: {…}", fieldChatsInput)
	}
	text := read(r, r.conf.FieldString, fieldChatID)
	id, err := service.NewInterpolatedString(text)
	if err != nil {
		r.fail(fmt.Errorf("%s: it can't be read as an interpolation, as in ${! @kommo_chat_id }: %w", fieldChatID, err))
		return
	}
	_, static := id.Static()
	r.require(!static, "%s: it is the same for every message, got %q: want an interpolation, as in ${! @kommo_chat_id }", fieldChatID, text)
	c.chatID = id
}

// isEmpty tells whether a field that holds a component holds none.
func isEmpty(component any) bool {
	switch c := component.(type) {
	case nil:
		return true
	case map[string]any:
		return len(c) == 0
	case *yaml.Node:
		return len(c.Content) == 0 && (c.Kind == yaml.MappingNode || c.Tag == "!!null")
	}
	return false
}

// checkChatID says why a text can't be the id of a chat, or returns nil. The error
// continues a sentence that has named where the text is from, and does not repeat
// it: it may be anything.
func checkChatID(id string) error {
	switch {
	case id == "":
		return errors.New("is empty: want a chat's id in the Chats API")
	case strings.ContainsAny(id, `{}[]"`):
		return errors.New("is JSON, not a chat's id: want the id alone")
	case strings.Contains(id, "://") || id == "." || id == "..":
		return errors.New("is an address or a path, not a chat's id: want the id alone")
	case strings.ContainsFunc(id, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == ',' || r == ';' }):
		return errors.New("has a space, a comma or the like in it, so it is no chat's id: want one id an entry, with commas between the entries")
	}
	return nil
}
