// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
)

const (
	// parallelTalks is how many talks are looked up at a time.
	parallelTalks = 8
	// beyond is how many ids behind the highest known one are looked up in vain before
	// it is taken for the last: the lists that tell of it may leave out the newest talk.
	beyond = 32
)

// IDs is a [Discovery] by the talks' ids: each from 1 to the highest is looked up, as
// that call answers for talks that neither the list nor the feed has (chats-api.md,
// "Finding chats"). Then the feed says what is new. Make it with [NewIDs].
type IDs struct {
	*start
	ledger ledger // a position is the id that comes next
	next   int64
}

// NewIDs returns a Discovery by the talks' ids.
func NewIDs(conf Config) *IDs { return &IDs{start: newStart(conf), next: 1} }

// Next implements [Discovery].
func (d *IDs) Next(ctx context.Context) (*Batch, error) {
	if !d.loaded {
		if err := d.load(ctx); err != nil {
			return nil, err
		}
		d.next = max(d.now().Next, 1)
		d.ledger.add(0, progress{pos: d.next}, false)
	}
	switch state := d.now(); {
	case state.Anchor == 0:
		return &Batch{}, d.measure(ctx)
	case state.Highest == 0 || d.next > state.Highest+beyond:
		return d.then(ctx)
	default:
		return d.look(ctx, state.Highest)
	}
}

// measure finds the highest id that is known, and when that was.
func (d *IDs) measure(ctx context.Context) error {
	highest := int64(0)
	note := func(id string) {
		if n, err := strconv.ParseInt(id, 10, 64); err == nil && crm.CheckTalkID(id) == nil {
			highest = max(highest, n)
		}
	}
	events, err := d.conf.API.Events(ctx, crm.EventQuery{Page: 1, Limit: d.conf.PageSize, Order: "desc"})
	if err != nil {
		return err
	}
	at := min(events.Date.Unix(), time.Now().Unix())
	for i := range events.Events {
		note(events.Events[i].TalkID)
	}
	talks, err := d.conf.API.List(ctx, crm.Talks, 1, d.conf.PageSize)
	if err != nil {
		return err
	}
	for i := range talks.Entries {
		note(talks.Entries[i].TalkID.Text)
	}
	d.anchor(at)
	d.change(func(j *startJSON) { j.Highest, j.Next = highest, d.next })
	return nil
}

// look looks up the next few ids.
func (d *IDs) look(ctx context.Context, highest int64) (*Batch, error) {
	last := min(d.next+parallelTalks-1, highest+beyond)
	entries := make([]crm.Entry, last-d.next+1)
	found := make([]bool, len(entries))
	errs := make([]error, len(entries))
	var calls sync.WaitGroup
	for i := range entries {
		calls.Go(func() {
			entries[i], errs[i] = d.conf.API.Talk(ctx, strconv.FormatInt(d.next+int64(i), 10))
			refused, ok := errors.AsType[*crm.RefusedError](errs[i])
			if ok && refused.Reason == crm.RefusedNotFound {
				errs[i] = nil
			} else {
				found[i] = errs[i] == nil
			}
		})
	}
	calls.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	b := &Batch{}
	for i := range entries {
		if !found[i] {
			continue
		}
		highest = max(highest, d.next+int64(i))
		if t, ok := d.wanted(&entries[i]); ok {
			b.Talks = append(b.Talks, t)
		}
	}
	d.next = last + 1
	d.change(func(j *startJSON) { j.Highest = highest })
	if p := d.ledger.add(len(b.Talks), progress{pos: d.next}, false); p != nil {
		b.ack = func(i int) { d.ledger.ack(p, i) }
	}
	return b, nil
}

// Save implements [Discovery].
func (d *IDs) Save(ctx context.Context) error {
	d.ledger.mu.Lock()
	next := d.ledger.saved.pos
	d.ledger.mu.Unlock()
	d.change(func(j *startJSON) { j.Next = max(j.Next, next) })
	return d.save(ctx)
}

// Unacked implements [Discovery].
func (d *IDs) Unacked() int { return d.ledger.unacked() + d.feed.Unacked() }
