// SPDX-License-Identifier: Apache-2.0

package talkhistory_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
	_ "github.com/kommo-connect/kommo-connect/plugin/talkhistory"
)

// say adds a message to a talk, announced when it was written, and returns its id.
func say(t *testing.T, k *pipetest.Kommo, talk int, at time.Time) string {
	t.Helper()
	n := pipetest.Said.Add(1)
	id := fmt.Sprintf("%08x-0000-4000-9000-%012x", n, n)
	require.NoError(t, k.AppendTalkAt(talk, at, sandbox.TalkText(id, at, fmt.Sprintf("private words, number %d", n))))
	return id
}

// withTalks is an account with so many talks, 1, 2 …, of so many messages each, that go on
// side by side.
func withTalks(t *testing.T, talks, messages int) *pipetest.Kommo {
	t.Helper()
	k := pipetest.NewAccount(t, sandbox.Config{})
	for m := range messages {
		for talk := range talks {
			say(t, k, talk+1, pipetest.Noon.Add(time.Duration(m*talks+talk)*time.Second))
		}
	}
	return k
}

func TestAccount_EveryConversationWithATokenAlone(t *testing.T) {
	t.Parallel()
	for _, discover := range []string{"events", "talks", "ids"} {
		t.Run(discover, func(t *testing.T) {
			t.Parallel()
			k := withTalks(t, 12, 60)
			c := pipetest.NewCache()
			conf := pipetest.Fields{"discover": discover, "poll_interval": "5ms", "checkpoint_cache": "progress", "checkpoint_interval": "1ms"}
			s := k.Reads(t, conf, pipetest.Options{Cache: c})
			s.Delivers(k.TalkIDs()...)
			say(t, k, 3, time.Now())
			say(t, k, 77, time.Now())
			s.Delivers(k.TalkIDs()...)
			assert.Empty(t, s.Logs.Complaints())
			assert.Equal(t, "waba", s.Out.Of("77")[0].Meta["kommo_origin"])
			s.Stop()

			id := say(t, k, 5, time.Now())
			s = k.Reads(t, conf.Without("poll_interval"), pipetest.Options{Cache: c})
			s.Ended()
			require.Len(t, s.Out.Delivered(), 1, s.Out.Delivered())
			assert.Equal(t, id, s.Out.Delivered()[0].ID)
		})
	}
}

func TestAccount_AnEmptyOneEnds(t *testing.T) {
	t.Parallel()
	for discover, says := range map[string]int{"events": 1, "talks": 0, "ids": 0} {
		k := pipetest.NewAccount(t, sandbox.Config{})
		c := pipetest.NewCache()
		for range 2 {
			s := k.Reads(t, pipetest.Fields{"discover": discover}, pipetest.Options{Cache: c})
			s.Ended()
			assert.Empty(t, s.Out.Came())
			assert.Len(t, s.Logs.Complaints(), says, "%s: %v", discover, s.Logs.Complaints())
		}
	}
}

func TestAccount_ACrashLosesNothing(t *testing.T) {
	t.Parallel()
	k := withTalks(t, 10, 40)
	c := pipetest.NewCache()
	conf := pipetest.Fields{"checkpoint_cache": "progress", "checkpoint_interval": "0s", "checkpoint_limit": 50, "page_size": 10}
	came := map[string]bool{}
	for range 4 {
		gate := pipetest.NewGate(t)
		s := k.Reads(t, conf, pipetest.Options{Cache: c, MaxInFlight: 1})
		s.Until("something is delivered", func() bool { return len(s.Out.Delivered()) > 30 || s.HasEnded() })
		s.Crash()
		gate.Open()
		for _, m := range s.Out.Delivered() {
			came[m.ID] = true
		}
	}
	s := k.Reads(t, conf, pipetest.Options{Cache: c})
	s.Ended()
	for _, m := range s.Out.Delivered() {
		came[m.ID] = true
	}
	assert.Len(t, came, 400)
	s = k.Reads(t, conf, pipetest.Options{Cache: c})
	s.Ended()
	assert.Empty(t, s.Out.Delivered())
}

