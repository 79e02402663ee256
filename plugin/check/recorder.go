// SPDX-License-Identifier: Apache-2.0

package check

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// api is one of the two: each has its own host, clock and limit.
type api struct {
	name  string // account or channel
	title string
	field string // the setting with the address

	mu       sync.Mutex
	requests int
	took     []time.Duration // until the head of the answer
	skews    []time.Duration // the server's clock minus ours, of answers with a Date of their own
	noDate   int
	aged     int // out of a cache
	dateOff  bool
	proxy    *url.URL
	tls      *tls.ConnectionState
	limits   map[string]string // headers of limits, and what may be said of their last value
	others   map[string]bool   // headers of limits, perhaps, whose names may be anything
	token    string            // of the last request, with the word Bearer
	tooMany  int               // 429
	hinted   map[string]bool   // where a 429 said how long to wait: header, body
	slowed   float64           // requests a second, after a 429
}

// exchange is the last answer of one call.
type exchange struct {
	api    *api
	status int
	head   []byte // of the body
}

type exchangeKey struct{}

// recorder notes of each answer what the clients do not tell.
type recorder struct{ next *http.Transport }

// signedFor is how long a signature holds around its date (chats-api.md, The signature).
const signedFor = 15 * time.Minute

// RoundTrip implements [http.RoundTripper].
func (r recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	x, ok := req.Context().Value(exchangeKey{}).(*exchange)
	if !ok {
		return r.next.RoundTrip(req)
	}
	began := time.Now()
	proxy, _ := r.next.Proxy(req) // what is wrong with it the request itself says
	resp, err := r.next.RoundTrip(req)
	x.api.mu.Lock()
	defer x.api.mu.Unlock()
	x.api.requests++
	x.api.proxy = proxy
	x.api.token = req.Header.Get("Authorization")
	if err != nil {
		return resp, err
	}
	x.status, x.head = resp.StatusCode, nil
	x.api.answered(req, resp, began, time.Now())
	resp.Body = &headKeeper{ReadCloser: resp.Body, x: x}
	return resp, nil
}

// answered notes an answer's head. Caller holds mu.
func (a *api) answered(req *http.Request, resp *http.Response, began, now time.Time) {
	a.took = append(a.took, now.Sub(began))
	a.tls = resp.TLS
	date, err := http.ParseTime(resp.Header.Get("Date"))
	switch age := strings.Trim(resp.Header.Get("Age"), " 0"); {
	case err != nil:
		a.noDate++
	case age != "":
		a.aged++
	default:
		// It counts whole seconds, so half of one is missing.
		a.skews = append(a.skews, date.Add(time.Second/2).Sub(now))
		signed, err := http.ParseTime(strings.Replace(req.Header.Get("Date"), "+0000", "GMT", 1))
		if err == nil && resp.StatusCode < 300 && date.Sub(signed).Abs() > signedFor {
			a.dateOff = true // it was signed for another time and accepted
		}
	}
	for name, values := range resp.Header {
		switch {
		case resp.StatusCode == http.StatusTooManyRequests && name == "Retry-After":
		case limitHeader.MatchString(name):
			a.limits[name] = limitValue(values)
		case aboutLimits.MatchString(name):
			a.others[name] = true
		}
	}
	if resp.StatusCode == http.StatusTooManyRequests {
		a.tooMany++
		if resp.Header.Get("Retry-After") != "" {
			a.hinted["header"] = true
		}
	}
}

// limitHeader has the names that servers give to headers about limits, which may be
// written; aboutLimits has those that can have anything else in them.
var (
	limitHeader = regexp.MustCompile(`^(X-)?(Retry-After|Rate-?[Ll]imit(-(Limit|Remaining|Reset|Used|Policy))?(-(Second|Minute|Hour|Day))?)$`)
	aboutLimits = regexp.MustCompile(`(?i)rate-?limit|^x-.*(limit|quota|throttl)`)
)

// limitValue keeps a header's value if it is too short for an id or a phone number.
func limitValue(values []string) string {
	switch text := strings.Join(values, ","); {
	case strings.Trim(text, "0123456789") != "" || text == "":
		return "no plain number"
	case len(text) > 4:
		return "a larger number"
	default:
		return text
	}
}

// maxHead is how much of a body is kept: an end, and what a 429 says, are short.
const maxHead = 512

// headKeeper keeps the beginning of a body that is read through it.
type headKeeper struct {
	io.ReadCloser
	x *exchange
}

func (k *headKeeper) Read(p []byte) (int, error) {
	n, err := k.ReadCloser.Read(p)
	if room := maxHead - len(k.x.head); room > 0 && n > 0 {
		k.x.head = append(k.x.head, p[:min(n, room)]...)
	}
	if k.x.status == http.StatusTooManyRequests && strings.Contains(string(k.x.head), `"retry_after"`) {
		k.x.api.mu.Lock()
		k.x.api.hinted["body"] = true
		k.x.api.mu.Unlock()
	}
	return n, err
}

func newAPI(name, title, field string) *api {
	return &api{name: name, title: title, field: field, limits: map[string]string{}, others: map[string]bool{}, hinted: map[string]bool{}}
}

// watch has the answers to what is asked with the context noted.
func (a *api) watch(ctx context.Context) (context.Context, *exchange) {
	x := &exchange{api: a}
	return context.WithValue(ctx, exchangeKey{}, x), x
}

func median(of []time.Duration) time.Duration {
	if len(of) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}
