// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFault_HiddenItemsKeepTheNumbering(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	numbers(s, "a", 10)
	s.Append("a", Text("ten", noon, "x"))
	for name, c := range map[string]struct {
		fault Fault
		want  []string // pages of four, newest first
	}{
		"every third":        {Fault{Every: 3}, []string{"ten,9,7", "6,4,3", "1,0"}},
		"by id":              {Fault{Messages: []string{"ten", "nobody"}}, []string{"9,8,7", "6,5,4,3", "2,1,0"}},
		"a stretch":          {Fault{From: 3, To: 5}, []string{"ten,9,8,7", "6,5", "2,1,0"}},
		"a page":             {Fault{From: 3, To: 7}, []string{"ten,9,8,7", "", "2,1,0"}},
		"every other from 8": {Fault{From: 8, Every: 2}, []string{"ten,8,7", "6,5,4,3", "2,1,0"}},
	} {
		c.fault.Kind = FaultHideItems
		require.NoError(t, s.SetFaults(c.fault), name)
		s.ResetLedger()
		served := 0
		for i, want := range c.want {
			w := page(s, "a", 4*i, 4)
			if want == "" {
				assert.Equal(t, http.StatusNoContent, w.Code, name)
				continue
			}
			got := ""
			for j, item := range texted(items(t, w)) {
				if j > 0 {
					got += ","
				}
				if id := MessageID(json.RawMessage(item)); id != "" {
					item = id
				}
				got += item
				served++
			}
			assert.Equal(t, want, got, "%s, page %d", name, i)
		}
		assert.Equal(t, served, s.Ledger().Items, name)
	}
}

func TestFault_AnEmptyPageWithMoreBehindIt(t *testing.T) {
	t.Parallel()
	for style, want := range map[PastEnd]string{"": `{}`, PastEndNoContent: "", PastEndEmptyList: `{"messages":[]}`, PastEndNull: `{"messages":null}`} {
		s := newServer(t, Config{PastEnd: PastEndEmptyObject})
		numbers(s, "a", 6)
		require.NoError(t, s.SetFaults(Fault{Kind: FaultHideItems, From: 2, PastEnd: style}))
		assert.Equal(t, want, page(s, "a", 0, 3).Body.String(), style)
		assert.Equal(t, `{"messages":[1,0]}`, page(s, "a", 3, 3).Body.String())
		assert.Equal(t, `{}`, page(s, "a", 6, 3).Body.String(), "the end is answered as ever")
	}
}

func TestFault_PageCapAndIgnoredLimit(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	numbers(s, "a", 200)
	require.NoError(t, s.SetFaults(Fault{Kind: FaultPageCap, Limit: 25}))
	assert.Len(t, items(t, page(s, "a", 0, 50)), 25)
	assert.Equal(t, "174", string(items(t, page(s, "a", 25, 50))[0]))
	assert.Len(t, items(t, page(s, "a", 0, 10)), 10)
	require.NoError(t, s.SetFaults(Fault{Kind: FaultIgnoreLimit}))
	assert.Len(t, items(t, page(s, "a", 0, 1)), 200)
	assert.Len(t, items(t, page(s, "a", 150, 1)), 50)
	assert.Equal(t, 204, page(s, "a", 200, 1).Code)
	assert.Equal(t, 400, page(s, "a", 0, 51).Code, "a limit is still looked at")
}

// Walking any page size over a history with duplicates shows every message, and
// every tenth twice.
func TestFault_Duplicates(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	numbers(s, "a", 60)
	require.NoError(t, s.SetFaults(Fault{Kind: FaultDuplicates}))
	seen := map[string]int{}
	for offset := 0; offset < 66; offset += 7 {
		for _, item := range texted(items(t, page(s, "a", offset, 7))) {
			seen[item]++
		}
	}
	assert.Len(t, seen, 60)
	for item, n := range seen {
		want := 1
		if item[len(item)-1] == '9' {
			want = 2
		}
		assert.Equal(t, want, n, item)
	}
	require.NoError(t, s.AddFault(Fault{Kind: FaultNullItems}))
	got := texted(items(t, page(s, "a", 0, 50)))
	assert.Equal(t, []string{"null", "59"}, got[:2], "they take turns")
	assert.Equal(t, []string{"49", "49"}, got[11:13])
}

