// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"errors"
	"slices"
)

const (
	// maxLost is how often a lap starts over because a place was not found again,
	// before it is taken to be a list that has no lasting order.
	maxLost = 5

	// maxStale is how many pages in a row may bring nothing new though more is said
	// to follow. That many rows do not move to the front between two requests.
	maxStale = 20

	// maxFewStale is the same where no page had as many rows as were asked for. The
	// server may give less in a page, and count its pages by that; the lap starts
	// over and asks for no more.
	maxFewStale = 3

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

// lap is a way through the list from the front.
//
// Between two requests this can happen: rows 0 to 249 are read; row 100 is
// deleted, so that row 250 becomes row 249; the page from 250 on lacks it. With
// pages that overlap, row 249 is asked for again, and as it is not the one that
// was there before, the lap steps back until it finds that one.
type lap struct {
	covered int    // rows from the front that were read
	marks   []mark // the last rows that were read, in the order of reading
	back    int    // by how much covered was reduced to find marks again
	lost    int    // how often marks were found nowhere
	loose   bool   // pages are used as they come
	stale   int    // pages in a row that brought nothing new
	pages   int    // pages that were used
	short   *short // the page before, if it was one
	most    int    // the most rows that a page had
}

// short is a page with less rows than were asked for. Nothing documented says that
// it is the last: a server may hide rows after it has counted them, or give less
// than it is asked for at all.
type short struct {
	more bool // more was said to follow
}

// taken is what a page has brought.
type taken struct {
	rows  []Row // that were not read before
	ended bool  // the list ends here
	// used is false for a page that can't be joined to the one before; the next
	// window is further to the front then.
	used bool
	// behind says that the page before could have been the last, and that something
	// follows all the same.
	behind bool
	// size is not 0 if the pages don't fit together, perhaps because the server gives
	// no more rows than that in a page. The lap starts over.
	size int
}

// take uses a page that was asked for at an offset. look says whether to look
// behind a page that seems to be the last.
func (p *lap) take(offset, limit, size int, got *Page, look bool) (taken, error) {
	known := make(map[mark]struct{}, len(p.marks))
	for _, m := range p.marks {
		known[m] = struct{}{}
	}
	var t taken
	joined := offset == 0 || p.loose
	for i := range got.Rows {
		if _, ok := known[markOf(&got.Rows[i])]; ok {
			joined = true
		} else {
			t.rows = append(t.rows, got.Rows[i])
		}
	}
	p.most = max(p.most, len(got.Rows))
	before := p.short
	p.short = nil
	if before != nil {
		if len(t.rows) == 0 && !got.More && (!before.more || len(got.Rows) == 0) {
			t.ended, t.used = true, true
			return t, nil
		}
		t.behind = !before.more && len(t.rows) > 0
	}
	if !joined {
		p.stepBack(size)
		return t, nil
	}
	t.used = true
	p.back = 0
	p.covered = offset + len(got.Rows)
	full := len(got.Rows) >= limit
	// That nothing is said to follow is not the end: one account was told of about
	// 250 talks and of nothing more (chats-api.md, Finding chats). One request behind
	// a full page shows if that is all.
	t.ended = !got.More && !full && (!look || len(got.Rows) == 0)
	if !full && !t.ended {
		// Rows may have been taken out that count all the same.
		p.short = &short{more: got.More}
		p.covered = offset + limit
	}
	for i := range t.rows {
		p.marks = append(p.marks, markOf(&t.rows[i]))
	}
	if extra := len(p.marks) - maxMarks; extra > 0 {
		p.marks = slices.Delete(p.marks, 0, extra)
	}
	p.pages++
	if len(t.rows) > 0 {
		p.stale = 0
	} else if p.stale++; p.stale > maxStale {
		return taken{}, errStale
	} else if p.stale > maxFewStale && p.most < size {
		return taken{size: p.most}, nil
	}
	return t, nil
}

func (p *lap) stepBack(size int) {
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
