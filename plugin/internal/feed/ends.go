// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"slices"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/listing"
)

// ends is what was found behind pages that are not full and have no next link. Nothing
// says that such a page is the last: a server may give less than it is asked for. A
// quiet feed has nothing but such pages, and each should cost one request.
type ends struct {
	// lies says that something was found, so that all of them are looked behind.
	lies bool

	believed int       // the longest page behind which nothing was found
	most     int       // the longest page
	looked   time.Time // when it was looked last
	short    int       // the length of the page before
}

// lookEvery is how often it is looked behind a page of the greatest length that ever came.
const lookEvery = time.Hour

// look says whether to look behind a page. known says that nothing in it is new.
func (e *ends) look(page *listing.Page, known bool) bool {
	n := len(page.Rows)
	e.most = max(e.most, n)
	if e.looked.IsZero() {
		e.looked = page.Received
	}
	return e.lies || n > e.believed && !known || n > 0 && n >= e.most && page.Received.Sub(e.looked) >= lookEvery
}

// took notes what a page has brought. Rows that are older than settled were there before.
func (e *ends) took(page *listing.Page, step *listing.Step, settled int64) {
	if step.Behind && slices.ContainsFunc(step.Rows, func(r listing.Row) bool { return r.Updated < settled }) {
		e.lies = true
	}
	if step.Ended && len(step.Rows) == 0 && e.short > 0 {
		e.believed, e.looked = max(e.believed, e.short), page.Received
	}
	e.short = len(page.Rows)
	if step.Ended {
		e.short = 0
	}
}