func TestAccount_OriginsAreTheOnlyOnesAskedFor(t *testing.T) {
	t.Parallel()
	for _, discover := range []string{"events", "talks", "ids"} {
		t.Run(discover, func(t *testing.T) {
			t.Parallel()
			k := pipetest.NewAccount(t, sandbox.Config{})
			for talk := 1; talk <= 6; talk++ {
				origin := []string{"waba", "telegram"}[talk%2]
				k.SetTalk(sandbox.Talk{ID: talk, ChatID: pipetest.ChatID(talk), Origin: origin, ContactID: 7, CreatedAt: pipetest.Noon.Unix(), UpdatedAt: pipetest.Noon.Unix()})
				say(t, k, talk, pipetest.Noon)
			}
			s := k.Reads(t, pipetest.Fields{"origins": []string{"waba"}, "discover": discover}, pipetest.Options{})
			s.Ended()
			s.Delivers("2", "4", "6")
			for talk := range k.Ledger().Talks {
				assert.Zero(t, talk%2, "talk %d was asked for", talk)
			}
			if discover != "events" {
				assert.Equal(t, int64(7), s.Out.Delivered()[0].Meta["kommo_contact_id"])
			}
		})
	}
}

func TestAccount_SinceLeavesOutWhatIsOlder(t *testing.T) {
	t.Parallel()
	k := withTalks(t, 3, 20)
	s := k.Reads(t, pipetest.Fields{"since": pipetest.Noon.Add(30 * time.Second).Format(time.RFC3339)}, pipetest.Options{})
	s.Ended()
	assert.Len(t, s.Out.Delivered(), 30)
	assert.Empty(t, s.Logs.Complaints())
}

func TestAccount_LatestLeavesOutWhatThereWas(t *testing.T) {
	t.Parallel()
	k := withTalks(t, 3, 20)
	c := pipetest.NewCache()
	conf := pipetest.Fields{"start_from": "latest", "poll_interval": "5ms", "checkpoint_cache": "progress", "checkpoint_interval": "1ms"}
	s := k.Reads(t, conf, pipetest.Options{Cache: c})
	s.Until("it has looked twice", func() bool { return k.Requests() > 6 })
	want := []string{say(t, k, 2, time.Now())}
	s.Until("what arrives is delivered", func() bool { return len(s.Out.Delivered()) == 1 })
	// One that opens later comes out whole, even what was imported into it.
	old := sandbox.TalkText("imported", pipetest.Noon, "private words of long ago")
	require.NoError(t, k.AppendTalk(9, old))
	want = append(want, "imported")
	s.Until("a new talk is delivered", func() bool { return len(s.Out.Delivered()) == 2 })
	s.Stop()
	want = append(want, say(t, k, 1, time.Now()))
	s2 := k.Reads(t, conf, pipetest.Options{Cache: c})
	s2.Until("it goes on", func() bool { return len(s2.Out.Delivered()) == 1 })
	var got []string
	for _, m := range append(s.Out.Delivered(), s2.Out.Delivered()...) {
		got = append(got, m.ID)
	}
	assert.Equal(t, want, got)
	assert.Empty(t, s2.Logs.Complaints())
}

// No list of talks has to name an old one first, and no order of ids: when a talk was opened
// is asked of itself, once.
func TestAccount_LatestKnowsAnOldTalkThatNoListShows(t *testing.T) {
	t.Parallel()
	k := pipetest.NewAccount(t, sandbox.Config{})
	for talk := range 300 { // the highest id was active the longest time ago
		say(t, k, 300-talk, pipetest.Noon.Add(time.Duration(talk)*time.Second))
	}
	s := k.Reads(t, pipetest.Fields{"start_from": "latest", "poll_interval": "5ms"}, pipetest.Options{})
	s.Until("it has looked twice", func() bool { return k.Requests() > 6 })
	want := []string{say(t, k, 300, time.Now())}
	s.Until("what arrives is delivered", func() bool { return len(s.Out.Delivered()) > 0 })
	want = append(want, say(t, k, 300, time.Now()))
	s.Until("what arrives is delivered", func() bool { return len(s.Out.Delivered()) > 1 })
	assert.Equal(t, want, []string{s.Out.Delivered()[0].ID, s.Out.Delivered()[1].ID})
	assert.Zero(t, k.Ledger().ByEndpoint[sandbox.EndpointTalks])
	assert.Equal(t, 1, k.Ledger().ByEndpoint[sandbox.EndpointTalk])
	assert.Empty(t, s.Logs.Complaints())
}

