// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func crm(s *Server, target string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Header.Set("Authorization", "Bearer "+DemoAccessToken)
	return serve(s, r)
}

type listing struct {
	Page  int `json:"_page"`
	Links map[string]struct{ Href string }
	Items struct {
		Talks []Talk
		Chats []contactChat
	} `json:"_embedded"`
}

func list(t *testing.T, s *Server, target string) listing {
	t.Helper()
	w := crm(s, target)
	require.Equal(t, 200, w.Code, w.Body.String())
	assert.Equal(t, "application/hal+json", w.Header().Get("Content-Type"))
	var l struct {
		listing
		Links map[string]struct{ Href string } `json:"_links"`
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &l))
	l.listing.Links = l.Links
	return l.listing
}

func manyChats(t *testing.T, n int) *Server {
	t.Helper()
	s := newServer(t, Config{})
	for i := range n {
		require.NoError(t, s.Synthetic(SyntheticChat(i), 2, noon.Add(time.Duration(i-n)*time.Minute), time.Second))
	}
	return s
}

func TestTalks_PagesLatestFirst(t *testing.T) {
	t.Parallel()
	s := manyChats(t, 7)
	target, seen := "/api/v4/talks?limit=3&filter%5Bonly_in_work%5D=1", []string{}
	for pages := 1; ; pages++ {
		l := list(t, s, target)
		assert.Equal(t, pages, l.Page)
		for _, talk := range l.Items.Talks {
			seen = append(seen, talk.ChatID)
		}
		next, ok := l.Links["next"]
		if !ok {
			assert.Equal(t, 3, pages)
			break
		}
		u, err := url.Parse(next.Href)
		require.NoError(t, err)
		assert.Equal(t, "1", u.Query().Get("filter[only_in_work]"), "links keep the filter")
		target = u.RequestURI()
	}
	for i, id := range seen {
		assert.Equal(t, SyntheticChat(6-i), id)
	}
	assert.Len(t, seen, 7)
	assert.Equal(t, 204, crm(s, "/api/v4/talks?page=4&limit=3").Code)
	assert.Equal(t, 204, crm(newServer(t, Config{}), "/api/v4/talks").Code)
	assert.Equal(t, noon.Add(-7*time.Minute).Unix()+1, s.Talks()[6].UpdatedAt, "as old as the newest message")
}

func TestTalks_TouchedOnesMoveToTheFront(t *testing.T) {
	t.Parallel()
	s := manyChats(t, 4)
	first := list(t, s, "/api/v4/talks?limit=2").Items.Talks
	assert.Equal(t, []string{SyntheticChat(3), SyntheticChat(2)}, []string{first[0].ChatID, first[1].ChatID})
	s.OnRequest(func(r Request) {
		assert.Equal(t, Request{N: 2, Endpoint: EndpointTalks, Offset: -1, Limit: 2, Page: 2}, r)
		s.Append(SyntheticChat(0), Text("x", noon, "hi"))
		s.OnRequest(nil)
	})
	second := list(t, s, "/api/v4/talks?limit=2&page=2").Items.Talks
	assert.Equal(t, []string{SyntheticChat(2), SyntheticChat(1)}, []string{second[0].ChatID, second[1].ChatID})

	later := noon.Add(time.Hour)
	assert.True(t, s.TouchTalk(1_000_001, later))
	assert.True(t, s.TouchTalk(1_000_002, later))
	assert.False(t, s.TouchTalk(5, later))
	s.SetTalk(Talk{ID: 5, ChatID: "foreign", Origin: "telegram", UpdatedAt: noon.Unix() - 3600})
	var order []int
	for _, talk := range s.Talks() {
		order = append(order, talk.ID)
	}
	assert.Equal(t, []int{1_000_002, 1_000_001, 1_000_000, 1_000_003, 5}, order)
	assert.Len(t, list(t, s, "/api/v4/talks?filter[only_in_work]=true").Items.Talks, 4)
	s.SetTalk(Talk{ID: 5, ChatID: "foreign", UpdatedAt: later.Unix() + 1})
	assert.Equal(t, 5, s.Talks()[0].ID)
	assert.Len(t, s.Talks(), 5)
}

