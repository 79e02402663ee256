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

	// ErrTooLarge is wrapped by the error of an answer longer than Config.MaxBody. A
	// decode function wraps it where an answer has too much in it, and the call is
	// not tried again.
	ErrTooLarge = errors.New("body too large")

	// ErrRedirect is wrapped by the error of an answer that points elsewhere.
	ErrRedirect = errors.New("redirects are not followed")
)

// StatusError is an answer that is neither 200, 204 nor a redirect.
type StatusError struct {
	Status int
	Host   string // the host that was asked, with its port if the URL has one
	// Body is what the API itself says: the fields error_code and error_type of a JSON
	// body, where they are a short number or a name in capitals and no piece of what was sent.
	// It is "an HTML page" for one, and "" for anything else.
	Body string

	// ErrorType is the field error_type of a JSON body, in the same way; "" without one
	// (chats-api.md, rows 403 and 404).
	ErrorType string

	HTML    bool // the body is an HTML page, so something before the API answered
	Foreign bool // the body is neither empty nor JSON, HTML included: the same

	// InvalidScope is whether the title or the detail of a JSON body says so (chats-api.md,
	// "Messages of every channel", row 403): the token lacks a scope.
	InvalidScope bool

	// TraceID is the field trace_id of a JSON body, for which the vendor's support
	// asks (chats-api.md, row 500), where it has the form of one and is no piece of what was
	// sent; "" without one.
	TraceID string

	// Date is the answer's Date header; zero without one, and for an answer out of a
	// cache, which has an Age (RFC 9111, 5.1): its Date is of another time.
	Date time.Time

	// RetryAfter is how long the server asks to wait: by the Retry-After header (RFC
	// 9110, 10.2.3) or by retry_after of a JSON body, in seconds (chats-api.md, row
	// 429), whichever is longer. It is 0 without either, with a negative one, and with
	// a moment that has passed.
	RetryAfter time.Duration

	urlField string // Config.URLField
}

// Error says what was asked, what came back and what to do.
func (e *StatusError) Error() string {
	text := fmt.Sprintf("asking %s: status %d", e.Host, e.Status)
	if name := http.StatusText(e.Status); name != "" {
		text += " " + name
	}
	return text + e.Said() + ": " + e.advice()
}

// Said is what the answer says of itself, to stand behind its status: Body in
// parentheses, and TraceID; "" without either.
func (e *StatusError) Said() string {
	text := ""
	if e.Body != "" {
		text += " (" + e.Body + ")"
	}
	if e.TraceID != "" {
		text += ", trace_id " + e.TraceID
	}
	return text
}

// Blocked reports if something before the API refused the address: it answers 403
// with plain text or an HTML page then (chats-api.md, rows 403 and "limits"), where
// the API itself answers JSON, or nothing. Every call is refused then.
func (e *StatusError) Blocked() bool { return e.Status == http.StatusForbidden && e.Foreign }

// BlockedAdvice follows the status of an answer that is Blocked, and what it said.
const BlockedAdvice = " and no words of the API: this address may be blocked for overload, so wait, lower requests_per_second," +
	" or ask the vendor to unblock it"

func (e *StatusError) advice() string {
	switch {
	case e.Status == http.StatusTooManyRequests:
		return "lower requests_per_second, or share the limit with whoever else asks"
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusForbidden:
		return "check the credentials and what they may access"
	case e.Status >= 500 && e.HTML:
		return "try again later, something before the API failed"
	case e.Status >= 500, passing(e.Status):
		return "try again later, the server failed"
	case e.Status >= 400:
		return "check the ids and values that are asked for"
	default:
		return "check " + urlField(e.urlField) + ", this API does not answer so"
	}
}

// passing reports if a 4xx is about this one request at this moment, and not
// about what was asked: 408 Request Timeout (RFC 9110, 15.5.9) is how servers close
// a connection that was idle, 421 Misdirected Request (15.5.20) is about the
// connection it came on, 423 Locked (RFC 4918, 11.3) about someone else's work, 425
// Too Early (RFC 8470, 5.2) about the handshake.
func passing(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusMisdirectedRequest, http.StatusLocked, http.StatusTooEarly:
		return true
	}
	return false
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
	return fmt.Sprintf("asking %s: no answer: %s: %v", e.Host, e.advice(), e.Err)
}

// Unwrap returns the cause.
func (e *NoAnswerError) Unwrap() error { return e.Err }

// urlField is what [Config.URLField] is when it is "".
func urlField(name string) string { return cmp.Or(name, "base_url") }

// Passing reports whether a status is worth another attempt: 429, 5xx, and the few
// 4xx that are about the moment and not about what was asked.
func (e *StatusError) Passing() bool {
	return e.Status == http.StatusTooManyRequests || e.Status >= 500 || passing(e.Status)
}

// Retryable reports whether the same call may succeed later without anybody
// changing anything. [Caller.Get] itself tries these again.
func Retryable(err error) bool {
	var status *StatusError
	var noAnswer *NoAnswerError
	switch {
	case err == nil:
		return false
	case errors.As(err, &noAnswer):
		// Networks and hosts come back, and so does a certificate: one that has
		// expired is renewed. A wrong scheme does not, but it can't be told from a
		// server that is being set up, so the advice must be good instead. This is
		// asked before the context's own errors, because an attempt's timeout wraps
		// context.DeadlineExceeded.
		return true
	case errors.Is(err, ErrRedirect), errors.Is(err, ErrTooLarge):
		// The next answer would be the same.
		return false
	case errors.Is(err, ErrBrokenBody):
		// A connection that broke, or a page of some proxy in between.
		return true
	case errors.Is(err, ErrSharedLimit):
		// The store behind it comes back.
		return true
	case errors.As(err, &status):
		// 429 asks for exactly this, and 5xx is the trouble of the server or of what
		// is before it: 520 to 526 are those of Cloudflare. Any other status is about
		// what was asked: credentials, ids, tariff. A 403 that is a block is not tried
		// again either, because going on to ask is what it is for.
		return status.Passing()
	default:
		// The caller's context ended, or its build or decode function failed.
		return false
	}
}
