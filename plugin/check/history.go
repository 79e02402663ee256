// SPDX-License-Identifier: Apache-2.0

package check

import (
	"context"
	"errors"

	"github.com/kommo-connect/kommo-connect/plugin/internal/amojo"
)

// history is a chat of the own channel as a list.
func (c *checker) history(chat string) *list {
	return &list{
		id: "history", what: "message", api: c.channel, most: amojo.MaxLimit, messages: true,
		ask: func(ctx context.Context, q query) (page, error) {
			var got amojo.Page
			x, err := c.ask(ctx, c.channel, func(ctx context.Context) (err error) {
				got, err = c.own.HistoryBeyond(ctx, chat, q.offset, q.limit)
				return err
			})
			p := page{exchange: x}
			for i := range got.Items {
				it := &got.Items[i]
				p.entries = append(p.entries, entry{id: it.ID, object: it.Object, raw: it.Raw}.timed(it.Timestamp, it.MsecTimestamp, got.Date))
			}
			return p, err
		},
	}
}

// checkChats asks for the chats that are given, or that the token may see, and most of the
// longest.
func (c *checker) checkChats(ctx context.Context) {
	given := len(c.conf.Chats)
	longest, most := "", 0
	var lengths []int // of first pages
	var empty, foreign []string
	answered := 0
	for _, chat := range c.candidates(mostGiven) {
		got, err := c.history(chat).ask(ctx, query{limit: amojo.MaxLimit})
		switch word := wordOf(err); {
		case err == nil:
			answered++
			if len(got.entries) == 0 {
				empty = append(empty, chat)
			} else {
				c.known.chats++
				c.known.inChats += len(got.entries)
			}
			lengths = append(lengths, len(got.entries))
			if len(got.entries) > most {
				longest, most = chat, len(got.entries)
			}
		case word == signRefused, word == refusedOther:
			foreign = append(foreign, chat)
		default:
			c.failed("history.given", err)
			if c.stopped || errors.Is(err, errTimeUp) {
				return
			}
		}
	}
	c.known.chatsMore = max(0, given-mostGiven)
	if given == 0 {
		given = answered + len(foreign)
	}
	c.judgeGiven("history.given", "chat", answered, empty, given, "check that these are ids of the Chats API, not the integration's own, and that scope_id names their channel")
	if len(foreign) > 0 {
		c.add("history.given", Warning, "foreign", say("%s refused: of another channel", someIDs(foreign)), "take chats of other channels out of chats, or read them with kommo_talk_history; they cost a request now and then")
	}
	if longest == "" {
		c.unseen("history.answer", "there is no chat with messages to ask for; name one with chats")
		return
	}
	l := c.history(longest)
	p := c.look(ctx, l)
	if p == nil {
		return
	}
	for _, n := range lengths {
		if n >= p.held {
			c.known.chatsLong++
		}
	}
	c.measureChat(ctx, l, p)
}

// measureChat finds the end of a chat, and whether pages begin and end where they should.
func (c *checker) measureChat(ctx context.Context, l *list, p *pages) {
	e, err := l.measure(ctx, p, 0)
	if err != nil {
		c.failed("history.length", err)
		return
	}
	c.known.inChats += e.length - len(p.first.entries)
	c.known.measured = true
	whole := c.checkOffset(ctx, l, p, e)
	c.known.chatLong = !whole || p.hidden || p.more && e.end == nil && e.repeats == nil
	atLeast := map[bool]string{true: "at least "}[c.known.chatLong]
	c.ok("history.length", "measured", "the chat has %s%s", atLeast, plural(e.length, "message"))
	if e.repeats == nil {
		c.judgeEnd("history.end", e.end)
	} else {
		c.ok("history.end", "repeats", "no end: a page comes again and again")
	}
	c.checkLimit(ctx, l, e.length)
}

// checkLimit asks for one more than a page can have.
func (c *checker) checkLimit(ctx context.Context, l *list, length int) {
	const id = "history.limit"
	if length <= l.most {
		c.unseen(id, "the chat has no more than %d messages", l.most)
		return
	}
	got, err := l.ask(ctx, query{limit: l.most + 1})
	switch word := wordOf(err); {
	case err != nil && (word == rejected || word == notFound):
		c.ok(id, "refused", "a limit above %d is refused", l.most)
	case err != nil:
		c.failed(id, err)
	case len(got.entries) > l.most:
		c.ok(id, "works", "a limit above %d works", l.most)
	default:
		c.ok(id, "cut", "a limit above %d is taken for less", l.most)
	}
}
