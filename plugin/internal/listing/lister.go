// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"github.com/kommo-connect/kommo-connect/plugin/internal/checkpoint"

	"context"
	"math"
	"slices"
	"sync"
	"time"
)

// maxFronts bounds how often the front is read again at the end of one listing.
// It takes more than one time only if what came to the front meanwhile fills more
// than a page.
const maxFronts = 10

// Config configures a [Lister].
type Config struct {
	// Source gives the pages.
	Source Source
	// Name begins the names of the values in Store. Required.
	Name string
	// Store keeps checkpoints. nil: nothing is kept.
	Store checkpoint.Store
	// PageSize is how many rows to ask for at a time. It must be 1 or more; in rare
	// places up to 25 are asked for where it is less.
	PageSize int
	// Origins are the only ones of interest. None: all are.
	Origins []string
	// Since leaves out what was updated before. Zero: nothing.
	Since time.Time
	// Once says that the rows tell nothing of updates: a chat is listed once.
	Once bool
	// Hooks are told of what needs a person's attention.
	Hooks Hooks
}

// Hooks are told of what needs a person's attention. Each may be nil.
type Hooks struct {
	// Corrupt is told of a checkpoint that can't be read. Its chats are listed again.
	Corrupt func(name string, err error)
	// Restarted is told that the checkpoint was made for other origins, or for a
	// later Since, and is not used.
	Restarted func(name string)
	// Refuted is told that the list is not sorted by update after all.
	Refuted func()
	// Loose is told that the list has no lasting order, so that a listing can miss a
	// row.
	Loose func()
	// Odd is told, at the end of a listing, how many rows in it name no chat.
	Odd func(rows int)
	// Short is told that the server gives pages that are not full, with nothing said
	// to follow, before the list ends. All chats are listed again if some may have
	// been missed because this was not known.
	Short func()
	// Lost is told that a checkpoint is not in the Store any more as it was written,
	// and is written again.
	Lost func(name string)
}

// Batch is what one request brought.
type Batch struct {
	// Rows name the chats that are new or changed. There may be none. Nothing else
	// refers to them, so who keeps a Batch only to acknowledge it may set them to nil.
	Rows []Row
	// Done says that the listing is complete. The next call of Next begins another.
	Done bool

	lister  *Lister
	pending *pending
}

// AckRow says that the row with an index in Rows was delivered. Further calls do
// nothing. A row that is never acknowledged holds back the checkpoint, and nothing
// else.
func (b *Batch) AckRow(i int) { b.lister.ack(b.pending, i) }

// Lister lists chats again and again. Next is for one goroutine at a time, as is
// Save; everything else may be called at any time.
type Lister struct {
	conf    Config
	origins map[string]struct{} // nil: all
	memory  memory
	values  []string // the names of what memory keeps in Store
	loaded  int      // how many of those were read

	// Of the listing that is under way; only Next uses these.
	lap      lap
	front    []mark // the first page of this lap: rows that stay in front unless they change
	expected []mark // the same of the lap before; nil in the first lap
	fronts   int    // how often the front was read again
	place    *place // in the first lap
	odd      int    // rows that name no chat
	warned   bool   // that the list has no lasting order

	// What was learned about the server.
	size int  // the most rows that it gives in a page, as far as known
	ends int  // how often a page that was not full was taken for the last, or looked behind in vain
	lies bool // such a page was not the last

	mu      sync.Mutex
	pending pendingList
	saves   saves
}

// New returns a Lister that has not looked into its Store yet.
func New(conf Config) *Lister {
	l := &Lister{conf: conf, size: conf.PageSize}
	l.conf.Origins = slices.Compact(slices.Sorted(slices.Values(conf.Origins)))
	for _, o := range l.conf.Origins {
		if l.origins == nil {
			l.origins = map[string]struct{}{}
		}
		l.origins[o] = struct{}{}
	}
	if conf.Once {
		l.memory = &firsts{name: conf.Name}
	} else {
		l.memory = newUpdates(&l.conf)
	}
	l.values = l.memory.values()
	l.startOver()
	return l
}

// Next makes one request and returns what it brought. After an error the same is
// asked for again; nothing is lost by it.
//
// The first call reads the Store. An error of that is a [*StoreError].
func (l *Lister) Next(ctx context.Context) (*Batch, error) {
	if err := l.load(ctx); err != nil {
		return nil, err
	}
	number, limit := window(l.lap.covered, l.size)
	page, err := l.conf.Source.Page(ctx, number, limit)
	if err != nil {
		return nil, err
	}
	for i := range page.Rows {
		if r := &page.Rows[i]; r.Key == "" {
			r.Key = r.Chat
		}
	}
	offset := (number - 1) * limit
	probe := l.lap.short != nil && !l.lap.short.more
	t, err := l.lap.take(offset, limit, l.size, &page, l.looksBehind())
	if err != nil {
		l.startOver()
		return nil, err
	}
	if l.lap.loose && !l.warned {
		l.warned = true
		call(l.conf.Hooks.Loose)
	}
	b := &Batch{lister: l, pending: &pending{}}
	if t.behind && l.caughtLying(t.rows) {
		l.send(b)
		return b, nil
	}
	if !t.used {
		if t.size > 0 {
			l.size, l.lap = t.size, lap{}
		}
		l.send(b)
		return b, nil
	}
	if t.ended && (probe || len(page.Rows) > 0) {
		l.ends++
	}
	rows, ended := t.rows, t.ended
	if l.memory.look(&page) {
		l.startOver()
		call(l.conf.Hooks.Refuted)
		l.send(b)
		return b, nil
	}

	if offset == 0 {
		l.keepFront(page.Rows, page.past())
	}
	if l.fronts > 0 {
		var met bool
		rows, met = l.ahead(rows)
		ended = ended || met
	}
	l.choose(b, rows, &page)
	if enough := l.memory.chosen(&page); ended || enough {
		b.Done = l.endPass()
	} else if l.fronts == 0 {
		l.keepPlace()
	}
	l.send(b)
	return b, nil
}

