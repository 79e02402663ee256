// SPDX-License-Identifier: Apache-2.0

package apicall

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// secretText stands for everything that must be in no error: the URL's query, a
// header, a message's text, a phone number.
const secretText = "s3cr3t-do-not-show"

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answer is a reply of the server in memory.
type answer struct {
	status int
	header map[string]string
	body   string
	cut    error         // ends the body
	err    error         // instead of an answer
	takes  time.Duration // before the answer
	drips  time.Duration // before the body ends
}

type dripping struct {
	io.Reader
	ctx   context.Context
	drips time.Duration
	end   error
}

func (d *dripping) Read(p []byte) (int, error) {
	n, err := d.Reader.Read(p)
	if err == io.EOF {
		if err := Sleep(d.ctx, d.drips); err != nil {
			return n, err
		}
		err = d.end
		if err == nil {
			err = io.EOF
		}
		return n, err
	}
	return n, err
}

func (a answer) reply(r *http.Request) (*http.Response, error) {
	if err := Sleep(r.Context(), a.takes); err != nil {
		return nil, err
	}
	if a.err != nil {
		return nil, a.err
	}
	resp := &http.Response{
		StatusCode: a.status,
		Header:     http.Header{},
		Body:       io.NopCloser(&dripping{strings.NewReader(a.body), r.Context(), a.drips, a.cut}),
		Request:    r,
	}
	for k, v := range a.header {
		resp.Header.Set(k, v)
	}
	return resp, nil
}

// server replies with each answer in turn, and with the last one from then on.
type server struct {
	mu      sync.Mutex
	answers []answer
	asked   []time.Time
	seen    []Attempt
}

func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.asked = append(s.asked, time.Now())
	a := s.answers[min(len(s.asked), len(s.answers))-1]
	s.mu.Unlock()
	return a.reply(r)
}

func (s *server) caller(conf Config) *Caller {
	conf.HTTP = &http.Client{Transport: s}
	conf.Observe = func(a Attempt) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.seen = append(s.seen, a)
	}
	return New(conf)
}

func (s *server) outcomes() (all []Outcome) {
	for _, a := range s.seen {
		all = append(all, a.Outcome)
	}
	return all
}

func build(ctx context.Context) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://api.example:8443/things?page="+secretText, nil)
	if err == nil {
		req.Header.Set("Authorization", secretText)
	}
	return req, err
}

func decodeJSON(resp *Response) error {
	if resp.Status == http.StatusNoContent {
		return nil
	}
	if !json.Valid(resp.Body) {
		return fmt.Errorf("not JSON: %w", ErrBrokenBody)
	}
	return nil
}

var ok = answer{status: 200, body: `{}`}