func TestFault_BigItems(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	s.Append("a", json.RawMessage("null"), json.RawMessage(`{}`), Text("one", noon, "x"), Text("two", noon, "x"))
	require.NoError(t, s.SetFaults(Fault{Kind: FaultBigItems, Messages: []string{"two"}}, Fault{Kind: FaultNoMsec, Messages: []string{"one"}}))
	got := items(t, page(s, "a", 0, 50))
	assert.Greater(t, len(got[0]), 1<<20)
	assert.Equal(t, "two", MessageID(got[0]))
	assert.Contains(t, string(got[0]), "msec_timestamp")
	assert.NotContains(t, string(got[1]), "msec_timestamp")
	require.NoError(t, s.SetFaults(Fault{Kind: FaultBigItems, Size: 2000}))
	got = items(t, page(s, "a", 0, 50))
	assert.Len(t, got[0], 2000)
	assert.Equal(t, []string{"{}", "null"}, texted(got[2:]), "these can't be padded")
}

// An item whose id one fault takes is still the one that the other means.
func TestFault_SelectionsAreMadeFirst(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	s.Append("a", Text("one", noon, "x"))
	require.NoError(t, s.SetFaults(Fault{Kind: FaultNoID}, Fault{Kind: FaultStamp, Stamp: Stamp1970, Messages: []string{"one"}}))
	item := items(t, page(s, "a", 0, 50))[0]
	assert.Empty(t, MessageID(item))
	at, ok := itemTime(item)
	assert.True(t, ok)
	assert.Zero(t, at)
}

func TestCRM_ShortPagesWithMoreBehindThem(t *testing.T) {
	t.Parallel()
	s := manyChats(t, 7)
	walk := func() (sizes []int, seen map[string]bool) {
		seen = map[string]bool{}
		for page := 1; page <= 10; page++ {
			l := list(t, s, "/api/v4/talks?limit=3&page="+string(rune('0'+page)))
			for _, talk := range l.Items.Talks {
				seen[talk.ChatID] = true
			}
			sizes = append(sizes, len(l.Items.Talks))
			if _, more := l.Links["next"]; !more {
				break
			}
		}
		return sizes, seen
	}
	require.NoError(t, s.SetFaults(Fault{Kind: FaultPageCap, Limit: 2}))
	sizes, seen := walk()
	assert.Equal(t, []int{2, 2, 2, 1}, sizes)
	assert.Len(t, seen, 7)

	require.NoError(t, s.SetFaults(Fault{Kind: FaultHideItems, From: 2, To: 6}))
	s.ResetLedger()
	sizes, seen = walk()
	assert.Equal(t, []int{2, 0, 1}, sizes)
	assert.Len(t, seen, 3)
	assert.Equal(t, 3, s.Ledger().Items)
	require.NoError(t, s.SetFaults(Fault{Kind: FaultHideItems, From: 2, To: 6, PastEnd: PastEndNoContent}))
	assert.Equal(t, 204, crm(s, "/api/v4/talks?limit=3&page=2").Code)
}

func TestCRM_NextLinks(t *testing.T) {
	t.Parallel()
	s := manyChats(t, 4)
	next := func(page string) string {
		l := list(t, s, "/api/v4/talks?limit=2&page="+page)
		return l.Links["next"].Href
	}
	const self = "http://example.com/api/v4/talks?limit=2&page="
	for _, c := range []struct {
		fault       Fault
		first, last string
	}{
		{Fault{Next: NextMissing}, "", ""},
		{Fault{Next: NextElsewhere}, "http://elsewhere.invalid/api/v4/talks?limit=2&page=1", ""},
		{Fault{Next: NextElsewhere, Location: "%zz"}, "%zz", ""},
		{Fault{Next: NextSelf}, self + "1", ""},
		{Fault{Next: NextAlways}, self + "2", self + "3"},
	} {
		c.fault.Kind = FaultNext
		require.NoError(t, s.SetFaults(c.fault))
		assert.Equal(t, c.first, next("1"), c.fault.Next)
		assert.Equal(t, c.last, next("2"), c.fault.Next)
	}
}

