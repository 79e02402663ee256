// SPDX-License-Identifier: Apache-2.0

package crm

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
)

// Reason says what a refusal is about.
type Reason string

// The reasons of a [RefusedError] (chats-api.md, "Finding chats", row "limits";
// "Messages of every channel", rows "plans", "403", "404").
const (
	// RefusedToken: 401. The token has expired, was revoked or belongs to another account.
	RefusedToken Reason = "token"
	// RefusedPlan: 402. The account's plan does not have this call.
	RefusedPlan Reason = "plan"
	// RefusedScope: a 403 that says Invalid scope. The token may not use this call.
	RefusedScope Reason = "scope"
	// RefusedRight: any other 403 of the API itself. The token's user lacks a right.
	RefusedRight Reason = "right"
	// RefusedBlocked: something before the API answered 403 ([apicall.StatusError.Blocked]).
	// An address that was blocked for overload gets that.
	RefusedBlocked Reason = "blocked"
	// RefusedNotFound: a 404 of the API itself. There is no such talk; for a call that is
	// not about one talk, no such account.
	RefusedNotFound Reason = "not_found"
	// RefusedOther: any other 4xx, a 400 most of all.
	RefusedOther Reason = "other"
)

func reasonOf(status *apicall.StatusError) Reason {
	switch {
	case status.Status == http.StatusUnauthorized:
		return RefusedToken
	case status.Status == http.StatusPaymentRequired:
		return RefusedPlan
	case status.Blocked():
		return RefusedBlocked
	case status.Status == http.StatusForbidden && status.InvalidScope:
		return RefusedScope
	case status.Status == http.StatusForbidden:
		return RefusedRight
	case status.Status == http.StatusNotFound && !status.Foreign:
		return RefusedNotFound
	}
	return RefusedOther
}

// RefusedError is a 4xx that does not pass by itself: the API will not answer this call
// for this token, this account or this address until somebody changes something.
type RefusedError struct {
	Reason Reason
	// Talk is the talk that was asked for; "" for a call that is not about one talk.
	Talk string
	Err  *apicall.StatusError

	call call
	// token is why the token's file could not be read since; nil if it could.
	token error
}

// Everything reports if other calls of this kind are refused alike, whatever talk they
// ask for: always, but for RefusedNotFound and RefusedOther of one talk where the API
// itself says so.
func (e *RefusedError) Everything() bool {
	return e.Talk == "" || e.Err.Foreign || e.Reason != RefusedNotFound && e.Reason != RefusedOther
}

// Error says what to do.
func (e *RefusedError) Error() string {
	text := fmt.Sprintf("%s: %s refuses it with status %d", e.call, e.Err.Host, e.Err.Status) + e.Err.Said()
	const account = ": check that api_url is the account's address, as in https://example.kommo.com"
	switch e.Reason {
	case RefusedBlocked:
		return text + apicall.BlockedAdvice
	case RefusedToken:
		if e.token != nil {
			return text + ": access_token has expired or was revoked, and the file gives no new one: " + e.token.Error()
		}
		return text + ": access_token has expired, was revoked or belongs to another account:" +
			" put a new one in and restart, or use access_token_file, which is read again; and use a long-lived token, as others last a day"
	case RefusedPlan:
		if e.call.messages {
			return text + ": the account's plan does not have this call: it is part of Trial, Pro, Enterprise and Technical"
		}
		return text + ": check that the account is paid for, and that its tariff includes the API"
	case RefusedScope:
		if e.call.messages {
			return text + " Invalid scope: access_token lacks the scope " + ScopeMessages +
				": enable \"External chat history\" in the integration's scopes, and make a new token"
		}
		return text + " Invalid scope: access_token lacks the scope of this call: enable it in the integration's scopes, and make a new token"
	case RefusedRight:
		if e.call.contacts {
			return text + ": the user of access_token lacks a right: contact_chats needs an administrator's token"
		}
		return text + ": the user of access_token lacks a right: use an administrator's token"
	case RefusedNotFound:
		if e.Talk != "" {
			return text + ": the account has no such talk"
		}
		return text + account
	}
	switch {
	case e.Err.Status == http.StatusNotFound:
		return text + account
	case e.Err.Status == http.StatusBadRequest && e.Err.Foreign:
		// nginx: "The plain HTTP request was sent to HTTPS port".
		return text + ": something before the API answers: check api_url, which should begin with https://, and proxy_url"
	}
	return text + ": check api_url and page_size"
}

// Unwrap returns the [apicall.StatusError].
func (e *RefusedError) Unwrap() error { return e.Err }

// call is what errors say of a call.
type call struct {
	doing    string // "listing talks"
	page     int    // 0: none
	talk     string
	messages bool // the call for a talk's messages
	contacts bool // the list of contacts' chats
}

func (c call) String() string {
	text := c.doing
	if c.talk != "" {
		text += " " + c.talk
	}
	if c.page > 0 {
		text += fmt.Sprintf(", page %d", c.page)
	}
	return text
}

func (c call) explain(ctx context.Context, err, token error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return ctx.Err()
	}
	if status, ok := errors.AsType[*apicall.StatusError](err); ok && status.Status >= 400 && !status.Passing() {
		return &RefusedError{Reason: reasonOf(status), Talk: c.talk, Err: status, call: c, token: token}
	}
	return fmt.Errorf("%s: %w", c, err)
}
