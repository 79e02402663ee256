// SPDX-License-Identifier: Apache-2.0

package chathistory_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

func TestInput_ReadsEveryChatOnceAndEnds(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	k.Demo()
	ids := append(k.Chats(), k.Seed(1, 3, 130)...)

	s := k.Start(t, pipetest.Fields{"chats": ids}, pipetest.Options{})
	s.Ended()
	s.Delivers(ids...)
	assert.Empty(t, s.Logs.Complaints(), "a healthy run complains of nothing")
}

func TestInput_BodiesAreTheAPIsBytes(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(0)
	for i, item := range []string{
		`{"message":{"id":"a","type":"text","text":"A\/Ünïcödé 🙂 <b>&amp;</b>"},"timestamp":1700000001}`,
		"{ \"timestamp\" : 1700000002 ,\n\t\"message\" : { \"type\" : \"text\", \"id\" : \"b\" } , \"n\" : 12345678901234567890.1230e+2 }",
		`{"timestamp":1700000003,"message":{"id":"c","type":"hologram","nobody":{"knows":[1,null,{"a":[]}]}},"message_tail":"}]"}`,
		`{"timestamp":1700000004,"message":{"id":"d0","id":"d","text":"twice"},"x":1,"x":2}`,
		`{"timestamp":1700000005,"message":{"id":"e","text":"quote \" and backslash \\"},"sender":{"name":"\"}, {\""}}`,
	} {
		require.True(t, json.Valid([]byte(item)), "item %d", i)
		k.Append(chat, json.RawMessage(item))
	}
	s := k.Start(t, pipetest.Fields{"chats": []string{chat}}, pipetest.Options{})
	s.Ended()
	s.Delivers(chat)
	ids := []string{}
	for _, m := range s.Out.Of(chat) {
		ids = append(ids, m.ID)
	}
	assert.Equal(t, []string{"a", "b", "c", "d", "e"}, ids)
}

func TestInput_Metadata(t *testing.T) {
	t.Parallel()
	const at = 1_700_000_000
	for name, tc := range map[string]struct {
		item string
		want map[string]any // beside the scope and the chat
	}{
		"everything, to the client": {
			item: `{"timestamp":1700000000,"msec_timestamp":1700000000123,
				"sender":{"id":"s-id","name":"s-name","client_id":"s-client","avatar":"s-avatar","phone":"s-phone","email":"s-email"},
				"receiver":{"id":"r-id","name":"r-name","client_id":"r-client","avatar":"r-avatar","phone":"r-phone","email":"r-email"},
				"message":{"id":"m-id","client_id":"m-client","type":"picture","media_group_id":"group","text":"look"}}`,
			want: map[string]any{
				"kommo_message_id": "m-id", "kommo_message_client_id": "m-client", "kommo_message_type": "picture",
				"kommo_media_group_id": "group", "kommo_direction": "outgoing",
				"kommo_timestamp": int64(at), "kommo_msec_timestamp": int64(at*1000 + 123),
				"kommo_sender_id": "s-id", "kommo_sender_name": "s-name", "kommo_sender_client_id": "s-client",
				"kommo_sender_avatar": "s-avatar", "kommo_sender_phone": "s-phone", "kommo_sender_email": "s-email",
				"kommo_receiver_id": "r-id", "kommo_receiver_name": "r-name", "kommo_receiver_client_id": "r-client",
				"kommo_receiver_avatar": "r-avatar", "kommo_receiver_phone": "r-phone", "kommo_receiver_email": "r-email",
			},
		},
		"from the client, empty strings count as absent": {
			item: `{"timestamp":1700000000,"msec_timestamp":1700000000123,
				"sender":{"id":"s-id","name":"","client_id":"","avatar":"","phone":"","email":""},
				"message":{"id":"m-id","client_id":"","type":"text","media_group_id":"","text":"hello"}}`,
			want: map[string]any{
				"kommo_message_id": "m-id", "kommo_message_type": "text", "kommo_direction": "incoming",
				"kommo_timestamp": int64(at), "kommo_msec_timestamp": int64(at*1000 + 123), "kommo_sender_id": "s-id",
			},
		},
		"milliseconds from the seconds": {
			item: `{"timestamp":1700000000,"message":{"id":"m-id"}}`,
			want: map[string]any{
				"kommo_message_id": "m-id", "kommo_direction": "incoming",
				"kommo_timestamp": int64(at), "kommo_msec_timestamp": int64(at * 1000),
			},
		},
		"nothing but an id": {
			item: `{"message":{"id":"m-id"}}`,
			want: map[string]any{"kommo_message_id": "m-id", "kommo_direction": "incoming"},
		},
		"null values and a null receiver": {
			item: `{"timestamp":null,"msec_timestamp":null,"sender":null,"receiver":null,"message":{"id":"m-id","type":null}}`,
			want: map[string]any{"kommo_message_id": "m-id", "kommo_direction": "incoming"},
		},
		"a receiver of empty strings is none": {
			item: `{"timestamp":1700000000,"receiver":{"id":"","name":"","avatar":""},"message":{"id":"m-id"}}`,
			want: map[string]any{
				"kommo_message_id": "m-id", "kommo_direction": "incoming",
				"kommo_timestamp": int64(at), "kommo_msec_timestamp": int64(at * 1000),
			},
		},
		"a message without an id, of an unknown type": {
			item: `{"timestamp":1700000000,"receiver":{"id":"r-id"},"message":{"type":"hologram"}}`,
			want: map[string]any{
				"kommo_message_type": "hologram", "kommo_direction": "outgoing", "kommo_receiver_id": "r-id",
				"kommo_timestamp": int64(at), "kommo_msec_timestamp": int64(at * 1000),
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := pipetest.NewKommo(t, sandbox.Config{})
			chat := k.Chat(0)
			k.Append(chat, json.RawMessage(tc.item))
			s := k.Start(t, pipetest.Fields{"chats": []string{chat}}, pipetest.Options{})
			s.Ended()
			require.Len(t, s.Out.Delivered(), 1)

			want := maps.Clone(tc.want)
			want["kommo_scope_id"], want["kommo_chat_id"] = k.ScopeID(), chat
			assert.Equal(t, want, s.Out.Delivered()[0].Meta)
			assert.Equal(t, tc.item, s.Out.Delivered()[0].Body)
		})
	}
}

