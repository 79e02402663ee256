// SPDX-License-Identifier: Apache-2.0

package check

import (
	"context"
	"slices"
)

// checkOffset asks whether a page begins where it was asked to, on which kommo_chat_history
// rests: each of its pages begins with the last message of the one before. It returns false
// where the end that was seen may be none.
func (c *checker) checkOffset(ctx context.Context, l *list, p *pages, e extent) (whole bool) {
	id := l.id + ".offset"
	n := len(p.first.entries)
	if n < enough {
		c.unseen(id, "too few entries to tell")
		return true
	}
	rounded, err := l.rounded(ctx)
	if err != nil {
		c.failed(id, err)
		return false
	}
	if rounded {
		c.judgeRounded(ctx, l, p)
		return false
	}
	clamped, err := l.clamped(ctx, e)
	if err != nil {
		c.failed(id, err)
		return false
	}
	if clamped {
		status, more := Warning, ""
		if len(e.repeats) >= p.held {
			status, more = Error, ", and this chat seems to be longer"
		}
		c.add(id, status, "clamped", say("an offset above %d is answered as %d: kommo_chat_history refuses a chat of more than %d messages%s",
			e.start, e.start, e.start+p.held, more), "send the report: what is older can't be read this way; kommo_talk_history may")
		return false
	}
	if e.end != nil && p.more && !p.hidden {
		cut, err := l.cut(ctx, e)
		if err != nil {
			c.failed(id, err)
			return false
		}
		if cut > 0 {
			c.add(id, Error, "cut", say("from offset %d on comes nothing, though messages follow: kommo_chat_history can't come to the end of such a chat", cut),
				"send the report: what is older can't be read this way; kommo_talk_history may")
			return false
		}
	}
	c.ok(id, "kept", "pages begin where they are asked to")
	return true
}

// rounded reports whether a page at offset 1 is the one at 0. Twice, since a message may be
// deleted in between.
func (l *list) rounded(ctx context.Context) (bool, error) {
	for range 2 {
		var got [2]page
		for i, offset := range []int{1, 0} {
			var err error
			if got[i], err = l.ask(ctx, query{offset: offset, limit: l.most}); err != nil {
				return false, err
			}
		}
		if !slices.EqualFunc(got[0].entries, got[1].entries, entry.same) {
			return false, nil
		}
	}
	return true, nil
}

// judgeRounded says how offsets are rounded.
func (c *checker) judgeRounded(ctx context.Context, l *list, p *pages) {
	id := l.id + ".offset"
	first, far := p.first.entries, len(p.first.entries)-1
	var at [2]int
	for i, q := range []query{{offset: 3, limit: 2}, {offset: far, limit: 1}} {
		got, err := l.ask(ctx, q)
		if err != nil {
			c.failed(id, err)
			return
		}
		at[i] = -1
		if len(got.entries) > 0 {
			at[i] = slices.IndexFunc(first, got.entries[0].same)
		}
	}
	how := say("an offset is rounded down")
	switch {
	case at[0] == 2 && at[1] == far:
		how = say("an offset is rounded down to a multiple of limit")
	case at[1] >= 0 && at[1] < far:
		how = say("an offset is rounded down, %d to %d", far, at[1])
	}
	c.add(id, Error, "rounded", say("%s: kommo_chat_history, whose pages overlap by a message, can't read a chat of more than a page", how),
		"send the report; kommo_talk_history may read such chats")
}

// clamped reports whether it is a greatest offset, not the end, behind which a page comes
// again. Asked for one entry, the former gives the page's first, the latter the list's last.
func (l *list) clamped(ctx context.Context, e extent) (bool, error) {
	if len(e.repeats) < 2 {
		return false, nil
	}
	got, err := l.ask(ctx, query{offset: e.length + l.most, limit: 1})
	return err == nil && len(got.entries) > 0 && got.entries[0].same(e.repeats[0]), err
}

// cut returns from which offset on nothing comes, if that is not the end: the page before it
// has more than the last entry. 0: it is the end.
func (l *list) cut(ctx context.Context, e extent) (int, error) {
	low, high := e.start, e.length // entries at low, none at high
	last := *e.last
	for mid := high - 1; mid > low; mid = (low + high) / 2 {
		got, err := l.ask(ctx, query{offset: mid, limit: l.most})
		if err != nil {
			return 0, err
		}
		if len(got.entries) == 0 {
			high = mid
			continue
		}
		low, last = mid, got
	}
	if len(last.entries) < 2 {
		return 0, nil
	}
	got, err := l.ask(ctx, query{offset: high, limit: l.most})
	if err != nil || len(got.entries) > 0 { // the list has grown
		return 0, err
	}
	return high, nil
}
