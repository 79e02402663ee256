// SPDX-License-Identifier: Apache-2.0

package chatlist

import (
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
	"github.com/kommo-connect/kommo-connect/plugin/internal/feed"
	"github.com/kommo-connect/kommo-connect/plugin/internal/listing"
)

// hooks turns what the lister tells into log lines.
func (in *input) hooks(checkpoints *component.CacheStore) listing.Hooks {
	return listing.Hooks{
		Corrupt:   in.corrupt(checkpoints),
		Restarted: in.restarted(checkpoints),
		Lost:      in.lost(checkpoints),
		Odd:       in.oddEntries,
		Refuted: func() {
			in.log.Warn("The API does not list the talks updated last first, as it did before: all chats are listed that were updated since the last whole listing, and from now on each listing is whole")
		},
		Loose: func() {
			in.log.Warn("The API lists in an order that changes from request to request, so a listing can miss a chat until it is updated again")
		},
		Short: func() {
			in.log.Warn("The API gives pages that are not full before the list ends, and says nothing of another page: from now on each listing asks once more behind its end, and chats that were passed over are listed now, with others once again")
		},
	}
}

// feedHooks are the same for what the feed tells.
func (in *input) feedHooks(checkpoints *component.CacheStore) feed.Hooks {
	return feed.Hooks{
		Corrupt:   in.corrupt(checkpoints),
		Restarted: in.restarted(checkpoints),
		Lost:      in.lost(checkpoints),
		Odd:       in.oddEntries,
		Unfiltered: func() {
			in.log.Warn("The API does not keep the time filter of the event feed, so each listing asks for more than is new, and this listing starts over")
		},
		Disordered: func() {
			in.log.Warn("The API does not list the events in the order that it kept before, so this listing starts over")
		},
		Loose: func() {
			in.log.Warn("The API lists events in an order that changes from request to request, so a listing can miss a talk until something happens in it again")
		},
	}
}

func (in *input) corrupt(checkpoints *component.CacheStore) func(string, error) {
	return func(name string, err error) {
		in.metrics.checkpointErrors.Incr(1)
		in.log.Errorf("Checkpoint %s can't be read, so its chats are delivered again: %v", checkpoints.Key(name), err)
	}
}

func (in *input) restarted(checkpoints *component.CacheStore) func(string) {
	return func(name string) {
		in.log.Warnf("Checkpoint %s was made for other origins or a later updated_since, so the listing starts over", checkpoints.Key(name))
	}
}

func (in *input) lost(checkpoints *component.CacheStore) func(string) {
	lost := component.NewThrottle()
	return func(name string) {
		in.metrics.checkpointErrors.Incr(1)
		if more, ok := lost.Allow(); ok {
			in.log.Warnf("Checkpoint %s is no longer in the cache as it was written, so it is written again%s; nothing is lost while this runs. Check that the cache keeps its data, that its keys do not expire, and that no other pipeline has the same checkpoint_cache_key", checkpoints.Key(name), more)
		}
	}
}

func (in *input) oddEntries(entries int) {
	if entries > in.odd {
		in.odd = entries
		what := "chat"
		if in.conf.source == events || in.conf.source == talkIDs {
			what = "talk"
		}
		in.log.Warnf("The list holds %s no %s; left out", component.Plural(entries, "entry that names", "entries that name"), what)
	}
}

// reportProgress says how far the first listing is, while that takes long, and what it came
// to. Those after it are silent.
func (in *input) reportProgress(done bool) {
	if in.complete {
		return
	}
	now := time.Now()
	in.complete = done
	took := now.Sub(in.began)
	sent := in.metrics.Sent()
	switch {
	case done && took >= component.ProgressEvery:
		in.log.Infof("All is listed: %s, %s in %s, %.1f requests/s", component.Plural(in.listed, "chat", "chats"),
			component.Plural(int(sent), "request", "requests"), component.Round(took), float64(sent)/took.Seconds())
	case !done && now.Sub(in.reported) >= component.ProgressEvery:
		in.log.Infof("%s listed so far, with %s, %.1f requests/s", component.Plural(in.listed, "chat", "chats"),
			component.Plural(int(sent), "request", "requests"), float64(sent)/took.Seconds())
		in.reported = now
	}
}

func (in *input) warnStalled() {
	in.log.Warnf("%d chats are out and none was acknowledged for %s. As chats_input this waits for long chats to be read, which is fine; otherwise the usual cause is an output that batches by count without a period: give its batching a period",
		in.lister.Unacked(), component.StalledAfter)
}
