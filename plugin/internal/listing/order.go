// SPDX-License-Identifier: Apache-2.0

package listing

const (
	// minWitnesses is how many pairs of neighbours have to speak against each order
	// by age. Eleven rows or more then fall in their updates, which happens by chance
	// in one of 11! orders.
	minWitnesses = 5

	// sweepEvery is how long, in s, an order may be trusted without a whole listing
	// that confirms it.
	sweepEvery = 24 * 60 * 60
)

// order watches whether a listing is sorted by update, the latest first. That
// updates fall from row to row is not enough: if no row was ever updated, a list
// sorted by age shows the same.
type order struct {
	// Broken says that a row was updated later than one before it.
	Broken bool
	// OlderFirst counts neighbours of which the first was updated later and is the
	// older one, so that a list with the newest rows first would have them the other
	// way round. NewerFirst counts those that a list with the oldest first would.
	OlderFirst, NewerFirst int
}

// look reads a page. Rows updated at until or later don't count, as they may have
// changed between the sorting and the showing. Pages overlap, so the
// neighbours on two pages are seen as well.
func (o *order) look(rows []Row, until int64) {
	var before *Row
	for i := range rows {
		r := &rows[i]
		switch {
		case r.Updated == 0:
			o.Broken = true
		case r.Updated >= until:
			continue
		case before == nil || before.Updated == r.Updated:
		case before.Updated < r.Updated:
			o.Broken = true
		case before.Serial == 0 || r.Serial == 0:
		case before.Serial < r.Serial && (r.Created == 0 || before.Created < r.Created):
			o.OlderFirst++
		case before.Serial > r.Serial && (before.Created == 0 || before.Created > r.Created):
			o.NewerFirst++
		}
		before = r
	}
}

// newestFirst says whether a whole listing has shown the order. One that was
// shown before needs no new witnesses.
func (o *order) newestFirst(before bool) bool {
	return !o.Broken && (before || min(o.OlderFirst, o.NewerFirst) >= minWitnesses)
}
