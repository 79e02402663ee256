// SPDX-License-Identifier: Apache-2.0

package chatlist

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
	"github.com/kommo-connect/kommo-connect/plugin/internal/feed"
	"github.com/kommo-connect/kommo-connect/plugin/internal/listing"
)

// source is what the input lists.
type source string

// The sources. Their names are a public contract.
const (
	talks        = source(crm.Talks)
	contactChats = source(crm.ContactChats)
	events       = source("events")
	talkIDs      = source("talk_ids")
)

var sources = []source{talks, contactChats, events, talkIDs}

// parallelCalls is how many requests the source talk_ids makes side by side.
const parallelCalls = 8

// lister lists again and again. Next is for one goroutine at a time, as is Save.
type lister interface {
	Next(ctx context.Context) (*batch, error)
	Save(ctx context.Context) error
	Unacked() int
}

// batch is what a call of Next brought.
type batch struct {
	entries []entry
	done    bool // the listing is complete
	ack     func(i int)
}

// chats lists the chats of one of the API's lists.
type chats struct{ *listing.Lister }

// Next implements lister.
func (c chats) Next(ctx context.Context) (*batch, error) {
	got, err := c.Lister.Next(ctx)
	if err != nil {
		return nil, err
	}
	b := &batch{done: got.Done, ack: got.AckRow}
	for i := range got.Rows {
		e := got.Rows[i].Value.(*crm.Entry) //nolint:forcetypeassert // pages put it there
		b.entries = append(b.entries, chatEntry(e, got.Rows[i].Updated))
	}
	got.Rows = nil // or one chat that is never accepted would keep the page
	return b, nil
}

// discovered lists talks with news.
type discovered struct {
	feed.Discovery
	// client, if it is set, asks for each talk that an event names, so that all entries
	// are talks.
	client *crm.Client

	// What was discovered and not handed out.
	talks   []feed.Talk
	first   int // index of the first of them
	done    bool
	ack     func(i int)
	entries []entry // made of the first of them
}

// mostEntries is how many entries a batch has. A listing may name thousands of talks at
// its end.
const mostEntries = crm.MaxLimit

// Next implements lister.
func (d *discovered) Next(ctx context.Context) (*batch, error) {
	if len(d.talks) == 0 && !d.done {
		got, err := d.Discovery.Next(ctx)
		if err != nil {
			return nil, err
		}
		d.talks, d.first, d.done, d.ack = got.Talks, 0, got.Done, got.Ack
		got.Talks = nil // ack keeps it
	}
	most := min(len(d.talks), mostEntries)
	for len(d.entries) < most {
		e, err := d.entry(ctx, &d.talks[len(d.entries)])
		if err != nil {
			return nil, err
		}
		d.entries = append(d.entries, e)
	}
	ack, first := d.ack, d.first
	b := &batch{entries: d.entries, done: d.done && most == len(d.talks), ack: func(i int) { ack(first + i) }}
	d.talks, d.first, d.entries = d.talks[most:], d.first+most, nil
	d.done = d.done && !b.done
	return b, nil
}

func (d *discovered) entry(ctx context.Context, t *feed.Talk) (entry, error) {
	if d.client == nil || !t.Event {
		return talkEntry(t), nil
	}
	talk, err := d.client.Talk(ctx, t.ID)
	refused, ok := errors.AsType[*crm.RefusedError](err)
	switch {
	case err == nil:
		return lookedUp(&talk, t.Updated), nil
	case ok && refused.Reason == crm.RefusedNotFound:
		return talkEntry(t), nil
	}
	return entry{}, err
}

// pages gives the lister the pages of the CRM API.
type pages struct {
	client *crm.Client
	list   crm.Source
}

// Page implements listing.Source.
func (s *pages) Page(ctx context.Context, page, limit int) (listing.Page, error) {
	got, err := s.client.List(ctx, s.list, page, limit)
	if err != nil {
		return listing.Page{}, err
	}
	rows := make([]listing.Row, len(got.Entries))
	for i := range got.Entries {
		e := &got.Entries[i]
		rows[i] = listing.Row{
			Key: e.ID.Text, Chat: strings.TrimSpace(e.ChatID), Origin: e.Origin,
			Updated: unixSeconds(e.UpdatedAt), Created: unixSeconds(e.CreatedAt), Serial: e.ID.Number, Value: e,
		}
	}
	return listing.Page{Rows: rows, More: got.More, Date: got.Date, Received: time.Now()}, nil
}

// unixSeconds returns a time in seconds that may have been given in a smaller unit.
// 1e11 seconds are in the year 5138, so what is more is divided. A negative time counts
// as 0, none.
func unixSeconds(t int64) int64 {
	for t > 1e11 {
		t /= 1000
	}
	return max(t, 0)
}
