// SPDX-License-Identifier: Apache-2.0

package chatlist_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

var messageIDs atomic.Int64

// news announces a message of a talk at a time.
func news(k *pipetest.Kommo, talk int, at time.Time) {
	n := messageIDs.Add(1)
	id := fmt.Sprintf("%08x-aaaa-4000-8000-%012x", n, n)
	if err := k.AppendTalkAt(talk, at, sandbox.TalkText(id, at, "private words of a client")); err != nil {
		panic(err)
	}
}

// talkIDs returns the talks that were acknowledged, in their order.
func talkIDs(s *pipetest.Stream) []int {
	ids := []int{}
	for _, m := range s.Out.Delivered() {
		id, _ := m.Meta["kommo_talk_id"].(int64)
		ids = append(ids, int(id))
	}
	return ids
}

func talkIDsSorted(s *pipetest.Stream) []int { return slices.Sorted(slices.Values(talkIDs(s))) }

func ids(from, to int) (all []int) {
	for i := from; i <= to; i++ {
		all = append(all, i)
	}
	return all
}

func feedRequests(k *pipetest.Kommo) int { return k.Ledger().ByEndpoint[sandbox.EndpointEvents] }

func TestEvents_VerbatimWithTypedMetadata(t *testing.T) {
	t.Parallel()
	k := pipetest.NewAccount(t, sandbox.Config{})
	require.NoError(t, k.SyntheticTalks(3, 2, pipetest.Noon, time.Minute))
	s := k.Lists(t, pipetest.Fields{"source": "events"}, pipetest.Options{})
	s.Ended()
	assert.Equal(t, []int{1, 2, 3}, talkIDs(s))
	got := s.Out.Delivered()[0]
	at := pipetest.Noon.Add(3 * time.Minute).Unix() // its second message
	assert.Equal(t, map[string]any{
		"kommo_talk_id": int64(1), "kommo_origin": "instagram_business", "kommo_entity_id": int64(30_000_001), "kommo_entity_type": "lead",
		"kommo_updated_at": at,
	}, got.Meta)
	assert.Contains(t, got.Body, fmt.Sprintf(`"created_at":%d,"value_after":[{"message":{"id":%q,`, at, sandbox.SyntheticTalkMessageID(1, 1)))
	assert.Empty(t, s.Logs.Complaints())
	assert.Equal(t, int64(3), s.Metrics.Get("kommo_chats_listed_total"))
	assert.Zero(t, k.Ledger().ByEndpoint[sandbox.EndpointTalks])
}

// 30,000 events are read once, and then each poll without news is one request.
func TestEvents_EachTalkOnceAndOneRequestAPoll(t *testing.T) {
	t.Parallel()
	k := pipetest.NewAccount(t, sandbox.Config{})
	const talks, messages = 600, 50
	require.NoError(t, k.SyntheticTalks(talks, messages, pipetest.Noon, time.Second))
	s := k.Lists(t, pipetest.Fields{"source": "events", "poll_interval": "1ms"}, pipetest.Options{})
	s.Until("all are named", func() bool { return len(talkIDs(s)) >= talks })
	// All are named when two thirds of the events have been read.
	const pages = talks * messages / 250
	s.Until("the listing ends, and some polls", func() bool { return feedRequests(k) > pages+20 })
	assert.Equal(t, ids(1, talks), talkIDsSorted(s))
	before := feedRequests(k)
	news(k, 7, pipetest.Noon.Add(talks*messages*time.Second))
	news(k, 7, pipetest.Noon.Add(talks*messages*time.Second))
	s.Until("the news is named", func() bool { return len(talkIDs(s)) > talks })
	s.Until("some polls", func() bool { return feedRequests(k) > before+50 })
	assert.Equal(t, []int{7}, talkIDs(s)[talks:], "once for two messages")
	assert.Empty(t, s.Logs.Complaints())
}

func TestEvents_PollWithoutNewsIsOneRequest(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 3, 249, 250, 1000} {
		k := pipetest.NewAccount(t, sandbox.Config{})
		for i := range n {
			news(k, i%7+1, pipetest.Noon.Add(time.Duration(i)*time.Second))
		}
		c := pipetest.NewCache()
		conf := pipetest.Fields{"source": "events", "checkpoint_cache": "progress"}
		s := k.Lists(t, conf, pipetest.Options{Cache: c})
		s.Ended()
		assert.Equal(t, ids(1, min(n, 7)), talkIDsSorted(s), n)
		for range 3 {
			before := feedRequests(k)
			s = k.Lists(t, conf, pipetest.Options{Cache: c})
			s.Ended()
			assert.Empty(t, s.Out.Delivered())
			assert.Equal(t, 1, feedRequests(k)-before, n)
		}
	}
}

