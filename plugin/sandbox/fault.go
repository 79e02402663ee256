// SPDX-License-Identifier: Apache-2.0

// What can go wrong, each with how well it is known.
//
// Documented (chats-api.md, "The history call", rows "400", "403", "404", "429",
// "500"; "Finding chats", row "limits"): the statuses and the JSON bodies BodyJSON
// (429, and 402 of the CRM), BodySignature and BodyNotRegistered; the wait of a 429
// in its body; an address blocked with plain text or HTML in place of JSON.
//
// Known of one account (row "GET /api/v4/talks"): a listing without next, which is
// FaultNext.
//
// Unknown (rows "a chat of another channel", "a page shorter than limit"): how a
// foreign chat is answered, which is FaultForeign, and whether more can follow on a
// short page, which is FaultHideItems and FaultPageCap.
//
// Unknown of the messages of a talk (chats-api.md, "Messages of every channel", rows
// "order", "paging", "what belongs to a talk"): their order, which is FaultOldestFirst,
// FaultNewestFirst and FaultNoOrder; whether the time filter does what its name says,
// which is FaultFilterIgnored and FaultFilterOff; FaultNext; FaultWholeChat. Known:
// FaultDelivery, and that events come late ("The event feed"), which is FaultLate.
//
// Assumed, because nothing excludes it: everything else, that is wrong times
// (stamp.go), the Date of a cache, waits of a year, chats that fail for good, bombs.

package sandbox

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// FaultKind names a way in which the sandbox misbehaves.
type FaultKind string

// The kinds of faults that answer in place of the API.
const (
	// FaultStatus answers Status, 400 to 599, with the Body of choice and, if
	// RetryAfter is set, how long to wait. 400, 402 and 404 are answered only to
	// requests that are well signed (or have the right access token), as these are
	// the application's own answers.
	FaultStatus FaultKind = "status"
	// FaultForeign answers the history call of well-signed requests as for a chat of
	// another channel: 403 with the Body of choice, BodySignature if there is none.
	FaultForeign FaultKind = "foreign"
	// FaultHTML answers 200 with an HTML page instead of JSON.
	FaultHTML FaultKind = "html"
	// FaultRedirect answers 302 to Location.
	FaultRedirect FaultKind = "redirect"
	// FaultReset resets the connection without an answer.
	FaultReset FaultKind = "reset"
	// FaultClose closes the connection without an answer.
	FaultClose FaultKind = "close"
	// FaultHang never answers: it lasts until the client has gone.
	FaultHang FaultKind = "hang"
	// FaultCutLength sends half of a page that a Content-Length announces in full.
	FaultCutLength FaultKind = "cut-length"
	// FaultCutChunked breaks a chunked page off in the middle.
	FaultCutChunked FaultKind = "cut-chunked"
	// FaultCutJSON sends half of a page as a complete answer.
	FaultCutJSON FaultKind = "cut-json"
	// FaultHuge pads a page to Size bytes; it stays a valid page.
	FaultHuge FaultKind = "huge"
	// FaultBomb answers a history of {},{},… that is Size bytes long, and sent with
	// gzip to a client that takes it: some thousandth of that.
	FaultBomb FaultKind = "bomb"
)

// The kinds of faults that come on top of an answer.
const (
	// FaultDelay waits for Delay and then answers as usual; long ones make clients
	// time out.
	FaultDelay FaultKind = "delay"
	// FaultClock sets the server's clock off by Shift: its date window and its Date
	// header.
	FaultClock FaultKind = "clock"
	// FaultDateOff sets the Date header off by Shift, and not the clock.
	FaultDateOff FaultKind = "date-off"
	// FaultNoDate leaves the Date header out.
	FaultNoDate FaultKind = "no-date"
	// FaultCachedDate gives the Date of an answer that a cache has kept, with its
	// Age: it is between one and two Shift old, and the same for a Shift long.
	FaultCachedDate FaultKind = "cached-date"
)

