// SPDX-License-Identifier: Apache-2.0

package chatlist

import (
	"context"
	"strings"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
	"github.com/kommo-connect/kommo-connect/plugin/internal/listing"
)

// source gives the lister the pages of the CRM API.
type source struct {
	client *crm.Client
	list   crm.Source
}

// Page implements listing.Source.
func (s *source) Page(ctx context.Context, page, limit int) (listing.Page, error) {
	got, err := s.client.List(ctx, s.list, page, limit)
	if err != nil {
		return listing.Page{}, err
	}
	rows := make([]listing.Row, len(got.Entries))
	for i := range got.Entries {
		e := &got.Entries[i]
		rows[i] = listing.Row{
			Key: e.ID.Text, Chat: strings.TrimSpace(e.ChatID), Origin: e.Origin,
			Updated: unixSeconds(e.UpdatedAt), Created: unixSeconds(e.CreatedAt), Serial: e.ID.Number, Value: e,
		}
	}
	return listing.Page{Rows: rows, More: got.More, Date: got.Date, Received: time.Now()}, nil
}

// unixSeconds returns a time in seconds that may have been given in a smaller unit.
// 1e11 seconds are in the year 5138, so what is more is divided. A negative time counts
// as 0, none.
func unixSeconds(t int64) int64 {
	for t > 1e11 {
		t /= 1000
	}
	return max(t, 0)
}
