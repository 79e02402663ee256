// SPDX-License-Identifier: Apache-2.0

package talkhistory

import (
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
	"github.com/kommo-connect/kommo-connect/plugin/internal/feed"
)

// newDiscovery returns what names the account's talks, as discover says. What begins at
// the latest has nothing to find but what the events tell.
func (in *input) newDiscovery(since time.Time, from start) feed.Discovery {
	if begin := time.Unix(from.Time, 0); from.Time > 0 && begin.After(since) {
		since = begin
	}
	conf := feed.Config{
		API: in.client, PageSize: crm.MaxLimit, Origins: in.conf.origins, Since: since, Hooks: in.report.feedHooks(),
	}
	if in.conf.CheckpointCache != "" {
		conf.Store = in.feedStore
	}
	switch {
	case in.conf.discover == discoverTalks && from.Time == 0:
		return feed.NewTalks(conf)
	case in.conf.discover == discoverIDs && from.Time == 0:
		return feed.NewIDs(conf)
	}
	return feed.NewEvents(conf)
}