// A list that lags behind the feed by seconds.
func TestAnnounced_AListThatLagsIsNoAlarm(t *testing.T) {
	t.Parallel()
	k := withTalks(t, 3, 5)
	k.Fail(t, sandbox.Fault{Kind: sandbox.FaultLate, Endpoint: sandbox.EndpointTalkMessages, Lag: 4 * time.Second})
	s := k.Reads(t, pipetest.Fields{"poll_interval": "20ms"}, pipetest.Options{})
	s.Delivers("1", "2", "3")
	now := time.Now()
	for i := range 6 {
		say(t, k, i%3+1, now.Add(time.Duration(i)*time.Millisecond))
	}
	s.Delivers("1", "2", "3")
	assert.Empty(t, s.Logs.Complaints())
	assert.Zero(t, s.Metrics.Get("kommo_talk_history_missing_total"))
}

// A message that is lost for good.
func TestAnnounced_WhatIsLostIsCountedAndReportedOnce(t *testing.T) {
	t.Parallel()
	k := withTalks(t, 3, 20)
	lost := sandbox.TalkMessageID(k.TalkMessages(2)[7])
	k.Fail(t, sandbox.Fault{Kind: sandbox.FaultLate, Endpoint: sandbox.EndpointTalkMessages, Messages: []string{lost}})
	c := pipetest.NewCache()
	conf := pipetest.Fields{"poll_interval": "20ms", "checkpoint_cache": "progress", "checkpoint_interval": "1ms"}
	s := k.Reads(t, conf, pipetest.Options{Cache: c})
	s.Until("the rest is delivered", func() bool { return len(s.Out.Delivered()) == 59 })
	id := say(t, k, 2, time.Now())
	s.Until("and goes on", func() bool {
		return slices.ContainsFunc(s.Out.Delivered(), func(m pipetest.Message) bool { return m.ID == id })
	})
	s.Until("it is counted", func() bool { return s.Metrics.Get("kommo_talk_history_missing_total") == 1 })
	s.Until("it is said", func() bool {
		return s.Logs.Has(slog.LevelWarn, "Talk 2: ", "1 message", lost, "deleted since, or lost by the API")
	})
	s.Until("the feed's position moves on", func() bool { return c.Value(k.TalkKey("events")) != "" })
	say(t, k, 1, time.Now())
	s.Until("another", func() bool { return len(s.Out.Delivered()) == 61 })
	s.Stop()
	assert.Len(t, s.Logs.Complaints(), 1)
	assert.Equal(t, int64(1), s.Metrics.Get("kommo_talk_history_missing_total"))
	s = k.Reads(t, conf.Without("poll_interval"), pipetest.Options{Cache: c})
	s.Ended()
	assert.Empty(t, s.Out.Delivered())
	assert.Empty(t, s.Logs.Complaints(), "not said again")
}

// An import stands far behind the checkpoint, where no pass looks any more.
func TestAnnounced_AnImportWithAnOldTimeComesOut(t *testing.T) {
	t.Parallel()
	k := withTalks(t, 2, 400)
	s := k.Reads(t, pipetest.Fields{"poll_interval": "20ms"}, pipetest.Options{})
	s.Delivers("1", "2")
	require.NoError(t, k.AppendTalk(1, sandbox.TalkText("imported", pipetest.Noon.Add(-time.Hour), "private words of long ago")))
	s.Until("it is delivered", func() bool { return len(s.Out.Delivered()) == 801 })
	assert.Equal(t, "imported", s.Out.Delivered()[800].ID)
	assert.Empty(t, s.Logs.Complaints())
}

