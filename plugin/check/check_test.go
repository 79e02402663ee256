// SPDX-License-Identifier: Apache-2.0

package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// assertNothingPrivate looks for secrets in a report, and for ids, names, hosts and texts
// in what is for others.
func assertNothingPrivate(t *testing.T, report *Report) {
	t.Helper()
	whole := shown(t, report)
	for _, secret := range []string{sandbox.DemoSecret, sandbox.DemoAccessToken, someoneS} {
		assert.NotContains(t, whole, secret)
	}
	public := shown(t, report.Public())
	channel, account, _ := strings.Cut(sandbox.DemoScopeID, "_")
	for _, private := range []string{"127.0.0.1", "localhost", channel, account, mainChat, "00000000-0000-4000", "talk-7", "own-0", "com.somebodys", sandbox.DemoOrigin, "Somebody", "invalid"} {
		assert.NotContains(t, public, private)
	}
}

// shown is a report in both of its forms.
func shown(t *testing.T, report *Report) string {
	t.Helper()
	var text strings.Builder
	report.WriteText(&text)
	inJSON, err := json.Marshal(report)
	require.NoError(t, err)
	return text.String() + string(inJSON)
}

// finding returns the first with an id.
func finding(t *testing.T, report *Report, id string) Finding {
	t.Helper()
	for _, f := range report.Findings {
		if f.ID == id {
			return f
		}
	}
	require.Fail(t, "no finding "+id)
	return Finding{}
}

func TestCheck_OfAHealthyAccountFindsNothingWrong(t *testing.T) {
	t.Parallel()
	report := checked(t, world(t, sandbox.Config{}))
	assert.False(t, report.Failed())
	for _, f := range report.Findings {
		if !strings.HasSuffix(f.ID, ".tls") { // the sandbox speaks none
			assert.Equal(t, OK, f.Status, "%s: %s", f.ID, f.Text)
		}
		assert.NotEqual(t, NotSeen, f.Answer, f.ID)
	}
	assert.Equal(t, []Estimate{
		{Input: "kommo_talk_history", Chats: 15, Messages: 186, Requests: 17, Hours: report.Estimates[0].Hours},
		{Input: "kommo_chat_history", Chats: 1, Messages: 75, Requests: 3, Hours: report.Estimates[1].Hours},
	}, report.Estimates)
	assertNothingPrivate(t, report)
}

func TestCheck_OnlyAsksAndKeepsTheLimit(t *testing.T) {
	t.Parallel()
	s := world(t, sandbox.Config{})
	var mu sync.Mutex
	methods := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		methods[r.Method]++
		mu.Unlock()
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	conf := both(server)
	conf.RequestsPerSecond = 20
	asked := 0
	conf.SharedLimit = func(context.Context) (time.Duration, error) { asked++; return 0, nil }
	report, err := Run(t.Context(), conf)
	require.NoError(t, err)
	assert.Equal(t, map[string]int{http.MethodGet: report.Requests}, methods)
	assert.Equal(t, report.Requests, asked, "the shared limit too")
	assert.LessOrEqual(t, s.Ledger().PeakPerSecond, 21, "one more than the rate fits into a window of a second")
	assert.Less(t, report.Requests, 100)
}

func TestCheck_OfALargeAccount(t *testing.T) {
	t.Parallel()
	s, err := sandbox.New(sandbox.Config{TalksCap: 250})
	require.NoError(t, err)
	require.NoError(t, s.SyntheticTalks(400, 10, time.Now().Add(-5000*time.Second), time.Second))
	report := checked(t, s, func(c *Config) { c.Chats, c.Talks, c.RequestsPerSecond = nil, nil, 0 })
	assert.Equal(t, "ends_early", finding(t, report, "talks.reach").Answer)
	assert.Contains(t, finding(t, report, "events.reach").Text, "4000 events")
	require.NotEmpty(t, report.Estimates)
	assert.Equal(t, 4000, report.Estimates[0].Messages)
	assert.GreaterOrEqual(t, report.Estimates[0].Chats, 250)
	assert.Less(t, report.Requests, 80)
}

