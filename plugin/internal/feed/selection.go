// SPDX-License-Identifier: Apache-2.0

package feed

import "github.com/kommo-connect/kommo-connect/plugin/internal/listing"

// selection is a part of the feed, by time, that is read from its front to its end, or
// until enough of it was read.
type selection struct {
	from, to int64 // what it is for, both ends inside; from 0: from the beginning; to 0: no end
	wider    int64 // how far before from is asked, beside slack
	uncut    bool  // it is as short as can be
	span     int64 // of a part that was cut: to - from + 1
	down     bool  // what follows it was read, as the feed is newest first

	rows           int // that were read
	oldest, latest int64
	last, last1    int           // how many are of the latest second, and of the one before
	buffer         []listing.Row // what was read and not accepted
	expects, met   bool          // known events should be in it; one was
}

// bounds are what is asked of the time filter.
func (s *selection) bounds() (from, to int64) {
	if s.from > 0 {
		from = max(1, s.from-1-s.wider)
	}
	if s.to > 0 {
		to = s.to + 1
	}
	return from, to
}

// broken reports whether rows show that the filter was not kept. A few may have wrong
// times.
func (s *selection) broken(rows []listing.Row) bool {
	out := 0
	for i := range rows {
		if at := rows[i].Updated; at > 0 && (at < s.from-s.wider-slack || s.to > 0 && at > s.to+slack) {
			out++
		}
	}
	return out > 0 && 2*out >= len(rows)
}

// take adds rows.
func (s *selection) take(rows []listing.Row, known func(*listing.Row) bool) {
	for i := range rows {
		r := &rows[i]
		at := r.Updated
		if at == 0 {
			continue // it says nothing
		}
		if s.rows == 0 || at < s.oldest {
			s.oldest = at
		}
		switch {
		case s.rows == 0 || at > s.latest+1:
			s.latest, s.last, s.last1 = at, 1, 0
		case at == s.latest+1:
			s.latest, s.last, s.last1 = at, 1, s.last
		case at == s.latest:
			s.last++
		case at == s.latest-1:
			s.last1++
		}
		s.rows++
		s.met = s.met || at >= s.from && (s.to == 0 || at <= s.to) && known(r)
	}
	s.buffer = append(s.buffer, rows...)
}

// overlap is how many rows would be read again by a selection from the latest row on.
func (s *selection) overlap() int { return s.last + s.last1 }

// half returns the older half.
func (s *selection) half() selection {
	low, high := s.from, s.to
	if low == 0 {
		low = s.oldest
	}
	if high == 0 {
		high = s.latest
	}
	half := selection{from: s.from, to: max(low, low+(high-low)/2)}
	half.span = half.to - low + 1
	half.uncut = half.span <= 1
	return half
}

// next returns what follows a part that was cut, which ends behind newest at the latest.
// most is how many rows make a part too long.
func (s *selection) next(newest int64, most int) selection {
	next := selection{from: s.to + 1, span: s.span}
	if 2*s.rows <= most {
		next.span *= 2
	}
	if to := s.to + next.span; to < newest {
		next.to = to
	}
	return next
}