// Nor is it lost where the server gives less than it is asked for, and no link.
func TestAnnounced_AnImportIsSearchedForBehindShortPages(t *testing.T) {
	t.Parallel()
	k := withTalks(t, 1, 600)
	k.Fail(t,
		sandbox.Fault{Kind: sandbox.FaultPageCap, Endpoint: sandbox.EndpointTalkMessages, Limit: 100},
		sandbox.Fault{Kind: sandbox.FaultNext, Endpoint: sandbox.EndpointTalkMessages, Next: sandbox.NextMissing})
	s := k.Reads(t, pipetest.Fields{"poll_interval": "20ms"}, pipetest.Options{})
	s.Delivers("1")
	require.NoError(t, k.AppendTalk(1, sandbox.TalkText("imported", pipetest.Noon.Add(150*time.Second), "private words of long ago")))
	s.Until("it is delivered", func() bool { return len(s.Out.Delivered()) == 601 })
	assert.Equal(t, "imported", s.Out.Delivered()[600].ID)
	assert.Zero(t, s.Metrics.Get("kommo_talk_history_missing_total"))
}

func TestToken_WhatItLacksIsSaidBeforeTheFirstRequest(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		claims sandbox.Claims
		want   string
	}{
		"scope":   {sandbox.Claims{Scopes: []string{"crm"}}, `access_token: it lacks the scope list_external_messages: enable "External chat history" in the integration's scopes`},
		"expired": {sandbox.Claims{Scopes: []string{"crm", "list_external_messages"}, Expires: time.Now().Add(-time.Hour)}, "access_token: it expired at"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := withTalks(t, 3, 2)
			token := k.IssueToken(tc.claims)
			k.OnRequest(func(sandbox.Request) {}) // a request after the line is fine
			s := k.Reads(t, pipetest.Fields{"access_token": token, "poll_interval": "10ms"}, pipetest.Options{})
			s.Until("it is said", func() bool { return s.Logs.Has(slog.LevelError, tc.want) })
			time.Sleep(200 * time.Millisecond)
			assert.Empty(t, s.Out.Came())
			assert.Zero(t, s.Metrics.Get("kommo_talk_history_api_up"))
			assert.False(t, s.HasEnded())
			assert.Len(t, s.Logs.Complaints(), 1, "one line: %s", s.Logs)
			assert.NotContains(t, s.Logs.String(), token)
		})
	}
}

// They are never an empty conversation.
func TestRefusals_StopEverythingUntilTheyPass(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault sandbox.Fault
		want  string
	}{
		"plan":  {sandbox.Fault{Kind: sandbox.FaultStatus, Status: 402}, "Trial, Pro, Enterprise and Technical"},
		"scope": {sandbox.Fault{Kind: sandbox.FaultStatus, Status: 403, Body: sandbox.BodyScope}, `enable "External chat history"`},
		"token": {sandbox.Fault{Kind: sandbox.FaultStatus, Status: 401}, "access_token has expired, was revoked"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := withTalks(t, 5, 20)
			tc.fault.Endpoint = sandbox.EndpointTalkMessages
			k.Fail(t, tc.fault)
			c := pipetest.NewCache()
			s := k.Reads(t, pipetest.Fields{"poll_interval": "10ms", "checkpoint_cache": "progress", "checkpoint_interval": "1ms"}, pipetest.Options{Cache: c})
			s.Until("it is said", func() bool { return s.Logs.Has(slog.LevelError, "The API answers no request", tc.want) })
			time.Sleep(300 * time.Millisecond)
			assert.Empty(t, s.Out.Came())
			assert.Empty(t, c.Keys(), "nothing counts as read")
			assert.Zero(t, s.Metrics.Get("kommo_talk_history_api_up"))
			assert.LessOrEqual(t, len(s.Logs.Complaints()), 2, s.Logs)
			k.ClearFaults()
			s.Delivers("1", "2", "3", "4", "5")
			assert.Equal(t, int64(1), s.Metrics.Get("kommo_talk_history_api_up"))
		})
	}
}

// Where others are given, a talk that the token's user has no right to costs that talk alone.
func TestRefusals_OfOneTalkCostThatTalk(t *testing.T) {
	t.Parallel()
	k := withTalks(t, 8, 5)
	k.Fail(t, sandbox.Fault{Kind: sandbox.FaultStatus, Status: 403, Endpoint: sandbox.EndpointTalkMessages, Talks: []int{3}})
	s := k.Reads(t, pipetest.Fields{
		"poll_interval": "10ms", "backoff": pipetest.Fields{"initial_interval": "10ms", "max_interval": "1h"},
	}, pipetest.Options{})
	s.Delivers("1", "2", "4", "5", "6", "7", "8")
	s.Until("the talk is named", func() bool { return s.Logs.Has(slog.LevelError, "talk 3,", "403") })
	say(t, k, 5, time.Now())
	s.Delivers("1", "2", "4", "5", "6", "7", "8")
	assert.Equal(t, int64(1), s.Metrics.Get("kommo_talk_history_api_up"))
}