func TestGet_Outcomes(t *testing.T) {
	reset := fmt.Errorf("read tcp: %w", syscall.ECONNRESET)
	for name, test := range map[string]struct {
		first   answer
		outcome Outcome
		retried bool
		text    string // of the error
	}{
		"200":                 {ok, OutcomeOK, false, ""},
		"204":                 {answer{status: 204}, OutcomeEmpty, false, ""},
		"201":                 {answer{status: 201, body: `{}`}, OutcomeRejected, false, "status 201"},
		"301":                 {answer{status: 301, header: map[string]string{"Location": "https://other.example/x?" + secretText}}, OutcomeRedirected, false, "points to another host: set base_url to the API's own address, and check proxy_url"},
		"301 to plain HTTP":   {answer{status: 301, header: map[string]string{"Location": "http://API.example:80/x?" + secretText}}, OutcomeRedirected, false, "points to http://api.example:80: if that is the API, set base_url to it"},
		"301 to a neighbour":  {answer{status: 301, header: map[string]string{"Location": "https://eu-2.api.example/x?" + secretText}}, OutcomeRedirected, false, "points to https://eu-2.api.example: if that is the API, set base_url to it"},
		"302 to a login page": {answer{status: 302, header: map[string]string{"Location": "/login?" + secretText}}, OutcomeRedirected, false, "points to another page there: check base_url"},
		"302 nowhere":         {answer{status: 302}, OutcomeRedirected, false, "points to nowhere"},
		"304":                 {answer{status: 304}, OutcomeRedirected, false, "not followed"},
		"400":                 {answer{status: 400, body: `{"error_code":"E1","error_description":"no such\nchat","text":"` + secretText + `"}`}, OutcomeRejected, false, "status 400 Bad Request"},
		"401":                 {answer{status: 401, body: `{"title":"Unauthorized","detail":"token expired"}`}, OutcomeRefused, false, "401 Unauthorized: check the credentials"},
		"402":                 {answer{status: 402}, OutcomeRefused, false, "status 402"},
		"403 HTML":            {answer{status: 403, body: "<html><body>" + secretText}, OutcomeRefused, false, "(an HTML page)"},
		"404":                 {answer{status: 404, body: "what " + secretText}, OutcomeRejected, false, "status 404 Not Found: check the ids"},
		"429":                 {answer{status: 429}, OutcomeThrottled, true, "lower requests_per_second"},
		"500":                 {answer{status: 500}, OutcomeServerError, true, "status 500"},
		"408":                 {answer{status: 408}, OutcomeServerError, true, "status 408 Request Timeout: try again later"},
		"421":                 {answer{status: 421}, OutcomeServerError, true, "try again later"},
		"423":                 {answer{status: 423}, OutcomeServerError, true, "try again later"},
		"425":                 {answer{status: 425}, OutcomeServerError, true, "try again later"},
		"410":                 {answer{status: 410}, OutcomeRejected, false, "check the ids"},
		"522 HTML":            {answer{status: 522, body: "<html>" + secretText}, OutcomeServerError, true, "status 522 (an HTML page): try again later, something before the API failed"},
		"526":                 {answer{status: 526}, OutcomeServerError, true, "status 526: try again later"},
		"odd encoding":        {answer{status: 200, header: map[string]string{"Content-Encoding": secretText}, body: "\x8b\x00"}, OutcomeBrokenBody, true, "its Content-Encoding is one that is not known, which was not asked for"},
		"br with 200":         {answer{status: 200, header: map[string]string{"Content-Encoding": "br"}, body: "\x8b\x00"}, OutcomeBrokenBody, true, "its Content-Encoding is br, which was not asked for"},
		"malformed head":      {answer{err: errors.New(`net/http: HTTP/1.x transport connection broken: malformed HTTP response "` + secretText + `"`)}, OutcomeUnreachable, true, "does not speak HTTP: check the scheme and the port in base_url"},
		"malformed header":    {answer{err: errors.New("malformed MIME header line: " + secretText)}, OutcomeUnreachable, true, "no answer: check base_url"},
		"GOAWAY":              {answer{err: errors.New(`http2: server sent GOAWAY and closed the connection; ErrCode=NO_ERROR, debug="a \"` + secretText + `"`)}, OutcomeUnreachable, true, `ErrCode=NO_ERROR, debug="…"`},
		"GOAWAY in the body":  {answer{status: 200, body: "{", cut: errors.New(`http2: GOAWAY, debug="` + secretText)}, OutcomeBrokenBody, true, "breaks off after 1 bytes"},
		"no such host":        {answer{err: &net.DNSError{Err: "no such host", Name: "api.example", IsNotFound: true}}, OutcomeUnreachable, true, "check the name in base_url"},
		"no TLS":              {answer{err: errors.New("http: server gave HTTP response to HTTPS client")}, OutcomeUnreachable, true, "does not speak TLS: check the scheme"},
		"unknown authority":   {answer{err: x509.UnknownAuthorityError{}}, OutcomeUnreachable, true, "add its authority to tls.root_cas"},
		"expired":             {answer{err: x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired}}, OutcomeUnreachable, true, "check this machine's clock"},
		"of another host":     {answer{err: x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{secretText}}, Host: "h"}}, OutcomeUnreachable, true, "is for another host: check base_url"},
		"503":                 {answer{status: 503, body: "<!DOCTYPE html><p>" + secretText}, OutcomeServerError, true, "(an HTML page)"},
		"reset":               {answer{err: reset}, OutcomeUnreachable, true, "no answer: check base_url, proxy_url and the network: read tcp: connection reset by peer"},
		"EOF":                 {answer{err: io.EOF}, OutcomeUnreachable, true, "EOF"},
		"slow head":           {answer{status: 200, body: `{}`, takes: time.Hour}, OutcomeTimeout, true, "no complete answer after 10s: check the network, or raise timeout"},
		"slow body":           {answer{status: 200, body: `{}`, drips: time.Hour}, OutcomeTimeout, true, "no complete answer after 10s"},
		"cut off":             {answer{status: 200, body: `{"a":"` + secretText, cut: io.ErrUnexpectedEOF}, OutcomeBrokenBody, true, "breaks off after 24 bytes"},
		"reset in the middle": {answer{status: 200, body: `{"a":"` + secretText, cut: reset}, OutcomeBrokenBody, true, "breaks off"},
		"not JSON":            {answer{status: 200, body: `{"a":"` + secretText}, OutcomeBrokenBody, true, "not JSON"},
		"HTML with 200":       {answer{status: 200, body: "<html>" + secretText}, OutcomeBrokenBody, true, "an HTML page: check base_url and proxy_url"},
		"empty with 200":      {answer{status: 200}, OutcomeBrokenBody, true, "status 200 with an empty body"},
		"too large":           {answer{status: 200, body: strings.Repeat(" ", 1001)}, OutcomeTooLarge, false, "longer than 1000 bytes: ask for fewer"},
		"not too large":       {answer{status: 200, body: "{}" + strings.Repeat(" ", 998)}, OutcomeOK, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{answers: []answer{test.first, ok}}
				err := s.caller(Config{Timeout: 10 * time.Second, MaxBody: 1000}).Get(t.Context(), build, decodeJSON)
				require.NotEmpty(t, s.seen)
				first := s.seen[0]
				assert.Equal(t, test.outcome, first.Outcome)
				assert.Equal(t, 1, first.Try)
				assert.Equal(t, test.retried, Retryable(first.Err))
				assert.Equal(t, test.text == "", first.Err == nil)
				if test.retried {
					require.NoError(t, err)
					assert.Equal(t, []Outcome{test.outcome, OutcomeOK}, s.outcomes())
					assert.Positive(t, first.RetryIn)
					assert.Equal(t, first.RetryIn+first.Duration, s.asked[1].Sub(s.asked[0]))
				} else {
					assert.Equal(t, first.Err, err)
					assert.Len(t, s.asked, 1)
					assert.Equal(t, time.Duration(-1), first.RetryIn)
				}
				assert.Equal(t, first.Outcome == OutcomeThrottled, first.Throttled)
				if first.Err != nil {
					text := first.Err.Error()
					assert.Contains(t, text, "api.example:8443")
					assert.Contains(t, text, test.text)
					assert.NotContains(t, text, secretText)
					assert.NotContains(t, text, "\n")
				}
				assert.Contains(t, Outcomes(), first.Outcome)
			})
		})
	}
}

