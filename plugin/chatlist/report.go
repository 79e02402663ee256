// SPDX-License-Identifier: Apache-2.0

package chatlist

import (
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
	"github.com/kommo-connect/kommo-connect/plugin/internal/listing"
)

// hooks turns what the lister tells into log lines.
func (in *input) hooks(checkpoints *component.CacheStore) listing.Hooks {
	lost := component.NewThrottle()
	return listing.Hooks{
		Corrupt: func(name string, err error) {
			in.metrics.checkpointErrors.Incr(1)
			in.log.Errorf("Checkpoint %s can't be read, so its chats are delivered again: %v", checkpoints.Key(name), err)
		},
		Restarted: func(name string) {
			in.log.Warnf("Checkpoint %s was made for other origins or a later updated_since, so the listing starts over", checkpoints.Key(name))
		},
		Refuted: func() {
			in.log.Warn("The API does not list the talks updated last first, as it did before: all chats are listed that were updated since the last whole listing, and from now on each listing is whole")
		},
		Loose: func() {
			in.log.Warn("The API lists in an order that changes from request to request, so a listing can miss a chat until it is updated again")
		},
		Short: func() {
			in.log.Warn("The API gives pages that are not full before the list ends, and says nothing of another page: from now on each listing asks once more behind its end, and chats that were passed over are listed now, with others once again")
		},
		Lost: func(name string) {
			in.metrics.checkpointErrors.Incr(1)
			if more, ok := lost.Allow(); ok {
				in.log.Warnf("Checkpoint %s is no longer in the cache as it was written, so it is written again%s; nothing is lost while this runs. Check that the cache keeps its data, that its keys do not expire, and that no other pipeline has the same checkpoint_cache_key", checkpoints.Key(name), more)
			}
		},
		Odd: func(entries int) {
			if entries > in.odd {
				in.odd = entries
				in.log.Warnf("The list holds %s no chat; left out", component.Plural(entries, "entry that names", "entries that name"))
			}
		},
	}
}

// reportProgress logs how far a run is, if it has an end.
func (in *input) reportProgress() {
	now := time.Now()
	if in.conf.pollInterval > 0 || in.ended || now.Sub(in.reported) < component.ProgressEvery {
		return
	}
	in.reported = now
	in.log.Infof("%s listed so far, with %s", component.Plural(in.listed, "chat", "chats"), component.Plural(int(in.metrics.Sent()), "request", "requests"))
}

func (in *input) warnStalled() {
	in.log.Warnf("%d chats are out and none was acknowledged for %s. As chats_input this waits for long chats to be read, which is fine; otherwise the usual cause is an output that batches by count without a period: give its batching a period",
		in.lister.Unacked(), component.StalledAfter)
}
