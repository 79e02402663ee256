// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// What takes less than ten seconds says nothing, so all of these take longer, side by side.
func TestProgress_AFirstReadingSaysHowFarItIsAndWhatItCameTo(t *testing.T) {
	t.Parallel()
	type run struct {
		name, progress, totals string // patterns
		stream                 *pipetest.Stream
	}
	var runs []run

	listed := pipetest.NewAccount(t, sandbox.Config{})
	require.NoError(t, listed.SyntheticTalks(60, 1, pipetest.Noon, time.Second))
	runs = append(runs, run{
		"kommo_chats", `^INFO \d+ chats listed so far, with 1\d requests, 1\.\d requests/s$`, `^INFO All is listed: 60 chats, \d+ requests in \d+s, 1\.\d requests/s$`,
		listed.Lists(t, fields{"requests_per_second": 1, "page_size": 5, "poll_interval": "1h"}, options{}),
	})

	whole := pipetest.NewAccount(t, sandbox.Config{})
	require.NoError(t, whole.SyntheticTalks(24, 3, pipetest.Noon, time.Second))
	whole.SetTalk(sandbox.Talk{ID: 25, ChatID: "empty", CreatedAt: pipetest.Noon.Unix(), UpdatedAt: pipetest.Noon.Unix()})
	runs = append(runs, run{
		"a whole account", `^INFO \d+ (of 25 )?talks done`, `^INFO All is read: 25 talks, 72 messages, \d+ requests in \d+s, \d\.\d requests/s; unknown or empty: 1$`,
		whole.Reads(t, fields{"requests_per_second": 2, "poll_interval": "1h", "discover": "talks"}, options{}),
	})

	talks := pipetest.NewAccount(t, sandbox.Config{})
	require.NoError(t, talks.SyntheticTalks(28, 3, pipetest.Noon, time.Second))
	runs = append(runs, run{
		"talks, once", `^INFO \d+ of 29 talks done, \d+ messages, \d\.\d requests/s, time left: about \d+s$`, `^INFO All is read: 29 talks, 84 messages, \d+ requests in \d+s, \d\.\d requests/s; unknown or empty: 1$`,
		talks.Reads(t, fields{"requests_per_second": 2, "talks": append(talks.TalkIDs(), "999")}, options{}),
	})

	chats := pipetest.NewKommo(t, sandbox.Config{})
	queue := pipetest.NewQueue(chats)
	for range 28 {
		queue.Name(chats.Chat(3))
	}
	queue.Name(pipetest.ChatID(0))
	runs = append(runs, run{
		"a queue", `^INFO \d+ chats done, \d+ more named and not the last, \d+ messages, \d\.\d requests/s, time left: not known yet$`,
		`^INFO All is read: 29 chats, 84 messages, \d+ requests in \d+s, \d\.\d requests/s; unknown or empty: 1$`,
		chats.Start(t, fields{"requests_per_second": 4, "chats_input": fields{"test_queue": fields{}}, "chat_id": "${! content() }"}, options{Queue: queue}),
	})

	for _, r := range runs {
		r.stream.Until(r.name+" is complete", func() bool { return len(r.stream.Logs.With("All is ")) > 0 })
		progress := append(r.stream.Logs.With("time left: "), r.stream.Logs.With("so far")...)
		if assert.NotEmpty(t, progress, r.name) {
			assert.Regexp(t, r.progress, progress[0], r.name)
		}
		assert.Regexp(t, r.totals, r.stream.Logs.With("All is ")[0], r.name)
	}
	assert.Empty(t, runs[1].stream.Logs.Complaints(), "nobody has named the empty one")
}
