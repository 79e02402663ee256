// SPDX-License-Identifier: Apache-2.0

package talkhistory

import (
	"strings"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
	"github.com/kommo-connect/kommo-connect/plugin/internal/feed"
)

// words are what the log lines of this input say of talks.
var words = component.Words{
	Chat: "talk", Chats: "talks",
	Empty:    "check that these are ids of talks, talk_id in the CRM API, and not of chats, contacts or leads",
	AllEmpty: "Check that these are ids of talks, talk_id in the CRM API, and that api_url is their account's address",
}

// report is what a history input reports, and what concerns the feed.
type report struct {
	*component.HistoryReport
	in *input

	feed, store, missing *component.Throttle
}

func newReport(in *input) *report {
	r := &report{
		HistoryReport: component.NewHistoryReport(in.log, &in.metrics.HistoryMetrics, words), in: in,
		feed: component.NewThrottle(), store: component.NewThrottle(),
		missing: &component.Throttle{Period: 10 * time.Second, Lines: 20},
	}
	r.Listed, r.Queued, r.Polls = len(in.conf.talks), len(in.conf.talks) == 0, in.conf.PollSet
	r.CheckpointLimit = in.conf.CheckpointLimit
	r.Refusal = refusesAll
	return r
}

// healthChanged is told when the API does not answer any more, and when it does
// again.
func (r *report) healthChanged(up bool, why error) {
	r.HealthChanged(up, why, r.in.conf.Backoff.MaxInterval)
}

// alsoRefused reports a refusal that begins while the API does not answer anyway.
func (r *report) alsoRefused(err error) {
	r.Log.Errorf("Before anything is read, this has to be put right too: %v", err)
}

// feedFailed reports that the feed could not be read.
func (r *report) feedFailed(err error, retryIn time.Duration) {
	if r.in.health.IsDown() {
		return // which has a line of its own
	}
	if more, ok := r.feed.Allow(); ok {
		r.Log.Errorf("The account's feed could not be read; next try in %s%s: %v", component.Round(retryIn), more, err)
	}
}

// feedStoreFailed reports that the feed's checkpoint could not be read or written.
func (r *report) feedStoreFailed(err error, retryIn time.Duration) {
	r.Metrics.CheckpointError()
	if more, ok := r.store.Allow(); ok {
		r.Log.Errorf("The checkpoint cache failed, and the feed waits until it works again; next try in %s%s: %v", component.Round(retryIn), more, err)
	}
}

// feedHooks turns what the feed tells into log lines.
func (r *report) feedHooks() feed.Hooks {
	key := func(name string) string { return r.in.feedStore.Key(name) }
	odd := 0
	return feed.Hooks{
		Corrupt: func(name string, err error) {
			r.Metrics.CheckpointError()
			r.Log.Errorf("Checkpoint %s can't be read, so the feed is read again from its beginning; what the talks' own checkpoints cover is not repeated: %v", key(name), err)
		},
		Restarted: func(name string) {
			r.Log.Warnf("Checkpoint %s was made for other origins or a later since, so the feed is read again from its beginning; what the talks' own checkpoints cover is not repeated", key(name))
		},
		Lost: func(name string) {
			r.Metrics.CheckpointError()
			if more, ok := r.store.Allow(); ok {
				r.Log.Warnf("Checkpoint %s is no longer in the cache as it was written, so it is written again%s; nothing is lost while this runs. Check that the cache keeps its data, that its keys do not expire, and that no other pipeline has the same checkpoint_cache_key", key(name), more)
			}
		},
		Unfiltered: func() {
			r.Log.Warn("The API does not keep the feed's time filter, so each poll asks for more of it than is new")
		},
		Disordered: func() {
			r.Log.Warn("The feed is not in the order that it had before, so it is read again from where the last reading ended")
		},
		Loose: func() {
			r.Log.Warn("The feed changes its order from request to request, so a poll can miss an event; a talk is complete again once it has another one")
		},
		Empty: func() {
			if r.in.conf.StartLatest || r.in.conf.discover != discoverEvents {
				return
			}
			what := "set discover to talks or to ids"
			if len(r.in.conf.origins) > 0 {
				what += ", and check origins"
			}
			r.Log.Warnf("The event feed names no conversation, so there is nothing to read. If the account has any, the feed does not reach back to them: %s", what)
		},
		Odd: func(events int) {
			if events > odd {
				odd = events
				r.Log.Warnf("The feed holds %s no talk; left out", component.Plural(events, "event that names", "events that name"))
			}
		},
	}
}

// startCorrupt reports that it is not known any more from when on the account is read.
func (r *report) startCorrupt(err error) {
	r.Metrics.CheckpointError()
	r.Log.Errorf("Checkpoint %s can't be read, so start_from: latest means from now on: %v", r.in.starts.Key(startName), err)
}

// isMissing counts and reports messages that were announced and did not come out.
func (r *report) isMissing(talk string, messages []string) {
	r.in.metrics.missing.Incr(int64(len(messages)))
	more, ok := r.missing.Allow()
	if !ok {
		return
	}
	const named = 5
	var ids []string
	for _, id := range messages[:min(len(messages), named)] {
		if !apicall.PlainID(id) {
			id = "[not an id]"
		}
		ids = append(ids, id)
	}
	if len(messages) > named {
		ids = append(ids, "…")
	}
	r.Log.Warnf("Talk %s: the feed has announced %s that the talk does not list, also when it was read again; deleted since, or lost by the API, which can't be told apart%s: %s",
		talk, component.Plural(len(messages), "message", "messages"), more, strings.Join(ids, ", "))
}
