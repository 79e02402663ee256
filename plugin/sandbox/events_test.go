// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type listedEvent struct {
	ID         string
	Type       string
	EntityID   int    `json:"entity_id"`
	EntityType string `json:"entity_type"`
	CreatedAt  int64  `json:"created_at"`
	ValueAfter []struct {
		Message struct {
			ID     string
			Origin string
			TalkID int `json:"talk_id"`
		}
	} `json:"value_after"`
}

func (e listedEvent) message() string { return e.ValueAfter[0].Message.ID }

func eventOf(tb testing.TB, raw json.RawMessage) (e listedEvent) {
	tb.Helper()
	require.NoError(tb, json.Unmarshal(raw, &e), string(raw))
	require.Len(tb, e.ValueAfter, 1)
	return e
}

// announced returns the messages of a page of the feed.
func announced(t *testing.T, s *Server, query string) (ids string) {
	t.Helper()
	entries, _ := rows(t, crm(s, "/api/v4/events?"+query), "events")
	for i, raw := range entries {
		if i > 0 {
			ids += ","
		}
		ids += eventOf(t, raw).message()
	}
	return ids
}

func TestEvents(t *testing.T) {
	t.Parallel()
	s := talkOf(t, 6)
	entries, _ := rows(t, crm(s, "/api/v4/events"), "events")
	e := eventOf(t, entries[0])
	assert.Len(t, e.ID, 26)
	assert.Equal(t, "outgoing_chat_message", e.Type)
	assert.Equal(t, noon.Unix(), e.CreatedAt)
	assert.Equal(t, "lead", e.EntityType)
	assert.Equal(t, 6_000_007, e.EntityID)
	assert.Equal(t, "waba", e.ValueAfter[0].Message.Origin)
	assert.Equal(t, 7, e.ValueAfter[0].Message.TalkID)
	seen := map[string]bool{}
	for _, raw := range entries {
		seen[eventOf(t, raw).ID] = true
	}
	assert.Len(t, seen, 6)

	const types, order = "filter%5Btype%5D=", "order%5Bcreated_at%5D="
	assert.Equal(t, "5,4,3,2,1,0", announced(t, s, ""))
	assert.Equal(t, "4,2,0", announced(t, s, types+"incoming_chat_message"))
	assert.Equal(t, "3,1", announced(t, s, types+"outgoing_chat_message&limit=2&page=1&"+filter("to", noon.Add(-2*time.Minute))))
	assert.Equal(t, "5,4", announced(t, s, types+"incoming_chat_message,outgoing_chat_message&limit=2"))
	assert.Equal(t, "5,4", announced(t, s, "filter%5Btype%5D[]=incoming_chat_message&filter%5Btype%5D[]=outgoing_chat_message&limit=2"))
	assert.Equal(t, 204, crm(s, "/api/v4/events?"+types+"lead_added").Code)
	assert.Equal(t, "2,3", announced(t, s, order+"asc&limit=2&page=2"))
	assert.Equal(t, "3,2", announced(t, s, order+"desc&limit=2&page=2"))
	assert.Equal(t, "5,4", announced(t, s, filter("from", noon.Add(-time.Minute))))
	s.DeleteTalkMessage(7, "5")
	assert.Equal(t, "5,4,3,2,1,0", announced(t, s, ""), "a deletion has no event, and takes none away")
}

func TestEvents_Quirks(t *testing.T) {
	t.Parallel()
	const ascending = "order%5Bcreated_at%5D=asc"
	for name, c := range map[string]struct {
		fault Fault
		query string
		want  string
	}{
		"newest first":   {Fault{Kind: FaultNewestFirst}, ascending, "5,4,3,2,1,0"},
		"oldest first":   {Fault{Kind: FaultOldestFirst}, "", "0,1,2,3,4,5"},
		"lag":            {Fault{Kind: FaultLate, Lag: 90 * time.Second}, "", "3,2,1,0"},
		"lag of some":    {Fault{Kind: FaultLate, Lag: time.Hour, Messages: []string{"4"}}, "", "5,3,2,1,0"},
		"lag of others":  {Fault{Kind: FaultLate, Lag: 150 * time.Second, Every: 2}, "", "4,2,1,0"},
		"hidden":         {Fault{Kind: FaultHideItems, Messages: []string{"4"}}, "limit=2", "5"},
		"lag, on pages":  {Fault{Kind: FaultLate, Lag: 150 * time.Second, Every: 2}, "limit=2&page=2", "1,0"},
		"filter ignored": {Fault{Kind: FaultFilterIgnored}, filter("from", noon), "5,4,3,2,1,0"},
		"of the talk":    {Fault{Kind: FaultLate, Endpoint: EndpointTalkMessages}, "", "5,4,3,2,1,0"},
	} {
		s := talkOf(t, 6)
		require.NoError(t, s.SetFaults(c.fault), name)
		assert.Equal(t, c.want, announced(t, s, c.query), name)
	}
}

func TestEvents_LateOnesComeWithTime(t *testing.T) {
	t.Parallel()
	now := noon
	s := newServer(t, Config{Now: func() time.Time { return now }})
	require.NoError(t, s.AppendTalk(7, TalkText("a", noon, "x")))
	require.NoError(t, s.SetFaults(Fault{Kind: FaultLate, Lag: time.Minute, Endpoint: EndpointEvents}))
	assert.Equal(t, 204, crm(s, "/api/v4/events").Code)
	assert.Equal(t, "a", talkPage(t, s, ""))
	now = noon.Add(time.Minute)
	assert.Equal(t, "a", announced(t, s, ""))
	require.NoError(t, s.AppendTalkAt(7, noon.Add(-time.Hour), TalkText("b", noon, "x"), json.RawMessage("null")))
	assert.Equal(t, "a,b", announced(t, s, ""), "it stands where its time belongs, and what is no message has none")
}

func TestEvents_OfOwnChats(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	s.Append("a", Text("1", noon.Add(-time.Minute), "x"))
	assert.Equal(t, "1", announced(t, s, ""))
	s.Append("a", Reply("2", noon, "x"))
	s.Insert("b", 0, Text("3", noon, "x"))
	entries, _ := rows(t, crm(s, "/api/v4/events"), "events")
	require.Len(t, entries, 3)
	e := eventOf(t, entries[0])
	assert.Equal(t, "3", e.message())
	assert.Equal(t, 1_000_001, e.ValueAfter[0].Message.TalkID)
	assert.Equal(t, DemoOrigin, e.ValueAfter[0].Message.Origin)
}

func TestULID(t *testing.T) {
	t.Parallel()
	// The specification's example of a time: 01ARYZ6S41 is 1469918176385 ms; here, whole
	// seconds.
	id := string(appendULID(nil, event{id: "a", at: 1469918176}))
	assert.Equal(t, "01aryz6rr0", id[:10])
	assert.NotEqual(t, id, string(appendULID(nil, event{id: "b", at: 1469918176})))
	assert.Equal(t, id[10:], string(appendULID(nil, event{id: "a", at: 5}))[10:], fmt.Sprint("of ", id))
}
