// SPDX-License-Identifier: Apache-2.0

package check

import (
	"cmp"
	"fmt"
	"math"

	"github.com/kommo-connect/kommo-connect/plugin/internal/amojo"
	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
)

// Estimate is what a first reading of everything costs, as far as is known.
type Estimate struct {
	// Input is the input that reads.
	Input string `json:"input"`
	// Chats are chats, or talks.
	Chats int `json:"chats"`
	// Messages is how many there are, about.
	Messages int `json:"messages"`
	// AtLeast says that there is more of both.
	AtLeast bool `json:"at_least"`
	// Requests is how many that takes.
	Requests int `json:"requests"`
	// Hours is how long that takes at the configured rate, or where that is 0 one
	// request after the other.
	Hours float64 `json:"hours"`
}

// estimate computes what a first reading costs.
func (c *checker) estimate() {
	c.section = "Estimate"
	if c.account != nil && c.known.messages {
		c.addEstimate(c.account, c.ofAccount())
	}
	if c.channel != nil && c.known.measured {
		c.addEstimate(c.channel, c.ofChannel())
	}
}

// ofAccount takes each event for a message. A talk takes a request for each page, and
// one more. Of some channels it takes their share of the talks that are listed.
func (c *checker) ofAccount() Estimate {
	k := &c.known
	e := Estimate{Input: "kommo_talk_history", Chats: c.discovered(), AtLeast: k.eventsMore || !k.listWhole}
	switch c.conf.Discover {
	case "ids":
		e.Messages = k.messagesIn(e.Chats)
		e.Chats = max(e.Chats, int(k.highest))
	case "talks":
		e.Messages = k.messagesIn(e.Chats)
	default:
		e.Messages = k.events
		e.AtLeast = e.AtLeast && !k.feedWhole
	}
	if all := len(k.talks); len(c.conf.Origins) > 0 && all > 0 {
		wanted := 0
		for _, origin := range c.conf.Origins {
			wanted += k.origins[origin]
		}
		e.Chats, e.Messages = e.Chats*wanted/all, e.Messages*wanted/all
	}
	e.Requests = e.Chats + k.talkPages(e.Messages)
	switch c.conf.Discover {
	case "ids":
		e.Requests += int(k.highest)
	case "talks":
		e.Requests += pagesOf(e.Chats, k.holds("talks", crm.MaxLimit))
	default:
		e.Requests += pagesOf(k.events, k.holds("events", crm.MaxLimit))
	}
	return e
}

// discovered is how many talks the configured discover finds: those that its list names, or
// where that was not read to its end, all that were seen.
func (c *checker) discovered() int {
	k := &c.known
	switch {
	case c.conf.Discover == "talks" && len(k.talks) > 0:
		return len(k.talks)
	case c.conf.Discover != "talks" && c.conf.Discover != "ids" && k.feedWhole:
		return len(k.feedTalks)
	}
	n := len(k.feedTalks)
	for id := range k.talks {
		if k.feedTalks[id] == 0 {
			n++
		}
	}
	return n
}

// messagesIn takes the event feed for all messages, unless it lacks some talks, or names
// more than are read: then each has the average of those that it names, or if it names
// none, as many as the talk that was asked for.
func (k *known) messagesIn(talks int) int {
	switch named := len(k.feedTalks); {
	case k.feedSilent && named == 0:
		return talks * k.inTalk
	case k.feedSilent, k.feedWhole && named > talks:
		return k.events * talks / named
	}
	return k.events
}

// ofChannel knows the length of the longest chat, and of those of a page. Chats that were
// not asked for are taken for as long as those that were, on average.
func (c *checker) ofChannel() Estimate {
	k := &c.known
	e := Estimate{Input: "kommo_chat_history", Chats: k.chats + k.chatsMore, AtLeast: k.chatsLong > 1 || k.chatLong || len(c.conf.Chats) == 0}
	e.Messages = k.inChats * e.Chats / max(k.chats, 1)
	e.Requests = e.Chats + pagesOf(e.Messages, k.holds("history", amojo.MaxLimit)-1)
	return e
}

// talkPages is how many pages messages of talks take. Pages overlap by two. Where they hold
// less than they are asked for, kommo_talk_history reads a talk twice; where that is less than
// a tenth, it also asks for each page twice, and none overlap.
func (k *known) talkPages(messages int) int {
	const few = 10
	switch held := k.holds("messages", crm.MaxLimit); {
	case held == crm.MaxLimit:
		return pagesOf(messages, held-2)
	case held*few > crm.MaxLimit:
		return 2 * pagesOf(messages, held-2)
	default:
		return 4 * pagesOf(messages, held)
	}
}

// holds is how many entries a page of a list has at most.
func (k *known) holds(list string, most int) int { return cmp.Or(k.held[list], most) }

// pagesOf is how many pages entries take, at least one of which is new on each.
func pagesOf(entries, most int) int {
	most = max(most, 1)
	return (entries + most - 1) / most
}

func (c *checker) addEstimate(a *api, e Estimate) {
	perSecond := c.conf.RequestsPerSecond
	if a.slowed > 0 {
		perSecond = a.slowed
	}
	how := rate(perSecond)
	if perSecond == 0 {
		perSecond = 1 / max(median(a.took).Seconds(), 1e-3)
		how = "one request after the other"
	}
	e.Hours = math.Round(float64(e.Requests)/perSecond/3600*1000) / 1000
	c.report.Estimates = append(c.report.Estimates, e)
	least := ""
	if e.AtLeast {
		least = "at least "
	}
	c.ok("estimate."+a.name, "made", "%s: %s%s with about %s, some %s, %s at %s", e.Input, least,
		plural(e.Chats, map[bool]string{true: "talk", false: "chat"}[a == c.account]), plural(e.Messages, "message"),
		plural(e.Requests, "request"), inHours(e.Hours), how)
}

func inHours(hours float64) string {
	switch {
	case hours >= 1:
		return fmt.Sprintf("%.1f hours", hours)
	case hours*60 >= 1:
		return fmt.Sprintf("%.0f minutes", math.Ceil(hours*60))
	}
	return "less than a minute"
}
