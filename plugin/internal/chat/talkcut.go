// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"context"
	"slices"
)

const (
	day = 24 * 60 * 60
	// farthest is a second that no message is as late as: in the year 2242.
	farthest = 1 << 33
)

const (
	notKept = "the API gives messages of other times than it is asked for, so that they can't be read in parts"
	notMet  = "the API's time filter hides messages of the time that it is asked for, so that they can't be read in parts"
)

// cut delivers a period that has more than may be held, in parts by time from the oldest
// on. l is what a walk has read of it before it gave up.
//
// Where the oldest message comes first, that is a part. Where the newest does, it is the
// last part, and is held until the others are delivered. Else the parts are searched. What
// two parts that meet both have to show tells that the filter means the times that the
// messages show: else what lies between them would be hidden.
func (p *talkPass) cut(ctx context.Context, w period, l *talkList) error {
	for {
		switch {
		case l.outside:
			return p.tooMany(notKept)
		case !l.blind && l.newestFirst():
			page, _, err := p.ask(ctx, period{l.last, l.last}, spot{1, p.limit})
			if err != nil {
				return err
			}
			if i, _ := l.shared(page); i < 0 {
				return p.tooMany(notMet)
			}
			held := slices.DeleteFunc(l.sorted(0), func(it Item) bool { return second(it.Time) <= l.last })
			now := p.now
			if err := p.parts(ctx, period{w.from, max(1, l.last)}); err != nil {
				return err
			}
			p.now = now
			return p.emit(ctx, held)
		case l.blind || !l.oldestFirst():
			return p.parts(ctx, w)
		}
		part := period{w.from, l.last - 1}
		if err := p.deliver(ctx, part, l); err != nil {
			return err
		}
		w.from = l.last
		next, whole, err := p.read(ctx, w)
		if err != nil {
			return err
		}
		if i, _ := l.shared(next.items); i < 0 {
			return p.tooMany(notMet)
		}
		if l = next; whole {
			return p.deliver(ctx, w, l)
		}
	}
}

// parts delivers a period in parts that fit: it tries the whole, and then halves. It goes
// on with a part as wide as the last one, or twice as wide if that was half empty.
//
// What lies ahead of the server's clock may get messages after it was read. So before a
// later part with news is delivered, that is read again.
func (p *talkPass) parts(ctx context.Context, w period) error {
	last := w.to
	if last == 0 {
		last = second(p.now) + day
	}
	part, full := w, last // what ends with full does not fit
	early := int64(0)     // the first second that was read before it was over, of what was delivered; 0: none
	for {
		l, fits, err := p.part(ctx, part)
		if err != nil {
			return err
		}
		if !fits {
			if part.to == 0 {
				if last <= part.from {
					last = farthest
				}
				part.to = last
			}
			if full = part.to; full <= max(1, part.from) {
				return p.tooMany("they are of one second")
			}
			part.to = max(1, part.from+(full-part.from)/2)
			continue
		}
		if early > 0 && l.news > 0 {
			now := p.now
			if err := p.parts(ctx, period{early, part.from - 1}); err != nil {
				return err
			}
			p.now = now
			if early = max(early, second(now)); early >= part.from {
				early = 0
			}
		}
		if now := second(p.now); now <= part.to && (p.again == 0 || now < p.again) {
			p.again = now
		}
		if err := p.deliver(ctx, part, l); err != nil {
			return err
		}
		if part.to == w.to || l.left {
			return nil
		}
		width := part.to - part.from + 1
		next := part.to + 1
		switch now := second(p.now); {
		case now >= next:
		case part.from < now:
			next, early = now, 0 // more of this part may have come since
		case early == 0:
			early = part.from
		}
		switch part.from = next; {
		case len(l.items) == 0 && full > part.from:
			part.to = part.from + (full-part.from)/2 // it is all behind
			continue
		case l.news < p.MaxKept/2:
			width *= 2
		}
		if part.to += width; part.to >= last {
			part.to = w.to
		}
	}
}

// part reads a period if it fits. A page so far behind that what stands before it is too
// much spares reading that.
func (p *talkPass) part(ctx context.Context, w period) (l *talkList, fits bool, err error) {
	if behind := p.MaxKept/p.limit + 1; behind > 3 && w.from != w.to {
		page, _, err := p.ask(ctx, w, spot{behind, p.limit})
		if slices.ContainsFunc(page, func(it Item) bool { return !w.keeps(&it) }) {
			err = p.tooMany(notKept)
		}
		if err != nil || len(page) > 0 {
			return nil, false, err
		}
	}
	if l, fits, err = p.read(ctx, w); err == nil && l.outside {
		err = p.tooMany(notKept)
	}
	return l, fits, err
}
