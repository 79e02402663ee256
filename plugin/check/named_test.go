// SPDX-License-Identifier: Apache-2.0

package check

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

func TestCheck_AFeedThatNamesFewerTalksThanAreListed(t *testing.T) {
	t.Parallel()
	some := []int{5, mainTalk, 9}
	for name, tc := range map[string]struct {
		named    []int
		discover string
		text     string
		expected Estimate
	}{
		"some, by events": {some, "", "names 3 of the 15 talks listed", Estimate{Chats: 3, Messages: 68}},
		"some, by talks":  {some, "talks", "names 3 of the 15 talks listed", Estimate{Chats: 15, Messages: 340}},
		"none, by events": {nil, "events", "names 0 of the 15 talks listed", Estimate{}},
		"none, by ids":    {nil, "ids", "names 0 of the 15 talks listed", Estimate{Chats: 1_000_007, Messages: 900}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := world(t, sandbox.Config{})
			require.NoError(t, s.SetFaults(sandbox.Fault{Kind: sandbox.FaultLate, Endpoint: events, Messages: unannounced(tc.named...), Lag: 24 * time.Hour}))
			report := checked(t, s, func(c *Config) { c.Discover = tc.discover })
			f := finding(t, report, "events.talks")
			assert.Equal(t, Warning, f.Status)
			assert.Equal(t, "fewer", f.Answer)
			assert.Contains(t, f.Text, tc.text)
			assert.Contains(t, f.Do, "set discover to talks or ids")
			e := report.Estimates[0]
			assert.Equal(t, tc.expected, Estimate{Chats: e.Chats, Messages: e.Messages, AtLeast: e.AtLeast})
			assertNothingPrivate(t, report)
		})
	}
}

// The feed lists newest first, so that what the first page lacks may follow.
func TestCheck_AFeedOfManyPagesNamesTheOldTalksAtItsEnd(t *testing.T) {
	t.Parallel()
	for _, since := range []time.Time{{}, time.Now().Add(-30 * time.Hour)} {
		s := world(t, sandbox.Config{})
		require.NoError(t, s.SyntheticTalks(100, 10, time.Now().Add(-20*time.Hour), time.Second))
		report := checked(t, s, func(c *Config) { c.Since = since })
		assert.Equal(t, "all", finding(t, report, "events.talks").Answer)
		assert.Equal(t, "whole", finding(t, report, "talks.reach").Answer)
	}
}