func TestGet_TypesOfErrors(t *testing.T) {
	get := func(a answer) error {
		s := &server{answers: []answer{a}}
		return s.caller(Config{MaxBody: 10}).Get(t.Context(), build, decodeJSON)
	}
	assert.ErrorIs(t, get(answer{status: 307, header: map[string]string{"Location": "/login"}}), ErrRedirect)
	assert.ErrorIs(t, get(answer{status: 200, body: "12345678901"}), ErrTooLarge)
	var status *StatusError
	require.ErrorAs(t, get(answer{status: 403, header: map[string]string{"Date": "Tue, 13 Dec 2022 11:00:00 GMT"}}), &status)
	assert.Equal(t, 403, status.Status)
	assert.Equal(t, "api.example:8443", status.Host)
	assert.Equal(t, time.Date(2022, 12, 13, 11, 0, 0, 0, time.UTC), status.Date)
	assert.False(t, status.HTML)
	assert.False(t, Retryable(nil))
	assert.False(t, Retryable(context.Canceled))
	assert.False(t, Retryable(context.DeadlineExceeded))
	assert.False(t, Retryable(errors.New("other")))
}

func TestGet_EmptyBodyOfTypeHTMLIsNoPage(t *testing.T) {
	s := &server{answers: []answer{{status: 403, header: map[string]string{"Content-Type": "text/html; charset=UTF-8"}}}}
	var status *StatusError
	require.ErrorAs(t, s.caller(Config{}).Get(t.Context(), build, decodeJSON), &status)
	assert.False(t, status.HTML)
}

