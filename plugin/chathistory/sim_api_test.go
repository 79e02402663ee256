// SPDX-License-Identifier: Apache-2.0

package chathistory_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	simScope      = "f62a0162-46a7-430e-b06c-0ef798d76a21_52fd2a28-d2eb-4bd8-b862-a67934927b38"
	simSecretText = "5ecre7-of-the-channel-that-no-log-may-show"
)

// simAPI is the Chats API as chats-api.md has it: what is unknown there goes either
// way here. Requests come in memory, and each is answered after a while; the chat
// is looked at in the middle of it.
type simAPI struct {
	w         *simWorld
	clock     time.Duration // the server's, ahead of ours
	noDate    bool
	pastEnd   int
	capped    int // 0: no
	latency   time.Duration
	windows   []simWindow
	sometimes int // in percent, how many answers fail by themselves

	rate, burst, tokens float64 // the server's own limit; rate 0: none
	refilled            time.Duration
	hint                int

	ledger    []simSent
	pauses    []simPause
	throttled int
	believed  bool          // a server was honest for long, and then was not
	asides    time.Duration // how long a healthy chat may be put aside for what it was answered
}

// simWindow is a time in which something is wrong with the whole API.
type simWindow struct {
	from, to time.Duration
	kind     int
}

const (
	windowReset = iota
	windowHang
	window500
	windowHTML
	windowBlock
	windowSecret
	windowLimit // the rate_limit resource
	windowKinds
)

// simSent is a request.
type simSent struct {
	at time.Duration
	p  *simProcess
	c  *simChat // nil: no chat of ours
}

// simPause is a time for which the server asked to be left alone.
type simPause struct {
	p        *simProcess
	from, to time.Duration
}

// The ways of a server to say how long to wait.
const (
	hintHeader = iota
	hintDate
	hintBody
	hintBoth
	hint503
	hintNone
	hintYear
	hintYear9999
	hintBodyYears
)

// longestPause is the longest pause that the input must obey: absurd ones are
// reported and cut, to an hour or less.
const (
	longestPause = time.Hour
	obeyedPause  = 10 * time.Minute
)

func (a *simAPI) setup(w *simWorld) {
	a.w = w
	r := w.rnd("api")
	a.pastEnd = r.IntN(4)
	a.latency = between(r, time.Millisecond, 60*time.Millisecond)
	if w.on.has(simCapped) {
		a.capped = max(1, w.cfg.pageSize/2)
	}
	if w.on.has(simClockOff) {
		a.clock = oneOf(r, between(r, -3*time.Second, 3*time.Second), between(r, -10*time.Minute, 10*time.Minute), -time.Hour, 25*time.Minute)
		a.noDate = a.clock.Abs() < 11*time.Minute && chance(r, 50)
	}
	if w.on.has(simTransient) {
		a.sometimes = 1 + r.IntN(15)
	}
	window := func(ingredient int, kinds ...int) {
		k := w.rnd("window", ingredient)
		for range 1 + k.IntN(2) {
			from := oneOf(k, 0, between(k, 0, 2*time.Second), between(k, 0, w.cfg.chaos), between(k, 0, w.cfg.chaos))
			win := simWindow{from: from, to: from + oneOf(k, between(k, 0, 5*time.Second), between(k, 0, w.cfg.chaos/2)), kind: oneOf(k, kinds...)}
			if w.on.has(ingredient) {
				a.windows = append(a.windows, win)
			}
		}
	}
	window(simOutage, windowReset, windowHang, window500, windowHTML)
	window(simBlock, windowBlock)
	window(simSecret, windowSecret)
	window(simSharedLimit, windowLimit)
	if w.on.has(simThrottle) {
		a.rate, a.burst = 0.5+4*r.Float64(), float64(1+r.IntN(5))
		a.tokens = a.burst
		a.hint = r.IntN(hintNone)
		if w.on.has(simNoHint) {
			a.hint = hintNone
		}
		if w.on.has(simAbsurd) {
			a.hint = hintYear + r.IntN(3)
		}
	}
}

// in says whether a kind of window is open.
func (a *simAPI) in(now time.Duration, kind int) bool {
	if a.w.calm {
		return false
	}
	for _, win := range a.windows {
		if win.kind == kind && win.from <= now && now < win.to {
			return true
		}
	}
	return false
}

var errSimGone = errors.New("there is no process")

// simTransport brings a request to the run that its host names.
type simTransport struct{}

func (simTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	p := simProcessAt(req.URL.Host)
	if p == nil {
		return nil, errors.New("no such host")
	}
	return p.w.api.answer(p, req)
}

// simAnswer is what is sent back.
type simAnswer struct {
	status int
	kind   string // of the content
	body   string
	header map[string]string
	cut    bool // the connection breaks off in the middle
	err    error
	hang   bool
}

