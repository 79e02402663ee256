// SPDX-License-Identifier: Apache-2.0

package amojo

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
)

const (
	testSecret = "fb50586ff7b68cd831fe0ef356345903f644c0d2"
	testScope  = "f62a0162-46a7-430e-b06c-0ef798d76a21_52fd2a28-d2eb-4bd8-b862-a67934927b38"
	testChat   = "30477717-9f3c-4d3f-8101-60327e14dc48"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func reply(r *http.Request, status int, body string, header ...string) *http.Response {
	resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}
	for i := 0; i < len(header); i += 2 {
		resp.Header.Set(header[i], header[i+1])
	}
	return resp
}

func newTestClient(t *testing.T, conf Config, serve roundTripper, attempts ...apicall.Config) *Client {
	t.Helper()
	if conf.ScopeID == "" {
		conf.ScopeID = testScope
	}
	conf.Secret = testSecret
	call := apicall.Config{}
	if len(attempts) > 0 {
		call = attempts[0]
	}
	call.HTTP = &http.Client{Transport: serve}
	conf.Call = apicall.New(call)
	c, err := NewClient(conf)
	require.NoError(t, err)
	return c
}

func TestHistory_SendsTheDocumentedRequest(t *testing.T) {
	var sent *http.Request
	c := newTestClient(t, Config{Now: func() time.Time { return time.Date(2022, 12, 13, 14, 0, 0, 0, time.FixedZone("", 3*3600)) }},
		func(r *http.Request) (*http.Response, error) {
			sent = r
			return reply(r, 200, `{"messages":[{"timestamp":1,"message":{"id":"m"}}]}`), nil
		})
	page, err := c.History(t.Context(), testChat, 0, 50)
	require.NoError(t, err)
	require.Len(t, page.Items, 1)
	assert.Equal(t, "m", page.Items[0].ID)

	assert.Equal(t, "https://amojo.kommo.com/v2/origin/custom/"+testScope+"/chats/"+testChat+"/history?limit=50&offset=0", sent.URL.String())
	assert.Equal(t, http.Header{
		"Date":         {"Tue, 13 Dec 2022 11:00:00 +0000"},
		"Content-Type": {"application/json"},
		"Content-Md5":  {"d41d8cd98f00b204e9800998ecf8427e"},
		"X-Signature":  {"2a2593df86235c44943a40ce35409d18bda5778c"},
		"Accept":       {"application/json"},
		"User-Agent":   {"kommo-connect"},
	}, sent.Header)
	assert.Equal(t, http.MethodGet, sent.Method)
}

func TestHistory_SignsThePathAsItIsSent(t *testing.T) {
	for _, base := range []string{"https://h", "http://h:8080/", "https://h/a%2Fb/c/", "https://h/ключ"} {
		for _, chat := range []string{testChat, "a/b", "a b?limit=1#x", "%2e", "чат", "a+b&c=d", "..a"} {
			var sent *http.Request
			c := newTestClient(t, Config{BaseURL: base}, func(r *http.Request) (*http.Response, error) {
				sent = r
				return reply(r, 204, ""), nil
			})
			_, err := c.History(t.Context(), chat, 3, 7)
			require.NoError(t, err)
			target := sent.URL.RequestURI() // what net/http writes into the request line
			path, query, _ := strings.Cut(target, "?")
			assert.Equal(t, "limit=7&offset=3", query)
			assert.Equal(t, Sign(testSecret, "GET", emptyMD5, contentType, sent.Header.Get("Date"), path), sent.Header.Get("X-Signature"))
			assert.True(t, strings.HasSuffix(sent.URL.Path, "/v2/origin/custom/"+testScope+"/chats/"+chat+"/history"), sent.URL.Path)
			assert.NotContains(t, path, "//")
			if chat == "a/b" {
				assert.Contains(t, path, "/chats/a%2Fb/history")
			}
			if strings.Contains(base, "%2F") {
				assert.True(t, strings.HasPrefix(path, "/a%2Fb/c/v2/"), path)
			}
		}
	}
}

