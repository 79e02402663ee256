// SPDX-License-Identifier: Apache-2.0

package check

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/kommo-connect/kommo-connect/plugin/internal/amojo"
	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
)

// errStopped is the error of a call that is not made any more, and errTimeUp that of one for
// which there is no time.
var (
	errStopped = errors.New("not asked, for the reason above")
	errTimeUp  = errors.New("time was up")
)

// Answers of calls that fail.
const (
	tokenRefused  = "token_refused"  // 401
	planRefused   = "plan"           // 402
	scopeRefused  = "scope"          // 403 Invalid scope
	rightRefused  = "right"          // any other 403 of the CRM API
	addressBlock  = "blocked"        // 403, and not of the API
	signRefused   = "signature"      // 403 with that error_type
	refusedOther  = "refused"        // any other 403 of the Chats API
	notRegistered = "not_registered" // 404 with that error_type
	notFound      = "not_found"      // 404
	rejected      = "rejected"       // any other 4xx
	throttled     = "throttled"      // 429
	serverError   = "server_error"   // 5xx
	timedOut      = "timeout"
	noAnswer      = "no_answer"
	redirected    = "redirected"
	tooLarge      = "too_large"
	brokenAnswer  = "broken_answer"
	notAsked      = "not_asked"
	otherTrouble  = "failed"
)

// wordOf returns the Answer for a call that failed.
func wordOf(err error) string {
	var (
		ofCRM    *crm.RefusedError
		refused  *amojo.RefusedError
		ofAmojo  *amojo.Error
		status   *apicall.StatusError
		nobody   *apicall.NoAnswerError
		ofReason = map[crm.Reason]string{
			crm.RefusedToken: tokenRefused, crm.RefusedPlan: planRefused, crm.RefusedScope: scopeRefused,
			crm.RefusedRight: rightRefused, crm.RefusedBlocked: addressBlock, crm.RefusedNotFound: notFound,
		}
	)
	switch {
	case errors.Is(err, errStopped), errors.Is(err, errTimeUp), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &nobody):
		return notAsked
	case errors.As(err, &ofCRM):
		if word, ok := ofReason[ofCRM.Reason]; ok {
			return word
		}
		return rejected
	case errors.As(err, &refused):
		switch refused.Reason {
		case amojo.RefusedSignature:
			return signRefused
		case amojo.RefusedBlocked:
			return addressBlock
		}
		return refusedOther
	case errors.As(err, &ofAmojo) && ofAmojo.NotRegistered():
		return notRegistered
	case errors.As(err, &ofAmojo) && ofAmojo.Err.Status == http.StatusPaymentRequired:
		return planRefused
	case errors.As(err, &ofAmojo) && ofAmojo.Err.Status == http.StatusNotFound:
		return notFound
	case errors.As(err, &ofAmojo):
		return rejected
	case errors.As(err, &status) && status.Status == http.StatusTooManyRequests:
		return throttled
	case errors.As(err, &status):
		return serverError
	case errors.As(err, &nobody) && nobody.TimedOut:
		return timedOut
	case errors.As(err, &nobody):
		return noAnswer
	case errors.Is(err, apicall.ErrRedirect):
		return redirected
	case errors.Is(err, apicall.ErrTooLarge):
		return tooLarge
	case errors.Is(err, apicall.ErrBrokenBody):
		return brokenAnswer
	}
	return otherTrouble
}

// troubleOf says what became of a call that failed. The clients' own errors say what to
// do, but name hosts and ids.
func troubleOf(err error) said {
	public := "a call failed: " + strings.ReplaceAll(wordOf(err), "_", " ")
	if status, ok := errors.AsType[*apicall.StatusError](err); ok {
		public = fmt.Sprintf("%s, status %d%s", public, status.Status, ofType(status))
	}
	return said{full: err.Error(), public: public}
}

// ofType names an error_type only if it is one that is known (chats-api.md, rows 403 and
// 404): it may be anybody's name.
func ofType(status *apicall.StatusError) string {
	switch status.ErrorType {
	case "":
		return ""
	case "ORIGIN_INVALID_SIGNATURE", "ORIGIN_NOT_REGISTERED", "INVALID_SCOPE":
		return ", error_type " + status.ErrorType
	}
	return ", another error_type"
}