func TestCheck_MessagesThatCameLateShow(t *testing.T) {
	t.Parallel()
	s := world(t, sandbox.Config{Order: sandbox.OrderArrival})
	s.Append(mainChat, sandbox.Text("late", time.Now().Add(-24*time.Hour), "words"))
	assert.Equal(t, roughlyNewest, finding(t, checked(t, s), "history.order").Answer)
}

func TestCheck_Token(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		claims         sandbox.Claims
		expiry, scopes string
		failed         bool
	}{
		"good":            {sandbox.Claims{}, "valid", "messages", false},
		"soon":            {sandbox.Claims{Expires: time.Now().Add(time.Hour)}, "soon", "messages", false},
		"expired":         {sandbox.Claims{Expires: time.Now().Add(-time.Hour)}, "expired", "messages", true},
		"without a scope": {sandbox.Claims{Scopes: []string{"crm"}}, "valid", "no_messages", false}, // there is a channel
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := world(t, sandbox.Config{})
			token := s.IssueToken(tc.claims)
			path := filepath.Join(t.TempDir(), "token")
			require.NoError(t, os.WriteFile(path, []byte(token+"\n"), 0o600))
			report := checked(t, s, func(c *Config) { c.AccessToken, c.AccessTokenFile = "", path })
			assert.Equal(t, tc.expiry, finding(t, report, "token.expiry").Answer)
			assert.Equal(t, tc.scopes, finding(t, report, "token.scopes").Answer)
			assert.Equal(t, tc.failed, report.Failed())
			assert.NotContains(t, shown(t, report), token)
			assertNothingPrivate(t, report)
		})
	}
	report := checked(t, world(t, sandbox.Config{}), func(c *Config) {
		c.AccessToken = "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"scopes":["crm","of_somebody"]}`)) + ".e30"
	})
	assert.Contains(t, finding(t, report, "token.scopes").Text, "(it has crm, of_somebody)")
	assert.Contains(t, finding(t, report.Public(), "token.scopes").Text, "(it has crm)")
}

func TestCheck_MakesTheScopeIDOfTheChannelsID(t *testing.T) {
	t.Parallel()
	channel, _, _ := strings.Cut(sandbox.DemoScopeID, "_")
	report := checked(t, world(t, sandbox.Config{}), func(c *Config) { c.ScopeID, c.ChannelID = "", channel })
	assert.Contains(t, finding(t, report, "channel.scope").Text, sandbox.DemoScopeID)
	assert.Equal(t, "accepted", finding(t, report, "channel.signature").Answer)
	assertNothingPrivate(t, report)
}

func TestCheck_ChatsThatAreGiven(t *testing.T) {
	t.Parallel()
	s := world(t, sandbox.Config{})
	require.NoError(t, s.AddFault(sandbox.Fault{Kind: sandbox.FaultForeign, Chat: "foreign"}))
	report := checked(t, s, func(c *Config) {
		c.Chats, c.APIURL, c.AccessToken, c.Talks = []string{mainChat, "unknown", "foreign"}, "", "", nil
	})
	got := answers(report)
	for _, want := range []string{"answer", "empty", "foreign"} {
		assert.True(t, got["history.given "+want], want)
	}
	assert.Equal(t, NotSeen, finding(t, report, "channel.scope").Answer, "nothing tells whose it is")
}

func TestCheck_AChatThatDoesNotExistMayBeRefusedAsOneOfAnotherChannel(t *testing.T) {
	t.Parallel()
	s := world(t, sandbox.Config{})
	require.NoError(t, s.AddFault(sandbox.Fault{Kind: sandbox.FaultForeign, Chat: nobody}))
	report := checked(t, s)
	assert.Equal(t, "accepted_for_own", finding(t, report, "channel.signature").Answer)
	assert.False(t, report.Failed())
}

