// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func as(s *Server, token, target string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", target, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return serve(s, r)
}

func TestToken_ScopesAndExpiry(t *testing.T) {
	t.Parallel()
	now := noon
	s := newServer(t, Config{Now: func() time.Time { return now }})
	require.NoError(t, s.AppendTalk(7, TalkText("a", noon, "x")))
	const talks, messages, events = "/api/v4/talks", "/api/v4/talks/7/messages", "/api/v4/events"

	all, crmOnly, none := s.IssueToken(Claims{Expires: noon.Add(time.Hour)}), s.IssueToken(Claims{Scopes: []string{ScopeCRM}}), s.IssueToken(Claims{Scopes: []string{}})
	for _, path := range []string{talks, messages, events} {
		assert.Equal(t, 200, as(s, all, path).Code, path)
		assert.Equal(t, 200, as(s, DemoAccessToken, path).Code, path)
		assert.Equal(t, 401, as(s, NewToken(Claims{}), path).Code, "one of another server")
		assert.Equal(t, 403, as(s, none, path).Code)
	}
	assert.Equal(t, 200, as(s, crmOnly, talks).Code)
	assert.Equal(t, 200, as(s, crmOnly, events).Code)
	w := as(s, crmOnly, messages)
	assert.Equal(t, 403, w.Code)
	assert.JSONEq(t, `{"title":"Forbidden","status":403,"detail":"Invalid scope"}`, w.Body.String())
	now = noon.Add(time.Hour)
	assert.Equal(t, 401, as(s, all, talks).Code)
	assert.Equal(t, 200, as(s, crmOnly, talks).Code)
	s.RevokeTokens()
	assert.Equal(t, 401, as(s, crmOnly, talks).Code)
	assert.Equal(t, 200, as(s, DemoAccessToken, talks).Code)
	assert.Equal(t, map[string]int{"scope": 4, "token": 4, "expired": 1}, s.Ledger().RefusedCRM)

	token := NewToken(Claims{Scopes: []string{ScopeCRM}})
	own := newServer(t, Config{AccessToken: token, Now: time.Now})
	assert.Equal(t, 204, as(own, token, talks).Code)
	assert.Equal(t, 403, as(own, token, messages).Code)
}

func TestToken_RefusalsAsFaults(t *testing.T) {
	t.Parallel()
	s := talkOf(t, 1)
	for text, want := range map[string]string{
		"402,endpoint=talk-messages":            `"detail":"Endpoint not available for current account tariff"`,
		"403,body=scope,endpoint=talk-messages": `"detail":"Invalid scope"`,
		"401,endpoint=talk-messages":            `"title":"Unauthorized"`,
	} {
		f, err := ParseFault(text)
		require.NoError(t, err)
		require.NoError(t, s.SetFaults(f))
		w := crm(s, "/api/v4/talks/7/messages")
		assert.Equal(t, f.Status, w.Code)
		assert.Contains(t, w.Body.String(), want)
		assert.Equal(t, 200, crm(s, "/api/v4/talks").Code)
		assert.Equal(t, 200, crm(s, "/api/v4/events").Code)
	}
}

func TestControl_TalksAndTokens(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	odd := `{ "id":"m 1","created_at":1 }`
	assert.Equal(t, `{"id":7,"messages":1}`, control(s, "POST", "talks/7/messages", odd).Body.String())
	assert.Equal(t, `{"id":7,"messages":2}`, control(s, "POST", "talks/7/messages?text=hi&type=outgoing&at=2026-03-03T11:00:00Z", "").Body.String())
	var m TalkMessage
	require.NoError(t, json.Unmarshal(s.TalkMessages(7)[1], &m))
	assert.Equal(t, TalkOutgoing, m.Type)
	assert.Equal(t, noon.Add(-time.Hour).Unix(), m.CreatedAt)
	assert.Contains(t, control(s, "GET", "talks/7/messages", "").Body.String(), odd)
	assert.Equal(t, 204, control(s, "PUT", "talks/7/messages/m%201", `{"id":"m 1","text":"edited"}`).Code)
	assert.Contains(t, string(s.TalkMessages(7)[0]), "edited")
	assert.Equal(t, 400, control(s, "PUT", "talks/7/messages/m%201", `[1,2]`).Code)
	assert.Equal(t, 404, control(s, "PUT", "talks/7/messages/none", `{}`).Code)
	assert.Equal(t, 204, control(s, "DELETE", "talks/7/messages/m%201", "").Code)
	assert.Equal(t, 404, control(s, "DELETE", "talks/7/messages/m%201", "").Code)
	for _, bad := range []string{"talks/7/messages?type=x&text=y", "talks/7/messages?at=noon", "talks/7/messages"} {
		assert.Equal(t, 400, control(s, "POST", bad, "").Code, bad)
	}
	s.Append("own", Text("a", noon, "x"))
	assert.Equal(t, 409, control(s, "POST", "talks/1000000/messages", odd).Code)
	assert.Equal(t, 404, control(s, "GET", "talks/x/messages", "").Code)

	var issued struct {
		Token string `json:"access_token"`
	}
	require.NoError(t, json.Unmarshal(control(s, "POST", "tokens?scopes=crm&expires_in=1h", "").Body.Bytes(), &issued))
	assert.Equal(t, 403, as(s, issued.Token, "/api/v4/talks/7/messages").Code)
	assert.Equal(t, 200, as(s, issued.Token, "/api/v4/talks").Code)
	assert.Equal(t, 400, control(s, "POST", "tokens?expires_in=soon", "").Code)
	assert.Equal(t, 204, control(s, "DELETE", "tokens", "").Code)
	assert.Equal(t, 401, as(s, issued.Token, "/api/v4/talks").Code)

	ledger := control(s, "GET", "ledger", "").Body.String()
	assert.Contains(t, ledger, `"talks":{"7":{"requests":1}}`)
	assert.Contains(t, control(s, "GET", "ledger?talk=7", "").Body.String(), `"talks":{"7":{"requests":1,"pages":[{"page":1,"limit":250,"status":403,"items":0}]}}`)
}

// Talks grow and shrink as chats do.
func TestChurn_Talks(t *testing.T) {
	t.Parallel()
	s := talkOf(t, 3)
	growing, shrinking := newChurner(s, 1, 1), newChurner(s, 1, 1)
	for range 5 {
		growing.grow()
	}
	assert.Len(t, s.TalkMessages(7), 8)
	for range 20 {
		shrinking.shrink()
	}
	assert.Empty(t, s.TalkMessages(7))
}
