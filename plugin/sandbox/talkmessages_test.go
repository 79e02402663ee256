// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// rows is a page of a listing: its entries, and where next leads; "" without it.
func rows(tb require.TestingT, w *httptest.ResponseRecorder, name string) (entries []json.RawMessage, next string) {
	if w.Code == 204 {
		return nil, ""
	}
	require.Equal(tb, 200, w.Code, w.Body.String())
	var body struct {
		Links    map[string]struct{ Href string } `json:"_links"`
		Embedded map[string][]json.RawMessage     `json:"_embedded"`
	}
	require.NoError(tb, json.Unmarshal(w.Body.Bytes(), &body), w.Body.String())
	require.Contains(tb, body.Embedded, name)
	return body.Embedded[name], body.Links["next"].Href
}

// talkPage returns the ids of a page of talk 7, or what has none.
func talkPage(tb require.TestingT, s *Server, query string) string {
	entries, _ := rows(tb, crm(s, "/api/v4/talks/7/messages?"+query), "messages")
	return joined(entries)
}

func joined(entries []json.RawMessage) string {
	var ids []string
	for _, item := range entries {
		id := TalkMessageID(item)
		if id == "" {
			id = string(item)
		}
		ids = append(ids, id)
	}
	return strings.Join(ids, ",")
}

// talkOf has the messages 0 to n-1 in talk 7, a minute apart up to noon.
func talkOf(tb testing.TB, n int) *Server {
	tb.Helper()
	s := newServer(tb, Config{})
	for i := range n {
		text := TalkText
		if i%2 == 1 {
			text = TalkReply
		}
		at := noon.Add(time.Duration(i-n+1) * time.Minute)
		require.NoError(tb, s.AppendTalkAt(7, at, text(fmt.Sprint(i), at, "x")))
	}
	return s
}

func filter(name string, at time.Time) string {
	return url.QueryEscape("filter[created_at]["+name+"]") + "=" + fmt.Sprint(at.Unix())
}

func TestTalkMessages_PagesAndFilter(t *testing.T) {
	t.Parallel()
	s := talkOf(t, 7)
	assert.Equal(t, "6,5,4", talkPage(t, s, "limit=3"))
	assert.Equal(t, "3,2,1", talkPage(t, s, "limit=3&page=2"))
	assert.Equal(t, "0", talkPage(t, s, "limit=3&page=3"))
	assert.Equal(t, 204, crm(s, "/api/v4/talks/7/messages?limit=3&page=4").Code)
	_, next := rows(t, crm(s, "/api/v4/talks/7/messages?limit=3"), "messages")
	u, err := url.Parse(next)
	require.NoError(t, err)
	assert.Equal(t, "/api/v4/talks/7/messages", u.Path)
	assert.Equal(t, "2", u.Query().Get("page"))
	_, next = rows(t, crm(s, "/api/v4/talks/7/messages?limit=3&page=3"), "messages")
	assert.Empty(t, next)

	at := noon.Add(-2 * time.Minute)
	assert.Equal(t, "6,5,4", talkPage(t, s, filter("from", at)), "the second itself is inside")
	assert.Equal(t, "4,3,2,1,0", talkPage(t, s, filter("to", at)))
	assert.Equal(t, "4", talkPage(t, s, filter("from", at)+"&"+filter("to", at)))
	assert.Equal(t, 204, crm(s, "/api/v4/talks/7/messages?"+filter("from", noon.Add(time.Second))).Code)
	_, next = rows(t, crm(s, "/api/v4/talks/7/messages?limit=1&"+filter("from", at)), "messages")
	assert.Contains(t, next, filter("from", at), "links keep the filter")

	account := s.Ledger().Talks[7]
	assert.Equal(t, 11, account.Requests)
	assert.Equal(t, TalkRequest{Page: 1, Limit: 3, Status: 200, Items: 3}, account.Pages[0])
	assert.Equal(t, TalkRequest{Page: 1, Limit: 1, From: at.Unix(), Status: 200, Items: 1}, account.Pages[10])
	assert.Equal(t, 11, s.Ledger().ByEndpoint[EndpointTalkMessages])
}

