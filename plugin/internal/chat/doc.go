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
// page was full, right behind it. Once nothing was found 32 times that is believed of
// a chat's first page, but for one in 64. If something was found, and the short page
// still ends above it when it is asked for again, short pages mislead at this server: from then on all are looked behind,
// and the reader is told, so that the chats whose ends were believed are read again
// from their beginning. Until then no look is taken in a chat that shows nothing at
// all, nor at the first look of Start.Latest.
//
// A pass is lost when nothing of what it read before is left where it goes on. The
// walk then begins anew, having emitted nothing. The climb looks for its start
// again, a few times, and leaves out what it has passed, of which it remembers the
// last 2,000 items; if it has passed more than that, the pass fails and the next one
// goes on from the checkpoint. A pass that begins anew too often, or makes 64 requests
// in a row without anything new, fails with ErrNoProgress.
package chat