// Whichever kind of call is refused, nothing else is asked for meanwhile: the account is not
// half read, and the log does not go up and down.
func TestRefusals_OfTheFeedAloneAreSaidOnceAndStopEverything(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault sandbox.Fault
		want  string
	}{
		"plan":  {sandbox.Fault{Kind: sandbox.FaultStatus, Status: 402}, "its tariff includes the API"},
		"scope": {sandbox.Fault{Kind: sandbox.FaultStatus, Status: 403, Body: sandbox.BodyScope}, "lacks the scope of this call"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := withTalks(t, 5, 300)
			tc.fault.Endpoint, tc.fault.After = sandbox.EndpointEvents, 20
			k.Fail(t, tc.fault, sandbox.Fault{Kind: sandbox.FaultDelay, Endpoint: sandbox.EndpointTalkMessages, Delay: 10 * time.Millisecond})
			s := k.Reads(t, pipetest.Fields{
				"poll_interval": "1ms", "page_size": 4, "backoff": pipetest.Fields{"initial_interval": "10ms", "max_interval": "50ms"},
			}, pipetest.Options{})
			s.Until("it is said", func() bool { return s.Logs.Has(slog.LevelError, "The API answers no request", tc.want) })
			s.Until("what was under way is answered", func() bool {
				before := k.Ledger()
				time.Sleep(200 * time.Millisecond)
				after := k.Ledger()
				return before.ByEndpoint[sandbox.EndpointTalkMessages] == after.ByEndpoint[sandbox.EndpointTalkMessages] && before.Requests < after.Requests
			})
			assert.Less(t, len(s.Out.Delivered()), 1500)
			assert.Len(t, s.Logs.Complaints(), 1, s.Logs)
			assert.False(t, s.Logs.Has(slog.LevelInfo, "answers again"), s.Logs)
			assert.Zero(t, s.Metrics.Get("kommo_talk_history_api_up"))
			k.ClearFaults()
			s.Delivers(k.TalkIDs()...)
			assert.Len(t, s.Logs.Complaints(), 1, s.Logs)
			assert.Equal(t, int64(1), s.Metrics.Get("kommo_talk_history_api_up"))
		})
	}
}

func TestTalks_OneThatIsGoneIsItsOwnEnd(t *testing.T) {
	t.Parallel()
	k := withTalks(t, 3, 5)
	s := k.Reads(t, pipetest.Fields{"talks": []string{"1", "99", "3"}}, pipetest.Options{})
	s.Ended()
	s.Delivers("1", "3")
	assert.Equal(t, []string{"1 talk has no message, or is unknown to the API; check that these are ids of talks, talk_id in the CRM API, and not of chats, contacts or leads: 99"}, s.Logs.Complaints())
}

