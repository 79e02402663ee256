// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
)

// kept is what a walk has seen, newest first, every entry in its place.
type kept struct {
	items []Item
	index map[string]int // id to its first place in items
	base  int            // the position of items[0] in the API's list, as far as known

	ended bool // the chat's end is among them
	met   bool // an item that was delivered is
	again bool // one is that was delivered before the checkpoint was set back
	olds  int  // how many messages in a row, at the end, are past
	// news is how many of them the walk was for; 0: all. What follows was read for what may
	// have changed in it.
	news int
}

func (k *kept) add(p *pass, items []Item) {
	for i := range items {
		if id := items[i].ID; id != "" {
			if _, dup := k.index[id]; !dup {
				k.index[id] = len(k.items)
			}
			k.met = k.met || p.delivered(&items[i])
			k.again = k.again || p.wasDelivered(&items[i])
			if k.olds++; !p.past(&items[i]) {
				k.olds = 0
			}
		}
		k.items = append(k.items, items[i])
	}
}

// forget lets go of the first n.
func (k *kept) forget(n int) {
	k.items = slices.Clone(k.items[n:])
	k.base += n
	clear(k.index)
	for i, it := range slices.Backward(k.items) {
		if it.ID != "" {
			k.index[it.ID] = i
		}
	}
}

// find returns the oldest of the kept items in a page: where it is in the page,
// and where it was kept, the last time if the server lists it more than once; -1 if none
// is there.
func (k *kept) find(page []Item) (i, at int) {
	for i, it := range slices.Backward(page) {
		if at, ok := k.index[it.ID]; ok && it.ID != "" {
			for last, other := range slices.Backward(k.items[at:]) {
				if other.ID == it.ID {
					return i, at + last
				}
			}
		}
	}
	return -1, -1
}

// ends says that a page ends with the oldest item that was kept.
func (k *kept) ends(page []Item) bool {
	i, at := k.find(page)
	return i >= 0 && i == len(page)-1 && at == len(k.items)-1
}

// cut finds the oldest of the kept items in a page: what stands behind it has
// not been read yet, but for entries without an identity that were kept there.
func (k *kept) cut(page []Item) (int, bool) {
	i, at := k.find(page)
	if i < 0 {
		return 0, false
	}
	cut := i + 1
	for at++; at < len(k.items) && k.items[at].ID == "" && cut < len(page) && page[cut].ID == ""; at++ {
		cut++
	}
	return cut, true
}

// edge returns how many of the last kept entries the next page should repeat
// for its place to be recognised, and the time of the oldest items.
// Entries without an identity can't be recognised; with nothing else in the
// last page's worth, ok is false. A single time may err, so it is the middle one of
// the last few.
func (k *kept) edge(pageSize int) (overlap int, time int64, ok bool) {
	time = median(times(k.items[max(0, len(k.items)-timesAtEdge):]))
	for overlap = 1; overlap <= len(k.items) && overlap < pageSize; overlap++ {
		if k.items[len(k.items)-overlap].ID != "" {
			return overlap, time, true
		}
	}
	return 1, time, false
}

// timesAtEdge is of how many entries at the edge of what was read the times are
// compared with others.
const timesAtEdge = 5

// mark returns the oldest message and its position.
func (k *kept) mark() (id string, at int) {
	for i, it := range slices.Backward(k.items) {
		if it.ID != "" {
			return it.ID, max(0, k.base+i) // some that were kept may have gone
		}
	}
	return "", 0
}

// delivered returns the messages as a checkpoint has them, oldest first.
func (k *kept) delivered() []Seen {
	out := make([]Seen, 0, len(k.items))
	for _, it := range slices.Backward(k.items) {
		if it.ID != "" {
			out = append(out, Seen{ID: it.ID, Time: it.Time, Untimed: it.untimed})
		}
	}
	return out
}