// Every other event shows up two minutes late, by which time the feed has gone on.
func TestEvents_LateOnesAreNamedOnce(t *testing.T) {
	t.Parallel()
	var clock atomic.Int64
	clock.Store(pipetest.Noon.Unix())
	k := pipetest.NewAccount(t, sandbox.Config{Now: func() time.Time { return time.Unix(clock.Load(), 0).UTC() }})
	k.Fail(t, sandbox.Fault{Kind: sandbox.FaultLate, Endpoint: sandbox.EndpointEvents, Lag: 2 * time.Minute, Every: 2})
	k.OnRequest(func(sandbox.Request) {
		at := time.Unix(clock.Add(1), 0)
		if n := int(at.Sub(pipetest.Noon) / time.Second); n <= 300 {
			news(k, n, at)
		}
	})
	s := k.Lists(t, pipetest.Fields{"source": "events", "poll_interval": "1ms"}, pipetest.Options{})
	s.Until("the last has come", func() bool { return clock.Load() > pipetest.Noon.Unix()+600 })
	assert.Equal(t, ids(1, 300), talkIDsSorted(s))
	assert.Empty(t, s.Logs.Complaints())
}

// Something happens in a talk before each request of a long first listing, in whatever
// order the feed is.
func TestEvents_Drift(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string][]sandbox.Fault{
		"oldest first":                nil,
		"newest first":                {{Kind: sandbox.FaultNewestFirst}},
		"no order":                    {{Kind: sandbox.FaultNoOrder}},
		"newest first, no filter":     {{Kind: sandbox.FaultNewestFirst}, {Kind: sandbox.FaultFilterIgnored}},
		"oldest first, no filter":     {{Kind: sandbox.FaultOldestFirst}, {Kind: sandbox.FaultFilterIgnored}},
		"no order, filter off":        {{Kind: sandbox.FaultNoOrder}, {Kind: sandbox.FaultFilterOff, Shift: -time.Second}},
		"newest first, filter off":    {{Kind: sandbox.FaultNewestFirst}, {Kind: sandbox.FaultFilterOff, Shift: time.Second}},
		"short pages, next is silent": {{Kind: sandbox.FaultPageCap, Limit: 20}, {Kind: sandbox.FaultNext, Next: sandbox.NextMissing}},
		"pages with holes":            {{Kind: sandbox.FaultHideItems, Every: 7, To: 1}, {Kind: sandbox.FaultNullItems}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := pipetest.NewAccount(t, sandbox.Config{})
			const talks = 40
			begin := time.Now().Add(-time.Hour)
			for i := range 2000 {
				news(k, i%talks+1, begin.Add(time.Duration(i)*time.Second))
			}
			k.Fail(t, faults...)
			var added atomic.Int64
			k.OnRequest(func(sandbox.Request) {
				if n := added.Add(1); n <= 50 {
					news(k, talks+int(n), time.Now().Add(-time.Duration(n)*time.Second))
				}
			})
			s := k.Lists(t, pipetest.Fields{"source": "events", "poll_interval": "1ms", "page_size": 50}, pipetest.Options{})
			s.Until("all are named", func() bool { return len(slices.Compact(talkIDsSorted(s))) == talks+50 })
			before := feedRequests(k)
			named := len(talkIDs(s))
			s.Until("some polls", func() bool { return feedRequests(k) > before+40 })
			assert.Len(t, talkIDs(s), named, "nothing is named again")
		})
	}
}

// The process is killed again and again, and an output rejects.
func TestEvents_CrashAndRejections(t *testing.T) {
	t.Parallel()
	k := pipetest.NewAccount(t, sandbox.Config{})
	const talks = 3000
	require.NoError(t, k.SyntheticTalks(talks, 10, pipetest.Noon, time.Second))
	c := pipetest.NewCache()
	conf := pipetest.Fields{"source": "events", "checkpoint_cache": "progress"}
	named := map[int]bool{}
	for round := range 3 {
		var writes atomic.Int64
		s := k.Lists(t, conf, pipetest.Options{Cache: c, MaxInFlight: 4, Write: func(ctx context.Context, _ []pipetest.Message) error {
			switch n := writes.Add(1); {
			case n > int64(3*round+3):
				return pipetest.HoldAll(ctx, nil)
			case n%3 == 0:
				return errors.New("no")
			}
			return nil
		}})
		s.Until("it is stuck", func() bool { return writes.Load() > int64(3*round+3) })
		for _, id := range talkIDs(s) {
			named[id] = true
		}
		s.Crash()
	}
	s := k.Lists(t, conf, pipetest.Options{Cache: c})
	s.Ended()
	for _, id := range talkIDs(s) {
		named[id] = true
	}
	assert.Len(t, named, talks)
	s = k.Lists(t, conf, pipetest.Options{Cache: c})
	s.Ended()
	assert.Empty(t, s.Out.Delivered(), "all was acknowledged")
}