func (a *simAPI) answer(p *simProcess, req *http.Request) (*http.Response, error) {
	w, ctx := a.w, req.Context()
	w.mu.Lock()
	if p.gone {
		w.mu.Unlock()
		return nil, errSimGone
	}
	sent := w.now()
	path, _ := strings.CutPrefix(req.URL.Path, "/v2/origin/custom/"+simScope+"/chats/")
	id, _ := strings.CutSuffix(path, "/history")
	c := w.byID[id]
	offset, badOffset := strconv.Atoi(req.URL.Query().Get("offset"))
	limit, badLimit := strconv.Atoi(req.URL.Query().Get("limit"))
	a.ledger = append(a.ledger, simSent{sent, p, c})
	if badOffset != nil || badLimit != nil || offset < 0 || limit < 1 || limit > 50 || req.Method != http.MethodGet {
		w.violated(4, "a request that the API does not know: %s %s", req.Method, req.URL.RequestURI())
	}
	n, number := len(a.ledger), 0
	if c != nil {
		c.requests++
		if !c.askedBy(p) {
			c.askedAt[p] = sent
		}
		n, number = c.requests, c.n
		if c.asking[p]++; c.asking[p] > w.cfg.readAhead {
			w.violated(4, "chat %d is asked for %d times at once", c.n, c.asking[p])
		}
		defer func() {
			w.mu.Lock()
			c.asking[p]--
			w.mu.Unlock()
		}()
	}
	w.note("request", c, offset, limit, "")
	r := w.rnd("request", number, n)
	before, after := between(r, 0, a.latency), between(r, 0, a.latency)
	if a.sometimes > 0 && chance(r, 2) && !w.calm {
		after += between(r, 0, 2*w.cfg.timeout) // slow, perhaps too slow
	}
	w.mu.Unlock()

	if err := simSleep(ctx, before); err != nil {
		return nil, err
	}
	w.mu.Lock()
	if p.gone {
		w.mu.Unlock()
		return nil, errSimGone
	}
	now := w.now()
	ans := a.decide(p, c, r, req, now, n, offset, limit)
	w.mu.Unlock()
	if ans.hang {
		after = 1000 * time.Hour
	}
	if err := simSleep(ctx, after); err != nil {
		return nil, err
	}

	w.mu.Lock()
	defer w.mu.Unlock()
	now = w.now()
	if p.gone {
		return nil, errSimGone
	}
	if ans.err != nil {
		w.note("answer", c, 0, 0, ans.err.Error())
		return nil, ans.err
	}
	resp := &http.Response{
		StatusCode: ans.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header: http.Header{"Content-Type": {ans.kind}}, ContentLength: int64(len(ans.body)),
		Body: io.NopCloser(strings.NewReader(ans.body)),
	}
	date := w.epoch.Add(now + a.clock).UTC()
	if !a.noDate {
		resp.Header.Set("Date", date.Format(http.TimeFormat))
	}
	for k, v := range ans.header {
		resp.Header.Set(k, v)
	}
	if ans.cut {
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(ans.body[:len(ans.body)/2]), simBreaks{}))
	}
	if ans.status == http.StatusTooManyRequests || ans.status == http.StatusServiceUnavailable {
		a.pause(p, resp, now, date)
	}
	w.note("answer", c, ans.status, len(ans.body), "")
	return resp, nil
}

type simBreaks struct{}

func (simBreaks) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

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

func simJSON(status int, body string) simAnswer {
	return simAnswer{status: status, kind: "application/json", body: body}
}

func simPage(status int) simAnswer {
	return simAnswer{status: status, kind: "text/html", body: "<html><body><h1>nginx</h1></body></html>"}
}

func badSignature() simAnswer {
	return simJSON(403, `{"status":0,"error_code":403,"error_type":"ORIGIN_INVALID_SIGNATURE","error_description":"invalid signature"}`)
}