func TestCRM_TimesOfTalks(t *testing.T) {
	t.Parallel()
	s := manyChats(t, 4)
	before := list(t, s, "/api/v4/talks").Items.Talks
	for stamp, want := range map[Stamp]int64{
		StampShifted: before[1].UpdatedAt + 3600, Stamp2106: 4294967295, Stamp1970: 0, StampMsecNegative: before[1].UpdatedAt,
	} {
		require.NoError(t, s.SetFaults(Fault{Kind: FaultStamp, Stamp: stamp, Every: 2}))
		got := list(t, s, "/api/v4/talks").Items.Talks
		assert.Equal(t, want, got[1].UpdatedAt, stamp)
		assert.Equal(t, before[0], got[0])
		assert.Equal(t, before[1].ChatID, got[1].ChatID, "it keeps its place")
	}
	assert.Equal(t, before[1].UpdatedAt, s.Talks()[1].UpdatedAt)
	assert.Len(t, list(t, s, "/api/v4/contacts/chats").Items.Chats, 4)

	require.NoError(t, s.SetFaults(Fault{Kind: FaultStatus, Status: 402, Endpoint: EndpointTalks}))
	assert.Contains(t, crm(s, "/api/v4/talks").Body.String(), `"detail":"Endpoint not available for current account tariff"`)
	require.NoError(t, s.SetFaults(Fault{Kind: FaultStatus, Status: 403, Body: BodyJSON, Detail: "Invalid scope"}))
	assert.Equal(t, `{"title":"Forbidden","status":403,"detail":"Invalid scope"}`, crm(s, "/api/v4/talks").Body.String())
}

// A fault of the history is not used up by a listing.
func TestFault_StrikesOnlyCallsThatCanHaveIt(t *testing.T) {
	t.Parallel()
	s := manyChats(t, 3)
	require.NoError(t, s.SetFaults(Fault{Kind: FaultNoMsec, Count: 1}, Fault{Kind: FaultNext, Next: NextMissing, Count: 1}))
	list(t, s, "/api/v4/talks?limit=1")
	assert.Len(t, s.Faults(), 1)
	assert.NotContains(t, page(s, SyntheticChat(0), 0, 1).Body.String(), "msec_timestamp")
	assert.Empty(t, s.Faults())
	assert.ErrorContains(t, s.AddFault(Fault{Kind: FaultNoMsec, Endpoint: EndpointTalks}), "endpoint:")
	assert.ErrorContains(t, s.AddFault(Fault{Kind: FaultNext, Next: NextSelf, Endpoint: EndpointHistory}), "endpoint:")
}

func TestFault_Bomb(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	require.NoError(t, s.SetFaults(Fault{Kind: FaultBomb}))
	get := live(t, s)
	response, body, err := get("a")
	require.NoError(t, err)
	assert.True(t, response.Uncompressed)
	assert.Len(t, body, 16<<20)
	var got struct{ Messages []struct{} }
	require.NoError(t, json.Unmarshal(body, &got))
	assert.Equal(t, len(got.Messages), s.Ledger().Items)
	assert.Greater(t, len(got.Messages), 5_000_000)

	r := signed(historyPath("a")+"?limit=1", noon)
	r.Header.Set("Accept-Encoding", "gzip")
	assert.Less(t, serve(s, r).Body.Len(), 80<<10)
	for size := range 30 {
		require.NoError(t, s.SetFaults(Fault{Kind: FaultBomb, Size: size + 1}))
		w := page(s, "a", 0, 1)
		assert.True(t, json.Valid(w.Body.Bytes()), w.Body.String())
		if size+1 >= 17 {
			assert.Equal(t, size+1, w.Body.Len())
		}
		assert.Empty(t, w.Header().Get("Content-Encoding"), "it was not asked for")
	}
}

func TestFault_DateHeader(t *testing.T) {
	t.Parallel()
	clock := noon.Add(7 * time.Minute)
	s := newServer(t, Config{Now: func() time.Time { return clock }})
	numbers(s, "a", 1)
	get := func() (http.Header, int) {
		w := page(s, "a", 0, 1) // signed at noon, which is within the window
		return w.Header(), w.Code
	}
	require.NoError(t, s.SetFaults(Fault{Kind: FaultDateOff, Shift: time.Hour}))
	header, code := get()
	assert.Equal(t, 200, code, "the clock itself is right")
	assert.Equal(t, "Tue, 03 Mar 2026 13:07:00 GMT", header.Get("Date"))

	require.NoError(t, s.SetFaults(Fault{Kind: FaultCachedDate}))
	header, _ = get()
	assert.Equal(t, "Tue, 03 Mar 2026 11:50:00 GMT", header.Get("Date"))
	assert.Equal(t, "1020", header.Get("Age"))
	clock = clock.Add(2*time.Minute + 59*time.Second)
	header, _ = get()
	assert.Equal(t, "Tue, 03 Mar 2026 11:50:00 GMT", header.Get("Date"), "still the same")

	require.NoError(t, s.SetFaults(Fault{Kind: FaultNoDate}))
	header, _ = get()
	assert.Empty(t, header.Get("Date"))
	clock = noon
	response, _, err := live(t, s)("a")
	require.NoError(t, err)
	assert.Empty(t, response.Header.Get("Date"), "net/http adds none")
	assert.NotEmpty(t, crm(s, "/sandbox/health").Header().Get("Date"))
}
