// SPDX-License-Identifier: Apache-2.0

package feed_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/feed"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

func idsOf(talks []feed.Talk) (ids []string) {
	for _, t := range talks {
		ids = append(ids, t.ID)
	}
	return ids
}

// Two talks of one chat are both named, and once all is acknowledged and saved the list is
// not read again: the feed says what is new.
func TestStart_ThenTheFeed(t *testing.T) {
	t.Parallel()
	for name, discover := range map[string]func(feed.Config) feed.Discovery{
		"talks": func(c feed.Config) feed.Discovery { return feed.NewTalks(c) },
		"ids":   func(c feed.Config) feed.Discovery { return feed.NewIDs(c) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := account(t)
			for id := 1; id <= 300; id++ {
				s.SetTalk(sandbox.Talk{ID: id, ChatID: "one chat", Origin: "waba", UpdatedAt: noon.Unix() + int64(id)})
			}
			conf := feed.Config{API: c, Store: &memoryStore{values: map[string][]byte{}}, PageSize: 250}
			d := discover(conf)
			got := list(t, d)
			require.Len(t, got, 300)
			assert.Equal(t, "one chat", got[0].ChatID)
			assert.Zero(t, d.Unacked())
			require.NoError(t, d.Save(t.Context()))

			now := time.Now()
			require.NoError(t, s.AppendTalk(7, sandbox.TalkText("a-message", now, "words")))
			asked := s.Ledger()
			again := list(t, discover(conf))
			require.Equal(t, []string{"7"}, idsOf(again))
			require.Len(t, again[0].Announced, 1)
			assert.Equal(t, "a-message", again[0].Announced[0].ID)
			assert.True(t, again[0].Event)
			for _, endpoint := range []sandbox.Endpoint{sandbox.EndpointTalks, sandbox.EndpointTalk} {
				assert.Equal(t, asked.ByEndpoint[endpoint], s.Ledger().ByEndpoint[endpoint], endpoint)
			}
		})
	}
}

func TestCheckCheckpoint(t *testing.T) {
	t.Parallel()
	for value, whole := range map[string]bool{
		`{"version":1,"position":5,"known":""}`:                         true,
		`{"version":1,"position":5,"known":"AAAAAAAAAAEAAAAAAAAABQ=="}`: true,
		`{"version":1,"anchor":5,"next":3,"highest":9,"done":false}`:    true,
		`{"version":1,"watermark":5,"named":[],"newest_first":true}`:    true,
		"":                                     false,
		`{"version":1,"position":5,"known":"A`: false,
		`{"version":1,"position":5,"known":"AAAA"}`: false,
		`{"version":2,"position":5,"known":""}`:     false,
		`{"version":1,"position":-5,"known":""}`:    false,
		`{}`:                                        false,
	} {
		assert.Equal(t, whole, feed.CheckCheckpoint([]byte(value)) == nil, value)
	}
}