func TestHistory_SignsEachAttemptAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dates, signatures []string
		c := newTestClient(t, Config{}, func(r *http.Request) (*http.Response, error) {
			dates = append(dates, r.Header.Get("Date"))
			signatures = append(signatures, r.Header.Get("X-Signature"))
			if len(dates) == 1 {
				return reply(r, 429, "", "Retry-After", "60"), nil
			}
			return reply(r, 204, ""), nil
		})
		_, err := c.History(t.Context(), testChat, 0, 50)
		require.NoError(t, err)
		assert.Equal(t, []string{"Sat, 01 Jan 2000 00:00:00 +0000", "Sat, 01 Jan 2000 00:01:00 +0000"}, dates)
		assert.NotEqual(t, signatures[0], signatures[1])
	})
}

func TestHistory_EmptyPages(t *testing.T) {
	for _, body := range []string{"", `{}`, `{"messages":null}`, `{"messages":[]}`, `{"other":[1]}`} {
		status := 200
		if body == "" {
			status = 204
		}
		c := newTestClient(t, Config{}, func(r *http.Request) (*http.Response, error) { return reply(r, status, body), nil })
		page, err := c.History(t.Context(), testChat, 0, 50)
		require.NoError(t, err)
		assert.Empty(t, page.Items)
	}
}

func TestHistory_BrokenBodyIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bodies := []string{`{"messages":[{"timestamp":1}`, `<html>`, `[]`, `{"messages":{}}`, ``, `{"messages":[{}]}`}
		c := newTestClient(t, Config{}, func(r *http.Request) (*http.Response, error) {
			body := bodies[0]
			bodies = bodies[1:]
			return reply(r, 200, body), nil
		})
		page, err := c.History(t.Context(), testChat, 0, 50)
		require.NoError(t, err)
		assert.Len(t, page.Items, 1)
		assert.Empty(t, bodies)
	})
}

// clockServer refuses a Date that is more than 15 minutes from its own time
// (chats-api.md, The signature).
func clockServer(ahead time.Duration, asked *int) roundTripper {
	return func(r *http.Request) (*http.Response, error) {
		*asked++
		now := time.Now().Add(ahead)
		date := now.UTC().Format(http.TimeFormat)
		signed, err := time.Parse(time.RFC1123Z, r.Header.Get("Date"))
		if err != nil || now.Sub(signed).Abs() > 15*time.Minute ||
			r.Header.Get("X-Signature") != Sign(testSecret, "GET", emptyMD5, contentType, r.Header.Get("Date"), r.URL.EscapedPath()) {
			return reply(r, 403, "", "Date", date), nil //nolint:nilerr // the answer to it is a refusal
		}
		return reply(r, 204, "", "Date", date), nil
	}
}

func TestHistory_CorrectsAWrongClock(t *testing.T) {
	for _, ahead := range []time.Duration{20 * time.Minute, -20 * time.Minute, 365 * 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			c := newTestClient(t, Config{}, clockServer(ahead, &asked))
			start := time.Now()
			_, err := c.History(t.Context(), testChat, 0, 50)
			require.NoError(t, err)
			assert.Equal(t, 2, asked)
			assert.Zero(t, time.Since(start), "at once")
			time.Sleep(time.Hour)
			_, err = c.History(t.Context(), testChat, 0, 50)
			require.NoError(t, err)
			assert.Equal(t, 3, asked, "later requests have the right time from the first")
		})
	}
}

func TestHistory_TheSecondTryWaitsForTheLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		c := newTestClient(t, Config{}, clockServer(time.Hour, &asked), apicall.Config{
			Limiter: apicall.NewLimiter(apicall.LimiterConfig{RequestsPerSecond: 1}),
		})
		start := time.Now()
		_, err := c.History(t.Context(), testChat, 0, 50)
		require.NoError(t, err)
		assert.Equal(t, time.Second, time.Since(start))
	})
}