func TestCheck_NamesHeadersAboutLimits(t *testing.T) {
	t.Parallel()
	s := world(t, sandbox.Config{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-RateLimit-Remaining", "6")
		w.Header().Set("X-RateLimit-Reset", "1700000000")
		w.Header().Set("RateLimit", "of Somebody")
		w.Header().Set("X-Quota-79161234567", "1")
		w.Header().Set("X-RateLimit-Of-Somebodys-Account", "31337001")
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	report, err := Run(t.Context(), both(server))
	require.NoError(t, err)
	assert.Equal(t, "answers have Ratelimit: no plain number, X-Ratelimit-Remaining: 6, X-Ratelimit-Reset: a larger number, "+
		"2 headers of another name that may be about limits", finding(t, report, "account.limit_headers").Text)
}

// Whatever an answer says, and wherever.
func TestCheck_RepeatsNothingOfAnAnswer(t *testing.T) {
	t.Parallel()
	const phone, name = "79161234567", "ALICE_SMITH"
	for _, what := range []string{sandbox.DemoAccessToken, phone, name} {
		for part, answer := range map[string]string{
			"of names":    `{"amojo_id":%q,"_embedded":{"talks":[{"talk_id":1,"chat_id":%[1]q,"origin":%[1]q}],"chats":[{"id":1,"chat_id":%[1]q}],"events":[{"id":%[1]q,"value_after":[{"message":{"id":%[1]q,"talk_id":["",%[1]q]}}]}],"messages":[{"id":%[1]q}]}}`,
			"of an error": `{"trace_id":%q,"error_type":%[1]q,"error_code":%[1]q,"title":%[1]q,"detail":%[1]q,"validation-errors":[{"errors":[{"code":%[1]q}]}]}`,
		} {
			t.Run(part+": "+what, func(t *testing.T) {
				t.Parallel()
				first := true
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("X-Limit-"+what, what)
					w.Header().Set("X-RateLimit-Limit", what)
					if part == "of an error" && !first {
						w.WriteHeader(http.StatusBadRequest)
					}
					first = false
					fmt.Fprintf(w, answer, what)
				}))
				t.Cleanup(server.Close)
				conf := both(server)
				conf.Talks, conf.Chats = nil, nil
				report, err := Run(t.Context(), conf)
				require.NoError(t, err)
				assert.GreaterOrEqual(t, report.Requests, 5)
				assert.NotContains(t, strings.ToUpper(shown(t, report.Public())), strings.ToUpper(what))
				if what != name { // it is what an error_type or an origin looks like
					assert.NotContains(t, strings.ToUpper(shown(t, report)), strings.ToUpper(what))
				}
			})
		}
	}
}

func TestCheck_TLS(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(world(t, sandbox.Config{}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	for name, tc := range map[string]struct {
		conf       *tls.Config
		id, answer string
	}{
		"not trusted":  {nil, "account.address", "no_answer"},
		"trusted":      {&tls.Config{RootCAs: roots}, "account.tls", "verified"},
		"not verified": {&tls.Config{InsecureSkipVerify: true}, "account.tls", "not_verified"}, //nolint:gosec // that is what is tested
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conf := both(server)
			conf.TLS = tc.conf
			report, err := Run(t.Context(), conf)
			require.NoError(t, err)
			assert.Equal(t, tc.answer, finding(t, report, tc.id).Answer)
		})
	}
}

func TestCheck_AProxyIsNamedWithoutItsUser(t *testing.T) {
	t.Parallel()
	proxy := httptest.NewServer(world(t, sandbox.Config{}))
	t.Cleanup(proxy.Close)
	conf := both(proxy)
	conf.APIURL, conf.BaseURL = "http://api.example", "http://amojo.example"
	conf.ProxyURL = strings.Replace(proxy.URL, "http://", "http://somebody:pa55@", 1)
	report, err := Run(t.Context(), conf)
	require.NoError(t, err)
	assert.Contains(t, finding(t, report, "account.proxy").Text, proxy.Listener.Addr().String())
	assert.Equal(t, "reached", finding(t, report, "channel.address").Answer)
	assert.NotContains(t, shown(t, report), "pa55")
	assert.NotContains(t, shown(t, report.Public()), "example")
}

