// SPDX-License-Identifier: Apache-2.0

package talkhistory

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
	"github.com/kommo-connect/kommo-connect/plugin/internal/feed"
)

const (
	// mostNamed is how many talks may be named and not yet read, delivered and found
	// complete, before the feed waits.
	mostNamed = 65_536

	// feedChat is what the feed is called among the talks, for Health.
	feedChat = "the feed"

	// old is how long after its announcement a message that is not listed is no matter
	// of seconds any more: it is looked for oldLateFor instead of lateFor.
	old        = time.Hour
	oldLateFor = 7 * time.Second

	// searchAt is at which reading after the first all of the talk is looked through: not
	// at once, since most lists are late by a second or two. The last reading does it too.
	searchAt = 2
)

// account has the talks read that the account's own feed names, and what was announced
// looked for.
type account struct {
	in        *input
	discovery feed.Discovery

	failed   int  // times in a row that the feed could not be read; for run alone
	answered bool // it was read; for run alone

	saver   *component.Saver // of how far the feed was acknowledged
	settled component.Signal // pending has become 0
	start   start            // set before the first talk is named

	openings openings // of a start

	mu      sync.Mutex
	pending int  // talks that are named and not done
	done    int  // talks that are
	through bool // a listing is complete, and all that it named is done
	listed  bool // a listing is complete
}

func newAccount(in *input) *account {
	a := &account{in: in, settled: component.NewSignal()}
	a.saver = &component.Saver{
		Save:     func(ctx context.Context) error { return a.discovery.Save(ctx) },
		Interval: in.conf.CheckpointInterval, Backoff: in.conf.Backoff, Moved: component.NewSignal(),
		Saved: func() {}, Failed: in.report.feedStoreFailed,
	}
	return a
}

// run reads the feed until it is stopped, or once.
func (a *account) run(ctx context.Context) {
	defer a.in.reader.AllAdded()
	if a.begin(ctx) != nil {
		return
	}
	a.in.running.Go(func() { a.saver.Run(ctx) })
	switch {
	case !a.in.conf.Changes:
	case a.in.conf.PollSet:
		a.in.running.Go(func() { a.recall(ctx) })
	default:
		a.recall(ctx)
	}
	for {
		b, err := a.next(ctx)
		if err != nil {
			return
		}
		for i := range b.Talks {
			if a.in.reader.Room(ctx) != nil {
				return
			}
			a.read(&b.Talks[i], func() {
				b.Ack(i)
				a.saver.Moved.Send()
			})
		}
		b.Talks = nil
		if b.Done {
			a.count(0, 0, true)
		}
		a.saver.Moved.Send() // the feed moves also over what concerns no talk
		switch {
		case !b.Done:
		case !a.in.conf.PollSet:
			a.wait(ctx)
			return
		default:
			if apicall.Sleep(ctx, a.in.conf.PollInterval) != nil {
				return
			}
		}
	}
}

// begin makes what names the talks.
func (a *account) begin(ctx context.Context) error {
	in := a.in
	if in.conf.StartLatest {
		if err := a.untilAnswered(ctx, func() (err error) {
			a.start, err = in.findStart(ctx)
			return err
		}); err != nil {
			return err
		}
	}
	a.discovery = in.newDiscovery(in.conf.Since, a.start)
	return nil
}

// close writes how far the feed was acknowledged.
func (a *account) close(ctx context.Context) error {
	if a.discovery == nil {
		return nil
	}
	return a.discovery.Save(ctx)
}

// next asks the feed until it answers. An error says that everything is stopped.
func (a *account) next(ctx context.Context) (b *feed.Batch, err error) {
	if err := a.turn(ctx); err != nil {
		return nil, err
	}
	err = a.untilAnswered(ctx, func() error {
		b, err = a.discovery.Next(ctx)
		return err
	})
	return b, err
}

