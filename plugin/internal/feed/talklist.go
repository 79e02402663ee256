// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
	"github.com/kommo-connect/kommo-connect/plugin/internal/listing"
)

// Talks is a [Discovery] by the list of talks, once. Then the feed says what is new. Make
// it with [NewTalks].
type Talks struct {
	*start
	lister *listing.Lister
	listed atomic.Bool
}

// NewTalks returns a Discovery by the list of talks.
func NewTalks(conf Config) *Talks {
	d := &Talks{start: newStart(conf)}
	d.lister = listing.New(listing.Config{
		Source: talkPages{conf.API}, Name: NameTalks, Store: conf.Store, PageSize: conf.PageSize, Origins: conf.Origins, Since: conf.Since,
		Hooks: listing.Hooks{
			Corrupt: conf.Hooks.Corrupt, Restarted: conf.Hooks.Restarted, Lost: conf.Hooks.Lost,
			Loose: conf.Hooks.Loose, Odd: conf.Hooks.Odd,
		},
	})
	return d
}

// Next implements [Discovery].
func (d *Talks) Next(ctx context.Context) (*Batch, error) {
	if !d.loaded {
		if err := d.load(ctx); err != nil {
			return nil, err
		}
		d.listed.Store(d.now().Done)
	}
	if d.listed.Load() {
		return d.then(ctx)
	}
	if d.now().Anchor == 0 {
		// Before the list, so that what happens after a page was read is in the feed.
		events, err := d.conf.API.Events(ctx, crm.EventQuery{Page: 1, Limit: 1})
		if err != nil {
			return nil, err
		}
		d.anchor(min(events.Date.Unix(), time.Now().Unix()))
		return &Batch{}, nil
	}
	got, err := d.lister.Next(ctx)
	if err != nil {
		return nil, err
	}
	b := &Batch{ack: got.AckRow}
	for i := range got.Rows {
		b.Talks = append(b.Talks, talkOf(got.Rows[i].Value.(*crm.Entry))) //nolint:forcetypeassert // talkPages put it there
	}
	got.Rows = nil
	if got.Done {
		d.listed.Store(true)
	}
	return b, nil
}

// Save implements [Discovery].
func (d *Talks) Save(ctx context.Context) error {
	listed := d.listed.Load() && d.lister.Unacked() == 0
	if err := d.lister.Save(ctx); err != nil {
		return err
	}
	if listed {
		d.change(func(j *startJSON) { j.Done = true })
	}
	return d.save(ctx)
}

// Unacked implements [Discovery].
func (d *Talks) Unacked() int { return d.lister.Unacked() + d.feed.Unacked() }

// talkPages is the list of talks, each for itself, whatever chat it belongs to.
type talkPages struct{ api API }

// Page implements listing.Source.
func (p talkPages) Page(ctx context.Context, page, limit int) (listing.Page, error) {
	got, err := p.api.List(ctx, crm.Talks, page, limit)
	if err != nil {
		return listing.Page{}, err
	}
	rows := make([]listing.Row, len(got.Entries))
	for i := range got.Entries {
		e := &got.Entries[i]
		t := talkOf(e)
		rows[i] = listing.Row{Key: t.ID, Origin: t.Origin, Updated: t.Updated, Created: max(e.CreatedAt, 0), Serial: e.TalkID.Number, Value: e}
		if crm.CheckTalkID(t.ID) == nil {
			rows[i].Chat = t.ID
		}
	}
	return listing.Page{Rows: rows, More: got.More, Date: got.Date, Received: time.Now()}, nil
}