func TestEvents_Fields(t *testing.T) {
	t.Parallel()
	k := pipetest.NewAccount(t, sandbox.Config{})
	require.NoError(t, k.SyntheticTalks(40, 2, pipetest.Noon, time.Minute))
	for _, source := range []string{"events", "talk_ids"} {
		s := k.Lists(t, pipetest.Fields{"source": source, "origins": []string{"waba", "telegram"}}, pipetest.Options{})
		s.Ended()
		assert.Len(t, talkIDs(s), 20)
		s = k.Lists(t, pipetest.Fields{"source": source, "updated_since": pipetest.Noon.Add(70 * time.Minute).Format(time.RFC3339)}, pipetest.Options{})
		s.Ended()
		assert.Equal(t, ids(31, 40), talkIDsSorted(s), "those whose last message came after 70 minutes")
	}
}

// Every id is looked up, also those that the list of talks and the feed leave out, and
// then the feed says what is new.
func TestTalkIDs(t *testing.T) {
	t.Parallel()
	k := pipetest.NewAccount(t, sandbox.Config{TalksCap: 5})
	for i := range 60 {
		if i%10 != 3 { // ids that do not exist
			k.SetTalk(talk(i))
		}
	}
	news(k, 61, pipetest.Noon)
	c := pipetest.NewCache()
	conf := pipetest.Fields{"source": "talk_ids", "checkpoint_cache": "progress"}
	s := k.Lists(t, pipetest.Fields{"poll_interval": "1ms"}.With(conf), pipetest.Options{Cache: c})
	all := slices.DeleteFunc(ids(1, 61), func(id int) bool { return id%10 == 4 })
	s.Until("all are named", func() bool { return len(talkIDs(s)) >= len(all) })
	assert.Equal(t, all, talkIDsSorted(s))
	first := s.Out.Delivered()[0]
	at := pipetest.Noon.Unix()
	assert.Equal(t, map[string]any{
		"kommo_chat_id": talkChat(0), "kommo_talk_id": int64(1), "kommo_contact_id": int64(500), "kommo_origin": ownOrigin,
		"kommo_entity_id": int64(900), "kommo_entity_type": "lead", "kommo_updated_at": at,
	}, first.Meta)
	news(k, 5, time.Now())
	s.Until("the news is named", func() bool { return len(talkIDs(s)) > len(all) })
	last := s.Out.Delivered()[len(all)]
	assert.Equal(t, int64(5), last.Meta["kommo_talk_id"])
	assert.Equal(t, talkChat(4), last.Meta["kommo_chat_id"], "it was looked up")
	s.Stop()
	before := k.Ledger().ByEndpoint[sandbox.EndpointTalk]
	s = k.Lists(t, conf, pipetest.Options{Cache: c})
	s.Ended()
	assert.Empty(t, s.Out.Delivered())
	assert.Equal(t, before, k.Ledger().ByEndpoint[sandbox.EndpointTalk], "nothing is looked up again")
}

func TestTalkIDs_Crash(t *testing.T) {
	t.Parallel()
	k := pipetest.NewAccount(t, sandbox.Config{})
	addTalks(k, 100)
	c := pipetest.NewCache()
	conf := pipetest.Fields{"source": "talk_ids", "checkpoint_cache": "progress"}
	var writes atomic.Int64
	s := k.Lists(t, conf, pipetest.Options{Cache: c, Write: func(ctx context.Context, _ []pipetest.Message) error {
		if writes.Add(1) > 5 {
			return pipetest.HoldAll(ctx, nil)
		}
		return nil
	}})
	s.Until("some are named and saved", func() bool { return len(talkIDs(s)) >= 40 && len(c.Keys()) > 0 })
	s.Until("some more are asked for", func() bool { return writes.Load() > 5 })
	got := talkIDs(s)
	s.Crash()
	news(k, 1, time.Now()) // while nobody looks
	s = k.Lists(t, conf, pipetest.Options{Cache: c})
	s.Ended()
	got = append(got, talkIDs(s)...)
	slices.Sort(got)
	assert.Equal(t, ids(1, 100), slices.Compact(got))
	assert.Contains(t, talkIDs(s), 1)
}