func TestTalks_LessThanAPageOfNewsIsOneRequest(t *testing.T) {
	t.Parallel()
	k := withTalks(t, 1, 100)
	c := pipetest.NewCache()
	conf := pipetest.Fields{"talks": []int{1}, "checkpoint_cache": "progress"}
	s := k.Reads(t, conf, pipetest.Options{Cache: c})
	s.Ended()
	before := k.Requests()
	say(t, k, 1, pipetest.Noon.Add(time.Hour))
	s = k.Reads(t, conf, pipetest.Options{Cache: c})
	s.Ended()
	assert.Len(t, s.Out.Delivered(), 1)
	assert.LessOrEqual(t, k.Requests()-before, 3, "two looks behind a short page, which end once enough of them found nothing")
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	k := pipetest.NewAccount(t, sandbox.Config{})
	k.SetTalk(sandbox.Talk{ID: 5, ChatID: "chat", Origin: "waba", ContactID: 7, EntityID: 8, EntityType: "lead", UpdatedAt: pipetest.Noon.Unix()})
	items := []string{
		`{"id":"a","chat_id":"chat","type":"incoming","message_type":"text","author":{"id":"c","type":"external","name":"Client","avatar_url":"https://c"},"text":"hi","created_at":1700000000,"msec_created_at":1700000000123}`,
		`{"id":"b","chat_id":"chat","type":"outgoing","message_type":"picture","author":{"id":"m","type":"internal","name":"Manager","avatar_url":"https://m","user_id":9},"recipient":{"id":"c","type":"external","name":"Client","avatar_url":"https://c"},"created_at":1700000001,"delivery_status":"read","new":[1]}`,
		`{"id":"c","created_at":1700000002}`,
	}
	for _, item := range items {
		require.NoError(t, k.AppendTalk(5, json.RawMessage(item)))
	}
	s := k.Reads(t, pipetest.Fields{"discover": "talks"}, pipetest.Options{})
	s.Ended()
	require.Len(t, s.Out.Delivered(), 3)
	talk := map[string]any{
		"kommo_talk_id": int64(5), "kommo_origin": "waba", "kommo_contact_id": int64(7), "kommo_entity_id": int64(8), "kommo_entity_type": "lead",
	}
	for i, want := range []map[string]any{
		{
			"kommo_chat_id": "chat", "kommo_message_id": "a", "kommo_message_type": "text", "kommo_direction": "incoming",
			"kommo_timestamp": int64(1700000000), "kommo_msec_timestamp": int64(1700000000123),
			"kommo_sender_id": "c", "kommo_sender_type": "external", "kommo_sender_name": "Client", "kommo_sender_avatar": "https://c",
		},
		{
			"kommo_chat_id": "chat", "kommo_message_id": "b", "kommo_message_type": "picture", "kommo_direction": "outgoing",
			"kommo_timestamp": int64(1700000001), "kommo_msec_timestamp": int64(1700000001000), "kommo_delivery_status": "read",
			"kommo_sender_id": "m", "kommo_sender_type": "internal", "kommo_sender_name": "Manager", "kommo_sender_avatar": "https://m", "kommo_sender_user_id": int64(9),
			"kommo_receiver_id": "c", "kommo_receiver_type": "external", "kommo_receiver_name": "Client", "kommo_receiver_avatar": "https://c",
		},
		{"kommo_message_id": "c", "kommo_timestamp": int64(1700000002), "kommo_msec_timestamp": int64(1700000002000)},
	} {
		maps.Copy(want, talk)
		assert.Equal(t, want, s.Out.Delivered()[i].Meta)
		assert.Equal(t, items[i], s.Out.Delivered()[i].Body)
	}
}

func TestMetrics_ExistFromTheStart(t *testing.T) {
	t.Parallel()
	k := withTalks(t, 1, 1)
	s := k.Reads(t, pipetest.Fields{}, pipetest.Options{})
	s.Ended()
	for _, name := range []string{
		"requests_total{outcome=ok}", "request_duration_ns", "limiter_wait_ns", "throttled_total", "messages_total", "missing_total", "realigned_total",
		"checkpoint_errors_total", "chats{state=waiting}", "chats{state=done}", "newest_message_timestamp", "api_up",
	} {
		assert.Contains(t, s.Metrics.Names(), "kommo_talk_history_"+name)
	}
	assert.Equal(t, pipetest.Noon.Unix(), s.Metrics.Get("kommo_talk_history_newest_message_timestamp"))
}

// talks_input names talks as kommo_chats does, with what it knows of them.
func TestTalksInput_TakesWhatKommoChatsSays(t *testing.T) {
	t.Parallel()
	k := withTalks(t, 2, 3)
	s := k.Reads(t, pipetest.Fields{"talks_input": pipetest.Fields{"generate": pipetest.Fields{
		"count": 2, "interval": "", "mapping": `root = "x"
meta kommo_talk_id = counter()
meta kommo_origin = "waba"
meta kommo_contact_id = 22`,
	}}}, pipetest.Options{})
	s.Ended()
	s.Delivers("1", "2")
	assert.Equal(t, "waba", s.Out.Delivered()[0].Meta["kommo_origin"])
	assert.Equal(t, int64(22), s.Out.Delivered()[0].Meta["kommo_contact_id"])
}