func TestHistory_Refused(t *testing.T) {
	const signature = `{"status":0,"error_code":403,"error_type":"ORIGIN_INVALID_SIGNATURE","error_description":"invalid signature"}`
	for name, test := range map[string]struct {
		ahead time.Duration
		date  bool
		body  string
		asked int
		texts []string
	}{
		"clocks agree":    {0, true, "", 1, []string{"the clocks agree"}},
		"a second off":    {-time.Second, true, "", 1, []string{"the clocks agree"}},
		"a minute off":    {time.Minute, true, "", 1, []string{"the server's clock is 1m0s ahead of this machine's"}},
		"an hour ahead":   {time.Hour, true, "", 2, []string{"the server's clock is 1h0m0s ahead of this machine's"}},
		"an hour behind":  {-time.Hour, true, "", 2, []string{"the server's clock is 1h0m0s behind this machine's"}},
		"no date":         {0, false, "", 1, []string{"check this machine's clock"}},
		"own words":       {0, true, `{"error_description":"invalid signature"}`, 1, []string{"status 403: check"}},
		"signature":       {0, true, signature, 1, []string{"(403, ORIGIN_INVALID_SIGNATURE): check", "the clocks agree"}},
		"signature, hour": {time.Hour, true, signature, 2, []string{"the server's clock is 1h0m0s ahead"}},
		"another type":    {0, true, `{"error_type":"ORIGIN_ACCESS_DENIED"}`, 1, []string{"(ORIGIN_ACCESS_DENIED): check"}},
		"RFC 9457":        {0, true, `{"title":"Forbidden","status":403}`, 1, []string{"status 403: check"}},
		"repeats secrets": {0, true, `{"error_description":"expected ` + testSecret + `"}`, 1, []string{"status 403: check"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				c := newTestClient(t, Config{}, func(r *http.Request) (*http.Response, error) {
					asked++
					resp := reply(r, 403, test.body)
					if test.date {
						resp.Header.Set("Date", time.Now().Add(test.ahead).UTC().Format(http.TimeFormat))
					}
					return resp, nil
				})
				_, err := c.History(t.Context(), testChat, 0, 50)
				var refused *RefusedError
				require.ErrorAs(t, err, &refused)
				assert.Equal(t, test.asked, asked)
				assert.Equal(t, "amojo.kommo.com", refused.Host)
				assert.Equal(t, testChat, refused.ChatID)
				reason := RefusedOther
				if test.body == signature {
					reason = RefusedSignature
				}
				assert.Equal(t, reason, refused.Reason)
				assert.Equal(t, test.date, refused.ClockKnown)
				assert.Equal(t, test.ahead, refused.ClockSkew)
				assert.False(t, apicall.Retryable(err))
				for _, text := range append(test.texts, "amojo.kommo.com", "check channel_secret, scope_id, and that the chat belongs to this channel") {
					assert.Contains(t, err.Error(), text)
				}
				var rejected *Error
				assert.NotErrorAs(t, err, &rejected)
			})
		})
	}
}

// chats-api.md, row 403: an address that is blocked gets plain text or nginx HTML.
// Asking again at once with another date is the last that helps then.
func TestHistory_ABlockedAddress(t *testing.T) {
	for _, body := range []string{
		"<html>\r\n<head><title>403 Forbidden</title></head><body><center>nginx</center></body></html>", "Forbidden", "\nAccess denied for 1.2.3.4\n",
	} {
		for _, ahead := range []time.Duration{0, time.Hour} {
			asked := 0
			c := newTestClient(t, Config{}, func(r *http.Request) (*http.Response, error) {
				asked++
				return reply(r, 403, body, "Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat)), nil
			})
			_, err := c.History(t.Context(), testChat, 0, 50)
			var refused *RefusedError
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, RefusedBlocked, refused.Reason)
			assert.Equal(t, 1, asked)
			assert.Contains(t, err.Error(), "this address may be blocked for overload, so wait, lower requests_per_second")
			assert.NotContains(t, err.Error(), "channel_secret")
			assert.NotContains(t, err.Error(), "1.2.3.4")
			assert.False(t, apicall.Retryable(err))
		}
	}
	c := newTestClient(t, Config{}, func(r *http.Request) (*http.Response, error) { return reply(r, 401, "Unauthorized"), nil })
	_, err := c.History(t.Context(), testChat, 0, 50)
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, RefusedOther, refused.Reason, "a block is a 403")
}