// walk reads from the newest page toward older ones until the checkpoint, the
// time to begin from or the chat's end is in sight (complete), or until the
// buffer is full.
//
// Each page is asked for so that it begins with the last item of the one
// before. Between two requests the chat changes, and the events are these:
//
//   - n messages arrive: everything moves n positions down, the page begins
//     with n more items that are known, and brings n less that are new.
//   - n messages above are deleted: everything moves n positions up, the page
//     begins n items too deep, and none of its items is known. It is not used,
//     since n items would be skipped; seek steps back to the missing item.
//   - the overlapping item itself is deleted: likewise, and on the next try an
//     item before it is recognised.
//   - messages arrive between those that were read, which an API does that sorts by
//     time, and perhaps to the second: the page is recognised by an item above them, and
//     they do not stand behind all that was read. The walk begins anew.
//   - all that was read before is gone: nothing tells where to go on, not even
//     the times, for what stands there may have arrived in the same second. The
//     walk begins anew, since nothing has been emitted yet.
func (p *pass) walk(ctx context.Context) (k *kept, complete bool, err error) {
	for range stuckAfter {
		var page []Item
		p.now = 0
		if page, err = p.fetch(ctx, 0); err != nil {
			return nil, false, err
		}
		k, complete, err = p.walkFrom(ctx, page, 0, false)
		if !errors.Is(err, errLost) {
			return k, complete, err
		}
		p.anew++
	}
	return nil, false, p.stuck(stuckAfter)
}

// mostSame is how often in a row a page is asked for further down and is the one before it
// again until it may be past the end.
const mostSame = 3

// repeatsBelow reports whether a page at a position stands far below it as well. So it is past
// the end with servers that give their last page again there. That just as much has
// arrived meanwhile as was skipped may happen with small steps.
//
// A server that heeds no offset above some bound of its own does that too. Of one entry that
// one shows the first of the page, where the end shows the last.
func (p *pass) repeatsBelow(ctx context.Context, page []Item, at int) (bool, error) {
	far := at + 16*p.pageSize + 1
	below, err := p.fetch(ctx, far)
	if err != nil || len(page) == 0 || !sameIDs(below, page) {
		return false, err
	}
	var one Page
	err = p.call(ctx, func(ctx context.Context) (err error) {
		one, err = p.src.Page(ctx, p.chat, far, 1)
		return err
	})
	if first := page[0].ID; err == nil && len(one.Items) == 1 && first != "" && one.Items[0].ID == first && page[len(page)-1].ID != first {
		return false, fmt.Errorf("no offset as far as %d is heeded: %w", at, ErrNoProgress)
	}
	return err == nil, err
}

// walkFrom walks on from a page at a position. Where the buffer is full it stops, or
// forgets what it saw first and slides on.
func (p *pass) walkFrom(ctx context.Context, page []Item, at int, slide bool) (k *kept, complete bool, err error) {
	k = &kept{index: map[string]int{}, base: at}
	if p.latest && !p.known && len(page) > 0 {
		// Nothing is delivered; what counts is which ids are there now.
		newest := int64(math.MinInt64)
		for i := range page {
			if page[i].Time <= p.now {
				newest = max(newest, page[i].Time)
			}
		}
		if newest == math.MinInt64 {
			newest = p.now // all claim to be of the future
		}
		p.enough = max(0, second(newest-p.lookback.Milliseconds()))
	}

	if len(page) == 0 && at > 0 {
		return nil, false, errLost // there was something when this place was found
	}
	fresh := page
	var last []Item // if not nil: this page was asked for to see if anything follows that short one,
	var lastAt int  // which was at this position
	begun := at
	var before []Item
	same := 0      // how often in a row a page was the one before it
	short := false // and this one begins above what was read last, and shows no more
	known := 0     // where that is in the page
	for idle := 0; ; {
		k.add(p, fresh)
		if last != nil && len(fresh) > 0 && !p.server.Misleads() {
			still, err := p.stillThere(ctx, last, lastAt)
			if err != nil {
				return nil, false, err
			}
			if still {
				p.continued(len(fresh))
			}
		}
		if p.reached(k) && (slide || p.watched(k)) {
			return k, true, nil
		}
		if len(fresh) == 0 && sameIDs(page, before) {
			same++
		} else {
			same = 0
		}
		// The first page time and again is rather that of a server that ignores the offset.
		if same == mostSame && (len(k.items) > len(page) || begun > 0) {
			if k.ended, err = p.repeatsBelow(ctx, page, at); k.ended || err != nil {
				return k, k.ended, err
			}
		}
		before = page
		if last != nil && len(page) < p.fullest && known <= 1 && k.ends(page) && !p.server.Misleads() {
			short = false // it reaches a page behind that, and shows less than it could: there is no more
		}
		if (len(page) < p.pageSize || last != nil && len(fresh) == 0 && k.ends(page)) && !short {
			e, err := p.end(ctx, k, page, at, len(fresh), last)
			if err != nil {
				return nil, false, err
			}
			if e.is {
				k.ended = true
				return k, true, nil
			}
			last = nil
			if e.near {
				last, lastAt = page, at
			}
			if len(e.next) > 0 {
				fresh, page, at = e.next, e.next, at+e.step
				k.base = at - len(k.items)
				continue
			}
			if len(k.items) == 0 {
				return nil, false, errLost // something has come meanwhile
			}
		} else if !short {
			last = nil
		}
		// Not yet when it is just full: that may have been all.
		if len(k.items) > p.maxKept {
			if !slide {
				return k, false, nil
			}
			k.forget(len(k.items) - p.maxKept)
		}
		if idle++; len(fresh) > 0 {
			idle = 0
		}
		if idle >= stuckAfter {
			return nil, false, p.stuck(idle)
		}

		overlap, edgeTime, ok := k.edge(p.pageSize)
		f := &frontier{cut: k.cut, time: edgeTime, step: p.pageSize - 1}
		if !ok {
			f.mark, f.markAt = k.mark()
			f.blind = func(page []Item) int {
				if len(page) > 0 && page[0].ID != "" {
					return -1
				}
				return min(overlap, len(page))
			}
		}
		offset := k.base + len(k.items) - overlap
		if short {
			offset = at + known
		}
		var cut int
		page, at, cut, err = p.seek(ctx, f, max(0, offset))
		if err != nil {
			return nil, false, err
		}
		if p.misplaced(k, page, cut) {
			return nil, false, errLost
		}
		k.base = at + cut - len(k.items)
		fresh = page[cut:]
		// A server that gives less than asked may stop before anything new is reached.
		known, _ = k.find(page)
		short = known > 0 && cut == len(page) && len(page) < p.pageSize
	}
}

