// SPDX-License-Identifier: Apache-2.0

package crm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
)

const token = "t0ken"

func newClient(t *testing.T, serve http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(serve)
	t.Cleanup(server.Close)
	c, err := NewClient(Config{
		URL: server.URL + "/base/", Token: token,
		Call: apicall.New(apicall.Config{Backoff: apicall.Backoff{MaxElapsedTime: 1}, URLField: "api_url"}),
	})
	require.NoError(t, err)
	return c
}

func TestClient_List(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "Bearer "+token, r.Header.Get("Authorization"))
		assert.Equal(t, "/base/api/v4/talks?limit=250&page=3", r.RequestURI)
		w.Header().Set("Date", at.Format(http.TimeFormat))
		fmt.Fprint(w, `{"_links":{"next":{"href":"x"}},"_embedded":{"talks":[ {"talk_id":5, "chat_id":"a"} ]}}`)
	})
	page, err := c.List(t.Context(), Talks, 3, 250)
	require.NoError(t, err)
	assert.True(t, page.More)
	assert.True(t, at.Equal(page.Date))
	require.Len(t, page.Entries, 1)
	assert.Equal(t, `{"talk_id":5, "chat_id":"a"}`, string(page.Entries[0].Raw))
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", c, c, c), token)
}

func TestClient_NoContentIsAnEmptyPage(t *testing.T) {
	t.Parallel()
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/base/api/v4/contacts/chats", r.URL.Path)
		w.Header()["Date"] = nil
		w.WriteHeader(204)
	})
	page, err := c.List(t.Context(), ContactChats, 1, 1)
	require.NoError(t, err)
	assert.Empty(t, page.Entries)
	assert.False(t, page.More)
	assert.WithinDuration(t, time.Now(), page.Date, time.Minute, "the local time where the server tells none")
}

func TestClient_Errors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status  int
		body    string // "": JSON
		source  Source
		refused bool
		want    string
	}{
		"401":           {401, "", Talks, true, "access_token has expired"},
		"402":           {402, "", Talks, true, "tariff"},
		"403":           {403, "", Talks, true, "the user of access_token lacks a right: use an administrator's token"},
		"403, contacts": {403, "", ContactChats, true, "contact_chats needs an administrator's token"},
		"403, blocked":  {403, "<html></html>", Talks, true, "blocked for overload"},
		"403, as text":  {403, "Forbidden", Talks, true, "blocked for overload, so wait"},
		"401, words":    {401, `{"title":"Unauthorized","type":"https://httpstatus.es/401","status":401,"detail":"Token has expired"}`, Talks, true, "status 401: access_token has expired"},
		"400 of nginx":  {400, "<html>The plain HTTP request was sent to HTTPS port</html>", Talks, true, "which should begin with https://"},
		"408":           {408, "", Talks, false, "try again later"},
		"404":           {404, "", Talks, true, "check that api_url is the account's address"},
		"422":           {422, "", Talks, true, "status 422: check api_url and page_size"},
		"429":           {429, "", Talks, false, "lower requests_per_second"},
		"500":           {500, "", Talks, false, "try again later"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
				body := cmp.Or(tc.body, `{"title":"spoilt","detail":""}`)
				w.WriteHeader(tc.status)
				fmt.Fprint(w, body)
			})
			_, err := c.List(t.Context(), tc.source, 2, 10)
			require.ErrorContains(t, err, tc.want)
			assert.Contains(t, err.Error(), fmt.Sprintf("listing %s, page 2: ", tc.source))
			var refused *RefusedError
			assert.Equal(t, tc.refused, errors.As(err, &refused))
			if tc.refused {
				assert.Equal(t, tc.status == 403 && tc.body != "", refused.Err.Blocked())
			}
			assert.NotContains(t, err.Error(), token)
		})
	}
}

func TestClient_ContextEnds(t *testing.T) {
	t.Parallel()
	c := newClient(t, func(http.ResponseWriter, *http.Request) {})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.List(ctx, Talks, 1, 1)
	assert.Equal(t, context.Canceled, err)
}

func TestClient_WrongCalls(t *testing.T) {
	t.Parallel()
	c := newClient(t, func(http.ResponseWriter, *http.Request) { t.Error("nothing is to be sent") })
	for want, call := range map[string]func() (Page, error){
		"page: want 1 or more":                func() (Page, error) { return c.List(t.Context(), Talks, 0, 1) },
		"limit: want 1..250, got 0":           func() (Page, error) { return c.List(t.Context(), Talks, 1, 0) },
		"limit: want 1..250, got 251":         func() (Page, error) { return c.List(t.Context(), Talks, 1, 251) },
		`want talks or contact_chats, got ""`: func() (Page, error) { return c.List(t.Context(), "", 1, 1) },
	} {
		_, err := call()
		assert.ErrorContains(t, err, want)
	}
}

func TestNewClient_Errors(t *testing.T) {
	t.Parallel()
	for want, conf := range map[string]Config{
		"api_url: it is empty":          {Token: token},
		"api_url: it is not a URL":      {URL: "http://[", Token: token},
		"api_url: its scheme":           {URL: "ftp://x", Token: token},
		"api_url: it has no host":       {URL: "https://", Token: token},
		"api_url: it names a user":      {URL: "https://u:pass@x", Token: token},
		"api_url: it has a query":       {URL: "https://x?y=1", Token: token},
		"access_token: it is empty":     {URL: "https://x"},
		"access_token: it has a space ": {URL: "https://x", Token: "a b"},
	} {
		_, err := NewClient(conf)
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "pass@")
	}
}