func TestTalks_NewChatsAndCap(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{TalksCap: 3})
	s.Append("a", json.RawMessage("null"))
	assert.Len(t, s.Talks(), 1)
	for i := range 5 {
		s.Append(fmt.Sprint(i), Text("x", noon, "hi"))
	}
	assert.Len(t, s.Talks(), 6)
	l := list(t, s, "/api/v4/talks")
	assert.Len(t, l.Items.Talks, 3)
	assert.NotContains(t, l.Links, "next")
	assert.Equal(t, 204, crm(s, "/api/v4/talks?page=2").Code)
}

func TestContactChats(t *testing.T) {
	t.Parallel()
	s := manyChats(t, 300)
	first := list(t, s, "/api/v4/contacts/chats")
	assert.Len(t, first.Items.Chats, 250)
	u, err := url.Parse(first.Links["next"].Href)
	require.NoError(t, err)
	assert.Len(t, list(t, s, u.RequestURI()).Items.Chats, 50)
	one := contactChat{ID: 4_000_007, ContactID: 2_000_007, ChatID: SyntheticChat(7)}
	assert.Equal(t, []contactChat{one}, list(t, s, "/api/v4/contacts/chats?contact_id[]=2000007").Items.Chats)
	assert.Equal(t, []contactChat{one}, list(t, s, "/api/v4/contacts/chats?chat_id[]="+SyntheticChat(7)).Items.Chats)
	assert.Len(t, list(t, s, "/api/v4/contacts/chats?contact_id[]=2000007&contact_id[]=2000008").Items.Chats, 2)
	assert.Equal(t, 204, crm(s, "/api/v4/contacts/chats?chat_id[]=nothing").Code)
}

func TestCRM_Refusals(t *testing.T) {
	t.Parallel()
	s := manyChats(t, 1)
	for _, path := range []string{"/api/v4/talks", "/api/v4/contacts/chats"} {
		for _, token := range []string{"", "Bearer wrong", DemoAccessToken} {
			r := httptest.NewRequest("GET", path, nil)
			r.Header.Set("Authorization", token)
			assert.Equal(t, 401, serve(s, r).Code, token)
		}
		for _, query := range []string{"limit=0", "limit=251", "limit=x", "page=0", "page=x", "page=-1", "x=%zz"} {
			assert.Equal(t, 400, crm(s, path+"?"+query).Code, query)
		}
		r := httptest.NewRequest("POST", path, nil)
		assert.Equal(t, 405, serve(s, r).Code)
	}
	for _, f := range []Fault{
		{Kind: FaultStatus, Status: 401}, {Kind: FaultStatus, Status: 402}, {Kind: FaultStatus, Status: 403, Body: BodyJSON},
		{Kind: FaultStatus, Status: 403, Body: BodyHTML}, {Kind: FaultStatus, Status: 429, RetryAfter: time.Second}, {Kind: FaultCutJSON},
	} {
		f.Endpoint = EndpointTalks
		require.NoError(t, s.SetFaults(f))
		if f.Kind == FaultStatus {
			assert.Equal(t, f.Status, crm(s, "/api/v4/talks").Code)
		} else {
			assert.False(t, json.Valid(crm(s, "/api/v4/talks").Body.Bytes()))
		}
		assert.Equal(t, 200, crm(s, "/api/v4/contacts/chats").Code, "only the endpoint that is named")
		assert.Equal(t, 200, page(s, SyntheticChat(0), 0, 1).Code)
	}
	assert.Positive(t, s.Ledger().ByEndpoint[EndpointTalks])
	assert.Zero(t, s.Ledger().RefusedTotal)
}

func TestCRM_SharesTheRateLimit(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{RequestsPerSecond: 0.001, Burst: 2})
	assert.Equal(t, 204, crm(s, "/api/v4/talks").Code)
	assert.Equal(t, 204, page(s, "a", 0, 1).Code)
	assert.Equal(t, 429, crm(s, "/api/v4/talks").Code)
}
