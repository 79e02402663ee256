// SPDX-License-Identifier: Apache-2.0

package talkhistory

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/internal/checkpoint"
	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
	"github.com/kommo-connect/kommo-connect/plugin/internal/feed"
)

// recall names the talks once that have had a message within the lookback: the feed goes on
// behind its checkpoint, and the talks that were looked after for changes when the process
// before this one ended have no news.
func (a *account) recall(ctx context.Context) {
	in := a.in
	if !a.resumes(ctx) {
		return // all talks are named
	}
	since := in.source.serverNow().Add(-in.conf.Lookback)
	if since.Before(in.conf.Since) {
		since = in.conf.Since
	}
	recent := feed.NewEvents(feed.Config{API: in.client, PageSize: crm.MaxLimit, Origins: in.conf.origins, Since: since})
	for failed := 0; ; {
		b, err := recent.Next(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			// What it is and whom it concerns the feed itself tells.
			if apicall.Sleep(ctx, in.conf.Backoff.Doubled(failed)) != nil {
				return
			}
			failed++
			continue
		}
		failed = 0
		for i := range b.Talks {
			t := &b.Talks[i]
			if in.reader.Room(ctx) != nil {
				return
			}
			in.named.hold(t.ID, facts{origin: t.Origin, contactID: t.ContactID, entityID: t.EntityID, entityType: t.EntityType}, nil, time.Time{})
			in.reader.Add(t.ID, func(error) { in.named.release(t.ID) })
		}
		if b.Done {
			return
		}
	}
}

// resumes says that the feed has a checkpoint, or what is read before it has, or that nobody can tell.
func (a *account) resumes(ctx context.Context) bool {
	return a.in.conf.CheckpointCache != "" && slices.ContainsFunc([]string{feed.NameStart, feed.NameEvents}, func(name string) bool {
		_, err := a.in.feedStore.Load(ctx, name)
		return !errors.Is(err, checkpoint.ErrNone)
	})
}