func TestHistory_PageHasTheServersTime(t *testing.T) {
	at := time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Time{
		at.Format(http.TimeFormat): at, "": {}, "yesterday": {},
	} {
		for _, status := range []int{200, 204} {
			body := ""
			if status == 200 {
				body = `{"messages":[{}]}`
			}
			c := newTestClient(t, Config{}, func(r *http.Request) (*http.Response, error) {
				return reply(r, status, body, "Date", header), nil
			})
			page, err := c.History(t.Context(), testChat, 0, 50)
			require.NoError(t, err)
			assert.True(t, want.Equal(page.Date), "%s: %s", header, page.Date)
		}
	}
}

// A Date that is itself wrong must not spoil the requests that follow: it is
// believed only once the API has accepted a request that was dated by it.
func TestHistory_AWrongDateSpoilsNothing(t *testing.T) {
	for name, header := range map[string][]string{
		"an hour off": {"Date", "Sat, 01 Jan 2000 01:00:00 GMT"},
		"frozen":      {"Date", "Thu, 01 Jan 1970 00:00:00 GMT"},
		"far":         {"Date", "Fri, 31 Dec 9999 23:59:59 GMT"},
		"cached":      {"Date", "Fri, 31 Dec 1999 20:00:00 GMT", "Age", "14400"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				c := newTestClient(t, Config{}, func(r *http.Request) (*http.Response, error) {
					asked++
					signed, err := time.Parse(time.RFC1123Z, r.Header.Get("Date"))
					if err != nil || time.Since(signed).Abs() > 15*time.Minute || strings.Contains(r.URL.Path, "foreign") {
						return reply(r, 403, "", header...), nil //nolint:nilerr // the answer to it is a refusal
					}
					return reply(r, 204, "", header...), nil
				})
				for range 3 {
					asked = 0
					_, err := c.History(t.Context(), "foreign", 0, 50)
					require.Error(t, err)
					assert.LessOrEqual(t, asked, 2, "no loop")
					asked = 0
					_, err = c.History(t.Context(), testChat, 0, 50)
					require.NoError(t, err, "a refused chat with a wrong Date must not cost the others")
					assert.Equal(t, 1, asked)
				}
				if name == "cached" {
					_, err := c.History(t.Context(), "foreign", 0, 50)
					assert.ErrorContains(t, err, "does not tell the server's time")
				}
			})
		})
	}
}

// A second try that fails in another way shows nothing of the Date.
func TestHistory_ADateThatWasNotTriedIsNotBelieved(t *testing.T) {
	asked := 0
	c := newTestClient(t, Config{}, func(r *http.Request) (*http.Response, error) {
		switch asked++; asked {
		case 1:
			return reply(r, 403, "", "Date", "Thu, 01 Jan 1970 00:00:00 GMT"), nil
		case 2:
			return reply(r, 500, ""), nil
		}
		signed, err := time.Parse(time.RFC1123Z, r.Header.Get("Date"))
		require.NoError(t, err)
		assert.WithinDuration(t, time.Now(), signed, time.Minute)
		return reply(r, 204, ""), nil
	}, apicall.Config{MaxAttempts: 1})
	_, err := c.History(t.Context(), testChat, 0, 50)
	require.ErrorContains(t, err, "status 500")
	_, err = c.History(t.Context(), testChat, 0, 50)
	require.NoError(t, err)
}

