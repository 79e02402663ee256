// SPDX-License-Identifier: Apache-2.0

package amojo

import (
	"fmt"
	"net/http"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/apicall"
)

// RefusedError is a 403 or 401: the API does not accept the signature, or does
// not know the chat as one of the channel's. A wrong clock is not among the
// causes, because the call was repeated with the server's time.
type RefusedError struct {
	Host    string
	ChatID  string
	Blocked bool // the answer is an HTML page, so the API itself was not reached

	// ClockSkew is how far the server's clock is ahead of the local one, to the
	// second; negative if it is behind. It means something only if ClockKnown.
	ClockSkew  time.Duration
	ClockKnown bool // the answer has a Date

	Err *apicall.StatusError
}

// Error says what to check.
func (e *RefusedError) Error() string {
	text := fmt.Sprintf("reading the history of chat %q: %s refuses it with status %d", e.ChatID, e.Host, e.Err.Status)
	if e.Blocked {
		// chats-api.md, The history call: an address blocked for overload gets a 403
		// as HTML.
		text += " and an HTML page: this address may be blocked for overload, so wait, lower requests_per_second," +
			" or ask the vendor to unblock it; if only this channel is refused,"
	} else {
		if e.Err.Body != "" {
			text += " (" + e.Err.Body + ")"
		}
		text += ":"
	}
	text += " check channel_secret, scope_id, and that the chat belongs to this channel"
	return text + "; " + e.clocks()
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
// of all, and would reject it again. It says nothing of other chats.
type Error struct {
	Host   string
	ChatID string
	Err    *apicall.StatusError
}

// Error gives the API's own words, and says what to check.
func (e *Error) Error() string {
	text := fmt.Sprintf("reading the history of chat %q: %s rejects it with status %d", e.ChatID, e.Host, e.Err.Status)
	if name := http.StatusText(e.Err.Status); name != "" {
		text += " " + name
	}
	if e.Err.Body != "" {
		text += " (" + e.Err.Body + ")"
	}
	if e.Err.Status == http.StatusPaymentRequired {
		return text + ": check that the account is paid for"
	}
	return text + ": check that the chat's id is its id in the Chats API, not the integration's own, and that scope_id and base_url are right"
}

// Unwrap returns the [apicall.StatusError].
func (e *Error) Unwrap() error { return e.Err }