func TestCheck_WithoutTheSharedLimitNothingIsAsked(t *testing.T) {
	t.Parallel()
	s := world(t, sandbox.Config{})
	report := checked(t, s, func(c *Config) {
		c.patience = time.Millisecond
		c.SharedLimit = func(context.Context) (time.Duration, error) { return 0, errors.New("redis is gone") }
	})
	assert.Contains(t, finding(t, report, "account.address").Text, "redis is gone")
	assert.Equal(t, otherTrouble, finding(t, report, "channel.address").Answer)
	assert.Zero(t, s.Ledger().Requests)
}

func TestCheck_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := world(t, sandbox.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	s.OnRequest(func(r sandbox.Request) {
		if r.N == 5 {
			cancel()
		}
	})
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	report, err := Run(ctx, both(server))
	require.NoError(t, err)
	assert.Equal(t, notAsked, finding(t, report, "account.stopped").Answer)
	assert.True(t, report.Failed())
	assert.Equal(t, 5, report.Requests)
}

// hanging is a server that answers no more requests of some kinds than it is told to.
func hanging(t *testing.T, s http.Handler, answered int, of func(*http.Request) bool) *httptest.Server {
	t.Helper()
	over := make(chan struct{})
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if of(r) && n.Add(1) > int64(answered) {
			select {
			case <-over:
			case <-r.Context().Done():
			}
			return
		}
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(over) })
	return server
}

func TestCheck_SaysWhatThereWasNoTimeFor(t *testing.T) {
	t.Parallel()
	ofAccount := func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/api/") }
	for answered, missing := range map[int][]string{
		1: {"talks.answer", "token.administrator", "events.answer", "messages.answer"},
		4: {"talks.pages", "token.administrator", "events.answer", "talk.answer", "messages.answer"},
		9: {"events.answer", "talk.answer", "messages.answer"},
	} {
		conf := both(hanging(t, world(t, sandbox.Config{}), answered, ofAccount))
		conf.Talks, conf.Within = nil, 3*time.Second
		report, err := Run(t.Context(), conf)
		require.NoError(t, err)
		assert.Less(t, report.Seconds, 30.0, "whatever the machine does besides")
		assert.False(t, report.Failed(), shown(t, report))
		assert.Equal(t, 2, strings.Count(shown(t, report), "raise within"), "once in each form")
		late := map[string]bool{}
		for _, f := range report.Findings {
			if f.Answer == notAsked && !strings.HasPrefix(f.ID, "channel.") && !strings.HasPrefix(f.ID, "history.") {
				late[f.ID] = true
				assert.Equal(t, Warning, f.Status)
				assert.Contains(t, f.Text, " not checked: time was up")
			}
		}
		for _, id := range missing {
			assert.True(t, late[id], "%s of %v", id, late)
		}
		assert.NotEmpty(t, finding(t, report, "channel.address").Answer, "the channel has time of its own")
		assert.Contains(t, shown(t, report), "Nothing that was checked stands in the way")
		assertNothingPrivate(t, report)
	}
}

func TestCheck_NoAnswerBeforeTimeIsUp(t *testing.T) {
	t.Parallel()
	conf := both(hanging(t, nil, 0, func(*http.Request) bool { return true }))
	conf.Within = 300 * time.Millisecond
	report, err := Run(t.Context(), conf)
	require.NoError(t, err)
	assert.Equal(t, timedOut, finding(t, report, "account.address").Answer)
	assert.Equal(t, timedOut, finding(t, report, "channel.address").Answer)
	assert.True(t, report.Failed())

	conf.SharedLimit = func(context.Context) (time.Duration, error) { return time.Hour, nil }
	report, err = Run(t.Context(), conf)
	require.NoError(t, err)
	assert.Zero(t, report.Requests)
	assert.Equal(t, notAsked, finding(t, report, "account.address").Answer)
	assert.Equal(t, notAsked, finding(t, report, "channel.address").Answer)
	assert.NotContains(t, shown(t, report), "without a proxy", "nobody knows")
}

