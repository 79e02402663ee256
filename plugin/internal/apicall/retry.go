// SPDX-License-Identifier: Apache-2.0

package apicall

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// DefaultMaxBody is what [Config.MaxBody] is when it is 0, in bytes.
	DefaultMaxBody = 16 << 20

	// MaxRest is the longest that requests rest because a server asks for it. Servers
	// have asked for years, by mistake: after an hour it is worth one more request.
	MaxRest = time.Hour
)

// Config configures a [Caller]. Its zero value is ready: no limit, no timeout,
// and calls that never give up.
type Config struct {
	// HTTP sends the requests. nil means a client with [NewTransport]. New works
	// on a copy, whose CheckRedirect follows no redirect: a signature or a token is
	// for one host.
	HTTP *http.Client

	// Limiter is asked before each attempt, first or repeated. nil means one
	// without a limit.
	Limiter *Limiter

	// Timeout bounds one attempt, from the limiter's grant to the end of the body.
	// 0 means no bound.
	Timeout time.Duration

	// Backoff says how long to wait between attempts, and when to give up.
	Backoff Backoff

	// MaxAttempts is after how many attempts a call gives up. 0 means no bound.
	MaxAttempts int

	// MaxBody is the longest body that is accepted, in bytes, after decompression.
	// 0 means [DefaultMaxBody].
	MaxBody int64

	// URLField is what the user calls the setting that holds the API's address,
	// for errors that say to check it. "" means base_url.
	URLField string

	// Observe, if set, is called after each attempt, by the goroutine that called
	// Get and before it waits. It is not told of an attempt that ended because the
	// caller's context did.
	Observe func(Attempt)

	// LimitFailed, if set, is told each time that [LimiterConfig.Shared] failed:
	// the error, which wraps [ErrSharedLimit], and how long until it is asked again,
	// or -1 if the call gives up. No request was sent, so Observe is not told. It is
	// called by the goroutine that called Get.
	LimitFailed func(err error, retryIn time.Duration)
}

// Response is an answer with status 200 or 204.
type Response struct {
	Status   int
	Header   http.Header
	Body     []byte    // decoded from gzip, and decode's to keep; empty for 204
	Received time.Time // when the head of the answer came, by the local clock
}

// Caller makes calls. It is safe for concurrent use and starts no goroutine;
// make it with [New].
type Caller struct {
	http        *http.Client
	limiter     *Limiter
	timeout     time.Duration
	backoff     Backoff
	maxAttempts int
	maxBody     int64
	urlName     string
	observe     func(Attempt)
	limitFailed func(err error, retryIn time.Duration)
}