// The kinds of faults that change what a page holds.
const (
	// FaultHideItems leaves the selected items out of a page after its limit was
	// applied, so that it is shorter than asked for though more follows. A page of
	// which nothing is left is answered by PastEnd, or as the server answers a page
	// behind the last message. A listing of the CRM keeps its next link, and is
	// answered with 204 only if PastEnd says so.
	FaultHideItems FaultKind = "hide-items"
	// FaultPageCap gives no page more than Limit items, whatever was asked for. A
	// listing of the CRM counts its pages by that limit.
	FaultPageCap FaultKind = "page-cap"
	// FaultIgnoreLimit gives all of the history that follows on the offset.
	FaultIgnoreLimit FaultKind = "ignore-limit"
	// FaultOldestFirst serves the history in reverse, offset 0 the oldest message; and
	// so a talk's messages and the events, whatever order they are asked for in.
	FaultOldestFirst FaultKind = "oldest-first"
	// FaultNewestFirst serves a talk's messages and the events newest first, whatever
	// order they are asked for in.
	FaultNewestFirst FaultKind = "newest-first"
	// FaultNoOrder serves a talk's messages and the events in an order that means
	// nothing, but is the same for each request: a new one is anywhere among them.
	FaultNoOrder FaultKind = "no-order"
	// FaultFilterIgnored serves a talk's messages and the events of all times, whatever
	// filter[created_at] says.
	FaultFilterIgnored FaultKind = "filter-ignored"
	// FaultFilterOff moves both ends of filter[created_at] by Shift, 1 s if zero: into
	// the future, so that the first second that is asked for is missing, or with a
	// negative one into the past.
	FaultFilterOff FaultKind = "filter-off"
	// FaultLate leaves the selected messages out of a talk, or events out of the feed,
	// until Lag after they came, by the server's clock; with a Lag of zero for good. What
	// is left out has no place in the numbering. Name the Endpoint for one of the two.
	FaultLate FaultKind = "late"
	// FaultDelivery changes the delivery_status of the selected messages of a talk with
	// every request: sent, delivered, read, and again. One without it has none.
	FaultDelivery FaultKind = "delivery"
	// FaultWholeChat lists with a talk the messages of all talks of its chat.
	FaultWholeChat FaultKind = "whole-chat"
	// FaultNullItems mixes a null into the history behind every ten messages. The
	// nulls take part in the numbering, so that nothing else is lost by them.
	FaultNullItems FaultKind = "null-items"
	// FaultDuplicates serves every tenth message twice. The second ones take part in
	// the numbering, as nulls do.
	FaultDuplicates FaultKind = "duplicates"
	// FaultNoID leaves message.id out of the selected items.
	FaultNoID FaultKind = "no-id"
	// FaultNoMsec leaves msec_timestamp out of the selected items.
	FaultNoMsec FaultKind = "no-msec"
	// FaultStamp gives the selected items the wrong times of Stamp; of a talk, its
	// updated_at. Neither moves for it.
	FaultStamp FaultKind = "stamp"
	// FaultBigItems pads the selected items to Size bytes each.
	FaultBigItems FaultKind = "big-items"
	// FaultPastEnd answers a page behind the last message by PastEnd.
	FaultPastEnd FaultKind = "past-end"
	// FaultNext spoils the next link of a listing of the CRM as Next says.
	FaultNext FaultKind = "next"
)

// FaultKinds returns all kinds of faults.
func FaultKinds() []FaultKind {
	return []FaultKind{
		FaultStatus, FaultForeign, FaultHTML, FaultRedirect, FaultReset, FaultClose, FaultHang, FaultCutLength, FaultCutChunked,
		FaultCutJSON, FaultHuge, FaultBomb, FaultDelay, FaultClock, FaultDateOff, FaultNoDate, FaultCachedDate, FaultHideItems,
		FaultPageCap, FaultIgnoreLimit, FaultOldestFirst, FaultNullItems, FaultDuplicates, FaultNoID, FaultNoMsec, FaultStamp,
		FaultBigItems, FaultPastEnd, FaultNext, FaultNewestFirst, FaultNoOrder, FaultFilterIgnored, FaultFilterOff, FaultLate,
		FaultDelivery, FaultWholeChat,
	}
}