func TestTalkMessages_ByteForByteAndInOrderOfTime(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	odd := `{ "id" : "late" ,"created_at":"` + fmt.Sprint(noon.Unix()-30) + `" }`
	require.NoError(t, s.AppendTalk(7, TalkText("a", noon.Add(-time.Minute), "x"), TalkText("b", noon, "x"), json.RawMessage(odd), json.RawMessage("5")))
	assert.Equal(t, []string{"a", "late", "b"}, strings.Split(joined(s.TalkMessages(7)), ",")[:3])
	w := crm(s, "/api/v4/talks/7/messages")
	assert.Contains(t, w.Body.String(), odd)
	assert.Equal(t, "5,b,late,a", talkPage(t, s, ""), "what has no time came now")

	assert.True(t, s.ReplaceTalkMessage(7, "late", json.RawMessage(`{"id":"late","text":"edited"}`)))
	assert.Equal(t, "5,b,late,a", talkPage(t, s, ""), "it keeps its place")
	assert.True(t, s.ReplaceTalkMessage(7, "a", TalkText("a", noon.Add(time.Hour), "moved")))
	assert.Equal(t, "a,5,b,late", talkPage(t, s, ""))
	assert.True(t, s.DeleteTalkMessage(7, "b"))
	assert.False(t, s.DeleteTalkMessage(7, "b"))
	assert.False(t, s.DeleteTalkMessage(8, "b"))
	assert.False(t, s.ReplaceTalkMessage(7, "b", nil))
	assert.Equal(t, "a,5,late", talkPage(t, s, ""))
}

func TestTalkMessages_Strict(t *testing.T) {
	t.Parallel()
	s := talkOf(t, 1)
	s.OnRequest(func(r Request) { assert.NotEqual(t, EndpointOther, r.Endpoint) })
	paths := []string{"/api/v4/talks/7/messages", "/api/v4/events"}
	bad := []string{
		"limit=0", "limit=251", "limit=x", "page=0", "page=-1", "x=%zz", "with=author", "offset=0", "order=asc", "page=1&page=2",
		"filter%5Bcreated_at%5D%5Bfrom%5D=x", "filter%5Bcreated_at%5D%5Bto%5D=-1", "filter%5Bfrom%5D=1", filter("from", noon) + "&" + filter("to", noon.Add(-1e9)),
	}
	for _, path := range paths {
		for _, query := range bad {
			w := crm(s, path+"?"+query)
			assert.Equal(t, 400, w.Code, path+query)
			assert.Contains(t, w.Body.String(), `"detail":"`, "it is told")
		}
		assert.Equal(t, 401, serve(s, httptest.NewRequest("GET", path, nil)).Code)
		r := httptest.NewRequest("POST", path, nil)
		assert.Equal(t, 405, serve(s, r).Code)
	}
	assert.Equal(t, 400, crm(s, "/api/v4/talks/7/messages?filter%5Btype%5D=x").Code)
	assert.Equal(t, 400, crm(s, "/api/v4/events?order%5Bcreated_at%5D=up").Code)
	assert.Equal(t, 400, crm(s, "/api/v4/talks/7?page=1").Code)
	for _, id := range []string{"8", "0", "x", "-1", "99999999999999999999"} {
		assert.Equal(t, 404, crm(s, "/api/v4/talks/"+id+"/messages").Code, id)
		assert.Equal(t, 404, crm(s, "/api/v4/talks/"+id).Code, id)
	}
	assert.Equal(t, map[string]int{"parameter": 2*len(bad) + 3, "token": 2, "method": 2}, s.Ledger().RefusedCRM)
}

func TestTalk_One(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{TalksCap: 1})
	want := Talk{ID: 9, ChatID: "c", ContactID: 3, Origin: "telegram", UpdatedAt: 5}
	s.SetTalk(want)
	s.SetTalk(Talk{ID: 10, UpdatedAt: 6})
	var got Talk
	require.NoError(t, json.Unmarshal(crm(s, "/api/v4/talks/9").Body.Bytes(), &got), "also what the list leaves out")
	assert.Equal(t, want, got)
	assert.Equal(t, 204, crm(s, "/api/v4/talks/9/messages").Code, "a talk without messages")
	require.NoError(t, s.SetFaults(Fault{Kind: FaultStatus, Status: 404, Endpoint: EndpointTalk, Talks: []int{9}}))
	assert.Equal(t, 404, crm(s, "/api/v4/talks/9").Code)
	assert.Equal(t, 200, crm(s, "/api/v4/talks/10").Code)
}