// decide says how a request is answered. Caller holds mu.
func (a *simAPI) decide(p *simProcess, c *simChat, r *rand.Rand, req *http.Request, now time.Duration, n, offset, limit int) simAnswer {
	w := a.w
	switch {
	case a.in(now, windowReset):
		return simAnswer{err: errors.New("connection reset by peer")}
	case a.in(now, windowHang):
		return simAnswer{hang: true}
	case a.in(now, window500):
		return simPage(502)
	case a.in(now, windowHTML):
		return simPage(200)
	case a.in(now, windowBlock):
		return simAnswer{status: 403, kind: "text/plain", body: "Forbidden"}
	case a.in(now, windowSecret):
		return badSignature()
	}
	if !a.signed(req, now) {
		return badSignature()
	}
	if a.rate > 0 && !w.calm {
		a.tokens = min(a.burst, a.tokens+(now-a.refilled).Seconds()*a.rate)
		a.refilled = now
		if a.tokens < 1 {
			return a.slowDown(r)
		}
		a.tokens--
	}
	if a.sometimes > 0 && !w.calm && (c == nil || c.failing(now) == simHealthy) && chance(r, a.sometimes) {
		switch r.IntN(7) {
		case 0:
			return simJSON(500, `{"trace_id":"0123456789abcdef"}`)
		case 1:
			return simPage(502)
		case 2:
			return simPage(200)
		case 3:
			return simAnswer{err: errors.New("connection reset by peer")}
		case 4:
			return simAnswer{hang: true}
		case 5:
			ans := a.page(p, c, now, n, offset, limit)
			ans.cut = ans.status == 200
			return ans
		default:
			ans := a.page(p, c, now, n, offset, limit)
			ans.body = ans.body[:len(ans.body)/2]
			return ans
		}
	}
	if c == nil {
		return simAnswer{status: 204}
	}
	switch c.failing(now) {
	case simOthers:
		return [...]simAnswer{
			badSignature(),
			simJSON(403, `{"error_code":403,"error_type":"ORIGIN_FORBIDDEN","error_description":"chat of another origin"}`),
			{status: 403, kind: "application/json"},
		}[c.form]
	case sim500:
		return simJSON(500, `{"trace_id":"0123456789abcdef"}`)
	case sim400:
		return simJSON(400, `{"error_code":400,"error_type":"BAD_REQUEST","error_description":"bad data"}`)
	case sim404:
		return simJSON(404, `{"error_code":404,"error_type":"ORIGIN_NOT_REGISTERED","error_description":"NOT_FOUND"}`)
	case simNotJSON:
		return simJSON(200, [...]string{`{"messages":[{"timestamp":17`, `messages`, `{"messages":7}`}[c.form])
	case simNever:
		return simAnswer{hang: true}
	}
	ans := a.page(p, c, now, n, offset, limit)
	c.serve(p, now, offset, limit)
	return ans
}

// signed checks the signature as the vendor documents it.
func (a *simAPI) signed(req *http.Request, now time.Duration) bool {
	h := req.Header
	at, err := time.Parse(time.RFC1123Z, h.Get("Date"))
	if err != nil || at.Sub(a.w.epoch.Add(now+a.clock)).Abs() > 15*time.Minute {
		return false
	}
	mac := hmac.New(sha1.New, []byte(simSecretText))
	_, _ = io.WriteString(mac, strings.Join([]string{"GET", h.Get("Content-MD5"), h.Get("Content-Type"), h.Get("Date"), req.URL.EscapedPath()}, "\n"))
	ok := h.Get("X-Signature") == hex.EncodeToString(mac.Sum(nil)) && h.Get("Content-MD5") == "d41d8cd98f00b204e9800998ecf8427e" && h.Get("Content-Type") == "application/json"
	if !ok {
		a.w.violated(4, "a request is not signed as documented")
	}
	return ok
}

// page returns what stands at an offset. Caller holds mu.
func (a *simAPI) page(_ *simProcess, c *simChat, now time.Duration, n, offset, limit int) simAnswer {
	if c == nil {
		return simAnswer{status: 204}
	}
	c.midway(n, now)
	shown := c.at(offset, limit)
	if len(shown) == 0 && (offset >= len(c.items) || a.pastEnd > 0) {
		return [...]simAnswer{{status: 204}, simJSON(200, `{"messages":[]}`), simJSON(200, `{}`), simJSON(200, `{"messages":null}`)}[a.pastEnd]
	}
	var b strings.Builder
	b.WriteString(`{"messages": [`)
	for i, m := range shown {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString(m.body)
	}
	b.WriteString("\n]}")
	return simJSON(200, b.String())
}

// at returns what is shown of a place.
func (c *simChat) at(offset, limit int) []*simMsg {
	if capped := c.w.api.capped; capped > 0 {
		limit = min(limit, capped)
	}
	if offset >= len(c.items) {
		return nil
	}
	var shown []*simMsg
	for _, m := range c.items[offset:min(offset+limit, len(c.items))] {
		if !m.hide {
			shown = append(shown, m)
		}
	}
	return shown
}

