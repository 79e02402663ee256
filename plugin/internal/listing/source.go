// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"context"
	"time"
)

// Source gives pages of the list. page counts from 1; a page holds the rows from
// (page-1)*limit on, at most limit, and none if that is behind the last. It is
// called again after an error.
type Source interface {
	Page(ctx context.Context, page, limit int) (Page, error)
}

// Page is a page of the list.
type Page struct {
	Rows []Row
	More bool      // the list says that another page follows
	Date time.Time // the server's time of the answer
	// Received is our own time of the answer; zero: not known. Either clock may be
	// wrong by hours.
	Received time.Time
}

// past is a time, in s, that is over by either clock.
func (p *Page) past() int64 {
	if p.Received.IsZero() {
		return p.Date.Unix()
	}
	return min(p.Date.Unix(), p.Received.Unix())
}

// fresh says whether a row can still change within the second of its update, by
// either clock. One from the far future comes from a clock that means nothing.
func (p *Page) fresh(updated int64) bool {
	for _, now := range []time.Time{p.Date, p.Received} {
		if !now.IsZero() && updated > now.Unix()-unsure && updated < now.Unix()+lag {
			return true
		}
	}
	return false
}

// Row is a row of the list.
type Row struct {
	// Key is what the row is known by, and unique in the list; "" if it has nothing
	// of the kind but its chat.
	Key string
	// Chat is the chat that the row names; "" if it names none.
	Chat string
	// Origin is where the chat comes from; "" if the row does not say.
	Origin string
	// Updated and Created are Unix times in seconds, 0 if the row does not say.
	Updated, Created int64
	// Serial is a number that the list gives to its rows as they are made, the
	// later ones higher; 0 if there is none.
	Serial int64
	// Value is the caller's, and passed through.
	Value any
}
