// SPDX-License-Identifier: Apache-2.0

package apicall

import "time"

// Outcome says in a word how an attempt ended. There are few, and none depends
// on the data, so it can be the label of a metric.
type Outcome string

// The outcomes of an attempt.
const (
	OutcomeOK          Outcome = "ok"           // 200, decoded
	OutcomeEmpty       Outcome = "empty"        // 204
	OutcomeThrottled   Outcome = "throttled"    // 429
	OutcomeRefused     Outcome = "refused"      // 401, 402, 403
	OutcomeRejected    Outcome = "rejected"     // 400, 404, any other 4xx, and a 2xx that is neither 200 nor 204
	OutcomeServerError Outcome = "server_error" // 5xx, and the 4xx that pass by themselves: 408, 421, 423, 425
	OutcomeRedirected  Outcome = "redirected"   // 3xx
	OutcomeUnreachable Outcome = "unreachable"  // no answer: not resolved, not connected, reset
	OutcomeTimeout     Outcome = "timeout"      // the attempt took longer than Config.Timeout, or the network gave up
	OutcomeBrokenBody  Outcome = "broken_body"  // the body broke off, or decode did not accept it
	OutcomeTooLarge    Outcome = "too_large"    // the body is longer than Config.MaxBody, or has more in it than decode takes
)

// Outcomes lists every [Outcome], for a metric that starts each at zero.
func Outcomes() []Outcome {
	return []Outcome{
		OutcomeOK, OutcomeEmpty, OutcomeThrottled, OutcomeRefused, OutcomeRejected, OutcomeServerError,
		OutcomeRedirected, OutcomeUnreachable, OutcomeTimeout, OutcomeBrokenBody, OutcomeTooLarge,
	}
}

// Attempt is what [Config.Observe] is told of one request that was sent.
type Attempt struct {
	Outcome     Outcome
	Err         error         // nil for OutcomeOK and OutcomeEmpty; carries no secret
	Try         int           // 1 for the first attempt of a call
	LimiterWait time.Duration // how long the attempt waited for the limiter
	Duration    time.Duration // from the limiter's grant to the end of decoding
	RetryIn     time.Duration // how long until the call waits for the limiter again; -1: not retried
	Throttled   bool          // the answer made the limiter pause: a 429, or a 503 that says how long to wait

	// RetryAfter is how long the server asked to wait, 0 if it did not. Where it is
	// more than [MaxRest] only that is waited, so somebody should be told.
	RetryAfter time.Duration

	// SlowedTo is how many requests per second the limiter grants from now on if
	// this answer made it slower, and 0 if it did not.
	SlowedTo float64
}

// accepts reports if the server let the request through its limit. A refusal may
// be the front's, and of what failed nobody knows.
func (o Outcome) accepts() bool {
	switch o {
	case OutcomeOK, OutcomeEmpty, OutcomeRejected, OutcomeBrokenBody, OutcomeTooLarge:
		return true
	}
	return false
}

func outcomeOf(status int) Outcome {
	switch {
	case status == 429:
		return OutcomeThrottled
	case status >= 401 && status <= 403:
		return OutcomeRefused
	case status >= 500 || passing(status):
		return OutcomeServerError
	case status >= 300 && status < 400:
		return OutcomeRedirected
	default:
		return OutcomeRejected
	}
}
