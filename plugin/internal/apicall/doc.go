// SPDX-License-Identifier: Apache-2.0

// Package apicall makes one careful GET against a JSON API that limits its
// callers: it waits for its turn, tries again where that can help, and says in
// its errors what to do where it can't.
//
// It knows HTTP and time, and nothing of the API behind it: what to ask and how
// to sign it comes as a function that builds a request, what to do with the
// answer as a function that decodes it.
//
//	Caller      one call: wait, build, send, read, decode, perhaps again
//	Limiter     when the next request may be sent, shared by many Callers
//	Backoff     how long to wait between the attempts of one call
//	slowdown    how much slower than configured, after 429s
//	StatusError, NoAnswerError, ErrBrokenBody, ErrTooLarge, ErrRedirect
//	carried     what a request carried, which no error repeats
//	Retryable   the one place that decides what is worth another attempt
package apicall
