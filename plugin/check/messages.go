// SPDX-License-Identifier: Apache-2.0

package check

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
)

// mostGiven is how many of the talks or chats that are given are asked for.
const mostGiven = 20

// messagesOf is the messages of a talk as a list.
func (c *checker) messagesOf(talk string) *list {
	return &list{
		id: "messages", what: "message", api: c.account, most: crm.MaxLimit, linked: true, filters: true, messages: true,
		ask: func(ctx context.Context, q query) (page, error) {
			var got crm.MessagePage
			x, err := c.ask(ctx, c.account, func(ctx context.Context) (err error) {
				got, err = c.crm.TalkMessages(ctx, talk, crm.MessageQuery{Page: q.page(), Limit: q.limit, From: q.from, To: q.to})
				return err
			})
			p := page{next: got.Next, exchange: x}
			for i := range got.Messages {
				m := &got.Messages[i]
				p.entries = append(p.entries, entry{id: m.ID, object: m.Object, raw: m.Raw}.timed(m.CreatedAt, m.MsecCreatedAt, got.Date))
			}
			return p, err
		},
	}
}

// checkMessages asks for the messages of one talk that seems to have many.
func (c *checker) checkMessages(ctx context.Context) {
	talk := c.chooseTalk(ctx)
	switch {
	case talk == "" && c.late:
		c.failed("messages.answer", errTimeUp)
		return
	case talk == "":
		c.unseen("messages.answer", "there is no talk to ask for; name one with talks")
		return
	}
	c.checkLookUp(ctx, talk)
	l := c.messagesOf(talk)
	p := c.look(ctx, l)
	if p == nil {
		return
	}
	c.known.messages = true
	if len(p.first.entries) > 0 {
		e, err := l.measure(ctx, p, 0)
		if err != nil {
			c.failed("messages.end", err)
			return
		}
		c.known.inTalk = e.length
		c.judgeEnd("messages.end", e.end)
		c.judgeLastLink(l, p, e.last, e.end)
	}
	c.checkWholeChat(ctx)
	c.judgeAnnounced(talk, p)
}

// chooseTalk returns the talk to ask most of, and says whether those that are given answer.
func (c *checker) chooseTalk(ctx context.Context) string {
	k := &c.known
	if len(c.conf.Talks) == 0 {
		byEvents := slices.SortedFunc(maps.Keys(k.feedTalks), func(a, b string) int {
			return cmp.Or(cmp.Compare(k.feedTalks[b], k.feedTalks[a]), cmp.Compare(a, b))
		})
		return append(append(byEvents, k.order...), "")[0]
	}
	longest, most := c.conf.Talks[0], -1
	var empty, missing []string
	answered := 0
	for _, id := range c.conf.Talks[:min(mostGiven, len(c.conf.Talks))] {
		got, err := c.messagesOf(id).ask(ctx, query{limit: crm.MaxLimit})
		switch {
		case err != nil && wordOf(err) == notFound:
			missing = append(missing, id)
			continue
		case err != nil:
			c.failedAs(c.matter(c.messagesOf(id), err), "talks.given", err)
			return id
		}
		answered++
		if len(got.entries) == 0 {
			empty = append(empty, id)
		}
		if len(got.entries) > most {
			longest, most = id, len(got.entries)
		}
	}
	c.judgeGiven("talks.given", "talk", answered, empty, len(c.conf.Talks), "check that these are ids of talks, talk_id in the CRM API")
	if len(missing) > 0 {
		c.add("talks.given", Error, notFound, say("the account has no such talk: %s", someIDs(missing)), "check that these are ids of talks, talk_id in the CRM API, of this account")
	}
	return longest
}

// judgeGiven says whether what was given answers.
func (c *checker) judgeGiven(id, what string, answered int, empty []string, given int, do string) {
	more := ""
	if given > mostGiven {
		more = " (only the first 20 were)"
	}
	if n := answered - len(empty); n > 0 {
		c.ok(id, "answer", "%d of %s asked for have messages%s", n, plural(given, what), more)
	}
	if len(empty) > 0 {
		c.add(id, Warning, "empty", say("%s without a message, or unknown to the API: %s", plural(len(empty), what), someIDs(empty)), do)
	}
}

// someIDs names a few of many.
func someIDs(ids []string) said {
	const few = 3
	names := strings.Join(ids[:min(few, len(ids))], ", ")
	if len(ids) > few {
		names += ", …"
	}
	return said{full: names, public: "[" + plural(len(ids), "id") + "]"}
}

