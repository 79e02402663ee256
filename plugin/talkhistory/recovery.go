// SPDX-License-Identifier: Apache-2.0

package talkhistory

import (
	"cmp"
	"context"
	"slices"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
)

// recovery is a pass that also looks for what was announced where the pass itself does
// not look any more: a message that was imported with an old time stands far behind the
// checkpoint. It comes out late, like every message that came late.
type recovery struct {
	chat.Pass
	start  chat.Start
	source chat.TalkSource
	named  *named
	since  int64 // Unix ms; what is older is left out
	newest int64 // that came out of the talk; Unix ms
}

// newRecovery has a pass made that goes on to search.
func newRecovery(pass chat.NewPass, s chat.Start, in *input, since int64) *recovery {
	r := &recovery{start: s, source: in.source, named: in.named, since: since, newest: s.From.Time}
	s.Emit = func(ctx context.Context, items []chat.Item, now int64) error {
		for i := range items {
			r.newest = max(r.newest, items[i].Time)
		}
		return r.start.Emit(ctx, items, now)
	}
	r.Pass = pass(s)
	return r
}

// Run implements chat.Pass.
func (r *recovery) Run(ctx context.Context) (chat.Result, error) {
	result, err := r.Pass.Run(ctx)
	if err != nil {
		return result, err
	}
	r.named.begins(r.start.Chat, r.start.Known, &r.start.From) // some may have been announced since
	wanted := r.named.wanted(r.start.Chat)
	if len(wanted) == 0 {
		return result, nil
	}
	found, now, err := r.search(ctx, wanted)
	if err != nil || len(found) == 0 {
		return result, err
	}
	slices.SortStableFunc(found, func(a, b chat.Item) int { return cmp.Compare(a.Time, b.Time) })
	// What the result has is from before these.
	result.Checkpoint, result.Set = chat.Checkpoint{}, false
	return result, r.start.Emit(ctx, found, now)
}

// search goes through the whole talk until it has met all that is wanted: up, and where
// that has not met all, down again. What moves up a page while it goes up is hidden from it,
// since something before it was deleted; what moves down is while it goes down. The server may
// have a lower limit than what is asked for, so only a page that shows nothing, or what
// the one before it did, ends the talk. What came since the pass ended is for the next one,
// with what stands before it, unless nothing came out or it is wanted for the last time.
func (r *recovery) search(ctx context.Context, wanted map[string]bool) (found []chat.Item, now int64, err error) {
	limit, before := r.start.PageSize, ""
	look := func(page int) (items []chat.Item, err error) {
		var got chat.TalkPage
		err = r.start.Call(ctx, func(ctx context.Context) (err error) {
			got, err = r.source.Messages(ctx, r.start.Chat, chat.TalkQuery{Page: page, Limit: limit})
			return err
		})
		now = max(now, got.Now)
		for _, it := range got.Items {
			last, is := wanted[it.ID]
			if !is {
				continue
			}
			delete(wanted, it.ID)
			if r.newest > 0 && it.Time > r.newest && !last {
				continue
			}
			if it.Time != 0 && it.Time < r.since {
				r.named.met(r.start.Chat, []chat.Item{it}) // nobody wants it
				continue
			}
			found = append(found, it)
		}
		return got.Items, err
	}
	page := 1
	for ; len(wanted) > 0; page++ {
		items, err := look(page)
		if err != nil {
			return nil, 0, err
		}
		if len(items) == 0 || before != "" && items[0].ID == before {
			break
		}
		if before = items[0].ID; page == 1 {
			limit = min(limit, len(items))
		}
	}
	for page -= 2; len(wanted) > 0 && page > 0; page-- {
		if _, err := look(page); err != nil {
			return nil, 0, err
		}
	}
	return found, now, nil
}
