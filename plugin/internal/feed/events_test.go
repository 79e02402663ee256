// SPDX-License-Identifier: Apache-2.0

package feed_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
	"github.com/kommo-connect/kommo-connect/plugin/internal/feed"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

var noon = time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)

// account starts a sandbox and a client of it.
func account(t *testing.T) (*sandbox.Server, *crm.Client) {
	t.Helper()
	s, err := sandbox.New(sandbox.Config{AccessToken: "t0ken"})
	require.NoError(t, err)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	c, err := crm.NewClient(crm.Config{URL: server.URL, Token: "t0ken", Call: apicall.New(apicall.Config{})})
	require.NoError(t, err)
	return s, c
}

// list runs one listing, and acknowledges everything.
func list(t *testing.T, d feed.Discovery) (talks []feed.Talk) {
	t.Helper()
	for range 3000 {
		b, err := d.Next(t.Context())
		require.NoError(t, err)
		talks = append(talks, b.Talks...)
		for i := range b.Talks {
			b.Ack(i)
		}
		if b.Done {
			return talks
		}
	}
	require.Fail(t, "the listing does not end")
	return nil
}

func requests(s *sandbox.Server) int { return s.Ledger().ByEndpoint[sandbox.EndpointEvents] }

// How many requests a long feed takes in any order, and that each event is announced.
func TestEvents_RequestsOfALongFeed(t *testing.T) {
	t.Parallel()
	const talks, messages, size = 250, 20, 100
	const pages = talks * messages / size
	for name, tc := range map[string]struct {
		step   time.Duration
		faults []sandbox.Fault
		most   int
	}{
		"oldest first, one a second":   {time.Second, nil, pages + pages/8 + 2},
		"oldest first, ten a second":   {100 * time.Millisecond, nil, pages + pages/5},
		"oldest first, 1000 a second":  {time.Millisecond, nil, 5 * pages},
		"all in one second":            {0, nil, 3 * pages},
		"newest first":                 {time.Second, []sandbox.Fault{{Kind: sandbox.FaultNewestFirst}}, 2 * pages},
		"no order":                     {time.Second, []sandbox.Fault{{Kind: sandbox.FaultNoOrder}}, 2 * pages},
		"filter off, ahead":            {time.Second, []sandbox.Fault{{Kind: sandbox.FaultFilterOff, Shift: time.Second}}, pages + pages/8 + 2},
		"filter off, behind":           {time.Second, []sandbox.Fault{{Kind: sandbox.FaultFilterOff, Shift: -time.Second}}, pages + pages/8 + 2},
		"filter off by hours":          {time.Second, []sandbox.Fault{{Kind: sandbox.FaultFilterOff, Shift: 3 * time.Hour}}, 2 * pages},
		"newest first, filter off":     {time.Second, []sandbox.Fault{{Kind: sandbox.FaultNewestFirst}, {Kind: sandbox.FaultFilterOff}}, 2 * pages},
		"no order, filter off":         {time.Second, []sandbox.Fault{{Kind: sandbox.FaultNoOrder}, {Kind: sandbox.FaultFilterOff, Shift: -time.Second}}, 2 * pages},
		"filter ignored":               {time.Second, []sandbox.Fault{{Kind: sandbox.FaultFilterIgnored}}, 2 * pages},
		"filter ignored, oldest first": {time.Second, []sandbox.Fault{{Kind: sandbox.FaultFilterIgnored}, {Kind: sandbox.FaultOldestFirst}}, 2 * pages},
		"filter ignored, no order":     {time.Second, []sandbox.Fault{{Kind: sandbox.FaultFilterIgnored}, {Kind: sandbox.FaultNoOrder}}, 2 * pages},
		"short pages":                  {time.Second, []sandbox.Fault{{Kind: sandbox.FaultPageCap, Limit: 80}}, 2 * pages},
		"short pages without next":     {time.Second, []sandbox.Fault{{Kind: sandbox.FaultPageCap, Limit: 80}, {Kind: sandbox.FaultNext, Next: sandbox.NextMissing}}, 2 * pages},
		"next missing":                 {time.Second, []sandbox.Fault{{Kind: sandbox.FaultNext, Next: sandbox.NextMissing}}, pages + pages/8 + 2},
		"next always":                  {time.Second, []sandbox.Fault{{Kind: sandbox.FaultNext, Next: sandbox.NextAlways}}, pages + pages/8 + 2},
		"nulls among them":             {time.Second, []sandbox.Fault{{Kind: sandbox.FaultNullItems}}, 2 * pages},
		"duplicates":                   {time.Second, []sandbox.Fault{{Kind: sandbox.FaultDuplicates}}, 2 * pages},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := account(t)
			require.NoError(t, s.SyntheticTalks(talks, messages, noon, tc.step))
			require.NoError(t, s.SetFaults(tc.faults...))
			e := feed.NewEvents(feed.Config{API: c, PageSize: size, Gather: talks * messages * 2})
			got := list(t, e)
			used := requests(s)
			t.Logf("%d requests for %d pages", used, pages)
			assert.LessOrEqual(t, used, tc.most)
			require.Len(t, got, talks)
			for _, talk := range got {
				require.Len(t, talk.Announced, messages, talk.ID)
				for i := range talk.Announced[1:] {
					require.LessOrEqual(t, talk.Announced[i].At, talk.Announced[i+1].At)
				}
			}
			assert.Empty(t, list(t, e))
			used = requests(s)
			assert.Empty(t, list(t, e))
			if tc.step == time.Second && len(tc.faults) == 0 {
				assert.Equal(t, 1, requests(s)-used, "a poll without news")
			}
		})
	}
}