func (c *checker) checkLookUp(ctx context.Context, talk string) {
	_, err := c.ask(ctx, c.account, func(ctx context.Context) error {
		_, err := c.crm.Talk(ctx, talk)
		return err
	})
	if err != nil {
		status := Warning
		if c.conf.Discover == "ids" {
			status = Error
		}
		c.failedAs(status, "talk.answer", err)
		return
	}
	c.ok("talk.answer", "answers", "a talk can be looked up by itself, as discover: ids does")
}

// checkWholeChat asks for two talks of one chat, and looks for a message in both.
func (c *checker) checkWholeChat(ctx context.Context) {
	const id = "messages.belong"
	k := &c.known
	byChat := map[string][]string{}
	for _, talk := range k.order {
		chat := k.talks[talk].ChatID
		if chat != "" {
			byChat[chat] = append(byChat[chat], talk)
		}
	}
	chats := slices.SortedFunc(maps.Keys(byChat), func(a, b string) int {
		events := func(chat string) (n int) {
			for _, talk := range byChat[chat] {
				n += k.feedTalks[talk]
			}
			return n
		}
		return cmp.Or(cmp.Compare(min(2, len(byChat[b])), min(2, len(byChat[a]))), cmp.Compare(events(b), events(a)), cmp.Compare(a, b))
	})
	if len(chats) == 0 || len(byChat[chats[0]]) < 2 {
		c.unseen(id, "no chat with two talks was listed")
		return
	}
	var both [2]page
	for i, talk := range byChat[chats[0]][:2] {
		var err error
		if both[i], err = c.messagesOf(talk).ask(ctx, query{limit: crm.MaxLimit}); err != nil {
			c.failed(id, err)
			return
		}
	}
	switch a, b := both[0].entries, both[1].entries; {
	case inBoth(a, b):
		c.add(id, Warning, "whole_chat", say("a talk lists all messages of its chat, so those of a chat with several talks come out once for each"),
			"write by kommo_message_id, so that what comes again is written over")
	case len(a) == 0 || len(b) == 0:
		c.unseen(id, "one of two talks of a chat has no message")
	default:
		c.ok(id, "own", "a talk lists its own messages, not those of its chat")
	}
}

// judgeAnnounced compares a talk with what the feed says of it.
func (c *checker) judgeAnnounced(talk string, p *pages) {
	k := &c.known
	oldest := int64(0) // from this second on the first page has everything
	if p.more {
		if word, _ := orderOf(p.first.entries); word != newestFirst {
			c.unseen("messages.announced", "the talk's newest messages are not on its first page")
			return
		}
		oldest = p.first.entries[len(p.first.entries)-1].seconds() + 1
	}
	listed := map[string]bool{}
	for _, e := range append(slices.Clone(p.first.entries), p.behind.entries...) {
		listed[e.id] = true
	}
	announced, late := 0, 0
	for id, a := range k.announced {
		if a.talk == talk && a.at >= oldest {
			announced++
			if !listed[id] {
				late++
			}
		}
	}
	silent, covered := 0, 0
	for _, e := range p.first.entries {
		if _, ok := k.announced[e.id]; k.feedFrom > 0 && e.id != "" && e.wrong == "" && e.seconds() >= k.feedFrom {
			covered++
			if !ok {
				silent++
			}
		}
	}
	switch {
	case announced == 0:
		c.unseen("messages.announced", "no event of the talk was seen")
	case late > 0:
		c.add("messages.announced", Warning, "not_listed", say("%d of %s that the feed has announced are not listed, now: they are late, deleted or lost", late, plural(announced, "message")),
			"nothing: kommo_talk_history looks for such for two minutes, and counts what stays away")
	default:
		c.ok("messages.announced", "listed", "all of %s that the feed has announced are listed", plural(announced, "message"))
	}
	switch {
	case covered == 0:
		c.unseen("events.complete", "none of the talk's messages is as new as the events that were read")
	case silent > 0:
		c.add("events.complete", Warning, "not_announced", say("%d of %s are not in the event feed, now: their events are late, or never come", silent, plural(covered, "message")),
			"if that stays, set discover to talks or ids; late events are waited for")
	default:
		c.ok("events.complete", "all", "all of %s are in the event feed", plural(covered, "message"))
	}
}