// misplaced says that what stands behind a page's cut may not belong behind all
// that was kept: it is as new as something that was kept after the item that the page was
// recognised by, so that it has arrived there meanwhile, and the rest has not gone. Without
// a time that was shown, and is not of the future, nothing tells the one from the other; where that goes on,
// it is a server that shows now this and now that.
func (p *pass) misplaced(k *kept, page []Item, cut int) bool {
	_, at := k.find(page)
	first := slices.IndexFunc(page[cut:], func(it Item) bool { return it.ID != "" })
	if at < 0 || first < 0 {
		return false
	}
	named, timed := false, false
	for _, it := range k.items[at+1:] {
		if it.ID == "" {
			continue
		}
		if second(page[cut+first].Time) >= second(it.Time) {
			return true
		}
		named, timed = true, timed || !it.untimed && it.Time <= p.now
	}
	return named && !timed && p.anew < mostLost/2
}

// oldRun is how many messages in a row have to be past for what follows to be
// taken for past as well, where no delivered item is met: a page of the API's.
const oldRun = 50

// reached says that what the walk looks for is in sight: the rest of the chat
// was delivered before, or is too old.
//
// Times err, so that a single one ends nothing. With a checkpoint the walk goes on
// to an item that was delivered, and from there until the last items of a page
// are all past or delivered, as late ones can stand within the lookback. Without
// one there is only the time to begin from. Where the checkpoint was set back, the walk at
// the top has to come to where it was.
func (p *pass) reached(k *kept) bool {
	switch {
	case k.news > 0:
		return true
	case p.latest && !p.known:
		return p.enoughAtEnd(k.items)
	case len(p.back) > 0 && !k.again && !p.again:
		return false
	case len(p.seen) == 0:
		return k.olds >= oldRun
	default:
		return k.met && p.enoughAtEnd(k.items)
	}
}

// enoughAtEnd says of a run of entries that the last message is older than what is
// looked for, and that none of the last three is new by its time.
func (p *pass) enoughAtEnd(page []Item) bool {
	looked := 0
	for i := len(page) - 1; i >= 0 && looked < 3; i-- {
		it := &page[i]
		switch {
		case it.ID == "", p.delivered(it) && it.Time > p.now:
			continue // its time tells nothing
		case second(it.Time) >= p.enough && (looked == 0 || !p.delivered(it)):
			return false
		}
		looked++
	}
	return looked == 3
}

