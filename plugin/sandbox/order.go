// SPDX-License-Identifier: Apache-2.0

// The order of a listing, and messages that arrive out of it.
//
// Known from samples only (chats-api.md, row "order"): newest first. Unknown (row
// "does a back-dated import sort by its own time?"): whether the newest is the one
// with the latest time or the one that arrived last. So both are served.
//
// Assumed: a listing by time goes by milliseconds, and of messages with the same
// time the one that arrived last is the newest.

package sandbox

import (
	"encoding/json"
	"fmt"
	"time"
)

// Order is what a history is listed by, newest first in both cases.
type Order string

// The orders of a history.
const (
	// OrderArrival lists by arrival: a late message is the newest, whatever time it
	// bears.
	OrderArrival Order = "arrival"
	// OrderTime lists by time: a late message is found where its time belongs.
	OrderTime Order = "time"
)

func (o Order) validate() error {
	switch o {
	case OrderArrival, OrderTime:
		return nil
	}
	return fmt.Errorf("order: want %s or %s, got %q", OrderArrival, OrderTime, string(o))
}

// AppendAt adds items that arrive now and, for a server that lists by time, belong
// to a time, whatever times the items themselves bear. With OrderArrival it does
// what Append does.
func (s *Server) AppendAt(chat string, at time.Time, items ...json.RawMessage) {
	s.add(chat, items, func(json.RawMessage) (int64, bool) { return at.UnixMilli(), true })
}

// add makes items the newest ones of a chat, or sorts them in by time.
func (s *Server) add(chat string, items []json.RawMessage, timeOf func(json.RawMessage) (int64, bool)) {
	s.mu.Lock()
	c := s.ensureChat(chat)
	for _, item := range items {
		if s.config.Order == OrderArrival {
			c.insert(c.len(), item, 0)
			continue
		}
		at, ok := timeOf(item)
		if !ok && c.len() > 0 {
			at = c.at(c.len() - 1) // what has no time is taken for new
		}
		c.insert(c.place(at), item, at)
	}
	s.announce(chat, items...)
	s.mu.Unlock()
	if len(items) > 0 {
		s.touchChat(chat)
	}
}

// itemTime returns the time that an item bears, in unix milliseconds.
func itemTime(item json.RawMessage) (int64, bool) {
	var v struct {
		Timestamp     *int64 `json:"timestamp"`
		MsecTimestamp *int64 `json:"msec_timestamp"`
	}
	// An odd item has no time.
	switch err := json.Unmarshal(item, &v); {
	case err != nil:
		return 0, false
	case v.MsecTimestamp != nil:
		return *v.MsecTimestamp, true
	case v.Timestamp != nil:
		return *v.Timestamp * 1000, true
	}
	return 0, false
}
