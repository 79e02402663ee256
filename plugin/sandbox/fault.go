// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"
)

// FaultKind names a way in which the sandbox misbehaves.
type FaultKind string

// The kinds of faults.
const (
	// FaultStatus answers Status, 400 to 599, with the Body of choice and, if
	// RetryAfter is set, a Retry-After header. 400, 402 and 404 are answered only
	// to requests that are well signed (or have the right access token), as these are
	// the application's own answers.
	FaultStatus FaultKind = "status"
	// FaultHTML answers 200 with an HTML page instead of JSON.
	FaultHTML FaultKind = "html"
	// FaultRedirect answers 302 to Location.
	FaultRedirect FaultKind = "redirect"
	// FaultReset resets the connection without an answer.
	FaultReset FaultKind = "reset"
	// FaultClose closes the connection without an answer.
	FaultClose FaultKind = "close"
	// FaultDelay waits for Delay and then answers as usual; long ones make clients
	// time out.
	FaultDelay FaultKind = "delay"
	// FaultClock sets the server's clock off by Shift: its date window and its Date
	// header.
	FaultClock FaultKind = "clock"
	// FaultCutLength sends half of a page that a Content-Length announces in full.
	FaultCutLength FaultKind = "cut-length"
	// FaultCutChunked breaks a chunked page off in the middle.
	FaultCutChunked FaultKind = "cut-chunked"
	// FaultCutJSON sends half of a page as a complete answer.
	FaultCutJSON FaultKind = "cut-json"
	// FaultHuge pads a page to Size bytes; it stays a valid page.
	FaultHuge FaultKind = "huge"
	// FaultOldestFirst serves the history in reverse, offset 0 the oldest message.
	FaultOldestFirst FaultKind = "oldest-first"
	// FaultNullItems mixes a null into the history behind every ten messages. The
	// nulls take part in the numbering, so that nothing else is lost by them.
	FaultNullItems FaultKind = "null-items"
	// FaultNoID leaves message.id out of every item.
	FaultNoID FaultKind = "no-id"
	// FaultNoMsec leaves msec_timestamp out of every item.
	FaultNoMsec FaultKind = "no-msec"
	// FaultPastEnd answers a page behind the last message by PastEnd.
	FaultPastEnd FaultKind = "past-end"
)

// Body is what comes with the status of FaultStatus.
type Body string

// The bodies of FaultStatus.
const (
	// BodyJSON is the API's JSON with error_code, error_description, error_type.
	BodyJSON Body = "json"
	// BodyHTML is the error page of nginx.
	BodyHTML Body = "html"
	// BodyEmpty is no body.
	BodyEmpty Body = "empty"
)

// Fault is one switched-on misbehaviour. Faults are looked at in the order in
// which they were switched on. Of those that answer in place of the API only the
// first that fires has its way; the others (delay, clock and those that change
// what a page holds) add up.
type Fault struct {
	// Kind is required.
	Kind FaultKind
	// Endpoint limits the fault to one call of the API. Empty: every call.
	Endpoint Endpoint
	// Chat limits the fault to the history of one chat. Empty: every request.
	Chat string
	// After is the number of requests to let pass first.
	After int
	// Count is the number of requests the fault strikes. Zero: until cleared.
	Count int
	// Probability is the chance that it strikes a request, 0 to 1. Zero: always.
	Probability float64
	// Status is the status of FaultStatus.
	Status int
	// Body is the body of FaultStatus. Empty: BodyEmpty for 403, BodyHTML for 502
	// and above, otherwise BodyJSON.
	Body Body
	// RetryAfter is for FaultStatus, rounded up to whole seconds. Zero: no header.
	RetryAfter time.Duration
	// RetryAfterDate writes RetryAfter as an HTTP date instead of seconds.
	RetryAfterDate bool
	// Delay is how long FaultDelay waits.
	Delay time.Duration
	// Shift is how far FaultClock sets the clock: positive into the future.
	Shift time.Duration
	// Location is where FaultRedirect leads. Empty: the same path and query on
	// http://elsewhere.invalid.
	Location string
	// Size is the length of the body of FaultHuge in bytes. Zero: 20 MiB.
	Size int
	// PastEnd is the style of FaultPastEnd.
	PastEnd PastEnd
}

const (
	defaultHuge     = 20 << 20
	defaultRedirect = "http://elsewhere.invalid"
)