func TestTalkMessages_Quirks(t *testing.T) {
	t.Parallel()
	two := "limit=2&page=2"
	from := filter("from", noon.Add(-2*time.Minute))
	for name, c := range map[string]struct {
		fault Fault
		query string
		want  string
	}{
		"newest first":        {Fault{}, two, "3,2"},
		"oldest first":        {Fault{Kind: FaultOldestFirst}, two, "2,3"},
		"filter kept":         {Fault{}, from, "5,4,3"},
		"filter ignored":      {Fault{Kind: FaultFilterIgnored}, from, "5,4,3,2,1,0"},
		"filter off":          {Fault{Kind: FaultFilterOff}, from, "5,4"},
		"filter off, earlier": {Fault{Kind: FaultFilterOff, Shift: -time.Minute}, from, "5,4,3,2"},
		"lost":                {Fault{Kind: FaultLate, Messages: []string{"4", "2"}}, "limit=3", "5,3,1"},
		"late":                {Fault{Kind: FaultLate, Lag: 90 * time.Second}, "", "3,2,1,0"},
		"late, some":          {Fault{Kind: FaultLate, Lag: time.Hour, Every: 2}, "", "4,2,0"},
		"hidden":              {Fault{Kind: FaultHideItems, Messages: []string{"4"}}, "limit=3", "5,3"},
		"page cap":            {Fault{Kind: FaultPageCap, Limit: 2}, "limit=3&page=2", "3,2"},
		"no id":               {Fault{Kind: FaultNoID, To: 5}, "limit=1", "5"},
		"another talk":        {Fault{Kind: FaultOldestFirst, Talks: []int{8}}, two, "3,2"},
		"another endpoint":    {Fault{Kind: FaultOldestFirst, Endpoint: EndpointEvents}, two, "3,2"},
	} {
		s := talkOf(t, 6)
		if c.fault.Kind != "" {
			require.NoError(t, s.SetFaults(c.fault), name)
		}
		assert.Equal(t, c.want, talkPage(t, s, c.query), name)
	}
}

func TestTalkMessages_QuirksOfItems(t *testing.T) {
	t.Parallel()
	s := talkOf(t, 2)
	first := func(fault Fault) string {
		require.NoError(t, s.SetFaults(fault))
		entries, _ := rows(t, crm(s, "/api/v4/talks/7/messages"), "messages")
		return string(entries[0])
	}
	plain := first(Fault{Kind: FaultOldestFirst, Endpoint: EndpointHistory})
	assert.Contains(t, plain, `"delivery_status":"delivered"`)
	assert.NotContains(t, first(Fault{Kind: FaultNoMsec}), "msec_created_at")
	assert.NotContains(t, first(Fault{Kind: FaultNoID}), `"id":"1"`)
	assert.Contains(t, first(Fault{Kind: FaultStamp, Stamp: Stamp1970}), `"created_at":0,"msec_created_at":0`)
	assert.Len(t, first(Fault{Kind: FaultBigItems, Size: 5000}), 5000)
	seen := map[string]bool{}
	for range 3 {
		item := first(Fault{Kind: FaultDelivery})
		seen[item] = true
		var m TalkMessage
		require.NoError(t, json.Unmarshal([]byte(item), &m))
		assert.Equal(t, strings.Replace(plain, `"delivered"`, `"`+m.DeliveryStatus+`"`, 1), item, "nothing else changes")
	}
	assert.Len(t, seen, 3)

	require.NoError(t, s.SetFaults(Fault{Kind: FaultNullItems}, Fault{Kind: FaultDuplicates, After: 1}))
	big := talkOf(t, 20)
	require.NoError(t, big.SetFaults(Fault{Kind: FaultNullItems}))
	entries, _ := rows(t, crm(big, "/api/v4/talks/7/messages"), "messages")
	assert.Len(t, entries, 22)
	assert.Equal(t, "null", string(entries[10]))
}

func TestTalkMessages_NextLinks(t *testing.T) {
	t.Parallel()
	for style, want := range map[Next]string{NextMissing: "", NextElsewhere: "elsewhere.invalid", NextSelf: "page=1", NextAlways: "page=2"} {
		s := talkOf(t, 3)
		require.NoError(t, s.SetFaults(Fault{Kind: FaultNext, Next: style}))
		_, next := rows(t, crm(s, "/api/v4/talks/7/messages?limit=2"), "messages")
		assert.Contains(t, next, want, style)
		assert.Equal(t, want == "", next == "", style)
	}
}