func TestGet_RetryAfterPausesEveryone(t *testing.T) {
	date := "Tue, 13 Dec 2022 11:00:00 GMT" // not the bubble's time, which is in 2000
	for name, test := range map[string]struct {
		answer answer
		pause  time.Duration
	}{
		"seconds":            {answer{status: 429, header: map[string]string{"Retry-After": "70"}}, 70 * time.Second},
		"a fraction":         {answer{status: 429, header: map[string]string{"Retry-After": "70.5"}}, 70500 * time.Millisecond},
		"a date":             {answer{status: 429, header: map[string]string{"Retry-After": "Tue, 13 Dec 2022 11:01:10 GMT", "Date": date}}, 70 * time.Second},
		"a date, no Date":    {answer{status: 429, header: map[string]string{"Retry-After": "Sat, 01 Jan 2000 00:01:10 GMT"}}, 70 * time.Second},
		"503 with it":        {answer{status: 503, header: map[string]string{"Retry-After": "70"}}, 70 * time.Second},
		"past our intervals": {answer{status: 429, header: map[string]string{"Retry-After": "1800"}}, 1800 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{answers: []answer{test.answer, ok}}
				limiter := NewLimiter(LimiterConfig{})
				c := s.caller(Config{Limiter: limiter})
				start := time.Now()
				var all sync.WaitGroup
				all.Go(func() { assert.NoError(t, c.Get(t.Context(), build, decodeJSON)) })
				synctest.Wait()
				all.Go(func() { assert.NoError(t, c.Get(t.Context(), build, decodeJSON)) })
				all.Wait()
				require.Len(t, s.asked, 3)
				for _, at := range s.asked[1:] {
					assert.Equal(t, test.pause, at.Sub(start))
				}
				assert.True(t, s.seen[0].Throttled)
				assert.Equal(t, test.pause, s.seen[0].RetryIn)
			})
		})
	}
	for name, header := range map[string]map[string]string{
		"none":        nil,
		"0":           {"Retry-After": "0"},
		"garbage":     {"Retry-After": "soon"},
		"-5":          {"Retry-After": "-5"},
		"1.2.3":       {"Retry-After": "1.2.3"},
		"a past date": {"Retry-After": "Tue, 13 Dec 2022 10:00:00 GMT", "Date": date},
	} {
		t.Run("without a usable one: "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{answers: []answer{{status: 429, header: header}, ok}}
				limiter := NewLimiter(LimiterConfig{})
				start := time.Now()
				var all sync.WaitGroup
				all.Go(func() { assert.NoError(t, s.caller(Config{Limiter: limiter}).Get(t.Context(), build, decodeJSON)) })
				synctest.Wait()
				assert.NoError(t, limiter.Wait(t.Context()))
				paused := time.Since(start)
				all.Wait()
				assert.Equal(t, s.seen[0].RetryIn, paused, "the pause is the backoff's interval")
			})
		})
	}
}

func TestGet_Plain5xxPausesOnlyItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answers: []answer{{status: 500, header: map[string]string{"Retry-After": "70"}}, ok}}
		limiter := NewLimiter(LimiterConfig{})
		start := time.Now()
		var all sync.WaitGroup
		all.Go(func() { assert.NoError(t, s.caller(Config{Limiter: limiter}).Get(t.Context(), build, decodeJSON)) })
		synctest.Wait()
		require.NoError(t, limiter.Wait(t.Context()))
		assert.Zero(t, time.Since(start))
		all.Wait()
		assert.Equal(t, 70*time.Second, time.Since(start), "its own retry is never sooner than asked")
	})
}