// Messages that come together must not lend each other anything, however alike
// they are.
func TestInput_MetadataOfMessagesThatDifferInOneFieldOrAnother(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(0)
	random := rand.New(rand.NewPCG(3, 4))
	var want []map[string]any
	for i := range 400 {
		meta := map[string]any{"kommo_scope_id": k.ScopeID(), "kommo_chat_id": chat, "kommo_direction": "incoming"}
		item, msg := map[string]any{}, map[string]any{"text": "private words in many a form"}
		text := func(of map[string]any, field, key string) {
			switch random.IntN(6) {
			case 0: // left out
			case 1:
				of[field] = ""
			default:
				v := fmt.Sprintf("%s-%d", field, random.IntN(2))
				of[field], meta[key] = v, v
			}
		}
		for _, side := range []string{"sender", "receiver"} {
			if random.IntN(3) == 0 {
				continue
			}
			party := map[string]any{}
			for _, f := range []string{"id", "name", "client_id", "avatar", "phone", "email"} {
				text(party, f, "kommo_"+side+"_"+f)
				if _, set := meta["kommo_receiver_"+f]; set {
					meta["kommo_direction"] = "outgoing"
				}
			}
			item[side] = party
		}
		if random.IntN(10) > 0 {
			msg["id"] = fmt.Sprint("m", i)
			meta["kommo_message_id"] = msg["id"]
		}
		text(msg, "client_id", "kommo_message_client_id")
		text(msg, "type", "kommo_message_type")
		text(msg, "media_group_id", "kommo_media_group_id")
		at := pipetest.Noon.Add(time.Duration(i) * time.Second)
		item["timestamp"] = at.Unix()
		meta["kommo_timestamp"], meta["kommo_msec_timestamp"] = at.Unix(), at.UnixMilli()
		if random.IntN(3) == 0 {
			item["msec_timestamp"] = at.UnixMilli() + 7
			meta["kommo_msec_timestamp"] = at.UnixMilli() + 7
		}
		item["message"] = msg
		raw, err := json.Marshal(item)
		require.NoError(t, err)
		k.Append(chat, raw)
		want = append(want, meta)
	}
	s := k.Start(t, pipetest.Fields{"chats": []string{chat}}, pipetest.Options{})
	s.Ended()
	s.Delivers(chat)
	for i, m := range s.Out.Delivered() {
		require.Equal(t, want[i], m.Meta, m.Body)
	}
}

func TestInput_MetadataNumbersAreNumbersInBloblang(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(1)
	s := k.Start(t, pipetest.Fields{"chats": []string{chat}}, pipetest.Options{
		Mapping: `root = [ @kommo_timestamp.type(), @kommo_msec_timestamp.type(), @kommo_msec_timestamp - @kommo_timestamp * 1000 ]`,
	})
	s.Ended()
	require.Len(t, s.Out.Delivered(), 1)
	assert.JSONEq(t, `["number","number",0]`, s.Out.Delivered()[0].Body)
}