func TestTalkMessages_WholeChat(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	for id := 7; id <= 9; id++ {
		s.SetTalk(Talk{ID: id, ChatID: map[bool]string{true: "one", false: "other"}[id < 9]})
		require.NoError(t, s.AppendTalk(id, TalkText(fmt.Sprint("m", id), noon.Add(-time.Duration(id)*time.Minute), "x"), TalkText("both", noon, "x")))
	}
	assert.Equal(t, "both,m7", talkPage(t, s, ""))
	require.NoError(t, s.SetFaults(Fault{Kind: FaultWholeChat}))
	assert.Equal(t, "both,m7,m8", talkPage(t, s, ""))
}

func TestTalkMessages_OfAnOwnChat(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	s.Append("a", Text("in", noon.Add(-time.Minute), "hi"), Reply("out", noon, "yes"), json.RawMessage(`7`))
	entries, _ := rows(t, crm(s, "/api/v4/talks/1000000/messages"), "messages")
	assert.Equal(t, "out,in,7", joined(entries))
	var m TalkMessage
	require.NoError(t, json.Unmarshal(entries[0], &m))
	assert.Equal(t, TalkOutgoing, m.Type)
	assert.Equal(t, "internal", m.Author.Type)
	assert.Equal(t, "external", m.Recipient.Type)
	assert.Equal(t, noon.UnixMilli(), m.MsecCreatedAt)
	assert.ErrorContains(t, s.AppendTalk(1_000_000, entries[0]), "change that chat")
	assert.False(t, s.DeleteTalkMessage(1_000_000, "in"))
	s.Delete("a", "in")
	entries, _ = rows(t, crm(s, "/api/v4/talks/1000000/messages"), "messages")
	assert.Equal(t, "out,7", joined(entries))
}

// Pages shift by what the hook does between two requests.
func TestTalkMessages_ShiftBetweenRequests(t *testing.T) {
	t.Parallel()
	s := talkOf(t, 6)
	s.OnRequest(func(r Request) {
		switch r.Page {
		case 2:
			require.NoError(t, s.AppendTalk(7, TalkText("new", noon, "x")))
		case 3:
			s.DeleteTalkMessage(7, "new")
			s.DeleteTalkMessage(7, "5")
		}
		assert.Equal(t, 7, r.Talk)
	})
	assert.Equal(t, "5,4", talkPage(t, s, "limit=2"))
	assert.Equal(t, "4,3", talkPage(t, s, "limit=2&page=2"))
	assert.Equal(t, "0", talkPage(t, s, "limit=2&page=3"))
}

// Whatever the order, while nothing changes the pages hold every message once.
func TestTalkMessages_PagesPartitionTheTalk(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := newServer(t, Config{})
		n := rapid.IntRange(0, 40).Draw(rt, "messages")
		s.SetTalk(Talk{ID: 7})
		var want []string
		for i := range n {
			at := noon.Add(time.Duration(rapid.IntRange(-5, 5).Draw(rt, "at")) * time.Second)
			require.NoError(rt, s.AppendTalk(7, TalkText(fmt.Sprint(i), at, "x")))
			want = append(want, fmt.Sprint(i))
		}
		if kind := rapid.SampledFrom([]FaultKind{"", FaultOldestFirst, FaultNewestFirst, FaultNoOrder, FaultFilterIgnored}).Draw(rt, "fault"); kind != "" {
			require.NoError(rt, s.SetFaults(Fault{Kind: kind}))
		}
		limit := rapid.IntRange(1, 10).Draw(rt, "limit")
		var got []string
		for page := 1; ; page++ {
			w := crm(s, fmt.Sprintf("/api/v4/talks/7/messages?limit=%d&page=%d", limit, page))
			entries, next := rows(rt, w, "messages")
			for _, item := range entries {
				got = append(got, TalkMessageID(item))
			}
			require.Equal(rt, page*limit < n, next != "")
			if next == "" {
				break
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		require.Equal(rt, want, got)
	})
}