// Body is what comes with the status of FaultStatus and FaultForeign.
type Body string

// The bodies.
const (
	// BodyJSON is the API's own JSON: with error_code, error_type and
	// error_description from the history call, with title, status and detail from
	// the CRM, and for 429 from both.
	BodyJSON Body = "json"
	// BodySignature is the JSON of a 403 for a wrong signature.
	BodySignature Body = "signature"
	// BodyNotRegistered is the JSON of a 404 for a channel that is not registered or
	// not connected.
	BodyNotRegistered Body = "not-registered"
	// BodyScope is the JSON of a 403 of the CRM for a token without the scope.
	BodyScope Body = "scope"
	// BodyText is plain text.
	BodyText Body = "text"
	// BodyHTML is the error page of nginx.
	BodyHTML Body = "html"
	// BodyEmpty is no body.
	BodyEmpty Body = "empty"
)

func (b Body) validate(field string) error {
	all := []Body{BodyJSON, BodySignature, BodyNotRegistered, BodyScope, BodyText, BodyHTML, BodyEmpty}
	if b == "" || slices.Contains(all, b) {
		return nil
	}
	return fmt.Errorf("%s: want one of %s, got %q", field, all, string(b))
}

// Hint is where an answer tells how long to wait.
type Hint string

// The places for a wait.
const (
	// HintHeader is the header Retry-After, which the vendor does not promise.
	HintHeader Hint = "header"
	// HintBody is retry_after in the JSON of a 429, as documented.
	HintBody Hint = "body"
	// HintBoth is both.
	HintBoth Hint = "both"
)

func (h Hint) validate() error {
	switch h {
	case "", HintHeader, HintBody, HintBoth:
		return nil
	}
	return fmt.Errorf("retry_after_in: want %s, %s or %s, got %q", HintHeader, HintBody, HintBoth, string(h))
}

// Next is a way in which the next link of a listing is wrong.
type Next string

// The ways in which a next link is wrong.
const (
	// NextMissing leaves it out though more follows.
	NextMissing Next = "missing"
	// NextElsewhere leads to Location.
	NextElsewhere Next = "elsewhere"
	// NextSelf leads to the page that has it.
	NextSelf Next = "self"
	// NextAlways is there on the last page too, and leads behind the end.
	NextAlways Next = "always"
)

