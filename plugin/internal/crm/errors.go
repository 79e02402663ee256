// SPDX-License-Identifier: Apache-2.0

package crm

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
)

// RefusedError is a 4xx that does not pass by itself: the API will not list for this token,
// this account or this address until somebody changes something.
type RefusedError struct {
	Source Source
	Page   int
	Err    *apicall.StatusError
}

// Error says what to do (chats-api.md, Finding chats, row "limits").
func (e *RefusedError) Error() string {
	text := fmt.Sprintf("listing %s, page %d: %s refuses it with status %d", e.Source, e.Page, e.Err.Host, e.Err.Status)
	text += e.Err.Said()
	switch {
	case e.Err.Blocked():
		return text + apicall.BlockedAdvice
	case e.Err.Status == http.StatusUnauthorized:
		return text + ": access_token has expired, was revoked or belongs to another account:" +
			" put a new one in and restart, and use a long-lived token, as others last a day"
	case e.Err.Status == http.StatusPaymentRequired:
		return text + ": check that the account is paid for, and that its tariff includes the API"
	case e.Err.Status == http.StatusForbidden && e.Source == ContactChats:
		return text + ": the user of access_token lacks a right: contact_chats needs an administrator's token"
	case e.Err.Status == http.StatusForbidden:
		return text + ": the user of access_token lacks a right: use an administrator's token"
	case e.Err.Status == http.StatusNotFound:
		return text + ": check that api_url is the account's address, as in https://example.kommo.com"
	}
	if e.Err.Status == http.StatusBadRequest && e.Err.Foreign {
		// nginx: "The plain HTTP request was sent to HTTPS port".
		return text + ": something before the API answers: check api_url, which should begin with https://, and proxy_url"
	}
	return text + ": check api_url and page_size"
}

// Unwrap returns the [apicall.StatusError].
func (e *RefusedError) Unwrap() error { return e.Err }

func explain(ctx context.Context, from Source, page int, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return ctx.Err()
	}
	var status *apicall.StatusError
	if errors.As(err, &status) && status.Status >= 400 && !status.Passing() {
		return &RefusedError{Source: from, Page: page, Err: status}
	}
	return fmt.Errorf("listing %s, page %d: %w", from, page, err)
}
