// SPDX-License-Identifier: Apache-2.0

package apicall

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"time"
)

var (
	// ErrBrokenBody is wrapped by the error of an answer that broke off or is not
	// what the API sends. A decode function wraps it to have the call tried again.
	ErrBrokenBody = errors.New("broken body")

	// ErrTooLarge is wrapped by the error of an answer longer than Config.MaxBody.
	ErrTooLarge = errors.New("body too large")

	// ErrRedirect is wrapped by the error of an answer that points elsewhere.
	ErrRedirect = errors.New("redirects are not followed")
)

// StatusError is an answer that is neither 200, 204 nor a redirect.
type StatusError struct {
	Status int
	Host   string // the host that was asked, with its port if the URL has one
	// Body is what the API itself says, from the fields error_code, error_type,
	// error_description, title and detail of a JSON body: at most 300 bytes, no
	// control characters, long numbers and hex strings left out. It is
	// "an HTML page" for one, and "" for anything else.
	Body       string
	HTML       bool          // the body is an HTML page, so something before the API answered
	Date       time.Time     // the answer's Date header; zero without one
	RetryAfter time.Duration // from the Retry-After header; 0 without one, or with a moment that has passed

	urlField string // Config.URLField
}

// Error says what was asked, what came back and what to do.
func (e *StatusError) Error() string {
	text := fmt.Sprintf("asking %s: status %d", e.Host, e.Status)
	if name := http.StatusText(e.Status); name != "" {
		text += " " + name
	}
	if e.Body != "" {
		text += " (" + e.Body + ")"
	}
	return text + ": " + e.advice()
}

func (e *StatusError) advice() string {
	switch {
	case e.Status == http.StatusTooManyRequests:
		return "lower requests_per_second, or share the limit with whoever else asks"
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusForbidden:
		return "check the credentials and what they may access"
	case e.Status >= 500:
		return "try again later, the server failed"
	case e.Status >= 400:
		return "check the ids and values that are asked for"
	default:
		return "check " + urlField(e.urlField) + ", this API does not answer so"
	}
}

// NoAnswerError is an attempt without a complete head of an answer, or one that
// took too long.
type NoAnswerError struct {
	Host     string
	TimedOut bool
	After    time.Duration // how long the attempt lasted
	Err      error         // the cause, without the URL

	urlField string // Config.URLField
}

// Error says who did not answer, why, and what to check.
func (e *NoAnswerError) Error() string {
	if e.TimedOut {
		return fmt.Sprintf("asking %s: no complete answer after %s: check the network, or raise timeout: %v",
			e.Host, e.After.Round(time.Millisecond), e.Err)
	}
	return fmt.Sprintf("asking %s: no answer: check %s, proxy_url and the network: %v", e.Host, urlField(e.urlField), e.Err)
}

// Unwrap returns the cause.
func (e *NoAnswerError) Unwrap() error { return e.Err }

// urlField is what [Config.URLField] is when it is "".
func urlField(name string) string { return cmp.Or(name, "base_url") }

// Retryable reports whether the same call may succeed later without anybody
// changing anything. [Caller.Get] itself tries these again, but for
// [ErrSharedLimit].
func Retryable(err error) bool {
	var status *StatusError
	var noAnswer *NoAnswerError
	switch {
	case err == nil:
		return false
	case errors.As(err, &noAnswer):
		// Networks and hosts come back. This is asked before the context's own
		// errors, because an attempt's timeout wraps context.DeadlineExceeded.
		return true
	case errors.Is(err, ErrRedirect), errors.Is(err, ErrTooLarge):
		// The next answer would be the same.
		return false
	case errors.Is(err, ErrBrokenBody):
		// A connection that broke, or a page of some proxy in between.
		return true
	case errors.Is(err, ErrSharedLimit):
		// The store behind it comes back. Get returns it at once all the same: no
		// request was sent, so nobody would hear of it from Config.Observe.
		return true
	case errors.As(err, &status):
		// 429 asks for exactly this, and 5xx is the server's own trouble. Any other
		// status is about what was asked: credentials, ids, tariff.
		return status.Status == http.StatusTooManyRequests || status.Status >= 500
	default:
		// The caller's context ended, or its build or decode function failed.
		return false
	}
}
