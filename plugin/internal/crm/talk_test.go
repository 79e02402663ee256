// SPDX-License-Identifier: Apache-2.0

package crm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// account is a sandbox with talks 1 to 3, of 300 messages each, and a client of it.
func account(t *testing.T, config sandbox.Config, tokens TokenSource) (*sandbox.Server, *Client) {
	t.Helper()
	s, err := sandbox.New(config)
	require.NoError(t, err)
	require.NoError(t, s.SyntheticTalks(3, 300, time.Unix(1_700_000_000, 0), time.Second))
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	conf := Config{URL: server.URL, Token: sandbox.DemoAccessToken, Tokens: tokens, Call: apicall.New(apicall.Config{MaxAttempts: 1, URLField: "api_url"})}
	c, err := NewClient(conf)
	require.NoError(t, err)
	return s, c
}

func TestClient_TalkMessages(t *testing.T) {
	t.Parallel()
	s, c := account(t, sandbox.Config{}, nil)
	page, err := c.TalkMessages(t.Context(), "2", MessageQuery{Page: 1, Limit: 250})
	require.NoError(t, err)
	require.Len(t, page.Messages, 250)
	assert.WithinDuration(t, time.Now(), page.Date, time.Minute)
	assert.True(t, page.Next.Is)
	assert.Equal(t, 2, page.Next.Page())
	all := s.TalkMessages(2)
	for i, m := range page.Messages {
		assert.Equal(t, string(all[299-i]), string(m.Raw))
		assert.Equal(t, sandbox.SyntheticTalkMessageID(2, 299-i), m.ID)
	}
	newest := page.Messages[0]
	assert.Equal(t, int64(1_700_000_000+299*3+1), newest.CreatedAt)
	assert.Equal(t, "504141", newest.Author.UserID)
	assert.Equal(t, "external", newest.Recipient.Type)

	page, err = c.TalkMessages(t.Context(), "2", MessageQuery{Page: 2, Limit: 250})
	require.NoError(t, err)
	assert.Len(t, page.Messages, 50)
	assert.Equal(t, Next{}, page.Next)
	page, err = c.TalkMessages(t.Context(), "2", MessageQuery{Page: 3, Limit: 250})
	require.NoError(t, err)
	assert.Nil(t, page.Messages)
	assert.False(t, page.Date.IsZero())

	at := newest.CreatedAt - 3
	page, err = c.TalkMessages(t.Context(), "2", MessageQuery{Page: 1, Limit: 9, From: at, To: at})
	require.NoError(t, err)
	require.Len(t, page.Messages, 1)
	assert.Equal(t, at, page.Messages[0].CreatedAt)
	assert.Empty(t, s.Ledger().RefusedCRM)
}

func TestClient_Events(t *testing.T) {
	t.Parallel()
	s, c := account(t, sandbox.Config{}, nil)
	newest, err := c.Events(t.Context(), EventQuery{Page: 1, Limit: 2})
	require.NoError(t, err)
	assert.Equal(t, 2, newest.Rows)
	assert.Equal(t, 2, newest.Next.Page())
	e := newest.Events[0]
	assert.Equal(t, sandbox.SyntheticTalkMessageID(3, 299), e.MessageID)
	assert.Equal(t, "3", e.TalkID)
	assert.Equal(t, "facebook", e.Origin)
	assert.Equal(t, OutgoingMessage, e.Type)
	oldest, err := c.Events(t.Context(), EventQuery{Page: 1, Limit: 2, Order: "asc", Types: []string{IncomingMessage}, From: 1_700_000_001})
	require.NoError(t, err)
	assert.Equal(t, sandbox.SyntheticTalkMessageID(2, 0), oldest.Events[0].MessageID)
	none, err := c.Events(t.Context(), EventQuery{Page: 1, Limit: 2, From: 1_800_000_000, To: 1_800_000_000})
	require.NoError(t, err)
	assert.Nil(t, none.Events)
	assert.Empty(t, s.Ledger().RefusedCRM)
}