// serve notes what was shown. Caller holds mu.
func (c *simChat) serve(p *simProcess, now time.Duration, offset, limit int) {
	c.answered++
	c.servedTo[p] = true
	c.firstRead = min(c.firstRead, now)
	if offset == 0 {
		c.looks = append(c.looks, simLook{now, c.newest})
		if c.fresh == p && c.freshSaved == noTime {
			if c.freshLooks++; c.freshLooks == 4*manyLooks {
				c.freshSaved = now
			}
			c.freshLook = now
		}
	}
	shown := c.at(offset, limit)
	c.w.api.shows(p, c, offset, limit, len(shown))
	if os.Getenv("KOMMO_SIM_PAGES") != "" {
		c.w.note("shows", c, offset, len(c.items), numbers(shown))
	}
	ceiling := max(c.w.serverMs(now), c.w.serverMs(now)-c.w.api.clock.Milliseconds())
	for _, m := range shown {
		if m.served == noTime {
			m.served = now
		}
		if m.null {
			c.odd = true
			continue
		}
		c.newest = max(c.newest, min(m.key, ceiling))
	}
}

// numbers shows messages by their number and time.
func numbers(msgs []*simMsg) string {
	var b strings.Builder
	for _, m := range msgs {
		fmt.Fprintf(&b, " %d(%s", m.n, m.c.w.stamp(m.key))
		if m.time == 0 {
			b.WriteString(",none")
		}
		b.WriteString(")")
	}
	return b.String()
}

// enoughEnds is after how many short pages with nothing behind them a server may be believed that
// a short page is a chat's end, and after how many of the longest one of these is.
const enoughEnds = 32

// shows notes whether a page that is short was the end of its chat. Caller holds mu.
func (a *simAPI) shows(p *simProcess, c *simChat, offset, limit, shown int) {
	if shown > p.longest {
		p.longest, p.longEnds = shown, 0
	}
	if shown == limit {
		return
	}
	end := offset + limit
	if a.capped > 0 {
		end = offset + min(limit, a.capped)
	}
	switch {
	case end >= len(c.items):
		p.ends++
		if shown == p.longest {
			p.longEnds++
		}
	default:
		c.deceived = true
		a.believed = a.believed || p.ends >= enoughEnds && (shown < p.longest || p.longEnds >= enoughEnds) && !p.deceived
		p.deceived = true
	}
}

// slowDown answers a request above the server's limit. Caller holds mu.
func (a *simAPI) slowDown(r *rand.Rand) simAnswer {
	a.throttled++
	seconds := 1 + r.IntN(1+r.IntN(20))
	body := fmt.Sprintf(`{"title":"Too Many Requests","status":429,"detail":"slow down","retry_after":%d}`, seconds)
	const bare = `{"title":"Too Many Requests","status":429,"detail":"slow down"}`
	ans := simJSON(429, bare)
	after := func(text string) { ans.header = map[string]string{"Retry-After": text} }
	switch a.hint {
	case hintHeader:
		after(strconv.Itoa(seconds))
	case hintDate:
		after(a.w.epoch.Add(a.w.now() + a.clock + time.Duration(seconds)*time.Second).UTC().Format(http.TimeFormat))
	case hintBody:
		ans = simJSON(429, body)
	case hintBoth:
		ans = simJSON(429, body)
		after(strconv.Itoa(seconds))
	case hint503:
		ans = simJSON(503, "")
		after(strconv.Itoa(seconds))
	case hintYear:
		after("31536000")
	case hintYear9999:
		after("Fri, 31 Dec 9999 23:59:59 GMT")
	case hintBodyYears:
		ans = simJSON(429, strings.Replace(body, fmt.Sprintf(":%d}", seconds), ":1000000000000}", 1))
	}
	// Whoever has just been told to wait finds it free afterwards.
	return ans
}

// pause notes for how long the server asked to be left alone. Caller holds mu.
func (a *simAPI) pause(p *simProcess, resp *http.Response, now time.Duration, date time.Time) {
	var d time.Duration
	switch a.hint {
	case hintHeader, hintBoth, hint503:
		s, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		d = time.Duration(s) * time.Second
	case hintDate:
		at, _ := http.ParseTime(resp.Header.Get("Retry-After"))
		if !a.noDate {
			d = at.Sub(date.Truncate(time.Second))
		} else if a.clock == 0 {
			d = at.Sub(date)
		}
	case hintBody:
		body, _ := io.ReadAll(resp.Body)
		resp.Body = io.NopCloser(strings.NewReader(string(body)))
		_, s, _ := strings.Cut(string(body), `"retry_after":`)
		n, _ := strconv.Atoi(strings.TrimSuffix(s, "}"))
		d = time.Duration(n) * time.Second
	case hintYear, hintYear9999, hintBodyYears:
		d = obeyedPause
		if a.asides < longestPause {
			a.asides = longestPause
		}
	}
	if resp.StatusCode == http.StatusServiceUnavailable && a.hint != hint503 {
		return
	}
	if d > 0 {
		a.pauses = append(a.pauses, simPause{p, now, now + d})
		a.w.note("pause", nil, int(d.Seconds()), 0, "")
	}
}