// A year, the year 9999 and what overflows are a server's mistake, or a way to
// stop us: an hour is rested, and whoever observes is told what was asked.
func TestGet_ABreakOfMoreThanAnHourIsCapped(t *testing.T) {
	date := "Tue, 13 Dec 2022 11:00:00 GMT"
	for name, test := range map[string]struct {
		answer answer
		asked  time.Duration
	}{
		"a day":               {answer{status: 429, header: map[string]string{"Retry-After": "86400"}}, 24 * time.Hour},
		"a number too large":  {answer{status: 429, header: map[string]string{"Retry-After": "99999999999999999999999999"}}, math.MaxInt64},
		"1e300":               {answer{status: 429, body: `{"retry_after":1e300}`}, math.MaxInt64},
		"1e999":               {answer{status: 429, body: `{"retry_after":1e999}`}, math.MaxInt64},
		"a year in the body":  {answer{status: 429, body: `{"retry_after":31536000}`}, 365 * 24 * time.Hour},
		"the year 9999":       {answer{status: 429, header: map[string]string{"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT", "Date": date}}, math.MaxInt64},
		"503":                 {answer{status: 503, header: map[string]string{"Retry-After": "86400"}}, 24 * time.Hour},
		"more than intervals": {answer{status: 429, body: `{"retry_after":7200}`}, 2 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{answers: []answer{test.answer, ok}}
				limiter := NewLimiter(LimiterConfig{})
				start := time.Now()
				var all sync.WaitGroup
				all.Go(func() { assert.NoError(t, s.caller(Config{Limiter: limiter}).Get(t.Context(), build, decodeJSON)) })
				synctest.Wait()
				require.NoError(t, limiter.Wait(t.Context()))
				assert.Equal(t, time.Hour, time.Since(start), "all requests rest")
				all.Wait()
				assert.Equal(t, time.Hour, s.asked[1].Sub(start), "and then the call goes on")
				assert.Equal(t, test.asked, s.seen[0].RetryAfter)
				assert.Equal(t, time.Hour, s.seen[0].RetryIn)
				assert.True(t, s.seen[0].Throttled)
			})
		})
	}
}

// chats-api.md, row 429: the wait is in the body, a header is not promised.
func TestGet_RetryAfterOfTheBody(t *testing.T) {
	head := func(s string) map[string]string { return map[string]string{"Retry-After": s} }
	for name, test := range map[string]struct {
		answer answer
		pause  time.Duration // 0: none is stated
	}{
		"as documented":       {answer{status: 429, body: `{"title":"Too Many Requests","status":429,"detail":"d","retry_after":300}`}, 300 * time.Second},
		"a fraction":          {answer{status: 429, body: `{"retry_after":70.25}`}, 70250 * time.Millisecond},
		"text":                {answer{status: 429, body: `{"retry_after":" 70 "}`}, 70 * time.Second},
		"an exponent":         {answer{status: 429, body: `{"retry_after":7e1}`}, 70 * time.Second},
		"the body's longer":   {answer{status: 429, body: `{"retry_after":70}`, header: head("60")}, 70 * time.Second},
		"the header's longer": {answer{status: 429, body: `{"retry_after":70}`, header: head("80")}, 80 * time.Second},
		"503":                 {answer{status: 503, body: `{"retry_after":70}`}, 70 * time.Second},
		"behind a BOM":        {answer{status: 429, body: "\ufeff" + `{"retry_after":70}`}, 70 * time.Second},
		"negative":            {answer{status: 429, body: `{"retry_after":-70}`}, 0},
		"negative, header":    {answer{status: 429, body: `{"retry_after":-70}`, header: head("-1")}, 0},
		"null":                {answer{status: 429, body: `{"retry_after":null}`}, 0},
		"words":               {answer{status: 429, body: `{"retry_after":"soon"}`}, 0},
		"NaN":                 {answer{status: 429, body: `{"retry_after":"NaN"}`}, 0},
		"Infinity":            {answer{status: 429, body: `{"retry_after":"Infinity"}`, header: head("inf")}, 0},
		"hexadecimal":         {answer{status: 429, body: `{"retry_after":"0x1p9"}`}, 0},
		"-1e999":              {answer{status: 429, body: `{"retry_after":-1e999}`}, 0},
		"an object":           {answer{status: 429, body: `{"retry_after":{"seconds":70}}`}, 0},
		"no object":           {answer{status: 429, body: `[{"retry_after":70}]`}, 0},
		"deeper":              {answer{status: 429, body: `{"error":{"retry_after":70}}`}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{answers: []answer{test.answer, ok}}
				require.NoError(t, s.caller(Config{}).Get(t.Context(), build, decodeJSON))
				assert.Equal(t, test.pause, s.seen[0].RetryAfter)
				if waited := s.asked[1].Sub(s.asked[0]); test.pause > 0 {
					assert.Equal(t, test.pause, waited)
				} else {
					assert.Less(t, waited, time.Second)
				}
			})
		})
	}
}