// New returns a Caller. The layers of a call, from the outside: retry, limiter,
// timeout, and then build, which signs, so that each attempt is signed anew.
func New(conf Config) *Caller {
	c := &Caller{
		limiter:     conf.Limiter,
		timeout:     conf.Timeout,
		backoff:     conf.Backoff.withDefaults(),
		maxAttempts: conf.MaxAttempts,
		maxBody:     conf.MaxBody,
		urlName:     urlField(conf.URLField),
		observe:     conf.Observe,
		limitFailed: conf.LimitFailed,
	}
	var client http.Client
	if conf.HTTP != nil {
		client = *conf.HTTP
	} else {
		client.Transport = newTransport()
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client.Transport = readableLocation{client.Transport}
	c.http = &client
	if c.limiter == nil {
		c.limiter = NewLimiter(LimiterConfig{})
	}
	if c.maxBody <= 0 {
		c.maxBody = DefaultMaxBody
	}
	return c
}

// Get sends what build returns until decode has accepted an answer, and returns
// nil then.
//
// Each attempt waits for the limiter first. build is called once for each
// attempt and must return a new GET request with the given context. decode is
// called with a 200 and its whole body, or with a 204; an error of its own that
// wraps [ErrBrokenBody] is tried again, any other is returned.
//
// Get tries again, with [Backoff] in between and never sooner than the server
// asks, after what [Retryable] names. A 429, and a 503 that says how long to wait,
// pause the limiter, so that everyone waits: for as long as the answer says in its
// Retry-After header or its retry_after, whichever is longer, but no more than
// [MaxRest], and then the call goes on. A 429 may also slow the limiter down.
// Anything else is returned at once: a [*StatusError], or an error that wraps
// [ErrRedirect] or [ErrTooLarge]. When the time or the number of attempts is used
// up, the last error is returned, wrapped with the number of attempts.
//
// Where the shared limit fails it is asked again, with [Backoff] in between. That
// is no attempt, and only the time can be used up by it. When ctx ends, ctx.Err()
// is returned.
func (c *Caller) Get(
	ctx context.Context,
	build func(ctx context.Context) (*http.Request, error),
	decode func(*Response) error,
) error {
	waits := c.backoff.intervals()
	var first time.Time
	for try := 1; ; try++ {
		queued := time.Now()
		if err := c.granted(ctx, try, first); err != nil {
			return err
		}
		granted := time.Now()
		if try == 1 {
			// From here, not from the call: a long queue at the limiter must not use up
			// the time for retries before anything was tried.
			first = granted
		}

		outcome, err := c.attempt(ctx, try, build, decode)
		if outcome == "" {
			return err
		}
		seen := Attempt{
			Outcome:     outcome,
			Err:         err,
			Try:         try,
			LimiterWait: granted.Sub(queued),
			Duration:    time.Since(granted),
			RetryIn:     -1,
		}
		if outcome.accepts() {
			c.limiter.accepted(granted)
		}
		if !Retryable(err) {
			c.observed(seen)
			return err
		}

		wait := waits.next()
		if status, ok := errors.AsType[*StatusError](err); ok {
			seen.RetryAfter = status.RetryAfter
			rest := min(status.RetryAfter, MaxRest)
			switch {
			case status.Status == http.StatusTooManyRequests:
				seen.Throttled = true
				seen.SlowedTo = c.limiter.throttled(granted, rest, wait, c.backoff.InitialInterval, c.backoff.MaxInterval)
			case status.Status == http.StatusServiceUnavailable && rest > 0:
				seen.Throttled = true
				c.limiter.Pause(rest)
			}
			wait = max(wait, rest)
		}
		spent := time.Since(first)
		if c.backoff.MaxElapsedTime > 0 && spent+wait > c.backoff.MaxElapsedTime || c.maxAttempts > 0 && try >= c.maxAttempts {
			c.observed(seen)
			return givingUp(try, spent, err)
		}
		seen.RetryIn = wait
		c.observed(seen)
		if err := Sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// granted returns nil once a request may be sent. first is when the call's first
// attempt was; where there was none yet, the time for retries counts from the
// first failure to ask.
func (c *Caller) granted(ctx context.Context, try int, first time.Time) error {
	var waits *intervals
	for {
		err := c.limiter.Wait(ctx)
		if !errors.Is(err, ErrSharedLimit) {
			return err
		}
		if waits == nil {
			w := c.backoff.intervals()
			waits = &w
		}
		if first.IsZero() {
			first = time.Now()
		}
		wait, spent := waits.next(), time.Since(first)
		if c.backoff.MaxElapsedTime > 0 && spent+wait > c.backoff.MaxElapsedTime {
			c.failedToAsk(err, -1)
			return givingUp(try-1, spent, err)
		}
		c.failedToAsk(err, wait)
		if err := Sleep(ctx, wait); err != nil {
			return err
		}
	}
}

func givingUp(attempts int, spent time.Duration, err error) error {
	if attempts == 0 {
		return fmt.Errorf("giving up after %s: %w", spent.Round(time.Millisecond), err)
	}
	s := "s"
	if attempts == 1 {
		s = ""
	}
	return fmt.Errorf("giving up after %d attempt%s in %s: %w", attempts, s, spent.Round(time.Millisecond), err)
}

// attempt sends one request. It returns no outcome if there is nothing to tell
// of: build failed, or ctx ended.
func (c *Caller) attempt(
	ctx context.Context,
	try int,
	build func(ctx context.Context) (*http.Request, error),
	decode func(*Response) error,
) (Outcome, error) {
	started := time.Now()
	attemptCtx := ctx
	if c.timeout > 0 {
		var cancel context.CancelFunc
		attemptCtx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	attemptCtx = c.countResends(attemptCtx, try)
	req, err := build(attemptCtx)
	if err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", fmt.Errorf("building the request: %w", err)
	}
	if req.Context() != attemptCtx {
		req = req.WithContext(attemptCtx)
	}
	host := req.URL.Host
	sent := carriedBy(ctx, req)

	// noAnswer tells a timeout from a broken connection, and both from a caller
	// that has gone: errors of the transport don't say whose context ended.
	noAnswer := func(err error) (Outcome, error) {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		failed := &NoAnswerError{
			Host:     host,
			TimedOut: isTimeout(err) || attemptCtx.Err() != nil,
			After:    time.Since(started),
			Err:      &cause{withoutURL(err)},
			urlField: c.urlName,
		}
		if failed.TimedOut {
			return OutcomeTimeout, failed
		}
		return OutcomeUnreachable, failed
	}

	resp, err := c.http.Do(req)
	if err != nil {
		return noAnswer(err)
	}
	defer resp.Body.Close()
	received := time.Now()

	switch status := resp.StatusCode; {
	case status == http.StatusOK:
		body, err := readBody(resp, c.maxBody)
		switch {
		case errors.Is(err, ErrTooLarge):
			return OutcomeTooLarge, fmt.Errorf("reading the answer of %s: longer than %d bytes: ask for fewer items at once: %w",
				host, c.maxBody, ErrTooLarge)
		case err != nil && (ctx.Err() != nil || attemptCtx.Err() != nil || isTimeout(err)):
			return noAnswer(err)
		case err != nil:
			return OutcomeBrokenBody, fmt.Errorf("reading the answer of %s: it breaks off after %d bytes: check the network: %w: %w",
				host, len(body), ErrBrokenBody, &cause{err})
		}
		if err := decode(&Response{Status: status, Header: resp.Header, Body: body, Received: received}); err != nil {
			encoding := resp.Header.Get("Content-Encoding")
			switch {
			case errors.Is(err, ErrTooLarge):
				return OutcomeTooLarge, fmt.Errorf("decoding the answer of %s: %w", host, err)
			case isHTML(resp.Header, body):
				return OutcomeBrokenBody, fmt.Errorf("decoding the answer of %s: it is an HTML page: check %s and proxy_url: %w", host, c.urlName, err)
			case encoding != "" && !strings.EqualFold(encoding, "identity"):
				return OutcomeBrokenBody, fmt.Errorf("decoding the answer of %s: its Content-Encoding is %s, which was not asked for: check %s and proxy_url: %w",
					host, knownEncoding(encoding), c.urlName, err)
			case len(bytes.TrimSpace(body)) == 0:
				return OutcomeBrokenBody, fmt.Errorf("decoding the answer of %s: status 200 with an empty body: check %s and proxy_url: %w", host, c.urlName, err)
			}
			return OutcomeBrokenBody, fmt.Errorf("decoding the answer of %s: %w", host, err)
		}
		return OutcomeOK, nil
	case status == http.StatusNoContent:
		if err := decode(&Response{Status: status, Header: resp.Header, Received: received}); err != nil {
			return OutcomeBrokenBody, fmt.Errorf("decoding the empty answer of %s: %w", host, err)
		}
		return OutcomeEmpty, nil
	case status >= 300 && status < 400:
		return OutcomeRedirected, redirectError(c.urlName, req.URL, sent, resp)
	default:
		return outcomeOf(status), newStatusError(host, c.urlName, sent, resp, received)
	}
}

func (c *Caller) observed(a Attempt) {
	if c.observe != nil {
		c.observe(a)
	}
}

func (c *Caller) failedToAsk(err error, retryIn time.Duration) {
	if c.limitFailed != nil {
		c.limitFailed(err, retryIn)
	}
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// withoutURL takes the URL out of an error of http.Client: it adds nothing that
// the error does not say already, and its query is nobody's business.
func withoutURL(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}
