// SPDX-License-Identifier: Apache-2.0

package amojo

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
)

// Reason says what a refusal is about, as far as its body tells.
type Reason string

// The reasons of a [RefusedError] (chats-api.md, row 403).
const (
	// RefusedSignature: error_type says INVALID_SIGNATURE. It concerns every chat if
	// channel_secret or scope_id is wrong, and this one only if it belongs to another
	// channel.
	RefusedSignature Reason = "signature"

	// RefusedBlocked: something before the API answered ([apicall.StatusError.Blocked]).
	// An address that was blocked for overload gets that. It concerns every chat.
	RefusedBlocked Reason = "blocked"

	// RefusedOther: no body, or JSON with another error_type or none. It may be
	// either of what RefusedSignature is.
	RefusedOther Reason = "other"
)

func reasonOf(status *apicall.StatusError) Reason {
	switch {
	case strings.Contains(strings.ToUpper(status.ErrorType), "INVALID_SIGNATURE"):
		return RefusedSignature
	case status.Blocked():
		return RefusedBlocked
	default:
		return RefusedOther
	}
}

// RefusedError is a 403 or 401: the API does not accept the signature, or does
// not know the chat as one of the channel's, or the address is blocked. A wrong
// clock is not among the causes of a 403, because the call was repeated with the
// server's time.
type RefusedError struct {
	Host   string
	ChatID string
	Reason Reason

	// ClockSkew is how far the server's clock is ahead of the local one, to the
	// second; negative if it is behind. It means something only if ClockKnown.
	ClockSkew  time.Duration
	ClockKnown bool // the answer has a Date

	Err *apicall.StatusError
}

// Error says what to check.
func (e *RefusedError) Error() string {
	text := fmt.Sprintf("reading the history of chat %q: %s refuses it with status %d", e.ChatID, e.Host, e.Err.Status)
	text += e.Err.Said()
	const check = "check channel_secret, scope_id, and that the chat belongs to this channel"
	switch e.Reason {
	case RefusedBlocked:
		// The signature was not looked at, so neither it nor the clock is the matter.
		return text + apicall.BlockedAdvice
	case RefusedSignature:
		return text + ": " + check + ", as a chat of another channel is refused alike while others are read; " + e.clocks()
	default:
		return text + ": " + check + "; " + e.clocks()
	}
}

func (e *RefusedError) clocks() string {
	switch skew := e.ClockSkew.Round(time.Second); {
	case !e.ClockKnown:
		return "the answer does not tell the server's time, so check this machine's clock as well"
	case skew >= 2*time.Second:
		return fmt.Sprintf("the server's clock is %s ahead of this machine's, which is allowed for", skew)
	case skew <= -2*time.Second:
		return fmt.Sprintf("the server's clock is %s behind this machine's, which is allowed for", -skew)
	default:
		return "the clocks agree"
	}
}

// Unwrap returns the [apicall.StatusError].
func (e *RefusedError) Unwrap() error { return e.Err }

// Error is any other 4xx: the API rejects this request, with a 400 or 404 most
// of all, and would reject it again. It says nothing of other chats, unless
// NotRegistered.
type Error struct {
	Host   string
	ChatID string
	Err    *apicall.StatusError
}

// NotRegistered reports if the API does not know the channel, or not as one that
// is connected (chats-api.md, row 404): no chat can be read then.
func (e *Error) NotRegistered() bool {
	return strings.Contains(strings.ToUpper(e.Err.ErrorType), "ORIGIN_NOT_REGISTERED")
}

// Error gives the API's own words, and says what to check.
func (e *Error) Error() string {
	text := fmt.Sprintf("reading the history of chat %q: %s rejects it with status %d", e.ChatID, e.Host, e.Err.Status)
	if name := http.StatusText(e.Err.Status); name != "" {
		text += " " + name
	}
	text += e.Err.Said()
	switch {
	case e.NotRegistered():
		return text + ": the channel is not registered, or not connected to this account, so no chat can be read:" +
			" check scope_id and base_url, and that the channel's connect call was made for this account"
	case e.Err.Status == http.StatusPaymentRequired:
		return text + ": check that the account is paid for"
	case e.Err.Status == http.StatusBadRequest && e.Err.Foreign:
		// nginx: "The plain HTTP request was sent to HTTPS port".
		return text + ": something before the API answers: check base_url, which should begin with https://, and proxy_url"
	}
	return text + ": check that the chat's id is its id in the Chats API, not the integration's own, and that scope_id and base_url are right"
}

// Unwrap returns the [apicall.StatusError].
func (e *Error) Unwrap() error { return e.Err }
