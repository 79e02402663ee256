// SPDX-License-Identifier: Apache-2.0

package talkhistory_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
)

// simAPI is the CRM API as chats-api.md has it: what is unknown there goes either way
// here. Each request is answered after a while; the account is looked at in the middle of it.
type simAPI struct {
	w       *simWorld
	windows []simWindow
	ledger  []simSent
	asked   int           // requests that are of no talk
	begun   time.Duration // when the feed was first answered; never: not yet
}

// simWindow is a time in which something is wrong.
type simWindow struct {
	from, to time.Duration
	kind     int
	call     string // "": every call
}

const (
	simReset = iota
	simHang
	sim502
	simHTML
	simPlan
	simScope
	simFaults
)

// simSent is a request.
type simSent struct {
	at   time.Duration
	life *simLife
}

func (a *simAPI) setup(w *simWorld) {
	a.w, a.begun = w, never
	r := w.rnd("windows")
	for range oneOf(r, 0, 0, 1, 2) {
		win := simWindow{from: between(r, 0, w.cfg.chaos), kind: r.IntN(simFaults)}
		win.to = win.from + between(r, 0, w.cfg.chaos/3)
		if win.kind >= simPlan || chance(r, 50) {
			win.call = oneOf(r, "events", "messages", "talk")
		}
		a.windows = append(a.windows, win)
	}
}

var errSimGone = errors.New("there is no process")

// simAnswer is what is sent back.
type simAnswer struct {
	status     int
	body, kind string
	cut, hang  bool
	err        error
}

func simJSON(status int, body string) simAnswer {
	return simAnswer{status: status, kind: "application/hal+json", body: body}
}

func simPage(status int) simAnswer {
	return simAnswer{status: status, kind: "text/html", body: "<html><body><h1>nginx</h1></body></html>"}
}

// simSleep sleeps like a network does that notices when nobody waits any more.
func simSleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *simAPI) answer(l *simLife, req *http.Request) (*http.Response, error) {
	w, ctx := a.w, req.Context()
	w.mu.Lock()
	if l.gone {
		w.mu.Unlock()
		return nil, errSimGone
	}
	a.ledger = append(a.ledger, simSent{w.now(), l})
	call, t := a.callOf(req.URL.Path)
	number, n := -1, a.asked+1
	if t != nil {
		t.requests++
		number, n = t.n, t.requests
		if w.cfg.origins && t.origin != simOrigins[0] && call == "messages" {
			w.violated("limit", "talk %s of another channel is asked for", t.id)
		}
	} else {
		a.asked = n
	}
	r := w.rnd("request "+call, number, n)
	before, after := between(r, 0, w.cfg.latency), between(r, 0, w.cfg.latency)
	w.mu.Unlock()

	if err := simSleep(ctx, before); err != nil {
		return nil, err
	}
	w.mu.Lock()
	if l.gone {
		w.mu.Unlock()
		return nil, errSimGone
	}
	ans := a.decide(r, call, t, req.URL.Query())
	w.note("life %d asks %s: %d %s", l.n, strings.TrimPrefix(req.URL.RequestURI(), "/api/v4/"), ans.status, a.shown(&ans))
	w.mu.Unlock()
	if ans.hang {
		after = 1000 * time.Hour
	}
	if err := simSleep(ctx, after); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.gone {
		return nil, errSimGone
	}
	if ans.err != nil {
		return nil, ans.err
	}
	resp := &http.Response{
		StatusCode: ans.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req, ContentLength: int64(len(ans.body)),
		Header: http.Header{"Content-Type": {ans.kind}, "Date": {w.epoch.Add(w.now() + w.cfg.clock).UTC().Format(http.TimeFormat)}},
		Body:   io.NopCloser(strings.NewReader(ans.body)),
	}
	if ans.cut {
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(ans.body[:len(ans.body)/2]), simBreaks{}))
	}
	return resp, nil
}