func TestClient_Talk(t *testing.T) {
	t.Parallel()
	s, c := account(t, sandbox.Config{}, nil)
	talk, err := c.Talk(t.Context(), "3")
	require.NoError(t, err)
	assert.Equal(t, "3", talk.ID.Text)
	assert.Equal(t, "facebook", talk.Origin)
	assert.NotEmpty(t, talk.ChatID)
	var refused *RefusedError
	for _, call := range []func() error{
		func() error { _, err := c.Talk(t.Context(), "4"); return err },
		func() error {
			_, err := c.TalkMessages(t.Context(), "4", MessageQuery{Page: 1, Limit: 1})
			return err
		},
	} {
		require.ErrorAs(t, call(), &refused)
		assert.Equal(t, RefusedNotFound, refused.Reason)
		assert.Equal(t, "4", refused.Talk)
		assert.False(t, refused.Everything())
		assert.Contains(t, refused.Error(), "the account has no such talk")
	}
	require.NoError(t, s.SetFaults(sandbox.Fault{Kind: sandbox.FaultCutJSON, Endpoint: sandbox.EndpointTalk}))
	_, err = c.Talk(t.Context(), "3")
	require.ErrorIs(t, err, apicall.ErrBrokenBody)
}

func TestDecodeTalk(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"talk_id":7,"chat_id":"c"}`: "", "\n{\"id\":\"7\"}\n": "", `{"talk_id":0}`: "want a talk_id", `{"title":"private"}`: "want a talk_id", `[]`: "not a JSON object", `{"talk_id":7`: "breaks off", "": "breaks off",
	} {
		e, err := DecodeTalk([]byte(body))
		if want == "" {
			require.NoError(t, err, body)
			assert.Equal(t, "7", e.ID.Text)
			continue
		}
		require.ErrorIs(t, err, apicall.ErrBrokenBody, body)
		assert.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "private")
	}
}

func TestClient_A204IsNoTalk(t *testing.T) {
	t.Parallel()
	c := newClient(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	_, err := c.Talk(t.Context(), "3")
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, RefusedNotFound, refused.Reason)
}

func TestClient_RefusalsOfTalks(t *testing.T) {
	t.Parallel()
	for fault, want := range map[string]struct {
		reason     Reason
		everything bool
		says       string
	}{
		"401":            {RefusedToken, true, "access_token has expired"},
		"402":            {RefusedPlan, true, "part of Trial, Pro, Enterprise and Technical"},
		"403,body=scope": {RefusedScope, true, `lacks the scope list_external_messages: enable "External chat history"`},
		"403,body=json":  {RefusedRight, true, "lacks a right"},
		"403":            {RefusedRight, true, "lacks a right"},
		"403,body=html":  {RefusedBlocked, true, "blocked for overload"},
		"403,body=text":  {RefusedBlocked, true, "blocked for overload"},
		"404":            {RefusedNotFound, false, "the account has no such talk"},
		"404,body=html":  {RefusedOther, true, "check that api_url is the account's address"},
		"400":            {RefusedOther, false, "check api_url and page_size"},
	} {
		s, c := account(t, sandbox.Config{}, nil)
		f, err := sandbox.ParseFault(fault)
		require.NoError(t, err)
		require.NoError(t, s.SetFaults(f))
		_, err = c.TalkMessages(t.Context(), "2", MessageQuery{Page: 7, Limit: 1})
		var refused *RefusedError
		require.ErrorAs(t, err, &refused, fault)
		assert.Equal(t, want.reason, refused.Reason, fault)
		assert.Equal(t, want.everything, refused.Everything(), fault)
		assert.Contains(t, err.Error(), "reading messages of talk 2, page 7: ", fault)
		assert.Contains(t, err.Error(), want.says, fault)
		assert.False(t, apicall.Retryable(err), fault)

		_, err = c.Events(t.Context(), EventQuery{Page: 1, Limit: 1})
		require.ErrorAs(t, err, &refused, fault)
		assert.True(t, refused.Everything(), "a feed is the account's")
		assert.Contains(t, err.Error(), "listing events, page 1: ", fault)
	}
	s, c := account(t, sandbox.Config{}, nil)
	require.NoError(t, s.SetFaults(sandbox.Fault{Kind: sandbox.FaultStatus, Status: 503}))
	_, err := c.TalkMessages(t.Context(), "2", MessageQuery{Page: 1, Limit: 1})
	require.ErrorContains(t, err, "reading messages of talk 2, page 1: ")
	assert.True(t, apicall.Retryable(err))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.TalkMessages(ctx, "2", MessageQuery{Page: 1, Limit: 1})
	assert.Equal(t, context.Canceled, err)
}

func TestClient_WrongCallsOfTalks(t *testing.T) {
	t.Parallel()
	c := newClient(t, func(http.ResponseWriter, *http.Request) { t.Error("nothing is to be sent") })
	for want, q := range map[string]MessageQuery{
		"page: want 1 or more, got 0":            {0, 1, 0, 0},
		"limit: want 1..250, got 0":              {1, 0, 0, 0},
		"limit: want 1..250, got 251":            {1, 251, 0, 0},
		"from: want 0 or more, got -1":           {1, 1, -1, 0},
		"to: want 0, or not less than from, got": {1, 1, 5, 4},
	} {
		_, err := c.TalkMessages(t.Context(), "2", q)
		assert.ErrorContains(t, err, want)
		_, err = c.Events(t.Context(), EventQuery{Page: q.Page, Limit: q.Limit, From: q.From, To: q.To})
		assert.ErrorContains(t, err, want)
	}
	_, err := c.Events(t.Context(), EventQuery{Page: 1, Limit: 1, Order: "up"})
	require.ErrorContains(t, err, "order: want asc or desc")
	for _, id := range []string{"", "0", "07", "x", "../events", "1/2", "-1", "1.5", " 1", "1234567890123456789", "0a7c4b1e-5d5b-4b0e-9a53-2f5f0c9f1a01"} {
		require.Error(t, CheckTalkID(id), id)
		_, err := c.TalkMessages(t.Context(), id, MessageQuery{Page: 1, Limit: 1})
		require.ErrorContains(t, err, "talk_id of GET /api/v4/talks", id)
		_, err = c.Talk(t.Context(), id)
		require.ErrorContains(t, err, "talk_id of GET /api/v4/talks", id)
	}
	for _, id := range []int{1, 9, 1109, 999999999} {
		require.NoError(t, CheckTalkID(strconv.Itoa(id)))
	}
}

// A token without the scope reads all but the messages, as it is said of the API.
func TestClient_Claims(t *testing.T) {
	t.Parallel()
	token := sandbox.NewToken(sandbox.Claims{Scopes: []string{"crm"}, Expires: time.Unix(2_000_000_000, 0)})
	source, err := NewToken(token)
	require.NoError(t, err)
	_, c := account(t, sandbox.Config{AccessToken: token}, source)
	claims, err := c.Claims()
	require.NoError(t, err)
	assert.Equal(t, Claims{Expires: time.Unix(2_000_000_000, 0), Scopes: []string{"crm"}}, claims)
	assert.True(t, claims.Lacks(ScopeMessages))
	_, err = c.Events(t.Context(), EventQuery{Page: 1, Limit: 1})
	require.NoError(t, err)
	_, err = c.TalkMessages(t.Context(), "1", MessageQuery{Page: 1, Limit: 1})
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, RefusedScope, refused.Reason)
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v %v", c, c, c, errors.Unwrap(err)), token)
}

// Past the end a page may lack its list, but for what looks like an error or a broken page.
func TestClient_PastTheEndWithoutAList(t *testing.T) {
	t.Parallel()
	for body, is := range map[string]bool{
		`{"_page":2}`: true, `{}`: true, `null`: true, `{"_page":2,"_embedded":{}}`: true, `{"_page":2,"_embedded":null,"_links":{}}`: true,
		`{"title":"Forbidden","status":403}`: false, `{"_embedded":{"messages":5}}`: false, `{"_embedded":"x"}`: false,
		`{"_page":2,"_links":{"next":{"href":"https://example.kommo.com/api/v4/talks/2/messages?page=3"}}}`: false, `{`: false, ``: false,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }))
		c, err := NewClient(Config{URL: server.URL, Token: "a", Call: apicall.New(apicall.Config{MaxAttempts: 1, URLField: "api_url"})})
		require.NoError(t, err)
		for page := range 3 {
			got, err := c.TalkMessages(t.Context(), "2", MessageQuery{Page: page + 1, Limit: 250})
			assert.Equal(t, is && page > 0, err == nil, "page %d: %s", page+1, body)
			assert.Empty(t, got.Messages)
		}
		server.Close()
	}
}
