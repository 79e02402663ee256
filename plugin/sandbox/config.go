// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Well-known credentials, used where a Config names none. They protect nothing:
// a demo pipeline works with them out of the box.
const (
	// DemoScopeID is the scope served by default, as {channel_id}_{amojo_id}.
	DemoScopeID = "f90ba33d-c9d9-44da-b76c-c349b0ecbe41_af9945ff-1490-4cad-807d-945c15d88bec"
	// DemoSecret is the channel secret accepted by default.
	DemoSecret = "kommo-sandbox-demo-secret"
	// DemoAccessToken is the bearer token of the CRM endpoints by default.
	DemoAccessToken = "kommo-sandbox-demo-token"
)

// Config says how a Server behaves. Its zero value is ready: the demo
// credentials, no limits, no latency.
type Config struct {
	// ScopeID is the only scope that is served, as {channel_id}_{amojo_id}.
	// Empty: DemoScopeID.
	ScopeID string
	// Secret is the channel secret that signs requests. Empty: DemoSecret.
	Secret string
	// AccessToken is the bearer token of the CRM endpoints. Empty:
	// DemoAccessToken.
	AccessToken string
	// Now is the clock of the date window and of the Date header, and gives
	// messages their time when they are made here. Nil: time.Now. The ledger, the
	// rate limit and latency always follow the real clock.
	Now func() time.Time
	// Order is what histories are listed by. Empty: OrderArrival.
	Order Order
	// PastEnd is how a page behind the last message is answered. Empty:
	// PastEndNoContent. A chat that is unknown or empty always answers 204.
	PastEnd PastEnd
	// Latency is added to every answer but those of the rate limit. Zero: none.
	Latency time.Duration
	// RequestsPerSecond is the rate above which requests are answered with 429,
	// counted over the history and the CRM endpoints together. Zero: no limit.
	RequestsPerSecond float64
	// Limit is how they are counted. Empty: LimitBucket.
	Limit LimitKind
	// LimitWindow is the length of the window of LimitFixed and LimitSliding, in which
	// so many requests may arrive as RequestsPerSecond makes of it, 1 or more. Zero: a
	// second.
	LimitWindow time.Duration
	// Burst is the number of requests that may arrive at once, 1 or more. Zero: 1.
	// It has no meaning without RequestsPerSecond, or for a window.
	Burst int
	// RetryAfter is sent with the 429 answers of the rate limit, rounded up to
	// whole seconds. Zero: nothing tells how long to wait.
	RetryAfter time.Duration
	// RetryAfterIn is where it is told. Empty: HintHeader; documented is HintBody.
	RetryAfterIn Hint
	// BlockAfter is the number of 429 answers of the rate limit after which the
	// client is blocked: every request is then answered with 403 and BlockBody.
	// Zero: never.
	BlockAfter int
	// BlockBody is BodyHTML, BodyText or BodyEmpty. Empty: BodyHTML.
	BlockBody Body
	// BlockFor is how long a block lasts. Zero: until Unblock is called or the
	// ledger is reset.
	BlockFor time.Duration
	// TalksCap is the number of talks after which a listing of talks ends without
	// a next link, as one account is said to do at about 250. Zero: no cap.
	TalksCap int
	// RandomSeed seeds the faults with a probability, so that runs repeat. Every
	// value is a seed, zero too.
	RandomSeed uint64
}

// PastEnd is a way to answer a page that starts behind the last message. The
// vendor's choice is unknown, so a client has to cope with each.
type PastEnd string

// The ways to answer a page behind the last message.
const (
	// PastEndNoContent answers 204 without a body.
	PastEndNoContent PastEnd = "204"
	// PastEndEmptyList answers 200 with {"messages":[]}.
	PastEndEmptyList PastEnd = "empty-list"
	// PastEndEmptyObject answers 200 with {}.
	PastEndEmptyObject PastEnd = "empty-object"
	// PastEndNull answers 200 with {"messages":null}.
	PastEndNull PastEnd = "null"
)

func (p PastEnd) validate() error {
	switch p {
	case PastEndNoContent, PastEndEmptyList, PastEndEmptyObject, PastEndNull:
		return nil
	}
	return fmt.Errorf("past_end: want %s, %s, %s or %s, got %q",
		PastEndNoContent, PastEndEmptyList, PastEndEmptyObject, PastEndNull, string(p))
}

func (c Config) withDefaults() Config {
	if c.ScopeID == "" {
		c.ScopeID = DemoScopeID
	}
	if c.Secret == "" {
		c.Secret = DemoSecret
	}
	if c.AccessToken == "" {
		c.AccessToken = DemoAccessToken
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Order == "" {
		c.Order = OrderArrival
	}
	if c.PastEnd == "" {
		c.PastEnd = PastEndNoContent
	}
	if c.Limit == "" {
		c.Limit = LimitBucket
	}
	if c.LimitWindow == 0 {
		c.LimitWindow = time.Second
	}
	if c.BlockBody == "" {
		c.BlockBody = BodyHTML
	}
	if c.Burst == 0 {
		c.Burst = 1
	}
	return c
}

// validate expects defaults to be filled in.
func (c Config) validate() error {
	if !strings.Contains(c.ScopeID, "_") {
		return fmt.Errorf("scope_id: want {channel_id}_{amojo_id}, got %q", c.ScopeID)
	}
	if err := c.Order.validate(); err != nil {
		return err
	}
	if err := c.PastEnd.validate(); err != nil {
		return err
	}
	if err := c.validateLimit(); err != nil {
		return err
	}
	if c.Latency < 0 {
		return fmt.Errorf("latency: want 0 or more, got %s", c.Latency)
	}
	if c.TalksCap < 0 {
		return fmt.Errorf("talks_cap: want 0 or more, got %d", c.TalksCap)
	}
	return nil
}

func (c Config) validateLimit() error {
	if c.RequestsPerSecond < 0 || math.IsNaN(c.RequestsPerSecond) || math.IsInf(c.RequestsPerSecond, 0) {
		return fmt.Errorf("requests_per_second: want 0 or more, got %v", c.RequestsPerSecond)
	}
	if c.Burst < 1 {
		return fmt.Errorf("burst: want 1 or more, got %d", c.Burst)
	}
	if c.RetryAfter < 0 {
		return fmt.Errorf("retry_after: want 0 or more, got %s", c.RetryAfter)
	}
	if c.BlockAfter < 0 {
		return fmt.Errorf("block_after: want 0 or more, got %d", c.BlockAfter)
	}
	if c.BlockFor < 0 {
		return fmt.Errorf("block_for: want 0 or more, got %s", c.BlockFor)
	}
	if c.LimitWindow < 0 {
		return fmt.Errorf("limit_window: want 0 or more, got %s", c.LimitWindow)
	}
	switch c.Limit {
	case LimitBucket:
	case LimitFixed, LimitSliding:
		if c.RequestsPerSecond > 0 && c.RequestsPerSecond*c.LimitWindow.Seconds() < 1 {
			return fmt.Errorf("limit_window: %s is too short for even one request", c.LimitWindow)
		}
	default:
		return fmt.Errorf("limit_kind: want %s, %s or %s, got %q", LimitBucket, LimitFixed, LimitSliding, string(c.Limit))
	}
	if err := c.RetryAfterIn.validate(); err != nil {
		return err
	}
	switch c.BlockBody {
	case BodyHTML, BodyText, BodyEmpty:
		return nil
	}
	return fmt.Errorf("block_body: want %s, %s or %s, got %q", BodyHTML, BodyText, BodyEmpty, string(c.BlockBody))
}
