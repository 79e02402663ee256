// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"errors"
	"slices"
)

const (
	// maxLost is how often a pass starts over because a place was not found again,
	// before it is taken to be a list that has no lasting order.
	maxLost = 5

	// maxStale is how many pages in a row may bring nothing new though more is said
	// to follow. That many rows do not move to the front between two requests.
	maxStale = 20

	// maxMarks is how many rows are kept to find the place again, and maxSavedMarks
	// how many of them a checkpoint keeps.
	maxMarks      = 1000
	maxSavedMarks = 32
)

// errStale stops a listing that would go on for ever.
var errStale = errors.New("listing chats: the API gives the same page again and again and says that more follows: it may have stopped to page; starting over")

// mark is a row as it was when it was read. Updated is part of it, because a row
// that was updated may have moved.
type mark struct {
	Key     string
	Updated int64
}

func markOf(r *Row) mark { return mark{r.Key, r.Updated} }

// pass is a way through the list from the front.
//
// Between two requests this can happen: rows 0 to 249 are read; row 100 is
// deleted, so that row 250 becomes row 249; the page from 250 on lacks it. With
// pages that overlap, row 249 is asked for again, and as it is not the one that
// was there before, the pass steps back until it finds that one.
type pass struct {
	covered int    // rows from the front that were read
	marks   []mark // the last rows that were read, in the order of reading
	back    int    // by how much covered was reduced to find marks again
	lost    int    // how often marks were found nowhere
	loose   bool   // pages are used as they come
	stale   int    // pages in a row that brought nothing new
	pages   int    // pages that were used
}

// take uses a page that was asked for at an offset. It returns the rows that were
// not read before, and whether the list ends here. used is false for a page
// that can't be joined to the one before; the next window is further to the front
// then.
func (p *pass) take(offset, limit, size int, got Page) (rows []Row, ended, used bool, err error) {
	known := make(map[mark]struct{}, len(p.marks))
	for _, m := range p.marks {
		known[m] = struct{}{}
	}
	joined := offset == 0 || p.loose
	for i := range got.Rows {
		if _, ok := known[markOf(&got.Rows[i])]; ok {
			joined = true
		} else {
			rows = append(rows, got.Rows[i])
		}
	}
	if !joined {
		p.stepBack(size)
		return nil, false, false, nil
	}
	p.back = 0
	p.covered = offset + len(got.Rows)
	if got.More {
		// A page that is not full may have had rows taken out that count all the
		// same.
		p.covered = offset + limit
	}
	for i := range rows {
		p.marks = append(p.marks, markOf(&rows[i]))
	}
	if extra := len(p.marks) - maxMarks; extra > 0 {
		p.marks = slices.Delete(p.marks, 0, extra)
	}
	p.pages++
	if len(rows) > 0 {
		p.stale = 0
	} else if p.stale++; p.stale > maxStale {
		return nil, false, false, errStale
	}
	// That nothing is said to follow is not the end: one account was told of about
	// 250 talks and of nothing more (chats-api.md, Finding chats). One request behind
	// a full page shows if that is all.
	ended = !got.More && len(got.Rows) < limit
	return rows, ended, true, nil
}

func (p *pass) stepBack(size int) {
	p.back = max(2*p.back, size)
	p.covered -= p.back
	if p.covered > 0 {
		return
	}
	p.covered = 0
	if p.lost++; p.lost >= maxLost {
		p.loose = true
	}
}

// lastMarks returns as many marks as a checkpoint keeps.
func lastMarks(marks []mark) []mark {
	return slices.Clone(marks[max(0, len(marks)-maxSavedMarks):])
}