type simBreaks struct{}

func (simBreaks) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// shown is what the event log says of an answer: the ids in it.
func (a *simAPI) shown(ans *simAnswer) string {
	var ids []string
	for part := range strings.SplitSeq(ans.body, `"id":"`) {
		if id, _, ok := strings.Cut(part, `"`); ok && a.w.known[id] != nil {
			ids = append(ids, id)
		}
	}
	return strings.Join(ids, " ")
}

// callOf returns what is asked for: events, talks, talk or messages, and of which talk.
func (a *simAPI) callOf(path string) (string, *simTalk) {
	rest, _ := strings.CutPrefix(path, "/api/v4/")
	switch parts := strings.Split(rest, "/"); {
	case len(parts) == 1:
		return parts[0], nil
	case len(parts) == 2:
		return "talk", a.w.byID[parts[1]]
	default:
		return "messages", a.w.byID[parts[1]]
	}
}

// decide says how a request is answered. Caller holds mu.
func (a *simAPI) decide(r *rand.Rand, call string, t *simTalk, q url.Values) simAnswer {
	w := a.w
	now := w.now()
	for _, win := range a.windows {
		if w.calm || now < win.from || now >= win.to || win.call != "" && win.call != call {
			continue
		}
		switch win.kind {
		case simReset:
			return simAnswer{err: errors.New("connection reset by peer")}
		case simHang:
			return simAnswer{hang: true}
		case sim502:
			return simPage(502)
		case simHTML:
			return simPage(200)
		case simPlan:
			return simJSON(402, `{"title":"Payment Required","status":402,"detail":"Endpoint not available for current account tariff"}`)
		case simScope:
			return simJSON(403, `{"title":"Forbidden","status":403,"detail":"Invalid scope"}`)
		}
	}
	if !w.calm && chance(r, w.cfg.failing) {
		switch r.IntN(5) {
		case 0:
			return simJSON(500, `{"title":"Internal Server Error","status":500}`)
		case 1:
			return simPage(200)
		case 2:
			return simAnswer{err: errors.New("connection reset by peer")}
		case 3:
			return simJSON(429, fmt.Sprintf(`{"title":"Too Many Requests","status":429,"retry_after":%d}`, 1+r.IntN(5)))
		default:
			ans := a.honest(call, t, q, now)
			ans.cut = len(ans.body) > 1
			return ans
		}
	}
	return a.honest(call, t, q, now)
}

func (a *simAPI) honest(call string, t *simTalk, q url.Values, now time.Duration) simAnswer {
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(q.Get(name), 10, 64)
		return n
	}
	query := chat.TalkQuery{
		Page: int(number("page")), Limit: int(number("limit")), From: number("filter[created_at][from]"), To: number("filter[created_at][to]"),
	}
	if call != "talk" && (query.Page < 1 || query.Limit < 1 || query.Limit > 250) {
		a.w.violated("limit", "a request that the API does not know: %s %v", call, q)
	}
	notFound := simJSON(404, `{"title":"Not found","status":404}`)
	switch call {
	case "events":
		a.begun = min(a.begun, now)
		return a.events(query, q.Get("order[created_at]"), now)
	case "talks":
		return a.list(query, now)
	case "talk":
		if t == nil || t.opened > now {
			return notFound
		}
		return simJSON(200, t.json(now))
	case "messages":
		if t == nil || t.opened > now {
			return notFound
		}
		return t.page(query, now)
	}
	return notFound
}

// hal is a page of a list.
func (a *simAPI) hal(name string, rows []string, more bool) simAnswer {
	if len(rows) == 0 {
		return simAnswer{status: 204}
	}
	links := `"self":{"href":"http://kommo.invalid/x"}`
	if more {
		links += `,"next":{"href":"http://kommo.invalid/y"}`
	}
	return simJSON(200, fmt.Sprintf(`{"_links":{%s},"_embedded":{%q:[%s]}}`, links, name, strings.Join(rows, ",")))
}

