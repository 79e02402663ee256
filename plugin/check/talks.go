// SPDX-License-Identifier: Apache-2.0

package check

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
)

// mostTalkPages is how many pages of the list of talks are read to count the channels: 5,000
// talks.
const mostTalkPages = 20

// talkList is the list of talks as a list, which keeps what it lists.
func (c *checker) talkList() *list {
	return &list{
		id: "talks", what: "talk", api: c.account, most: crm.MaxLimit, linked: true,
		ask: func(ctx context.Context, q query) (page, error) {
			got, x, err := c.listPage(ctx, crm.Talks, q)
			for _, e := range got.Entries {
				c.keepTalk(e)
			}
			return page{entries: entriesOf(got), next: got.Next, exchange: x}, err
		},
	}
}

func (c *checker) listPage(ctx context.Context, from crm.Source, q query) (got crm.Page, x *exchange, err error) {
	x, err = c.ask(ctx, c.account, func(ctx context.Context) (err error) {
		got, err = c.crm.List(ctx, from, q.page(), q.limit)
		return err
	})
	return got, x, err
}

func entriesOf(p crm.Page) []entry {
	entries := make([]entry, len(p.Entries))
	for i, e := range p.Entries {
		entries[i] = entry{id: e.ID.Text, object: e.Object, raw: e.Raw}
		if e.TalkID != (crm.Value{}) { // chats of contacts have no time
			entries[i] = entries[i].timed(e.UpdatedAt, 0, p.Date)
		}
	}
	return entries
}

func (c *checker) keepTalk(e crm.Entry) {
	k := &c.known
	if k.talks == nil {
		k.talks, k.origins = map[string]crm.Entry{}, map[string]int{}
	}
	id := e.ID.Text
	if _, ok := k.talks[id]; ok || !e.Object || crm.CheckTalkID(id) != nil {
		return
	}
	k.talks[id] = e
	k.order = append(k.order, id)
	k.origins[e.Origin]++
	k.highest = max(k.highest, e.ID.Number)
}

func (c *checker) checkTalks(ctx context.Context) {
	l := c.talkList()
	p := c.look(ctx, l)
	if p == nil || len(p.first.entries) == 0 {
		return
	}
	last := p.behind
	for pageNumber := 3; len(last.entries) > 0 && pageNumber <= mostTalkPages; pageNumber++ {
		var err error
		if last, err = l.ask(ctx, query{offset: (pageNumber - 1) * l.most, limit: l.most}); err != nil {
			c.failed("talks.reach", err)
			return
		}
	}
	var end *page
	if len(last.entries) == 0 {
		c.known.listWhole, end = true, &last
	}
	c.judgeEnd("talks.end", end)
}

// judgeReach says how far the list of talks reaches: whether it names the talks that the
// feed names, and where its ids begin.
func (c *checker) judgeReach() {
	k := &c.known
	if len(k.talks) == 0 {
		return
	}
	oldest := time.Now().Unix()
	for _, t := range k.talks {
		if t.CreatedAt > 0 {
			oldest = min(oldest, t.CreatedAt)
		}
	}
	since := time.Unix(oldest, 0).UTC().Format(time.DateOnly)
	if !k.listWhole {
		c.ok("talks.reach", "long", "%d talks listed, and there may be more; those go back to %s", len(k.talks), since)
		return
	}
	missing := 0
	for id := range k.feedTalks {
		if _, ok := k.talks[id]; !ok {
			missing++
		}
	}
	if missing > 0 {
		k.listShort = true
		c.add("talks.reach", Warning, "ends_early", say("the list ends after %d talks, back to %s, and lacks %d of %d talks that the event feed names", len(k.talks), since, missing, len(k.feedTalks)),
			"leave discover at events, or set it to ids; for kommo_chats set source to events or talk_ids")
		return
	}
	c.ok("talks.reach", "whole", "the list ends after %d talks, back to %s, and has all that the event feed names", len(k.talks), since)
}

// checkContactChats finds out whether the token's user is an administrator.
func (c *checker) checkContactChats(ctx context.Context) {
	l := &list{
		id: "contact_chats", what: "chat", api: c.account, most: crm.MaxLimit, linked: true, timeless: true,
		ask: func(ctx context.Context, q query) (page, error) {
			got, x, err := c.listPage(ctx, crm.ContactChats, q)
			for _, e := range got.Entries {
				if c.plain(e.ChatID) && len(c.known.own) < crm.MaxLimit && !slices.Contains(c.known.own, e.ChatID) {
					c.known.own = append(c.known.own, e.ChatID)
				}
			}
			return page{entries: entriesOf(got), next: got.Next, exchange: x}, err
		},
	}
	got, _, err := c.listPage(ctx, crm.ContactChats, query{limit: 1})
	switch word := wordOf(err); {
	case err == nil:
		c.ok("token.administrator", "yes", "the token's user may list the chats of contacts, as administrators may")
	case word == rightRefused:
		c.add("token.administrator", Warning, "no", say("the token's user may not list the chats of contacts, so is no administrator"),
			"make the token as an administrator if kommo_chats is to read contact_chats; the other inputs do not need that")
		return
	default:
		c.failedAs(Warning, "token.administrator", err)
		return
	}
	if len(got.Entries) > 0 {
		c.look(ctx, l)
	}
}

// wellKnown are origins that say nothing of an account (chats-api.md, "Finding chats").
var wellKnown = []string{"waba", "instagram_business", "facebook", "telegram", "viber", "vk", "avito", "whatsapp", "wechat", "line", "skype", "email"}

// judgeOrigins says which channels there are.
func (c *checker) judgeOrigins() {
	k := &c.known
	names := slices.SortedFunc(maps.Keys(k.origins), func(a, b string) int {
		if d := k.origins[b] - k.origins[a]; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	atLeast := map[bool]string{true: "at least "}[!k.listWhole]
	for _, name := range names {
		var shown any = name
		switch {
		case !c.plain(name):
			shown = "a name that is not shown"
		case !slices.Contains(wellKnown, name):
			shown = aName(name)
		}
		c.ok("channels.origin", "found", "%v: %s%s", shown, atLeast, plural(k.origins[name], "talk"))
	}
	for _, name := range c.conf.Origins {
		if k.origins[name] == 0 && len(names) > 0 {
			c.add("channels.wanted", Warning, "none", say("no talk of origin %v was seen", aName(name)), "check origins: it has to be the API's own word, as above")
		}
	}
}