func TestInput_MetricsExistFromTheStartUnderTheirNames(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(3)
	ready, answer := make(chan struct{}), make(chan struct{})
	k.OnRequest(func(r sandbox.Request) {
		if r.N == 1 {
			close(ready)
			<-answer
		}
	})
	s := k.Start(t, pipetest.Fields{"chats": []string{chat}}, pipetest.Options{})
	<-ready // before anything was answered
	atFirst := s.Metrics.Names()
	close(answer)
	s.Ended()

	want := []string{
		"kommo_chat_history_api_up",
		"kommo_chat_history_checkpoint_errors_total",
		"kommo_chat_history_messages_total",
		"kommo_chat_history_realigned_total",
		"kommo_chat_history_throttled_total",
	}
	for _, state := range []string{"waiting", "reading", "delivering", "failing", "done"} {
		want = append(want, "kommo_chat_history_chats{state="+state+"}")
	}
	for _, outcome := range []string{
		"ok", "empty", "throttled", "refused", "rejected", "server_error", "redirected", "unreachable", "timeout",
		"broken_body", "too_large",
	} {
		want = append(want, "kommo_chat_history_requests_total{outcome="+outcome+"}")
	}
	slices.Sort(want)
	assert.Equal(t, want, atFirst)

	// Of these any value would be a lie before there is one: 0 is an age of half a
	// century, or a request that took no time.
	want = append(want, "kommo_chat_history_limiter_wait_ns", "kommo_chat_history_newest_message_timestamp", "kommo_chat_history_request_duration_ns")
	slices.Sort(want)
	assert.Equal(t, want, s.Metrics.Names(), "no other comes up later")
}

func TestInput_MetricsCount(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	ids := []string{k.Chat(120), k.Chat(3), k.Chat(0)}
	s := k.Start(t, pipetest.Fields{"chats": ids}, pipetest.Options{})
	s.Ended()
	s.Delivers(ids...)

	// The chat that is empty is answered so, and the looks behind the others' ends may
	// be.
	requests, answers := k.Requests(), k.Ledger().ByStatus
	assert.Equal(t, requests, answers[200]+answers[204])
	assert.Positive(t, answers[204])
	for name, want := range map[string]int{
		"messages_total":                123,
		"requests_total{outcome=ok}":    answers[200],
		"requests_total{outcome=empty}": answers[204],
		"request_duration_ns":           requests,
		"limiter_wait_ns":               requests,
		"throttled_total":               0,
		"realigned_total":               0,
		"checkpoint_errors_total":       0,
		"api_up":                        1,
		"newest_message_timestamp":      int(pipetest.Noon.Add(119 * time.Second).Unix()),
		"chats{state=waiting}":          0,
		"chats{state=reading}":          0,
		"chats{state=delivering}":       0,
		"chats{state=failing}":          0,
		"chats{state=done}":             3,
	} {
		assert.Equal(t, int64(want), s.Metrics.Get("kommo_chat_history_"+name), name)
	}
	for _, name := range s.Metrics.Names() {
		for _, id := range ids {
			assert.NotContains(t, name, id)
		}
	}
}

func TestInput_ArrivalsBetweenPagesShiftThemAndNothingIsLost(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(300)
	var before []string
	for _, raw := range k.Messages(chat) {
		before = append(before, string(raw))
	}
	k.OnRequest(func(r sandbox.Request) {
		switch r.N {
		case 2: // more than a page: the next page has nothing of the one before
			for i := range 60 {
				k.Say(chat, pipetest.Noon.Add(time.Hour+time.Duration(i)*time.Second))
			}
		case 4:
			for range 70 {
				k.DeleteAt(chat, 0)
			}
		}
	})
	s := k.Start(t, pipetest.Fields{"chats": []string{chat}}, pipetest.Options{})
	s.Ended()
	assert.Positive(t, s.Metrics.Get("kommo_chat_history_realigned_total"))

	var got []string
	for _, m := range s.Out.Of(chat) {
		got = append(got, m.Body)
	}
	// Ten of the old ones were deleted, and may or may not have been seen.
	require.GreaterOrEqual(t, len(got), 290)
	assert.Equal(t, before[:290], got[:290])
}

func TestInput_AHealthyTailLogsNothing(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(3)
	c := pipetest.NewCache()
	s := k.Start(t, pipetest.Fields{"chats": []string{chat}, "poll_interval": "5ms", "checkpoint_cache": "progress"}, pipetest.Options{Cache: c})
	s.Delivers(chat)
	for i := range 5 {
		k.Say(chat, pipetest.Noon.Add(time.Hour+time.Duration(i)*time.Second))
		s.Delivers(chat)
	}
	for _, line := range s.Logs.Lines(0) { // of INFO and above
		assert.True(t, strings.HasSuffix(line.Text, "is now active"), "only the engine itself speaks: %s", line.Text)
	}
}

func TestInput_SaysOnceThatProgressIsInMemory(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	ids := []string{k.Chat(1), k.Chat(1)}
	s := k.Start(t, pipetest.Fields{"chats": ids}, pipetest.Options{})
	s.Ended()
	assert.Equal(t, 1, strings.Count(s.Logs.String(), "Progress is kept in memory"))
}

func TestInput_CloseLeavesNoConnection(t *testing.T) {
	t.Parallel()
	k := pipetest.NewKommo(t, sandbox.Config{})
	chat := k.Chat(3)
	s := k.Start(t, pipetest.Fields{"chats": []string{chat}, "poll_interval": "1h"}, pipetest.Options{})
	s.Delivers(chat)
	require.Positive(t, k.Connections())
	s.Stop()
	s.Until("the connections are closed", func() bool { return k.Connections() == 0 })
}
