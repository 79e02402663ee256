// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"context"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/checkpoint"
	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
)

// API is the calls that discovering takes. A [*crm.Client] has them.
type API interface {
	Events(ctx context.Context, q crm.EventQuery) (crm.EventPage, error)
	Talk(ctx context.Context, talkID string) (crm.Entry, error)
	List(ctx context.Context, from crm.Source, page, limit int) (crm.Page, error)
}

// Config configures a [Discovery].
type Config struct {
	// API makes the calls. Required.
	API API
	// Store keeps checkpoints, under the names that [Names] returns. nil: nothing is
	// kept.
	Store checkpoint.Store
	// PageSize is how many entries to ask for at a time, 1 to [crm.MaxLimit]. In rare
	// places up to 25 are asked for where it is less.
	PageSize int
	// Origins are the only ones of interest. None: all are.
	Origins []string
	// Since leaves out what happened before: events by their created_at, talks by their
	// updated_at. Zero: nothing.
	Since time.Time
	// Gather is how many events may be read before the talks that they announce are
	// named, so that a talk is named once, with all of its messages. A listing of no
	// more names each talk exactly once. 0: 20,000, which takes some 15 MB at most.
	Gather int
	// Repeat has talks named again in a listing that has more than Gather events, with
	// the messages that were announced since (Talk.Again). Without it they are not.
	Repeat bool
	// Hooks are told of what needs a person's attention.
	Hooks Hooks
}

// Hooks are told of what needs a person's attention. Each may be nil.
type Hooks struct {
	// Corrupt is told of a checkpoint that can't be read. What it covered is named again.
	Corrupt func(name string, err error)
	// Restarted is told that a checkpoint was made for other origins or a later Since,
	// and is not used.
	Restarted func(name string)
	// Lost is told that a checkpoint is not in the Store any more as it was written, and
	// is written again.
	Lost func(name string)
	// Unfiltered is told that the feed does not keep its time filter, so that each
	// listing asks for more than is new.
	Unfiltered func()
	// Disordered is told that the feed is not in the order that was found before, and
	// that the listing starts over.
	Disordered func()
	// Loose is told that pages can't be joined, so that a listing can miss an event.
	Loose func()
	// Empty is told at the end of the first listing of all, if it has named no talk.
	Empty func()
	// Odd is told, at the end of a listing, how many of its events announce a message
	// and name no talk.
	Odd func(events int)
}

const defaultGather = 20_000

// Lag is how late an event may show up and still be named.
const Lag = lag * time.Second

func call(hook func()) {
	if hook != nil {
		hook()
	}
}
