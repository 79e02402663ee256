// SPDX-License-Identifier: Apache-2.0

package check

import (
	"context"
	"slices"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
)

// announcement is what the feed says of a message.
type announcement struct {
	talk string
	at   int64 // Unix s
}

// feed is the event feed as a list.
func (c *checker) feed(announced map[string]announcement) *list {
	return &list{
		id: "events", what: "event", api: c.account, most: crm.MaxLimit, linked: true, filters: true,
		ask: func(ctx context.Context, q query) (page, error) {
			var got crm.EventPage
			x, err := c.ask(ctx, c.account, func(ctx context.Context) (err error) {
				got, err = c.crm.Events(ctx, crm.EventQuery{Page: q.page(), Limit: q.limit, From: q.from, To: q.to, Order: q.order})
				return err
			})
			p := page{next: got.Next, exchange: x}
			for i, e := range got.Events {
				if i > 0 && len(e.Raw) > 0 && &e.Raw[0] == &got.Events[i-1].Raw[0] {
					continue // another message of the same entry
				}
				p.entries = append(p.entries, entry{id: e.ID, object: e.Object, raw: e.Raw}.timed(e.CreatedAt, 0, got.Date))
			}
			for _, e := range got.Events {
				if e.MessageID != "" && crm.CheckTalkID(e.TalkID) == nil {
					announced[e.MessageID] = announcement{e.TalkID, e.CreatedAt}
				}
			}
			return p, err
		},
	}
}

func (c *checker) checkFeed(ctx context.Context) {
	c.known.eventsMore = true // until the end is seen
	announced := map[string]announcement{}
	l := c.feed(announced)
	p := c.look(ctx, l)
	if p != nil {
		c.known.announced = announced
		c.countNamed()
		if word, seen := orderOf(p.first.entries); seen && word == newestFirst {
			if c.known.feedFrom = 1; p.more {
				c.known.feedFrom = p.first.entries[len(p.first.entries)-1].seconds() + 1
			}
		}
		if len(p.first.entries) > 0 {
			c.known.events = len(p.first.entries)
			c.checkFeedOrder(ctx, l)
			c.measureFeed(ctx, l, p)
		} else {
			c.known.eventsMore, c.known.feedWhole = false, true
		}
	}
}

// checkFeedOrder asks for both orders.
func (c *checker) checkFeedOrder(ctx context.Context, l *list) {
	const id = "events.order_asked"
	var words [2]string
	for i, order := range []string{"asc", "desc"} {
		got, err := l.ask(ctx, query{limit: 50, order: order})
		if err != nil {
			c.failed(id, err)
			return
		}
		word, seen := orderOf(got.entries)
		if !seen {
			c.unseen(id, "too few events with different times")
			return
		}
		words[i] = word
	}
	if (words[0] == oldestFirst || words[0] == roughlyOldest) && (words[1] == newestFirst || words[1] == roughlyNewest) {
		c.ok(id, "kept", "order[created_at] is kept")
		return
	}
	c.add(id, Warning, "ignored", say("order[created_at] is ignored"), "nothing: the inputs allow for it, at the price of some requests")
}

// measureFeed counts the events, which are about as many as messages, and finds the first.
func (c *checker) measureFeed(ctx context.Context, l *list, p *pages) {
	e, err := l.measure(ctx, p, c.since())
	if err != nil {
		c.failed("events.reach", err)
		return
	}
	c.known.events, c.known.eventsMore = e.length, e.end == nil
	c.known.feedWhole = e.end != nil && !p.more
	c.known.feedPages = pagesOf(e.length, p.held)
	c.countNamed()
	c.judgeFeedReach(slices.Concat(e.last.entries, p.first.entries), e.end)
	c.judgeLastLink(l, p, e.last, e.end)
}

func (c *checker) judgeFeedReach(entries []entry, end *page) {
	oldest := int64(0)
	for _, e := range entries {
		if e.at > 0 && (oldest == 0 || e.at < oldest) {
			oldest = e.at
		}
	}
	if oldest > 0 {
		c.ok("events.reach", "seen", "%s, back to %s", plural(c.known.events, "event"), time.UnixMilli(oldest).UTC().Format(time.DateOnly))
	} else {
		c.ok("events.reach", "seen", "%s", plural(c.known.events, "event"))
	}
	c.judgeEnd("events.end", end)
}