// Validate names the first field that is wrong.
func (f Fault) Validate() error {
	switch f.Kind {
	case FaultHTML, FaultRedirect, FaultReset, FaultClose, FaultCutLength, FaultCutChunked, FaultCutJSON,
		FaultOldestFirst, FaultNullItems, FaultNoID, FaultNoMsec:
	case FaultStatus:
		if f.Status < 400 || f.Status > 599 {
			return fmt.Errorf("status: want 400..599, got %d", f.Status)
		}
	case FaultDelay:
		if f.Delay <= 0 {
			return fmt.Errorf("delay: want more than 0, got %s", f.Delay)
		}
	case FaultClock:
		if f.Shift == 0 {
			return errors.New("shift: want a duration other than 0")
		}
	case FaultHuge:
		if f.Size < 0 {
			return fmt.Errorf("size: want 0 or more, got %d", f.Size)
		}
	case FaultPastEnd:
		if err := f.PastEnd.validate(); err != nil {
			return err
		}
	case "":
		return errors.New("kind: missing")
	default:
		return fmt.Errorf("kind: there is no fault %q", string(f.Kind))
	}
	switch f.Endpoint {
	case "", EndpointHistory, EndpointTalks, EndpointContactChats:
	default:
		return fmt.Errorf("endpoint: want %s, %s or %s, got %q",
			EndpointHistory, EndpointTalks, EndpointContactChats, string(f.Endpoint))
	}
	switch f.Body {
	case "", BodyJSON, BodyHTML, BodyEmpty:
	default:
		return fmt.Errorf("body: want %s, %s or %s, got %q", BodyJSON, BodyHTML, BodyEmpty, string(f.Body))
	}
	switch {
	case f.After < 0:
		return fmt.Errorf("after: want 0 or more, got %d", f.After)
	case f.Count < 0:
		return fmt.Errorf("count: want 0 or more, got %d", f.Count)
	case !(f.Probability >= 0 && f.Probability <= 1):
		return fmt.Errorf("probability: want 0..1, got %v", f.Probability)
	case f.RetryAfter < 0:
		return fmt.Errorf("retry_after: want 0 or more, got %s", f.RetryAfter)
	}
	return nil
}

// faultJSON is a Fault as it travels: durations are text such as "1.5s".
type faultJSON struct {
	Kind           FaultKind `json:"kind"`
	Endpoint       Endpoint  `json:"endpoint,omitempty"`
	Chat           string    `json:"chat,omitempty"`
	After          int       `json:"after,omitempty"`
	Count          int       `json:"count,omitempty"`
	Probability    float64   `json:"probability,omitempty"`
	Status         int       `json:"status,omitempty"`
	Body           Body      `json:"body,omitempty"`
	RetryAfter     duration  `json:"retry_after,omitzero"`
	RetryAfterDate bool      `json:"retry_after_date,omitempty"`
	Delay          duration  `json:"delay,omitzero"`
	Shift          duration  `json:"shift,omitzero"`
	Location       string    `json:"location,omitempty"`
	Size           int       `json:"size,omitempty"`
	PastEnd        PastEnd   `json:"past_end,omitempty"`
}

type duration time.Duration

func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = duration(parsed)
	return err
}

// MarshalJSON writes the fault with snake-case names and durations as text.
func (f Fault) MarshalJSON() ([]byte, error) {
	return json.Marshal(faultJSON{
		f.Kind, f.Endpoint, f.Chat, f.After, f.Count, f.Probability, f.Status, f.Body, duration(f.RetryAfter), f.RetryAfterDate,
		duration(f.Delay), duration(f.Shift), f.Location, f.Size, f.PastEnd,
	})
}

// UnmarshalJSON reads what MarshalJSON writes and refuses unknown names. A fault
// with a status needs no kind.
func (f *Fault) UnmarshalJSON(data []byte) error {
	var j faultJSON
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&j); err != nil {
		return err
	}
	if j.Kind == "" && j.Status != 0 {
		j.Kind = FaultStatus
	}
	*f = Fault{
		j.Kind, j.Endpoint, j.Chat, j.After, j.Count, j.Probability, j.Status, j.Body, time.Duration(j.RetryAfter), j.RetryAfterDate,
		time.Duration(j.Delay), time.Duration(j.Shift), j.Location, j.Size, j.PastEnd,
	}
	return nil
}

