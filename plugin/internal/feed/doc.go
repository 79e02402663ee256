// SPDX-License-Identifier: Apache-2.0

// Package feed finds out which talks of an account are new or have news, mostly from
// the event feed, and which messages were announced in them. It knows nothing of HTTP
// or Benthos.
//
// There are three ways, all a [Discovery]:
//
//	NewEvents  the event feed, from its beginning or a time, and then what is new
//	NewTalks   the list of talks, and then the feed from the moment at which that began
//	NewIDs     every id from 1 to the highest, and then the feed from that moment
//
// Who has one asks for batches, reads the talks, and acknowledges each:
//
//	d := feed.NewEvents(feed.Config{API: client, Store: store, PageSize: 250, Repeat: true})
//	for {
//		batch, err := d.Next(ctx) // one request; no talks is usual
//		if err != nil {
//			return err // or wait and call Next again: it asks for the same
//		}
//		for i, talk := range batch.Talks {
//			queue(talk.ID, talk.Announced, func() { batch.Ack(i) })
//		}
//		if batch.Done { // the listing is complete: the next begins a poll interval later
//			wait(pollInterval)
//		}
//		save(d.Save) // at any time, from one goroutine
//	}
//
// # What is promised
//
// Each talk with an event is named, and with it the messages that were announced since it
// was named last. A listing names a talk once, whatever the number of its events, as long
// as the listing has no more than Config.Gather events. In a longer one a talk is named
// again only for events that came while it ran; with Config.Repeat also for older
// ones, marked Talk.Again.
//
// An event is announced once by a process, although it is read again and again: events
// show up to two minutes late (chats-api.md, "The event feed"), so that the last 150
// seconds are read by each listing. A listing that finds nothing new is one request.
//
// # What a checkpoint promises
//
// It is a position, before which everything was named and acknowledged without a gap,
// and the keys of the events that are not before it and were. It trails the latest event, and the
// clock as it was when the listing began, the server's or our own, whichever is earlier.
//
// # How the feed is read
//
// Nothing documented says in which order events come, and pages are numbered, so that
// they shift when something is added. Pages of one selection of time therefore overlap
// (listing.Lap), and only what is shown to hold is made use of:
//
//	what shows                         how it is read
//	oldest first, in ten steps or more asked for, from the position on: what a page has is done
//	                                   with, and the next selection begins at its last event
//	newest first, in as many           the next selection ends at the oldest event; the position moves
//	                                   when the old position is reached
//	any other order                    to the end. If that takes more than eight pages, the
//	                                   selection is halved until it takes no more, and so on from
//	                                   there
//	the time filter is not kept        newest first is asked for, to the position if that is kept,
//	                                   else to the end
//
// If an order turns out not to hold, the listing starts over where it began. That the
// filter is kept shows in the times of what comes, and in that known events at its
// edge come; one that is off by a second is allowed for.
package feed
