// SPDX-License-Identifier: Apache-2.0

package check

import (
	"context"
	"slices"

	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
)

// mostFeedPages is how many pages of the feed are read to find the talks that it names: 5,000
// events.
const mostFeedPages = 20

// since is from when on messages are wanted, in Unix s. 0: all.
func (c *checker) since() int64 {
	if c.conf.Since.IsZero() {
		return 0
	}
	return c.conf.Since.Unix()
}

// countNamed counts the events of each talk, of those that were seen.
func (c *checker) countNamed() {
	c.known.feedTalks = map[string]int{}
	for _, a := range c.known.announced {
		c.known.feedTalks[a.talk]++
	}
}

// readFeed reads the feed, unless it is too long, to its end, or until it has named every talk
// that is listed.
func (c *checker) readFeed(ctx context.Context) {
	k := &c.known
	if !k.listWhole || k.feedWhole || k.feedPages > mostFeedPages {
		return
	}
	l := c.feed(k.announced)
	n := 3 // the first two were read
	if c.since() > 0 {
		n = 1
	}
	for ; n <= k.feedPages+1; n++ {
		if _, unnamed := c.unnamed(); len(unnamed) == 0 {
			return
		}
		got, err := l.ask(ctx, query{offset: (n - 1) * l.most, limit: l.most, from: c.since()})
		if err != nil {
			c.failed("events.talks", err)
			return
		}
		if len(got.entries) == 0 {
			k.feedWhole = true
			return
		}
		c.countNamed()
	}
}

// unnamed returns how many talks are listed that are to be read, and those that the feed did
// not name as far as it was seen.
func (c *checker) unnamed() (listed int, unnamed []string) {
	k := &c.known
	for _, id := range k.order {
		t := k.talks[id]
		if len(c.conf.Origins) > 0 && !slices.Contains(c.conf.Origins, t.Origin) || t.UpdatedAt > 0 && t.UpdatedAt < c.since() {
			continue
		}
		listed++
		if k.feedTalks[id] == 0 {
			unnamed = append(unnamed, id)
		}
	}
	return listed, unnamed
}

// checkNamed says whether the feed names the talks that are listed, where both were read far
// enough. A talk without a message has no event.
func (c *checker) checkNamed(ctx context.Context) {
	const id = "events.talks"
	k := &c.known
	listed, unnamed := c.unnamed()
	switch {
	case k.feedTalks == nil || listed == 0 || !k.listWhole:
		return
	case len(unnamed) == 0:
		c.ok(id, "all", "the event feed names all of %s listed", plural(listed, "talk"))
		return
	case !k.feedWhole:
		c.unseen(id, "the event feed was not read to its end")
		return
	}
	if !c.anyMessage(ctx, unnamed) {
		c.ok(id, "all", "the event feed names %d of the %s listed; of the others, those asked for have no message", listed-len(unnamed), plural(listed, "talk"))
		return
	}
	k.feedSilent = true
	do := map[bool]string{
		false: "set discover to talks or ids; for kommo_chats set source to talks or talk_ids",
		true:  "set discover to ids; for kommo_chats set source to talk_ids",
	}[k.listShort]
	c.add(id, Warning, "fewer", say("the event feed names %d of the %s listed: what is discovered by it lacks the others", listed-len(unnamed), plural(listed, "talk")), do)
}

// anyMessage reports whether one of a few of many talks has a message, or can't be asked for.
func (c *checker) anyMessage(ctx context.Context, talks []string) bool {
	few := []string{talks[0], talks[len(talks)/2], talks[len(talks)-1]}
	for _, id := range slices.Compact(few) {
		got, err := c.messagesOf(id).ask(ctx, query{limit: crm.MaxLimit})
		if err != nil || len(got.entries) > 0 {
			return true
		}
	}
	return false
}
