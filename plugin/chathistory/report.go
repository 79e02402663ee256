// SPDX-License-Identifier: Apache-2.0

package chathistory

import (
	"errors"
	"fmt"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/amojo"
	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
)

// words are what the log lines of this input say of chats.
var words = component.Words{
	Chat: "chat", Chats: "chats",
	Empty:    "check that these are ids of the Chats API, not the integration's own",
	AllEmpty: "Check that these are ids of the Chats API, not the integration's own, and that scope_id names this channel",
	NotOurs: fmt.Sprintf("the API refuses them with this secret. They are left alone for %s each time; "+
		"take them out of what names the chats, for kommo_chats by its origins", notOursFor),
}

// report is what a history input reports, and what concerns the channel's secret.
type report struct {
	*component.HistoryReport
	in *input

	// Of healthChanged, which is called for one change at a time:
	refused bool      // the API went down by refusing all
	retried time.Time // when chats of other channels were tried again for that
}

func newReport(in *input) *report {
	r := &report{HistoryReport: component.NewHistoryReport(in.log, &in.metrics, words), in: in}
	r.Listed, r.Queued, r.Polls = len(in.conf.chats), in.conf.chatsInput != nil, in.conf.PollSet
	r.CheckpointLimit = in.conf.CheckpointLimit
	r.Refusal = isRefusal
	return r
}

func isRefusal(err error) bool {
	var refused *amojo.RefusedError
	return errors.As(err, &refused)
}

// healthChanged is told when the API does not answer any more, and when it does
// again.
func (r *report) healthChanged(up bool, why error) {
	r.HealthChanged(up, why, r.in.conf.Backoff.MaxInterval)
	if !up {
		r.refused = isRefusal(why)
		return
	}
	if r.refused && time.Since(r.retried) >= notOursFor {
		// While it refused all, it did so not because of their channel.
		r.retried = time.Now()
		r.in.reader.RetryNotOurs()
	}
}
