// SPDX-License-Identifier: Apache-2.0

package check

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
)

// list is anything that is read page by page.
type list struct {
	id, what string // "events", and what its entries are called
	api      *api
	most     int  // entries of a page
	linked   bool // pages have a link to the next, and a number in place of an offset
	filters  bool // there is a filter of time
	timeless bool // its entries have no time
	messages bool // its entries are messages, which stay as they are
	ask      func(ctx context.Context, q query) (page, error)
}

// query is a page of a list. Of one with numbers the offset is whole pages.
type query struct {
	offset, limit int
	from, to      int64  // Unix s
	order         string // asc, desc; "": none is asked for
}

func (q query) page() int { return q.offset/q.limit + 1 }

// page is an answer.
type page struct {
	entries []entry
	next    crm.Next
	*exchange
}

// pages is what the first pages of a list showed.
type pages struct {
	first  page
	behind page // what follows on the first
	half   page // as many as half of the first
	more   bool // something follows on the first page
	held   int  // entries of a page, at most: fewer than it is asked for where that is capped
	hidden bool // pages are shorter than that though more follows
	end    *page
}

// enough is how many entries the questions about pages need.
const enough = 4

// look asks for the first pages of a list and judges them. It returns nil if the list did
// not answer.
func (c *checker) look(ctx context.Context, l *list) *pages {
	first, err := l.ask(ctx, query{limit: l.most})
	if err != nil {
		c.failedAs(c.matter(l, err), l.id+".answer", err)
		return nil
	}
	p := &pages{first: first, held: l.most}
	n := len(first.entries)
	if n == 0 {
		c.ok(l.id+".answer", "empty", "answers, and has nothing")
		return p
	}
	offset := l.most
	if !l.linked && n < l.most {
		offset = n // where the next ones are if pages are capped
	}
	if p.behind, err = l.ask(ctx, query{offset: offset, limit: l.most}); err != nil {
		c.failed(l.id+".answer", err)
		return nil
	}
	p.more = len(newIn(p.behind.entries, first.entries)) > 0
	if len(p.behind.entries) == 0 {
		p.end = &p.behind
	}
	c.ok(l.id+".answer", "answers", "answers: %s on the first page%s", plural(n, l.what), map[bool]string{true: ", and more follow"}[p.more])
	if n >= enough {
		if !c.lookCloser(ctx, l, p) {
			return nil
		}
	} else {
		c.unseen(l.id+".pages", "too few entries to tell how pages follow on each other")
	}
	if p.more && (l.linked || !p.hidden) {
		p.held = min(n, l.most)
	}
	c.known.held[l.id] = p.held
	c.judgeEntries(l, first.entries)
	if l.messages {
		c.judgeBytes(l, first.entries, p.half.entries)
	}
	if l.filters {
		c.checkFilter(ctx, l, first.entries)
	}
	return p
}

// matter is what it means that a list does not answer. Who has a channel of one's own can
// read its messages without those of the talks.
func (c *checker) matter(l *list, err error) Status {
	word := wordOf(err)
	if l.api == c.account && l.messages && c.conf.channel() && (word == planRefused || word == scopeRefused) {
		return Warning
	}
	return Error
}

// lookCloser asks for half pages of a list with enough entries, and judges how pages
// follow on each other.
func (c *checker) lookCloser(ctx context.Context, l *list, p *pages) bool {
	n := len(p.first.entries)
	half := n / 2
	id := l.id + ".pages"
	var err error
	if p.half, err = l.ask(ctx, query{limit: half}); err != nil {
		c.failed(id, err)
		return false
	}
	short := half - max(1, min(half/3, 5)) // so many fewer overlap
	over, err := l.ask(ctx, query{offset: short, limit: short})
	if err != nil {
		c.failed(id, err)
		return false
	}
	regular := false
	switch got := len(p.half.entries); {
	case got > half:
		c.add(id, Warning, "limit_ignored", say("asked for %d, the API gives %d: it does not keep limit", half, got), allowed)
	case got < half:
		p.hidden = true
		c.add(id, Warning, "short", say("asked for %d of more, the API gives %d: a short page does not mean the end", half, got),
			"nothing: ends are looked behind, which costs requests")
	case p.more && n < l.most:
		p.hidden = c.judgeShort(ctx, l, n)
	default:
		regular = true
		c.ok(id, "full", "pages are as long as asked")
	}
	switch shared := inBoth(p.half.entries, over.entries); {
	case shared:
		c.ok(l.id+".overlap", "as_expected", "overlapping pages overlap")
	case !regular:
		c.unseen(l.id+".overlap", "pages are not as long as asked")
	default:
		c.add(l.id+".overlap", Warning, "none", say("two pages that should share an entry share none: the order changes from request to request"),
			"send the report: what is between two pages can be missed until it is read again")
	}
	if l.linked {
		c.judgeLinks(l, p)
	}
	return true
}

// judgeShort tells a lower limit from hidden entries, where a page of n entries was short
// and more follows.
func (c *checker) judgeShort(ctx context.Context, l *list, n int) (hidden bool) {
	again, err := l.ask(ctx, query{limit: n})
	switch {
	case err != nil:
		c.failed(l.id+".pages", err)
	case len(again.entries) < n:
		c.add(l.id+".pages", Warning, "short", say("pages are shorter than asked although more follows"),
			"nothing: ends are looked behind, which costs requests")
		return true
	default:
		c.add(l.id+".pages", Warning, "capped", say("no page has more than %d entries, asked for %d", n, l.most),
			allowed)
	}
	return false
}

// judgeLinks looks whether _links.next tells the truth.
func (c *checker) judgeLinks(l *list, p *pages) {
	id := l.id + ".next"
	next, _ := url.Parse(p.half.next.URL)
	switch {
	case !p.half.next.Is:
		c.add(id, Warning, "missing", say("no link to the next page although one follows"), allowed)
	case next == nil || next.Host != "" && !strings.EqualFold(next.Host, c.crm.Host()):
		c.add(id, Warning, "elsewhere", say("the link to the next page leads to another host"), "nothing: it is not followed")
	case p.half.next.Page() != 2:
		c.add(id, Warning, "wrong_page", say("the link to the next page leads to page %d, not 2", p.half.next.Page()), "nothing: it is not followed")
	case p.end != nil && p.first.next.Is:
		c.linkAtTheEnd(id)
	default:
		c.ok(id, "true", "the link to the next page is right")
	}
}

func (c *checker) linkAtTheEnd(id string) {
	c.add(id, Warning, "always", say("the last page has a link to a next one too"), allowed)
}

// judgeLastLink looks at the link of a last page that is not the first.
func (c *checker) judgeLastLink(l *list, p *pages, last, end *page) {
	if p.more && end != nil && last.next.Is {
		c.linkAtTheEnd(l.id + ".next")
	}
}

// judgeEnd says how the API answers behind the last entry.
func (c *checker) judgeEnd(id string, p *page) {
	switch {
	case p == nil:
		c.unseen(id, "no end was reached")
	case p.status == http.StatusNoContent:
		c.ok(id, "204", "behind the end comes status 204")
	default:
		body := strings.Join(strings.Fields(string(p.head)), "")
		word := "empty_list"
		switch {
		case body == "{}":
			word = "empty_object"
		case strings.Contains(body, ":null"):
			word = "null"
		}
		c.ok(id, word, "behind the end comes status 200 with %s", strings.ReplaceAll(word, "_", " "))
	}
}