// keepFront remembers the first page. Rows that could still change without
// showing it don't count, unless there are no others: one of them may move to the
// front and look as before.
func (l *Lister) keepFront(rows []Row, now int64) {
	l.front = nil
	for _, least := range []int64{unsure, math.MinInt32} {
		for i := range rows {
			if rows[i].Updated <= now-least {
				l.front = append(l.front, markOf(&rows[i]))
			}
		}
		if len(l.front) > 0 {
			return
		}
	}
}

// ahead returns the rows before the first that was in front when the front was
// read last, and whether there is one: nothing behind it has come to the front
// since.
func (l *Lister) ahead(rows []Row) ([]Row, bool) {
	for i := range rows {
		if slices.Contains(l.expected, markOf(&rows[i])) {
			return rows[:i], true
		}
	}
	return rows, false
}

const (
	// proofs is how often nothing was found behind a page that was not full until
	// that is believed of the server, and recheck after how many more such ends it is
	// looked at again.
	proofs  = 32
	recheck = 32
)

// looksBehind says whether to ask for what follows a page that was not full.
func (l *Lister) looksBehind() bool {
	return l.lies || l.ends < proofs || l.ends%recheck == 0
}

// caughtLying takes the rows that came behind a page which seemed to be the last.
// Rows that were there before show that it was not; others may have been added
// since. It reports whether the listing starts over.
func (l *Lister) caughtLying(rows []Row) bool {
	if l.lies || !l.memory.overlooked(rows) {
		return false
	}
	l.lies = true
	call(l.conf.Hooks.Short)
	// Listings that seemed to be whole may have missed rows that are older.
	if !l.memory.distrust() {
		return false
	}
	l.startOver()
	return true
}

// choose puts those rows into the batch that are wanted.
func (l *Lister) choose(b *Batch, rows []Row, page *Page) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range rows {
		r := &rows[i]
		if r.Chat == "" {
			l.odd++
			continue
		}
		if _, ok := l.origins[r.Origin]; !ok && l.origins != nil {
			continue
		}
		if l.memory.wanted(r, page, b.pending) {
			b.Rows = append(b.Rows, *r)
		}
	}
}

// keepPlace notes how far the first lap is.
func (l *Lister) keepPlace() {
	l.place = &place{covered: l.lap.covered, loose: l.lap.loose, marks: lastMarks(l.lap.marks), front: lastMarks(l.front)}
	l.memory.mark(l.place)
}

// endPass reports whether the listing is complete. If it took more than one page
// something may have moved to the front before it was read, so the front is read
// again then.
func (l *Lister) endPass() bool {
	if l.lap.pages > 1 && !l.lap.loose && l.fronts < maxFronts {
		l.fronts++
		l.expected, l.front = l.front, nil
		l.lap = lap{}
		return false
	}
	l.memory.end(l.lap.loose)
	if l.odd > 0 && l.conf.Hooks.Odd != nil {
		l.conf.Hooks.Odd(l.odd)
	}
	l.startOver()
	return true
}

// startOver goes back to the front, to begin a listing.
func (l *Lister) startOver() {
	l.memory.begin()
	l.lap = lap{}
	l.front, l.expected, l.fronts, l.place, l.odd = nil, nil, 0, nil, 0
}

// send lets the checkpoint follow a batch.
func (l *Lister) send(b *Batch) {
	p := b.pending
	p.rows = len(b.Rows)
	p.out = slices.Repeat([]bool{true}, p.rows)
	p.acked = p.rows == 0
	after := l.memory.progress()
	after.lies, after.place = l.lies, l.place
	p.after = &after
	// What the checkpoint would forget at once need not be kept until then.
	p.remember = slices.DeleteFunc(p.remember, func(k keyedStamp) bool { return !p.after.needs(k.stamp) })
	p.remember = slices.Clone(p.remember)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cover(l.pending.add(p))
	l.saves.due = l.saves.due || b.Done
}

func (l *Lister) ack(p *pending, row int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if first, done := l.pending.row(p, row); first {
		l.memory.acked(p, row)
		l.cover(done)
	}
}

// cover moves the checkpoint. Caller holds mu.
func (l *Lister) cover(done []*pending) {
	for _, p := range done {
		l.memory.covered(p)
	}
}

// Unacked returns how many rows were returned and not acknowledged.
func (l *Lister) Unacked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pending.rows
}

func call(hook func()) {
	if hook != nil {
		hook()
	}
}