func TestGet_GivesUpAfterMaxAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answers: []answer{{status: 500}}}
		err := s.caller(Config{MaxAttempts: 4}).Get(t.Context(), build, decodeJSON)
		var status *StatusError
		require.ErrorAs(t, err, &status)
		assert.Regexp(t, `^giving up after 4 attempts in \d+(\.\d+)?s: asking api.example`, err.Error())
		assert.Len(t, s.asked, 4)
		assert.Equal(t, time.Duration(-1), s.seen[3].RetryIn)
		assert.Positive(t, s.seen[2].RetryIn)
		assert.True(t, Retryable(err))

		s = &server{answers: []answer{{status: 500}}}
		err = s.caller(Config{MaxAttempts: 1}).Get(t.Context(), build, decodeJSON)
		require.ErrorContains(t, err, "giving up after 1 attempt in 0s: ")

		s = &server{answers: []answer{{status: 500}, {status: 500}, {status: 500}, ok}}
		require.NoError(t, s.caller(Config{MaxAttempts: 4}).Get(t.Context(), build, decodeJSON), "the last one counts")
		s = &server{answers: []answer{{status: 404}}}
		err = s.caller(Config{MaxAttempts: 1}).Get(t.Context(), build, decodeJSON)
		assert.NotContains(t, err.Error(), "giving up", "there was nothing to give up")
	})
}

// failingLimit is a shared limit that fails so many times, then grants.
func failingLimit(times int, asked *int) func(context.Context) (time.Duration, error) {
	return func(context.Context) (time.Duration, error) {
		if *asked++; *asked <= times {
			return 0, errors.New("redis: connection refused")
		}
		return 0, nil
	}
}

func TestGet_ASharedLimitThatFailsCostsARetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answers: []answer{{status: 500}, ok}}
		asked := 0
		var told []time.Duration
		start := time.Now()
		c := s.caller(Config{
			MaxAttempts: 2, // asking is no attempt
			Limiter:     NewLimiter(LimiterConfig{Shared: failingLimit(6, &asked)}),
			LimitFailed: func(err error, retryIn time.Duration) {
				assert.ErrorIs(t, err, ErrSharedLimit)
				assert.Contains(t, err.Error(), "redis: connection refused")
				told = append(told, retryIn)
			},
		})
		require.NoError(t, c.Get(t.Context(), build, decodeJSON))
		assert.Equal(t, 8, asked)
		require.Len(t, told, 6)
		var slept time.Duration
		for _, d := range told {
			assert.Positive(t, d)
			slept += d
		}
		assert.Equal(t, slept, s.asked[0].Sub(start), "nothing is sent before it grants")
		assert.Len(t, s.seen, 2, "what was not sent is not observed")
		assert.Equal(t, slept, s.seen[0].LimiterWait)
		assert.Greater(t, told[5], told[0], "backing off")
	})
	t.Run("for ever", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, asked := &server{answers: []answer{ok}}, 0
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			c := s.caller(Config{MaxAttempts: 1, Limiter: NewLimiter(LimiterConfig{Shared: failingLimit(1<<30, &asked)})})
			assert.Equal(t, context.DeadlineExceeded, c.Get(ctx, build, decodeJSON))
			assert.Greater(t, asked, 100)
			assert.Less(t, asked, 300)
			assert.Empty(t, s.asked)
		})
	})
	t.Run("until the time is up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, asked := &server{answers: []answer{ok}}, 0
			last := time.Duration(0)
			c := s.caller(Config{
				Limiter:     NewLimiter(LimiterConfig{Shared: failingLimit(1<<30, &asked)}),
				Backoff:     Backoff{MaxElapsedTime: time.Minute},
				LimitFailed: func(_ error, retryIn time.Duration) { last = retryIn },
			})
			start := time.Now()
			err := c.Get(t.Context(), build, decodeJSON)
			require.ErrorIs(t, err, ErrSharedLimit)
			assert.Regexp(t, `^giving up after \d+(\.\d+)?s: waiting to send`, err.Error())
			assert.LessOrEqual(t, time.Since(start), time.Minute)
			assert.Greater(t, time.Since(start), 20*time.Second)
			assert.Equal(t, time.Duration(-1), last)
		})
	})
}

