// SPDX-License-Identifier: Apache-2.0

// Package chat reads one chat: a Pass goes from its Checkpoint, or its beginning, to
// what was newest when the pass began, and emits each message that stays, oldest first.
// It knows nothing of HTTP, of other chats or of what becomes of a message, and has no
// lock, goroutine or clock: whoever runs it gives it what it begins with (Start), and
// waits for room or for a failing request where the pass calls it.
//
// There is one kind of pass for each kind of API:
//
//	FromNewest  an API that lists the newest message first, addressed by offset
//	FromTalks   an API that lists messages in numbered pages, in whatever order, with a
//	            filter of time
//
// # What a Checkpoint promises
//
// There is one for each chat (checkpoint.go). Everything older than its From is
// done with, and of the rest exactly the items in Seen are. It is never only a
// time, since several messages can share one, and any time can be wrong.
//
//   - Seen has the last 8 delivered items at least, however old, so that the
//     place is found when some of them are deleted; all that lie within the
//     lookback; and 1,000 at most, with up to 10,000 of the future beside them.
//   - Time is the newest delivered item's, of those that were not later than the
//     server's clock when they were read. A message from the future does not
//     move it.
//   - From moves only behind what is forgotten, so whatever an item's time, it is
//     in Seen or older than From. It never moves back.
//   - An item of Seen is firm if nothing that was delivered before it can stand
//     above it, whether the API lists by time or by arrival. What stands above a
//     firm one and is not in Seen is new, whatever time it claims.
//   - If all items in Seen were deleted, the next pass reads the chat to its end,
//     delivers what is as new as From and not known, and if there is nothing puts
//     what it met in the place of what has vanished.
//
// A pass may begin from a checkpoint that was set back (Rewound). What was delivered since and
// is still in the chat comes again then. So that nothing is lost beside that, the pass is told
// where it was set back from (Start.Reached): its walk does not end above that, and what
// stands above a firm item of it is new.
//
// It moves by Advance, over what was delivered next in the order of the chat. When that
// happens and when it is written is the reader's business.
//
// # A pass from the newest message
//
// A position means another message as soon as something arrives or vanishes, so
// no page is believed for its position. Each overlaps what was read before, and
// is used from the item on that is recognised (seek.go). Only entries without an
// identity leave nothing but the position, and then a look at the nearest message
// confirms it.
//
//	newest                                                      oldest
//	[page][page][page]            …            [page]| checkpoint, or end
//	 walk --> buffer full          <-- climb <-- start
//
//	 1. walk (walk.go) goes from the newest page toward the checkpoint, or the
//	    chat's end, and keeps what it sees. Most passes end here: what is new is
//	    complete, and is emitted oldest first.
//	 2. start (climb.go), once the buffer is full, finds where to begin: the
//	    boundary, a page with something that was delivered or with the time to
//	    begin from, or else the bottom, the chat's last page. Both are looked for
//	    by doubling the position and then halving, and from there it is walked
//	    down, to where the walk at the top would have ended.
//	 3. climb (climb.go) goes from there toward the newest page and emits as it
//	    goes, until it meets what the walk kept, which comes last. Both ends are
//	    known by then, so several pages may be asked for at once (readahead.go).
//
// A pass that is interrupted anywhere has emitted a part without a gap, so that
// the next one goes on behind it.
//
// Where the way down may end:
//
//   - with a checkpoint, when an item was met that was delivered, and what was
//     read last lies behind the lookback: the last message by its time, and the
//     two before it by theirs unless they were delivered
//   - with nothing but a time to begin from, when 50 messages in a row are older
//   - with Start.Latest at the first look, when the lookback is covered
//   - at the chat's end
//
// What is believed of times is little. A single one ends nothing. An item is old
// because of its time only if it stands below what was delivered last; above that
// it is new. One without a time gets that of the newer one next to it, and its id is
// kept as long as that of what was delivered next. A time in the future or in another
// unit is counted. That a server lists the oldest message first they show only if they
// go up eight times at least, and eight times as often as down, over the pages of all
// chats; then nothing of it is used (package evidence).
//
// A short page is not taken for the chat's end. Servers may hide entries after
// they have applied the limit, or have a limit of their own, so it is looked
// behind (end, in walk.go): at what follows all that was asked for, or, as long as no
// page was full, right behind it. Once nothing was found 32 times that is believed,
// but for one in 64. If something was found, and the short page still ends above it
// when it is asked for again, short pages mislead at this server: from then on all are
// looked behind, and the reader is told, so that the chats whose ends were believed are
// read again from their beginning. Until then no look is taken in a chat that shows
// nothing at all, nor at the first look of Start.Latest.
//
// A pass is lost when nothing of what it read before is left where it goes on. The
// walk then begins anew, having emitted nothing. The climb looks for its start
// again, a few times, and leaves out what it has passed, of which it remembers the
// last 2,000 items; if it has passed more than that, the pass fails and the next one
// goes on from the checkpoint. A pass that begins anew too often, or makes 64 requests
// in a row without anything new, fails with ErrNoProgress.
//
// # A pass over a talk
//
// The order of the pages is not known, the numbers drift, and neither the filter of time
// nor the link to a next page need be kept. So none of them is relied on:
//
//  1. walk (talkwalk.go) asks from the second of the checkpoint's lookback on, with two
//     seconds of slack, since the filter may be off by one and leave out its ends. A short
//     page is complete, whatever its order, and one request. Else each page is asked for
//     with a limit for which it overlaps what was read (cover): page 2 of 248 begins with
//     the last but one of page 1 of 250. As long as the API keeps its order, a page that
//     shares anything with what was read leaves no gap, however much came and went. One
//     that shares nothing counts if it was asked for right behind the page before, and
//     that has not changed.
//  2. What was read is sorted by its seconds (talklist.go), and what is new by the
//     checkpoint is emitted. If the times went neither up nor down all the way, 12 steps at
//     least, what arrives meanwhile may stand in the part that was passed, so several pages
//     are read a second time (read), and what the second reading alone has and is newer
//     than the first is left to the next pass.
//  3. cut (talkcut.go) reads the talk in parts by time where more is new than MaxKept. With
//     the oldest message first, what was read is a part. With the newest first it is the last
//     part and is held, while the others are searched by halving and delivered; in no order
//     all are. Three times MaxKept is held at most, and the ids of what is not new. If an
//     answer has other times than were asked for, the filter is not kept, and the pass
//     fails with ErrTooManyKept, as it does for more than MaxKept in one second.
//
// With the filter kept and either order, M messages take M/200+2 requests at most, with
// pages of 250. A filter that is not kept costs the whole talk with each pass, unless the newest
// message comes first: then 50 messages in a row that are old end it.
//
// A short page is looked behind as in the other pass: right behind it, where a lower limit of the
// server's would go on, until a longer page was seen, and where what was asked for ends. If it
// is as long when it is asked for again and more stands behind it, whatever that is, its length is
// that limit: no more is asked for from then on, and unless nothing has changed the pages are read
// again from the first, since they may have gaps. Once short pages have
// misled, an empty look counts only if the short page has not changed meanwhile. On the first page that is
// spared once nothing was found 32 times, or if less than a tenth of the page is there; but
// not if it links a next page, until that was wrong 32 times.
//
// Where nothing of what was delivered is shown, a look without the filter tells whether it was
// deleted, or the filter means another time.
//
// Not promised: with nothing known yet of a server that limits or hides, that all is met in a
// talk that shrinks just while its first short page is looked behind; in a talk that changes, that
// all is met at a server that gives two or three messages at a time, since such pages hardly overlap; order and completeness at a server that lists in another order with each
// request, or hides as many entries in a row as a page has; that a message which shows no time
// never comes again, in a list without an order; and a message with a time before the
// lookback, which the filter leaves out.
//
// # What changes
//
// With Start.Changes a pass also tells what has become of the messages in Seen: which have
// other bytes now, by the hash of those that were delivered, and which are gone (watch.go,
// newestchanges.go, talkchanges.go). It makes the requests that it makes anyway. Only where a
// deletion would rest on the chat's end, or on a filter that nothing shows to be kept, it asks
// for more before it believes that.
//
// A message is gone when two whole passes have been at its place and not met it, with none
// in between that did. The Mark of the first is in the checkpoint, and so are the hashes,
// which came there with the delivery; what a pass learns beside that is in Result.Notes.
//
//	Mark      becomes  by
//	(none)    missed   a whole pass at its place that does not meet it
//	missed    (none)   a pass that meets it
//	missed    gone     the next whole pass at its place that does not meet it: a Delete
//	gone      (none)   a pass that meets it after all: an Update
//	leftOut   -        it was there before the chat was read from now on
//
// A message without an id of its own (MakeID) never changes: with other bytes it is
// another one. That one is gone is not told, for nothing could name it.
//
// Not promised: a message that was delivered and not acknowledged when a process was
// killed, and deleted before the next one read it, is in no checkpoint; where a time errs at
// the end of a page, what lies behind MaxKept messages is not looked at; one that was delivered
// late, below what had been delivered before it, or with a time that
// was not meant, or without one, is not told to be gone where the pass does not come to the
// chat's end; what moves far down in the list is taken for gone until it is met again; and so is
// what a server hides for a moment from pages of two or three, which hardly overlap.
package chat