func TestSyntheticTalks(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	require.NoError(t, s.SyntheticTalks(3, 400, noon.Add(-time.Hour), time.Second))
	for _, bad := range []func() error{
		func() error { return s.SyntheticTalks(-1, 1, noon, 1) }, func() error { return s.SyntheticTalks(1, -1, noon, 1) },
		func() error { return s.SyntheticTalks(1, 1, noon, -1) },
	} {
		assert.Error(t, bad())
	}
	entries, next := rows(t, crm(s, "/api/v4/talks/2/messages"), "messages")
	assert.Len(t, entries, 250)
	assert.NotEmpty(t, next)
	assert.Equal(t, SyntheticTalkMessageID(2, 399), TalkMessageID(entries[0]))
	var m TalkMessage
	require.NoError(t, json.Unmarshal(entries[1], &m))
	assert.Equal(t, noon.Add(-time.Hour+(398*3+1)*time.Second).UnixMilli(), m.MsecCreatedAt)
	assert.Len(t, s.Talks(), 3)
	assert.Equal(t, 200, crm(s, "/api/v4/talks/3").Code)
	assert.Equal(t, 404, crm(s, "/api/v4/talks/4").Code)

	feed, _ := rows(t, crm(s, "/api/v4/events"), "events")
	assert.Equal(t, SyntheticTalkMessageID(3, 399), eventOf(t, feed[0]).message())
	require.NoError(t, s.AppendTalk(2, TalkText("new", noon, "x")))
	assert.True(t, s.DeleteTalkMessage(2, SyntheticTalkMessageID(2, 399)))
	assert.False(t, s.DeleteTalkMessage(2, SyntheticTalkMessageID(2, 400)))
	assert.True(t, s.DeleteTalkMessage(1, SyntheticTalkMessageID(1, 0)))
	require.NoError(t, s.AppendTalk(3, TalkText("old", noon.Add(-2*time.Hour), "x")))
	assert.Len(t, s.TalkMessages(1), 399)
	assert.Len(t, s.TalkMessages(2), 400)
	assert.Equal(t, "old", TalkMessageID(s.TalkMessages(3)[0]))
	entries, _ = rows(t, crm(s, "/api/v4/talks/2/messages?limit=2"), "messages")
	assert.Equal(t, "new,"+SyntheticTalkMessageID(2, 398), joined(entries))
}

func TestDemoAccount(t *testing.T) {
	t.Parallel()
	s, again := newServer(t, Config{}), newServer(t, Config{})
	s.DemoAccount()
	again.DemoAccount()
	origins, chats, types, authors := map[string]bool{}, map[string]int{}, map[string]bool{}, map[string]bool{}
	messages := 0
	for i, talk := range s.Talks() {
		assert.Equal(t, talk, again.Talks()[i], "the same each time")
		assert.LessOrEqual(t, talk.ID, 16)
		origins[talk.Origin] = true
		chats[talk.ChatID]++
		items := s.TalkMessages(talk.ID)
		assert.Equal(t, texted(items), texted(again.TalkMessages(talk.ID)))
		messages += len(items)
		for _, item := range items {
			var m TalkMessage
			require.NoError(t, json.Unmarshal(item, &m), string(item))
			assert.NotEmpty(t, m.ID, string(item))
			types[m.MessageType] = true
			if m.Author != nil {
				authors[m.Author.Type] = true
			}
		}
	}
	assert.Len(t, s.Talks(), 16)
	assert.Equal(t, map[string]bool{DemoOrigin: true, "waba": true, "instagram_business": true, "telegram": true, "facebook": true}, origins)
	assert.Equal(t, map[string]bool{"internal": true, "external": true, "bot": true}, authors)
	assert.Equal(t, 3, slices.Max(slices.Collect(func(yield func(int) bool) {
		for _, n := range chats {
			yield(n)
		}
	})))
	for _, kind := range []string{"text", "picture", "video", "file", "voice", "audio", "sticker", "contact", "location"} {
		assert.True(t, types[kind], kind)
	}
	announced := 0
	for target := "/api/v4/events"; target != ""; {
		var feed []json.RawMessage
		feed, target = rows(t, crm(s, target), "events")
		announced += len(feed)
		if target != "" {
			u, err := url.Parse(target)
			require.NoError(t, err)
			target = u.RequestURI()
		}
	}
	assert.Equal(t, messages, announced, "every message has its event")
}