func TestLint(t *testing.T) {
	t.Parallel()
	const head = "kommo_talk_history:\n  api_url: https://example.kommo.com\n  access_token: t\n"
	for name, tc := range map[string]struct {
		conf string
		want []string
	}{
		"six lines":            {head + "  poll_interval: 30s\n  checkpoint_cache: progress\n", nil},
		"talks":                {head + "  talks: [ 1109, '1110' ]\n", nil},
		"talks_input":          {head + "  talks_input: { stdin: {} }\n", nil},
		"both":                 {head + "  talks: [ '1' ]\n  talks_input: { stdin: {} }\n", []string{"both talks and talks_input say what to read: remove one of them"}},
		"no id":                {head + "  talks: [ 8a3c7b54 ]\n", []string{`talks: entry 1: want a talk's id, a number as talk_id of GET /api/v4/talks, got "8a3c7b54"`}},
		"twice":                {head + "  talks: [ '1', ' 1' ]\n", []string{"talks: 1 is named twice, as entry 1 and as entry 2: remove one of them"}},
		"discover":             {head + "  discover: all\n", []string{`discover: want events, talks or ids, got "all"`}},
		"discover beside":      {head + "  talks: [ '1' ]\n  discover: ids\n", []string{"discover: talks says already which talks are read: remove one of the two"}},
		"origins beside":       {head + "  talks_input: { stdin: {} }\n  origins: [ waba ]\n", []string{"origins: talks_input says already which talks are read: remove one of the two"}},
		"an empty origin":      {head + "  origins: [ waba, ' ' ]\n", []string{"origins: entry 2 is empty: want a talk's origin, as in waba"}},
		"page_size":            {head + "  page_size: 251\n", []string{"page_size: want 1 to 250, the most the API gives in a page, got 251"}},
		"talk_id is the same":  {head + "  talks_input: { stdin: {} }\n  talk_id: '7'\n", []string{`talk_id: it is the same for every message, got "7": want an interpolation, as in ${! @kommo_talk_id }`}},
		"an empty talks_input": {head + "  talks_input: {}\n", []string{"talks_input: it is empty: want an input, as in kommo_chats: {…}"}},
		"url":                  {"kommo_talk_history: { api_url: 'example.kommo.com', access_token: t }", []string{"api_url: "}},
		"a token with Bearer":  {"kommo_talk_history: { api_url: https://example.kommo.com, access_token: Bearer t }", []string{"access_token: it has a space"}},
		"from variables":       {"kommo_talk_history: { api_url: '', access_token: '', talks: [ '' ], origins: [ '' ], since: '', poll_interval: '', discover: '' }", nil},
		"all that is wrong":    {head + "  burst: 0\n  since: soon\n", []string{"burst: want 1 or more, got 0", "since: want a time in RFC 3339"}},
		"no token":             {"kommo_talk_history: { api_url: https://example.kommo.com }", []string{"access_token: it is empty"}},
		"two tokens":           {head + "  access_token_file: /run/token\n", []string{"both access_token and access_token_file give a token: remove one of them"}},
		"a file":               {"kommo_talk_history: { api_url: https://example.kommo.com, access_token_file: /run/token }", nil},
		"no url":               {"kommo_talk_history: { access_token: t }", []string{"field api_url is required"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := pipetest.Lints(t, tc.conf)
			require.Len(t, got, len(tc.want), got)
			for i, want := range tc.want {
				assert.Contains(t, got[i], want)
			}
		})
	}
}

func TestAccount_ManyTalksWithinFewRequests(t *testing.T) {
	t.Parallel()
	k := pipetest.NewAccount(t, sandbox.Config{})
	require.NoError(t, k.SyntheticTalks(300, 10, pipetest.Noon, time.Second))
	s := k.Reads(t, pipetest.Fields{}, pipetest.Options{})
	s.Ended()
	assert.Len(t, s.Out.Delivered(), 3000)
	assert.Empty(t, s.Logs.Complaints())
	l := k.Ledger()
	t.Log(strconv.Itoa(l.Requests), l.ByEndpoint)
	assert.LessOrEqual(t, l.Requests, 3000/250+300+64+10, "a request a talk, some looks behind short pages, and the feed")
}
