// SPDX-License-Identifier: Apache-2.0

package crm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
)

// maxTalkID is the longest id that is asked for, in digits. Those of accounts have up to
// eight.
const maxTalkID = 18

// CheckTalkID says what is wrong with a talk's id, or returns nil. An id has digits only
// and does not begin with 0; the chat's id is another one.
func CheckTalkID(id string) error {
	switch {
	case id == "":
		return fmt.Errorf("it is empty: want a talk's id, as talk_id of GET /api/v4/talks")
	case len(id) > maxTalkID || strings.Trim(id, "0123456789") != "" || id[0] == '0':
		return fmt.Errorf("want a talk's id, a number as talk_id of GET /api/v4/talks, got %.80q", id)
	}
	return nil
}

// MessageQuery says which of a talk's messages are asked for.
type MessageQuery struct {
	// Page counts from 1.
	Page int
	// Limit is the most messages of a page, 1 to [MaxLimit].
	Limit int
	// From and To are the first and the last second of created_at, in Unix time. Zero: no
	// bound. Whether the API heeds them, and takes the ends for inside, is not known.
	From, To int64
}

// TalkMessages returns one page of a talk's messages, in the API's own order. A talk
// without messages and a page past the end are an empty page.
//
// Errors are as those of [Client.List].
func (c *Client) TalkMessages(ctx context.Context, talkID string, q MessageQuery) (MessagePage, error) {
	of := call{doing: "reading messages of talk", page: q.Page, talk: talkID, messages: true}
	if err := CheckTalkID(talkID); err != nil {
		return MessagePage{}, fmt.Errorf("reading messages of a talk: %w", err)
	}
	query, err := listQuery(q.Page, q.Limit, q.From, q.To)
	if err != nil {
		return MessagePage{}, fmt.Errorf("%s: %w", of, err)
	}
	var page MessagePage
	err = c.get(ctx, of, "/api/v4/talks/"+talkID+"/messages", query.Encode(),
		func() { page = MessagePage{} },
		func(body []byte) (err error) {
			page, err = DecodeMessages(body)
			return err
		},
		func(date time.Time) { page.Date = date })
	if err != nil {
		return MessagePage{}, err
	}
	return page, nil
}

// Talk returns one talk, which answers for any id, also those that the list of talks
// leaves out (chats-api.md, "Finding chats"). One that does not exist is a
// [*RefusedError] with RefusedNotFound.
//
// Errors are as those of [Client.List].
func (c *Client) Talk(ctx context.Context, talkID string) (Entry, error) {
	of := call{doing: "reading talk", talk: talkID}
	if err := CheckTalkID(talkID); err != nil {
		return Entry{}, fmt.Errorf("reading a talk: %w", err)
	}
	var talk Entry
	found := false
	err := c.get(ctx, of, "/api/v4/talks/"+talkID, "",
		func() { talk, found = Entry{}, false },
		func(body []byte) (err error) {
			talk, err = DecodeTalk(body)
			found = true
			return err
		},
		func(time.Time) {})
	switch {
	case err != nil:
		return Entry{}, err
	case !found:
		// The lists answer 204 for nothing, so this call may too.
		return Entry{}, &RefusedError{Reason: RefusedNotFound, Talk: talkID, Err: &apicall.StatusError{Status: 204, Host: c.Host()}, call: of}
	}
	return talk, nil
}

// DecodeTalk reads the body of a 200: a talk, as in the list. A body that is not a JSON
// object, or has no talk_id or id, is an error that wraps [apicall.ErrBrokenBody].
func DecodeTalk(body []byte) (Entry, error) {
	text := bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
	if len(text) == 0 || text[0] != '{' || !json.Valid(text) {
		return Entry{}, broken(body, "it is not a JSON object, or breaks off")
	}
	e := newEntry(text)
	if e.ID == (Value{}) {
		return Entry{}, broken(body, "want a talk_id")
	}
	return e, nil
}

// EventQuery says which events are asked for.
type EventQuery struct {
	// Page counts from 1.
	Page int
	// Limit is the most events of a page, 1 to [MaxLimit].
	Limit int
	// From and To are the first and the last second of created_at, in Unix time. Zero: no
	// bound.
	From, To int64
	// Types are the events' types. Nil: those of messages, incoming and outgoing.
	Types []string
	// Order is asc or desc, by created_at. "": none is asked for. Whether the API heeds
	// it is not known.
	Order string
}

// Types of events that announce messages (chats-api.md, "The event feed").
const (
	IncomingMessage = "incoming_chat_message"
	OutgoingMessage = "outgoing_chat_message"
)

// Events returns one page of the event feed, in the API's own order. A feed without
// events and a page past the end are an empty page.
//
// Errors are as those of [Client.List].
func (c *Client) Events(ctx context.Context, q EventQuery) (EventPage, error) {
	of := call{doing: "listing events", page: q.Page}
	query, err := listQuery(q.Page, q.Limit, q.From, q.To)
	if err != nil {
		return EventPage{}, fmt.Errorf("%s: %w", of, err)
	}
	types := q.Types
	if types == nil {
		types = []string{IncomingMessage, OutgoingMessage}
	}
	query.Set("filter[type]", strings.Join(types, ","))
	switch q.Order {
	case "":
	case "asc", "desc":
		query.Set("order[created_at]", q.Order)
	default:
		return EventPage{}, fmt.Errorf("%s: order: want asc or desc, got %q", of, q.Order)
	}
	var page EventPage
	err = c.get(ctx, of, "/api/v4/events", query.Encode(),
		func() { page = EventPage{} },
		func(body []byte) (err error) {
			page, err = DecodeEvents(body)
			return err
		},
		func(date time.Time) { page.Date = date })
	if err != nil {
		return EventPage{}, err
	}
	return page, nil
}

func listQuery(page, limit int, from, to int64) (url.Values, error) {
	switch {
	case page < 1:
		return nil, fmt.Errorf("page: want 1 or more, got %d", page)
	case limit < 1 || limit > MaxLimit:
		return nil, fmt.Errorf("limit: want 1..%d, got %d", MaxLimit, limit)
	case from < 0:
		return nil, fmt.Errorf("from: want 0 or more, got %d", from)
	case to < 0 || to > 0 && to < from:
		return nil, fmt.Errorf("to: want 0, or not less than from, got %d", to)
	}
	query := url.Values{"page": {strconv.Itoa(page)}, "limit": {strconv.Itoa(limit)}}
	if from > 0 {
		query.Set("filter[created_at][from]", strconv.FormatInt(from, 10))
	}
	if to > 0 {
		query.Set("filter[created_at][to]", strconv.FormatInt(to, 10))
	}
	return query, nil
}