// The local clock is an hour off, is corrected by the Date, and is then set right,
// while the server's Date has become wrong or is gone.
func TestHistory_ALocalClockThatIsSetRight(t *testing.T) {
	for _, later := range []string{"Thu, 01 Jan 1970 00:00:00 GMT", ""} {
		synctest.Test(t, func(t *testing.T) {
			off, asked, date := -time.Hour, 0, "Sat, 01 Jan 2000 00:00:00 GMT"
			c := newTestClient(t, Config{Now: func() time.Time { return time.Now().Add(off) }}, func(r *http.Request) (*http.Response, error) {
				asked++
				signed, err := time.Parse(time.RFC1123Z, r.Header.Get("Date"))
				if err != nil || time.Since(signed).Abs() > 15*time.Minute {
					return reply(r, 403, "", "Date", date), nil //nolint:nilerr // the answer to it is a refusal
				}
				return reply(r, 204, "", "Date", date), nil
			})
			_, err := c.History(t.Context(), testChat, 0, 50)
			require.NoError(t, err)
			assert.Equal(t, 2, asked)
			off, asked, date = 0, 0, later
			_, err = c.History(t.Context(), testChat, 0, 50)
			require.NoError(t, err)
			assert.LessOrEqual(t, asked, 3)
			asked = 0
			_, err = c.History(t.Context(), testChat, 0, 50)
			require.NoError(t, err)
			assert.Equal(t, 1, asked)
		})
	}
}

// chats-api.md, row 404.
func TestHistory_AChannelThatIsNotRegistered(t *testing.T) {
	body := `{"error_code":404,"error_type":"ORIGIN_NOT_REGISTERED","error_description":"NOT_FOUND"}`
	for _, known := range []bool{false, true} {
		c := newTestClient(t, Config{}, func(r *http.Request) (*http.Response, error) { return reply(r, 404, body), nil })
		_, err := c.History(t.Context(), testChat, 0, 50)
		var rejected *Error
		require.ErrorAs(t, err, &rejected)
		assert.Equal(t, !known, rejected.NotRegistered())
		assert.Equal(t, !known, strings.Contains(err.Error(), "the channel is not registered, or not connected to this account"))
		assert.Equal(t, !known, strings.Contains(err.Error(), "check scope_id and base_url"))
		assert.Equal(t, known, strings.Contains(err.Error(), "check that the chat's id is its id in the Chats API"))
		body = `{"error_code":404,"error_type":"NOT_FOUND"}`
	}
}

// What a server says to http:// on its port for https://.
func TestHistory_HTTPToAPortWithTLS(t *testing.T) {
	for _, body := range []string{"<html><h1>The plain HTTP request was sent to HTTPS port</h1>", "Client sent an HTTP request to an HTTPS server.\n"} {
		c := newTestClient(t, Config{}, func(r *http.Request) (*http.Response, error) { return reply(r, 400, body), nil })
		_, err := c.History(t.Context(), testChat, 0, 50)
		assert.ErrorContains(t, err, "check base_url, which should begin with https://")
	}
}

func TestHistory_A408IsNoRejection(t *testing.T) {
	c := newTestClient(t, Config{}, func(r *http.Request) (*http.Response, error) { return reply(r, 408, ""), nil },
		apicall.Config{MaxAttempts: 1})
	_, err := c.History(t.Context(), testChat, 0, 50)
	require.ErrorContains(t, err, "giving up after 1 attempt")
	var rejected *Error
	assert.NotErrorAs(t, err, &rejected)
	assert.True(t, apicall.Retryable(err))
}