// untilAnswered makes a call of the feed until it succeeds. An error says that everything
// is stopped.
func (a *account) untilAnswered(ctx context.Context, call func() error) error {
	for {
		err := call()
		if err == nil {
			// Where talks fail and the feed does not, the API is not up for each answer.
			name := ""
			if a.failed > 0 || !a.answered {
				name = feedChat
			}
			a.in.source.refusals.answered(feedCalls, name)
			a.failed, a.answered = 0, true
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		wait := a.in.conf.Backoff.Doubled(a.failed)
		a.failed++
		var store *feed.StoreError
		switch {
		case errors.As(err, &store):
			a.in.report.feedStoreFailed(err, wait)
		case refusesAll(err):
			a.in.source.refusals.begin(feedCalls, err, a.in.health.GoDown)
		default:
			if apicall.Retryable(err) {
				a.in.health.Fail(feedChat, err)
			}
			a.in.report.feedFailed(err, wait)
		}
		if err := apicall.Sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// turn waits while too many talks are named, the feed's checkpoint can't be written, or
// none of those that are named may be read.
func (a *account) turn(ctx context.Context) error {
	for a.saver.Stuck() || a.discovery.Unacked() >= mostNamed || a.isPending() && a.stopped() {
		if err := apicall.Sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// stopped says that the API refuses something else than the feed.
func (a *account) stopped() bool { return a.in.source.refusals.stops(feedCalls) != nil }

// read has a talk read. done is called when it was read to its end, delivered, saved, and
// nothing of what was announced is awaited any more.
func (a *account) read(t *feed.Talk, done func()) {
	r := &reading{account: a, talk: t.ID, done: done, late: make([]announcement, len(t.Announced))}
	for i, m := range t.Announced {
		r.late[i] = announcement{message: m.ID, at: m.At}
	}
	known := facts{origin: t.Origin, contactID: t.ContactID, entityID: t.EntityID, entityType: t.EntityType}
	a.in.named.hold(t.ID, known, r.late, a.in.conf.Since)
	a.count(1, 0, false)
	a.in.reader.Add(t.ID, r.ended)
}

// reading is a talk that the feed has named and that is not done.
type reading struct {
	account *account
	talk    string
	done    func()

	late  []announcement // announced, and not known to have come out
	since time.Time      // that something is late
	tries int

	searched bool // the reading that has ended looked through all of the talk, as the last one
}

// ended is called when the talk was read to its end, delivered and saved, or everything
// is stopped.
func (r *reading) ended(err error) {
	in := r.account.in
	if err == nil {
		r.late = in.named.late(r.talk, r.late)
	}
	if err == nil && len(r.late) > 0 {
		if r.tries == 0 {
			r.since = time.Now()
		}
		patience := r.patience()
		// A reading may take longer than that. Nothing is given up that was not searched.
		if left := max(0, patience-time.Since(r.since)); left > 0 || !r.searched {
			wait := min(time.Second<<min(r.tries, 5), left)
			r.tries++
			r.searched = wait == left
			if r.tries == searchAt && patience == lateFor || r.searched {
				var last []announcement
				if r.searched {
					last = r.late
				}
				in.named.search(r.talk, last)
			}
			time.AfterFunc(wait, func() { in.reader.Add(r.talk, r.ended) })
			return
		}
		if missing := in.named.giveUp(r.talk, r.late); len(missing) > 0 {
			in.report.isMissing(r.talk, missing)
		}
	}
	in.named.release(r.talk)
	if err == nil {
		r.done()
	}
	r.account.count(-1, 1, false)
}

// patience is how long the talk is read again for what is late.
func (r *reading) patience() time.Duration {
	now := r.account.in.source.serverNow()
	for _, m := range r.late {
		if now.Sub(time.Unix(m.at, 0)) < old {
			return lateFor
		}
	}
	return oldLateFor
}

// count notes that talks are pending or done, or that a listing is complete.
func (a *account) count(pending, done int, listed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pending += pending
	a.done += done
	a.listed = a.listed || listed
	if a.pending == 0 {
		a.through = a.through || a.listed
		a.settled.Send()
	}
}

// backfill is how far the first reading of the account is.
func (a *account) backfill() component.Backfill {
	a.mu.Lock()
	defer a.mu.Unlock()
	return component.Backfill{Done: a.done, Left: a.pending, More: !a.listed, Over: a.through}
}

// wait returns when all that was named is done.
func (a *account) wait(ctx context.Context) {
	for a.isPending() && ctx.Err() == nil {
		select {
		case <-a.settled:
		case <-ctx.Done():
		}
	}
}

func (a *account) isPending() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pending > 0
}