// end is what a look at a short page has shown.
type end struct {
	is   bool   // it ends the chat
	near bool   // what stands right behind it will show that, if it is nothing
	next []Item // this stands behind a stretch of which nothing is shown,
	step int    // so much further down
}

// end decides whether a page at a position, which is shorter than asked and had so
// many entries that are fresh, ends the chat. It was asked for to see that of the last, if that is
// not nil.
//
// Nothing documented says that a short page is the last one: a server may hide
// entries after it has applied the limit, or have a limit of its own. So it is
// looked behind, until this server has shown often enough that nothing follows: behind
// all that was asked for, or while no page was full yet, right behind what was shown. Where nothing
// is left of what was delivered it looks at both.
func (p *pass) end(ctx context.Context, k *kept, page []Item, at, fresh int, last []Item) (end, error) {
	misleads := p.server.Misleads()
	gone := len(p.seen) > 0 && !k.met // or it is not this chat's end
	switch {
	case misleads:
	case len(k.items) == 0 && at == 0:
		p.believes() // there is no such chat (chats-api.md, row "204")
		return end{is: true}, nil
	case gone:
	case last != nil && fresh == 0:
		p.server.Ended(p.chat, len(last), p.pageSize)
		p.believes()
		return end{is: true}, nil
	case p.server.Believed(p.chat, len(page), p.pageSize):
		p.believes()
		return end{is: true}, nil
	}
	if fresh > 0 && (misleads || len(page) > 1 && p.server.Limits(p.pageSize-1)) {
		return end{near: true}, nil
	}
	steps := []int{p.pageSize}
	if misleads && len(page) == 1 {
		steps = []int{1, p.pageSize} // it may never show more than one
	}
	if gone && last != nil && len(page) > 1 {
		steps = []int{len(page), p.pageSize}
	}
	for _, step := range steps {
		below, err := p.fetch(ctx, at+step)
		if err != nil {
			return end{}, err
		}
		if misleads && len(below) < p.pageSize && !slices.ContainsFunc(below, func(it Item) bool { return it.ID != "" }) {
			continue // no message, and nothing to go on from
		}
		// Something that is known stands there if it has moved down meanwhile, or if this
		// is past the end and the last page comes again.
		ended := len(below) == 0 || k.ends(below)
		if ended && len(below) > p.pageSize/4 { // else it reaches most of a page behind that
			if ended, err = p.repeatsBelow(ctx, below, at+step); err != nil {
				return end{}, err
			}
		}
		switch i, _ := k.find(below); {
		case ended:
			continue
		case i >= 0:
			// The page that overlaps may show no more than this one did.
			if cut, _ := k.cut(below); (misleads || gone) && cut < len(below) && !p.misplaced(k, below, cut) {
				return end{next: below[cut:], step: step + cut}, nil
			}
			return end{}, nil
		}
		if still, err := p.stillThere(ctx, page, at); !still {
			return end{}, err
		}
		// As many may have come before it was asked for as have gone since.
		if _, oldest, _ := k.edge(p.pageSize); !misleads || below[0].Time > oldest {
			if still, err := p.stillThere(ctx, below, at+step); !still {
				return end{}, err
			}
		}
		p.continued(len(below) + step)
		if fresh > 0 {
			// Between this page and that one something may stand, so the overlapping page
			// comes next.
			below = nil
		}
		return end{next: below, step: step}, nil
	}
	p.server.Ended(p.chat, len(page), p.pageSize)
	if !misleads {
		p.believes() // what is hidden may be more than was looked behind
	}
	return end{is: true}, nil
}

// stillThere reports whether a page at a position is what it was. Then what was met behind
// a short one has not come there meanwhile.
func (p *pass) stillThere(ctx context.Context, page []Item, at int) (bool, error) {
	again, err := p.fetch(ctx, at)
	return err == nil && sameIDs(again, page), err
}

// believes takes note that the end of a chat which was never read was not proved.
func (p *pass) believes() {
	if !p.known && !p.latest {
		p.onBelieved()
	}
}

// continued takes note that so many entries stand behind a short page.
func (p *pass) continued(entries int) {
	if p.server.Continued(entries) {
		p.onShortPages()
	}
}

func sameIDs(a, b []Item) bool {
	return slices.EqualFunc(a, b, func(a, b Item) bool { return a.ID == b.ID })
}
