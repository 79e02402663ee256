// SPDX-License-Identifier: Apache-2.0

package listing

// Lap is a way through a list of numbered pages that changes meanwhile, for those who
// decide by themselves what is new: each page overlaps what was read before, and counts
// only if it continues that. Make it with [NewLap].
type Lap struct {
	lap  lap
	size int
}

// NewLap returns one at the front of a list that gives at most size rows a page.
func NewLap(size int) *Lap { return &Lap{size: size} }

// Step is what a page has brought.
type Step struct {
	Rows  []Row // that were not read before in this lap, as far as it remembers
	Used  bool  // false: the page did not continue what was read, and another one is asked for
	Ended bool  // the list ends here
	// Behind says that Rows came behind what seemed to be the end.
	Behind bool
}

// Next returns the page to ask for, and its limit, which is more than size only in rare
// places and up to 25.
func (l *Lap) Next() (page, limit int) { return window(l.lap.covered, l.size) }

// Pages returns how many pages were used.
func (l *Lap) Pages() int { return l.lap.pages }

// Loose reports that pages can't be joined, and are used as they come.
func (l *Lap) Loose() bool { return l.lap.loose }

// Restart goes back to the front, perhaps of another list of the same server.
func (l *Lap) Restart() { l.lap = lap{} }

// Take uses the page that Next said. look says whether to look behind it if it seems to
// be the last. After an error the lap is at the front.
func (l *Lap) Take(page, limit int, got *Page, look bool) (Step, error) {
	t, err := l.lap.take((page-1)*limit, limit, l.size, got, look)
	if err != nil {
		l.Restart()
		return Step{}, err
	}
	if t.size > 0 {
		l.size = t.size
		l.Restart()
	}
	return Step{Rows: t.rows, Used: t.used, Ended: t.ended, Behind: t.behind}, nil
}