func TestHistory_Rejected(t *testing.T) {
	for _, status := range []int{400, 402, 404, 422} {
		c := newTestClient(t, Config{}, func(r *http.Request) (*http.Response, error) {
			return reply(r, status, `{"error_code":"CODE","error_description":"no such chat"}`), nil
		})
		_, err := c.History(t.Context(), testChat, 0, 50)
		var rejected *Error
		require.ErrorAs(t, err, &rejected)
		assert.Equal(t, status, rejected.Err.Status)
		assert.Contains(t, err.Error(), "(CODE): check that")
		assert.Contains(t, err.Error(), fmt.Sprint(status))
		assert.False(t, apicall.Retryable(err))
	}
}

func TestHistory_ArgumentsAreChecked(t *testing.T) {
	c := newTestClient(t, Config{}, func(*http.Request) (*http.Response, error) { panic("nothing is sent") })
	for _, test := range []struct {
		chat          string
		offset, limit int
		text          string
	}{
		{"", 0, 50, "want the chat's id"},
		{"..", 0, 50, "want the chat's id"},
		{"c", -1, 50, "offset: want 0 or more, got -1"},
		{"c", 0, 0, "limit: want 1..50, got 0"},
		{"c", 0, 51, "limit: want 1..50, got 51"},
	} {
		_, err := c.History(t.Context(), test.chat, test.offset, test.limit)
		require.ErrorContains(t, err, test.text)
	}
}

func TestHistoryBeyond_AsksForMoreThanThePromisedMost(t *testing.T) {
	c := newTestClient(t, Config{}, func(r *http.Request) (*http.Response, error) {
		assert.Equal(t, "limit=51&offset=0", r.URL.RawQuery)
		return reply(r, 200, `{"messages":[]}`), nil
	})
	_, err := c.HistoryBeyond(t.Context(), testChat, 0, 51)
	require.NoError(t, err)
	_, err = c.HistoryBeyond(t.Context(), testChat, 0, MaxItems+1)
	require.ErrorContains(t, err, "limit: want 1..20000, got 20001")
}

func TestHistory_EndsWithCtx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestClient(t, Config{}, func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.History(ctx, testChat, 0, 50)
		assert.Equal(t, context.DeadlineExceeded, err)
	})
}

func TestNewClient_NamesTheField(t *testing.T) {
	for _, test := range []struct {
		conf Config
		text string
	}{
		{Config{BaseURL: "amojo.kommo.com", ScopeID: "a_b", Secret: "s"}, "base_url: its scheme"},
		{Config{BaseURL: "ftp://h", ScopeID: "a_b", Secret: "s"}, "base_url: its scheme"},
		{Config{BaseURL: "https://", ScopeID: "a_b", Secret: "s"}, "base_url: it has no host"},
		{Config{BaseURL: "https://:80", ScopeID: "a_b", Secret: "s"}, "base_url: it has no host"},
		{Config{BaseURL: "https://u:passw0rd@h", ScopeID: "a_b", Secret: "s"}, "base_url: it names a user"},
		{Config{BaseURL: "https://u:passw0rd@h:x", ScopeID: "a_b", Secret: "s"}, "base_url: it is not a URL"},
		{Config{BaseURL: "https://h?a=b", ScopeID: "a_b", Secret: "s"}, "base_url: it has a query"},
		{Config{BaseURL: "https://h?", ScopeID: "a_b", Secret: "s"}, "base_url: it has a query"},
		{Config{BaseURL: "https://h#f", ScopeID: "a_b", Secret: "s"}, "base_url: it has a query"},
		{Config{Secret: "s"}, "scope_id: it is empty"},
		{Config{ScopeID: "ab", Secret: "s"}, "scope_id: want {channel_id}_{amojo_id}"},
		{Config{ScopeID: "_b", Secret: "s"}, "scope_id: want"},
		{Config{ScopeID: "a_", Secret: "s"}, "scope_id: want"},
		{Config{ScopeID: "a_b/c", Secret: "s"}, "scope_id: it has a character"},
		{Config{ScopeID: "a_b\n", Secret: "s"}, "scope_id: it has a character"},
		{Config{ScopeID: "a_b"}, "channel_secret: it is empty"},
	} {
		_, err := NewClient(test.conf)
		require.ErrorContains(t, err, test.text, "%q", test.conf.BaseURL)
		assert.NotContains(t, err.Error(), "passw0rd")
	}
}

