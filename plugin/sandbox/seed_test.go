// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLoadJSON(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	require.NoError(t, s.LoadJSON(strings.NewReader(`{"z":[{ "a" : 1.0 },null],"a":[],"m":["x"]}`)))
	assert.Equal(t, []string{"z", "a", "m"}, s.Chats())
	assert.Equal(t, []string{`{ "a" : 1.0 }`, "null"}, texted(s.Messages("z")))
	assert.Equal(t, `{"messages":[null]}`, page(s, "z", 0, 1).Body.String(), "the last of the list is the newest")
}

func TestLoadJSON_Refuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``: "object", `[]`: "object", `{"a":{}}`: "chat a", `{"a":[1,}`: "item 1 of chat a", `{"a":[1]`: "EOF", `{"a":`: "chat a",
		`{"":[]}`: "empty", `{"a":[]} x`: "more", `{"a":[]}{}`: "more", `{"a":[{"x":1]}`: "item 0 of chat a",
	} {
		s := newServer(t, Config{})
		assert.ErrorContains(t, s.LoadJSON(strings.NewReader(text)), want, text)
	}
}

func TestDemo_IsVariedAndTheSameEachTime(t *testing.T) {
	t.Parallel()
	s, again := newServer(t, Config{}), newServer(t, Config{})
	s.Demo()
	again.Demo()
	assert.Equal(t, []string{DemoChatScripts, DemoChatMedia, DemoChatSparse, DemoChatLong}, s.Chats())
	types, ids, groups := map[string]int{}, map[string]bool{}, map[string]int{}
	var noMsec, noReceiver, escapes, ties int
	for _, chat := range s.Chats() {
		assert.Equal(t, texted(s.Messages(chat)), texted(again.Messages(chat)))
		last := int64(0)
		for _, raw := range s.Messages(chat) {
			require.True(t, json.Valid(raw), string(raw))
			var item struct {
				Timestamp     int64
				MsecTimestamp int64 `json:"msec_timestamp"`
				Receiver      *Party
				Message       struct {
					ID, Type     string
					MediaGroupID string `json:"media_group_id"`
				}
			}
			require.NoError(t, json.Unmarshal(raw, &item), string(raw))
			require.False(t, ids[item.Message.ID], "ids are unique")
			ids[item.Message.ID] = true
			types[item.Message.Type]++
			groups[item.Message.MediaGroupID]++
			require.GreaterOrEqual(t, item.Timestamp, last, "oldest first")
			if item.Timestamp == last {
				ties++
			}
			last = item.Timestamp
			if item.MsecTimestamp == 0 {
				noMsec++
			}
			if item.Receiver == nil {
				noReceiver++
			}
			if bytes.Contains(raw, []byte(`\u04`)) {
				escapes++
			}
		}
	}
	for _, kind := range []string{"text", "contact", "file", "video", "picture", "voice", "audio", "sticker", "location", "hologram"} {
		assert.Positive(t, types[kind], kind)
	}
	assert.Equal(t, 3, groups["b7c1f0de-10aa-4b5a-8a35-7f5b4bb4f001"])
	for _, n := range []int{noMsec, noReceiver, escapes, ties} {
		assert.Positive(t, n)
	}
	assert.Equal(t, 120, s.Len(DemoChatLong))
}

func TestSeed_Repeats(t *testing.T) {
	t.Parallel()
	s, again, other := newServer(t, Config{}), newServer(t, Config{}), newServer(t, Config{})
	ids := s.Seed(5, 3, 200)
	assert.Len(t, ids, 3)
	assert.Equal(t, ids, again.Seed(5, 3, 200))
	assert.NotEqual(t, ids, other.Seed(6, 3, 200))
	for _, id := range ids {
		require.Equal(t, 200, s.Len(id))
		assert.Equal(t, s.Messages(id), again.Messages(id))
		for _, item := range s.Messages(id) {
			require.NotEmpty(t, MessageID(item), string(item))
		}
	}
}

func TestChurn_AtItsRates(t *testing.T) {
	t.Parallel()
	run := func() []string {
		var all []string
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, Config{})
			numbers(s, "a", 100)
			numbers(s, "b", 100)
			var stopped bool
			ctx := t.Context()
			go func() {
				assert.NoError(t, s.Churn(ctx, Churn{Grow: 3, Shrink: 2, Seed: 1}))
				stopped = true
			}()
			time.Sleep(10*time.Second + time.Millisecond)
			assert.Equal(t, 200+30-20, s.Len("a")+s.Len("b"))
			assert.False(t, stopped)
			all = append(texted(s.Messages("a")), texted(s.Messages("b"))...)
		})
		return all
	}
	first := run()
	assert.Equal(t, first, run(), "the seed repeats the run")
}

func TestChurn_NothingToShrink(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Config{})
		s.Append("a")
		go func() { _ = s.Churn(t.Context(), Churn{Shrink: 5}) }()
		time.Sleep(time.Minute)
		assert.Zero(t, s.Len("a"))
		assert.ErrorContains(t, s.Churn(t.Context(), Churn{Grow: -1}), "grow")
		assert.ErrorContains(t, s.Churn(t.Context(), Churn{Shrink: -1}), "shrink")
	})
}

func TestNew_NamesTheWrongField(t *testing.T) {
	t.Parallel()
	for field, config := range map[string]Config{
		"scope_id": {ScopeID: "x"}, "past_end": {PastEnd: "x"}, "latency": {Latency: -1}, "requests_per_second": {RequestsPerSecond: -1},
		"order": {Order: "x"}, "limit_kind": {Limit: "x"}, "limit_window": {LimitWindow: -1}, "block_body": {BlockBody: BodyJSON},
		"limit_window: 1s is too short": {Limit: LimitFixed, RequestsPerSecond: 0.5}, "retry_after_in": {RetryAfterIn: "x"},
		"burst": {Burst: -1}, "retry_after": {RetryAfter: -1}, "block_after": {BlockAfter: -1}, "talks_cap": {TalksCap: -1}, "block_for": {BlockFor: -1},
	} {
		_, err := New(config)
		assert.ErrorContains(t, err, strings.Split(field, ":")[0]+":")
		assert.ErrorContains(t, err, field)
	}
}