// page is a page of a talk's messages.
func (t *simTalk) page(q chat.TalkQuery, now time.Duration) simAnswer {
	m := t.w.cfg.talk
	for _, s := range t.messages {
		if s.is(now) {
			m.Items = append(m.Items, chat.Item{ID: s.id, Time: s.ms})
		}
	}
	slices.SortStableFunc(m.Items, func(a, b chat.Item) int { return cmp.Compare(a.Time, b.Time) })
	got, err := m.Messages(context.Background(), t.id, q)
	if err != nil {
		t.w.violated("limit", "%v", err)
	}
	rows := make([]string, len(got.Items))
	for i := range got.Items {
		s := t.w.known[got.Items[i].ID]
		rows[i] = s.version(s.edited(now))
	}
	return t.w.api.hal("messages", rows, got.More)
}

func (t *simTalk) json(now time.Duration) string {
	updated := t.opened
	for _, m := range t.messages {
		if m.came <= now {
			updated = max(updated, m.came)
		}
	}
	return fmt.Sprintf(`{"talk_id":%s,"created_at":%d,"updated_at":%d,"chat_id":"chat-%s","contact_id":7,"entity_id":8,"entity_type":"lead","origin":%q,"status":"in_work"}`,
		t.id, t.w.server(t.opened), t.w.server(updated), t.id, t.origin)
}

// list is a page of the list of talks, the latest updated first.
func (a *simAPI) list(q chat.TalkQuery, now time.Duration) simAnswer {
	m := a.w.cfg.talk
	m.Order, m.KeepFrom, m.Cap = "newest", true, 0
	last := map[string]time.Duration{}
	for _, t := range a.w.talks {
		for _, s := range t.messages {
			if s.came <= now {
				last[t.id] = s.came
			}
		}
		if at, is := last[t.id]; is {
			m.Items = append(m.Items, chat.Item{ID: t.id, Time: a.w.epoch.Add(at).UnixMilli()})
		}
	}
	slices.SortStableFunc(m.Items, func(a, b chat.Item) int { return cmp.Compare(a.Time, b.Time) })
	if a.w.cfg.cut > 0 {
		m.Next, m.Items = "missing", m.Items[max(0, len(m.Items)-a.w.cfg.cut):]
	}
	got, _ := m.Messages(context.Background(), "", chat.TalkQuery{Page: q.Page, Limit: q.Limit})
	rows := make([]string, len(got.Items))
	for i := range got.Items {
		rows[i] = a.w.byID[got.Items[i].ID].json(now)
	}
	return a.hal("talks", rows, got.More)
}

// events is a page of the feed.
func (a *simAPI) events(q chat.TalkQuery, order string, now time.Duration) simAnswer {
	m := a.w.cfg.feed
	if m.Order == "asked" {
		m.Order = map[string]string{"desc": "newest"}[order]
		m.Order = cmp.Or(m.Order, "oldest")
	}
	for _, s := range a.w.said {
		if s.shown <= now {
			m.Items = append(m.Items, chat.Item{ID: s.id, Time: s.created * 1000})
		}
	}
	slices.SortStableFunc(m.Items, func(a, b chat.Item) int { return cmp.Compare(a.Time, b.Time) })
	got, err := m.Messages(context.Background(), "", q)
	if err != nil {
		a.w.violated("limit", "%v", err)
	}
	rows := make([]string, len(got.Items))
	for i := range got.Items {
		s := a.w.known[got.Items[i].ID]
		rows[i] = fmt.Sprintf(`{"id":"event-%s","type":"incoming_chat_message","entity_type":"lead","entity_id":8,"created_by":0,"created_at":%d,"value_after":[{"message":{"id":%q,"origin":%q,"talk_id":%s}}]}`,
			s.id, s.created, s.id, s.t.origin, s.t.id)
	}
	return a.hal("events", rows, got.More)
}