// ParseFault reads a fault from text, as a command line has it: a kind or a
// status, then settings, all separated by commas. The settings have the names
// of the JSON form.
//
//	503,retry_after=5s,count=3
//	delay,delay=40s,probability=0.01
func ParseFault(text string) (Fault, error) {
	fields := map[string]any{}
	for i, part := range strings.Split(text, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			switch status, err := strconv.Atoi(name); {
			case i == 0 && err == nil:
				fields["status"] = status
			case i == 0:
				fields["kind"] = name
			default:
				return Fault{}, fmt.Errorf("fault %q: want name=value, got %q", text, part)
			}
			continue
		}
		switch name {
		case "after", "count", "status", "size", "probability":
			fields[name] = json.Number(value)
		case "retry_after_date":
			fields[name] = json.RawMessage(value)
		default:
			fields[name] = value
		}
	}
	data, err := json.Marshal(fields)
	if err != nil {
		return Fault{}, fmt.Errorf("reading fault %q: %w", text, err)
	}
	var f Fault
	if err := json.Unmarshal(data, &f); err != nil {
		return Fault{}, fmt.Errorf("reading fault %q: %w", text, err)
	}
	if err := f.Validate(); err != nil {
		return Fault{}, fmt.Errorf("fault %q: %w", text, err)
	}
	return f, nil
}

// SetFaults switches these faults on and all others off. On an error nothing
// changes.
func (s *Server) SetFaults(faults ...Fault) error {
	for i, f := range faults {
		if err := f.Validate(); err != nil {
			return fmt.Errorf("fault %d: %w", i, err)
		}
	}
	s.faults.set(faults, false)
	return nil
}

// AddFault switches one more fault on.
func (s *Server) AddFault(f Fault) error {
	if err := f.Validate(); err != nil {
		return fmt.Errorf("fault: %w", err)
	}
	s.faults.set([]Fault{f}, true)
	return nil
}

// ClearFaults switches all faults off.
func (s *Server) ClearFaults() { s.faults.set(nil, false) }

// Faults returns the faults that are on; After and Count are what is left of
// them.
func (s *Server) Faults() []Fault {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	return append([]Fault{}, s.faults.on...)
}

// stage is the point of a request at which a fault is looked at.
type stage int

const (
	stageClock stage = iota
	stageDelay
	stageFront
	stagePage
	stageView
)

func (f Fault) stage() stage {
	switch f.Kind {
	case FaultClock:
		return stageClock
	case FaultDelay:
		return stageDelay
	case FaultCutLength, FaultCutChunked, FaultCutJSON, FaultHuge:
		return stagePage
	case FaultOldestFirst, FaultNullItems, FaultNoID, FaultNoMsec, FaultPastEnd:
		return stageView
	case FaultStatus:
		if f.Status == 400 || f.Status == 402 || f.Status == 404 {
			return stagePage
		}
	}
	return stageFront
}

func (f Fault) concerns(request Request) bool {
	return (f.Chat == "" || f.Chat == request.Chat) && (f.Endpoint == "" || f.Endpoint == request.Endpoint)
}

// faultList is the switched-on faults.
type faultList struct {
	mu     sync.Mutex
	on     []Fault
	random *rand.Rand
}

func (l *faultList) seed(seed uint64) { l.random = rand.New(rand.NewPCG(seed, 0)) }

func (l *faultList) set(faults []Fault, keep bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !keep {
		l.on = nil
	}
	l.on = append(l.on, faults...)
}

// takeOne returns the first fault of a stage that strikes.
func (l *faultList) takeOne(request Request, at stage) (Fault, bool) {
	if struck := l.take(request, at, 1); len(struck) > 0 {
		return struck[0], true
	}
	return Fault{}, false
}

// takeAll returns every fault of a stage that strikes.
func (l *faultList) takeAll(request Request, at stage) []Fault { return l.take(request, at, -1) }

func (l *faultList) take(request Request, at stage, most int) (struck []Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := l.on[:0]
	for _, f := range l.on {
		spent := false
		if len(struck) != most && f.stage() == at && f.concerns(request) {
			switch {
			case f.After > 0:
				f.After--
			case f.Probability == 0 || l.random.Float64() < f.Probability:
				struck = append(struck, f)
				spent = f.Count == 1
				f.Count = max(f.Count-1, 0)
			}
		}
		if !spent {
			kept = append(kept, f)
		}
	}
	l.on = kept
	return struck
}