// Whatever happens, and however a client or an attempt is printed, nothing shows
// the secret or a signature.
func TestNoErrorShowsTheSecretOrASignature(t *testing.T) {
	const chatText, phone = "text of a message", "+79161234567"
	item := `{"messages":[{"message":{"text":"` + chatText + `"},"sender":{"phone":"` + phone + `"}}`
	var signature string
	echo := func(*http.Request) string {
		return fmt.Sprintf(`{"error_description":"got %s for %s","text":%q}`, signature, phone, chatText)
	}
	for name, serve := range map[string]roundTripper{
		"refused":   func(r *http.Request) (*http.Response, error) { return reply(r, 403, echo(r)), nil },
		"rejected":  func(r *http.Request) (*http.Response, error) { return reply(r, 400, echo(r)), nil },
		"throttled": func(r *http.Request) (*http.Response, error) { return reply(r, 429, echo(r)), nil },
		"failed":    func(r *http.Request) (*http.Response, error) { return reply(r, 500, echo(r)), nil },
		"traced by a signature": func(r *http.Request) (*http.Response, error) {
			return reply(r, 500, `{"trace_id":"`+signature[:32]+`"}`), nil
		},
		"traced by the secret": func(r *http.Request) (*http.Response, error) {
			return reply(r, 500, `{"trace_id":"`+testSecret[:32]+`"}`), nil
		},
		"created": func(r *http.Request) (*http.Response, error) { return reply(r, 201, echo(r)), nil },
		"redirected": func(r *http.Request) (*http.Response, error) {
			return reply(r, 302, "", "Location", "https://o/?s="+signature), nil
		},
		"html": func(r *http.Request) (*http.Response, error) { return reply(r, 200, "<html>"+echo(r)), nil },
		"torn": func(r *http.Request) (*http.Response, error) { return reply(r, 200, item), nil },
		"wrong type": func(r *http.Request) (*http.Response, error) {
			return reply(r, 200, `{"messages":"`+chatText+`"}`), nil
		},
		"trailing":    func(r *http.Request) (*http.Response, error) { return reply(r, 200, item+"]}"+chatText), nil },
		"too large":   func(r *http.Request) (*http.Response, error) { return reply(r, 200, strings.Repeat(item, 1000)), nil },
		"unreachable": func(*http.Request) (*http.Response, error) { return nil, io.EOF },
		"slow":        func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var texts []string
				c := newTestClient(t, Config{}, func(r *http.Request) (*http.Response, error) {
					signature = r.Header.Get("X-Signature")
					return serve(r)
				}, apicall.Config{
					Timeout: time.Second,
					MaxBody: 10000,
					Backoff: apicall.Backoff{MaxElapsedTime: 10 * time.Second},
					Observe: func(a apicall.Attempt) { texts = append(texts, a.Err.Error(), fmt.Sprintf("%+v", a)) },
				})
				_, err := c.History(t.Context(), testChat, 0, 50)
				require.Error(t, err)
				require.NotEmpty(t, texts)
				assert.Contains(t, err.Error(), `reading the history of chat "`+testChat+`": `)
				texts = append(texts, err.Error(), fmt.Sprintf("%+v %#v %s", err, err, err), fmt.Sprintf("%+v %#v", c, c))
				for _, text := range texts {
					assert.NotContains(t, text, testSecret[:32])
					assert.NotContains(t, text, signature[:32])
					assert.NotContains(t, text, chatText)
					assert.NotContains(t, text, phone)
					assert.NotContains(t, text, "limit=50")
				}
			})
		})
	}
}