// Fault is one switched-on misbehaviour. Faults are looked at in the order in
// which they were switched on. Of those that answer in place of the API only the
// first that fires has its way; the others (delay, clock and those that change
// what a page holds) add up.
type Fault struct {
	// Kind is required.
	Kind FaultKind
	// Endpoint limits the fault to one call of the API. Empty: every call that can
	// have it.
	Endpoint Endpoint
	// Chat limits the fault to the history of one chat. Empty: every request.
	Chat string
	// Chats limits the fault to the histories of these chats, and Chat if that is set
	// too. Nil: as Chat says.
	Chats []string
	// Talks limits the fault to the calls for these talks. Nil: every request.
	Talks []int
	// After is the number of requests to let pass first.
	After int
	// Count is the number of requests the fault strikes. Zero: until cleared.
	Count int
	// Starts is how long after being switched on it begins to strike. Zero: at once.
	Starts time.Duration
	// Lasts is how long it goes on from then, by the real clock. Zero: until cleared.
	Lasts time.Duration
	// Probability is the chance that it strikes a request, 0 to 1. Zero: always.
	Probability float64
	// Status is the status of FaultStatus.
	Status int
	// Body is the body of FaultStatus and FaultForeign. Empty: BodySignature for the
	// latter; else BodyEmpty for 403, BodyHTML for 502 and above, otherwise BodyJSON.
	Body Body
	// ErrorType is the error_type of a JSON body of the history call. Empty: one that
	// the API does not have; of FaultForeign the one of BodySignature.
	ErrorType string
	// Detail is the error_description, or detail, of a JSON body. Empty: a sentence
	// that names the sandbox; for 402 the vendor's own.
	Detail string
	// RetryAfter is for FaultStatus, rounded up to whole seconds. Zero: no wait.
	RetryAfter time.Duration
	// RetryAfterIn is where it is told: with HintBody and HintBoth only in the JSON
	// of a 429. Empty: HintHeader.
	RetryAfterIn Hint
	// RetryAfterDate writes the header as an HTTP date instead of seconds.
	RetryAfterDate bool
	// RetryAfterText is written as it is in place of RetryAfter, in a body as a string
	// unless it is a JSON value: an absurd wait, such as 1e99 or
	// Fri, 31 Dec 9999 23:59:59 GMT.
	RetryAfterText string
	// Delay is how long FaultDelay waits.
	Delay time.Duration
	// Shift is how far FaultClock and FaultDateOff set the clock, positive into the
	// future; how old FaultCachedDate is, 10 minutes if zero; how far FaultFilterOff
	// moves the filter, in whole seconds; and the shift of FaultStamp, zero for the
	// default of its Stamp.
	Shift time.Duration
	// Lag is how late FaultLate makes an entry, in whole seconds. Zero: it never comes.
	Lag time.Duration
	// Location is where FaultRedirect leads, and NextElsewhere. Empty: the same path
	// and query on http://elsewhere.invalid.
	Location string
	// Size is in bytes: the length of the body of FaultHuge, 20 MiB if zero, and of
	// FaultBomb, 16 MiB if zero, and of each item of FaultBigItems, a byte more than
	// 1 MiB if zero.
	Size int
	// PastEnd is the style of FaultPastEnd, and of a page that FaultHideItems leaves
	// empty. The latter's may be empty.
	PastEnd PastEnd
	// Limit is the most items of a page of FaultPageCap.
	Limit int
	// Stamp is what FaultStamp makes of the times.
	Stamp Stamp
	// Next is what FaultNext makes of a link.
	Next Next

	// The following select items, for FaultHideItems, FaultNoID, FaultNoMsec,
	// FaultStamp, FaultBigItems, FaultLate and FaultDelivery. All that are set must hold;
	// with none, every item is selected. Places are counted from the oldest message of
	// the chat or the talk, or the oldest event, 0, and in a listing of talks or chats
	// from the first entry.

	// Messages are ids of messages; an event is known by the one that it announces.
	Messages []string
	// Every selects every nth item: of 3 those at 2, 5, 8, … Zero or 1: all.
	Every int
	// From is the first place. Zero: from the oldest on.
	From int
	// To is the place behind the last. Zero: up to the newest.
	To int
}

const (
	defaultHuge      = 20 << 20
	defaultBomb      = 16 << 20
	defaultBigItem   = 1<<20 + 1
	defaultCacheAge  = 10 * time.Minute
	defaultElsewhere = "http://elsewhere.invalid"
)

// Validate names the first field that is wrong.
func (f Fault) Validate() error {
	for _, check := range []func(Fault) error{
		Fault.validateKind, Fault.validateReach, Fault.validateAnswer, Fault.validateNumbers,
	} {
		if err := check(f); err != nil {
			return err
		}
	}
	return nil
}