func TestCheck_TellsEachFindingAtOnce(t *testing.T) {
	t.Parallel()
	var told []Finding
	report := checked(t, world(t, sandbox.Config{}), func(c *Config) { c.Each = func(f Finding) { told = append(told, f) } })
	assert.Equal(t, report.Findings, told)
}

func TestConfig_WhatIsWrongIsNamed(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Config){
		"there is nothing to check":               func(c *Config) { *c = Config{} },
		"api_url: it is empty":                    func(c *Config) { c.APIURL = "" },
		"access_token: it is empty":               func(c *Config) { c.AccessToken = "" },
		"both access_token and access_token_file": func(c *Config) { c.AccessTokenFile = "x" },
		"requests_per_second: want 0 or more":     func(c *Config) { c.RequestsPerSecond = -1 },
		"timeout: want 0 or more":                 func(c *Config) { c.Timeout = -1 },
		"within: want 0 or more":                  func(c *Config) { c.Within = -1 },
		"both scope_id and channel_id":            func(c *Config) { c.ChannelID = "x" },
		"channel_id: without a token":             func(c *Config) { c.ChannelID, c.ScopeID, c.APIURL, c.AccessToken = "x", "", "", "" },
		"channel_id: it has a _":                  func(c *Config) { c.ChannelID, c.ScopeID = "x_y", "" },
		"scope_id: want {channel_id}_{amojo_id}":  func(c *Config) { c.ScopeID = "x" },
		"channel_secret: it is empty":             func(c *Config) { c.ChannelSecret = "" },
		"base_url: its scheme":                    func(c *Config) { c.BaseURL = "amojo.kommo.com" },
		"talks: want a talk's id":                 func(c *Config) { c.Talks = []string{"x"} },
		"discover: want events, talks or ids":     func(c *Config) { c.Discover = "x" },
		"reading proxy_url":                       func(c *Config) { c.ProxyURL = "x" },
	} {
		conf := Config{APIURL: "https://example.kommo.com", AccessToken: "t", ScopeID: "a_b", ChannelSecret: "s"}
		change(&conf)
		_, err := Run(t.Context(), conf)
		require.ErrorContains(t, err, want)
	}
}

func TestLastPage(t *testing.T) {
	t.Parallel()
	for pages := 1; pages < 70; pages++ {
		asked := 0
		got, err := lastPage(func(n int) (bool, error) { asked++; return n <= pages, nil })
		require.NoError(t, err)
		assert.Equal(t, pages, got)
		assert.LessOrEqual(t, asked, 13, fmt.Sprint(pages))
	}
	got, err := lastPage(func(int) (bool, error) { return true, nil })
	require.NoError(t, err)
	assert.Greater(t, got, mostPages)
}

func TestCheck_OriginsThatAreWanted(t *testing.T) {
	t.Parallel()
	report := checked(t, world(t, sandbox.Config{}), func(c *Config) { c.Origins = []string{sandbox.DemoOrigin, "nobodys"} })
	assert.Equal(t, "none", finding(t, report, "channels.wanted").Answer)
	assert.Equal(t, 8, report.Estimates[0].Chats)
	assert.NotContains(t, shown(t, report.Public()), "nobodys")
}

func TestCheck_WithATokenAloneMessagesHaveToBeReadable(t *testing.T) {
	t.Parallel()
	s := world(t, sandbox.Config{})
	require.NoError(t, s.SetFaults(fault("402,endpoint=talk-messages")...))
	report := checked(t, s, func(c *Config) { c.BaseURL, c.ScopeID, c.ChannelSecret, c.Chats = "", "", "", nil })
	assert.Equal(t, Error, finding(t, report, "messages.answer").Status)
	report = checked(t, s)
	assert.Equal(t, Warning, finding(t, report, "messages.answer").Status, "there is a channel")
	assert.False(t, report.Failed())
}