func TestGet_ALocationThatCannotBeReadIsNowhere(t *testing.T) {
	s := &server{answers: []answer{{status: 302, header: map[string]string{"Location": "https://[" + secretText}}}}
	err := s.caller(Config{}).Get(t.Context(), build, decodeJSON)
	require.ErrorIs(t, err, ErrRedirect)
	assert.Contains(t, err.Error(), "points to nowhere")
	assert.NotContains(t, err.Error(), secretText)
}

func TestGet_TooMuchInAnAnswerIsNotTriedAgain(t *testing.T) {
	s := &server{answers: []answer{ok}}
	err := s.caller(Config{}).Get(t.Context(), build, func(*Response) error { return fmt.Errorf("a million rows: %w", ErrTooLarge) })
	require.ErrorIs(t, err, ErrTooLarge)
	assert.Len(t, s.asked, 1)
	assert.Equal(t, []Outcome{OutcomeTooLarge}, s.outcomes())
}

func TestGet_FieldsOfAStatusError(t *testing.T) {
	get := func(a answer) *StatusError {
		var status *StatusError
		s := &server{answers: []answer{a}}
		require.ErrorAs(t, s.caller(Config{MaxAttempts: 1}).Get(t.Context(), build, decodeJSON), &status)
		return status
	}
	e := get(answer{status: 403, body: `{"status":0,"error_code":403,"error_type":"ORIGIN_INVALID_SIGNATURE","error_description":"invalid signature"}`})
	assert.Equal(t, "ORIGIN_INVALID_SIGNATURE", e.ErrorType)
	assert.False(t, e.Foreign)
	for body, foreign := range map[string]bool{"": false, " \n": false, "{": false, `{"a":1}`: false, "[]": false, "Forbidden": true, "<html>": true, `"x"`: true} { //nolint:gocritic // the white space is the case
		e = get(answer{status: 403, body: body})
		assert.Equal(t, foreign, e.Foreign, body)
		assert.Empty(t, e.ErrorType)
	}
	e = get(answer{status: 403, body: `{"error_type":{"a":"b"}}`})
	assert.Empty(t, e.ErrorType)
	e = get(answer{status: 500, body: `{"trace_id":"2f1acc6c-ba2e-40ac-83b1-0de9a5cbbe4b"}`})
	assert.Contains(t, e.Error(), "trace_id 2f1acc6c-ba2e-40ac-83b1-0de9a5cbbe4b: try again later")
	for _, id := range []string{"463ac35c9f6413ad", "4bf92f3577b34da6a3ce929d0e0e4736"} {
		assert.Equal(t, id, get(answer{status: 500, body: `{"trace_id":"` + id + `"}`}).TraceID)
	}
	for _, id := range []string{
		"2a2593df86235c44943a40ce35409d18bda5778c", "a sentence", "я", "15551234567", "tok-SECRETTOKEN-4242", "ALICE_SMITH", "abcdef",
		"0155512345678901", "a0155512345678901bcdefabcdefabcd", "2f1acc6c-ba2e-40ac-83b1-015551234567", "2f1acc6cba2e-40ac-83b1-0de9-a5cbbe4b",
	} {
		assert.Empty(t, get(answer{status: 500, body: `{"trace_id":"` + id + `"}`}).TraceID, id)
	}
	date := "Tue, 13 Dec 2022 11:00:00 GMT"
	assert.False(t, get(answer{status: 403, header: map[string]string{"Date": date, "Age": "0"}}).Date.IsZero())
	assert.True(t, get(answer{status: 403, header: map[string]string{"Date": date, "Age": "7200"}}).Date.IsZero(), "out of a cache")
}

func TestGet_GivesUpAfterMaxElapsedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answers: []answer{{status: 502}}}
		limiter := NewLimiter(LimiterConfig{})
		limiter.Pause(time.Hour) // does not count: nothing was tried yet
		start := time.Now()
		err := s.caller(Config{Limiter: limiter, Backoff: Backoff{MaxElapsedTime: time.Minute}}).Get(t.Context(), build, decodeJSON)
		var status *StatusError
		require.ErrorAs(t, err, &status)
		assert.Regexp(t, `^giving up after \d+ attempts in \d+(\.\d+)?s: asking api.example`, err.Error())
		spent := time.Since(start) - time.Hour
		assert.LessOrEqual(t, spent, time.Minute)
		assert.Greater(t, spent, 30*time.Second)
		assert.Greater(t, len(s.asked), 5)
		assert.Equal(t, time.Duration(-1), s.seen[len(s.seen)-1].RetryIn)

		s = &server{answers: []answer{{status: 429, header: map[string]string{"Retry-After": "61"}}}}
		start = time.Now()
		require.Error(t, s.caller(Config{Backoff: Backoff{MaxElapsedTime: time.Minute}}).Get(t.Context(), build, decodeJSON))
		assert.Zero(t, time.Since(start), "a wait that would end too late is not begun")
	})
}

func TestGet_BuildsAFreshRequestForEachAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answers: []answer{{status: 500}, {err: io.EOF}, {status: 200, body: "{"}, ok}}
		var built []*http.Request
		require.NoError(t, s.caller(Config{}).Get(t.Context(), func(ctx context.Context) (*http.Request, error) {
			req, err := build(ctx)
			built = append(built, req)
			return req, err
		}, decodeJSON))
		require.Len(t, built, 4)
		for i, a := range s.seen {
			assert.Equal(t, i+1, a.Try)
		}
		assert.NotSame(t, built[0], built[1])
	})
}

func TestGet_AsksTheLimiterForEachAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answers: []answer{{status: 500}, {status: 500}, ok}}
		c := s.caller(Config{Limiter: NewLimiter(LimiterConfig{RequestsPerSecond: 0.1})})
		require.NoError(t, c.Get(t.Context(), build, decodeJSON))
		assert.Equal(t, 10*time.Second, s.asked[1].Sub(s.asked[0]))
		assert.Equal(t, 10*time.Second, s.asked[2].Sub(s.asked[1]))
		assert.Equal(t, 10*time.Second, s.seen[1].LimiterWait+s.seen[0].RetryIn)
		assert.Zero(t, s.seen[1].Duration)
	})
}

func TestGet_EndsWithCtx(t *testing.T) {
	for name, a := range map[string]answer{
		"waiting for the head": {takes: time.Hour},
		"reading the body":     {status: 200, drips: time.Hour},
		"backing off":          {status: 429, header: map[string]string{"Retry-After": "600"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{answers: []answer{a}}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				start := time.Now()
				err := s.caller(Config{Timeout: time.Minute}).Get(ctx, build, decodeJSON)
				assert.Equal(t, context.DeadlineExceeded, err)
				assert.Equal(t, time.Second, time.Since(start))
			})
		})
	}
}

func TestGet_ErrorsOfTheCallersFunctions(t *testing.T) {
	own := errors.New("own")
	s := &server{answers: []answer{ok}}
	err := s.caller(Config{}).Get(t.Context(), func(context.Context) (*http.Request, error) { return nil, own }, decodeJSON)
	require.ErrorIs(t, err, own)
	assert.Empty(t, s.seen, "nothing was sent")
	assert.ErrorIs(t, s.caller(Config{}).Get(t.Context(), build, func(*Response) error { return own }), own)
	assert.Len(t, s.asked, 1)
}

func TestGet_BoundsTheDecompressedBody(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write(bytes.Repeat([]byte(" "), 20<<20))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	r, err := gzip.NewReader(&packed)
	require.NoError(t, err)
	// As net/http hands it on: unpacked while it is read, of unknown length.
	transport := roundTripper(func(r2 *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: -1, Uncompressed: true, Body: io.NopCloser(r), Request: r2}, nil
	})
	err = New(Config{HTTP: &http.Client{Transport: transport}}).Get(t.Context(), build, decodeJSON)
	require.ErrorIs(t, err, ErrTooLarge)
	assert.Contains(t, err.Error(), "16777216 bytes")
}

func TestGet_DoesNotChangeTheGivenClient(t *testing.T) {
	given := &http.Client{}
	New(Config{HTTP: given})
	assert.Nil(t, given.CheckRedirect)
}