func (f Fault) validateKind() error {
	if f.Kind == "" {
		return errors.New("kind: missing")
	}
	if !slices.Contains(FaultKinds(), f.Kind) {
		return fmt.Errorf("kind: there is no fault %q", string(f.Kind))
	}
	switch f.Kind {
	case FaultStatus:
		if f.Status < 400 || f.Status > 599 {
			return fmt.Errorf("status: want 400..599, got %d", f.Status)
		}
	case FaultDelay:
		if f.Delay <= 0 {
			return fmt.Errorf("delay: want more than 0, got %s", f.Delay)
		}
	case FaultClock, FaultDateOff:
		if f.Shift == 0 {
			return errors.New("shift: want a duration other than 0")
		}
	case FaultCachedDate:
		if f.Shift < 0 {
			return fmt.Errorf("shift: want 0 or more, got %s", f.Shift)
		}
	case FaultPageCap:
		if f.Limit < 1 {
			return fmt.Errorf("limit: want 1 or more, got %d", f.Limit)
		}
	case FaultPastEnd:
		return f.PastEnd.validate()
	case FaultStamp:
		return f.Stamp.validate()
	case FaultNext:
		switch f.Next {
		case NextMissing, NextElsewhere, NextSelf, NextAlways:
		default:
			return fmt.Errorf("next: want %s, %s, %s or %s, got %q", NextMissing, NextElsewhere, NextSelf, NextAlways, string(f.Next))
		}
	}
	return nil
}

func (f Fault) validateReach() error {
	all := []Endpoint{EndpointHistory, EndpointTalks, EndpointContactChats, EndpointTalk, EndpointTalkMessages, EndpointEvents, EndpointAccount}
	if f.Endpoint != "" && !slices.Contains(all, f.Endpoint) {
		return fmt.Errorf("endpoint: want one of %s, got %q", all, string(f.Endpoint))
	}
	if f.Endpoint != "" && !f.has(f.Endpoint) {
		return fmt.Errorf("endpoint: %s has no fault %q", f.Endpoint, string(f.Kind))
	}
	if slices.Contains(f.Chats, "") {
		return errors.New("chats: an id is empty")
	}
	if slices.ContainsFunc(f.Talks, func(id int) bool { return id < 1 }) {
		return errors.New("talks: want ids of 1 or more")
	}
	if slices.Contains(f.Messages, "") {
		return errors.New("messages: an id is empty")
	}
	return nil
}

func (f Fault) validateAnswer() error {
	if err := f.Body.validate("body"); err != nil {
		return err
	}
	if err := f.RetryAfterIn.validate(); err != nil {
		return err
	}
	status := f.Status
	if f.Kind == FaultForeign {
		status = http.StatusForbidden
	}
	switch {
	case f.Body == BodySignature && status != http.StatusForbidden:
		return errors.New("body: signature is the body of a 403")
	case f.Body == BodyScope && status != http.StatusForbidden:
		return errors.New("body: scope is the body of a 403")
	case f.Body == BodyNotRegistered && status != http.StatusNotFound:
		return errors.New("body: not-registered is the body of a 404")
	case (f.RetryAfterIn == HintBody || f.RetryAfterIn == HintBoth) &&
		(f.Status != http.StatusTooManyRequests || f.Body != "" && f.Body != BodyJSON):
		return errors.New("retry_after_in: only the JSON of a 429 has the wait in its body")
	case f.Kind == FaultHideItems && f.PastEnd != "":
		return f.PastEnd.validate()
	}
	return nil
}

func (f Fault) validateNumbers() error {
	for _, n := range []struct {
		name     string
		negative bool
		got      any
	}{
		{"after", f.After < 0, f.After},
		{"count", f.Count < 0, f.Count},
		{"starts", f.Starts < 0, f.Starts},
		{"lasts", f.Lasts < 0, f.Lasts},
		{"lag", f.Lag < 0, f.Lag},
		{"retry_after", f.RetryAfter < 0, f.RetryAfter},
		{"size", f.Size < 0, f.Size},
		{"every", f.Every < 0, f.Every},
		{"from", f.From < 0, f.From},
	} {
		if n.negative {
			return fmt.Errorf("%s: want 0 or more, got %v", n.name, n.got)
		}
	}
	switch {
	case !(f.Probability >= 0 && f.Probability <= 1):
		return fmt.Errorf("probability: want 0..1, got %v", f.Probability)
	case f.To < 0 || f.To > 0 && f.To <= f.From:
		return fmt.Errorf("to: want 0 or more than from, got %d", f.To)
	}
	return nil
}
