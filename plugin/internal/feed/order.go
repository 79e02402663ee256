// SPDX-License-Identifier: Apache-2.0

package feed

import "github.com/kommo-connect/kommo-connect/plugin/internal/listing"

// order is what the pages have shown of the feed's order. The zero value knows nothing.
type order struct {
	up, down int   // steps from row to row to a later, or an earlier time
	last     int64 // of the page before, in the same lap; 0: none
}

// enough is how many steps in one direction, with none in the other, make an order:
// eleven rows that happen to be in order are one of 11! ways to arrange them.
const enough = 10

// look reads the rows of a page that continues what was read.
func (o *order) look(rows []listing.Row) {
	for i := range rows {
		at := rows[i].Updated
		switch {
		case at == 0:
			continue
		case o.last == 0:
		case at > o.last:
			o.up++
		case at < o.last:
			o.down++
		}
		o.last = at
	}
}

func (o *order) oldestFirst() bool { return o.up >= enough && o.down == 0 }
func (o *order) newestFirst() bool { return o.down >= enough && o.up == 0 }
