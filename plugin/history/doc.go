// SPDX-License-Identifier: Apache-2.0

// Package history reads chats through an API that gives them in pages, newest
// message first, counted from the newest one, while messages arrive and vanish.
// It hands out each message that stays, oldest first, and remembers how far that
// was acknowledged. It knows nothing of HTTP and of what becomes of a message:
// the API is a Source, the memory a Store.
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
//
// And what moves it:
//
//   - An acknowledgement, over what has been acknowledged without a gap, in the
//     order of the chat. With Config.Latest, what the first look at a chat finds
//     counts as acknowledged.
//   - It is written at most once in a CheckpointInterval; at once when a chat is
//     through in a run that has an end; and at Close. While it can't be written,
//     nothing more of its chat is handed out.
//   - A crash costs what was not acknowledged, and what was acknowledged after
//     the last writing: both come again.
//   - A batch that is rejected is not acknowledged. It stays out, and whoever
//     has it either acknowledges it later or gets it again after a restart. With
//     Config.PreserveOrder its chat waits for that.
//   - After a restart the chat goes on behind its checkpoint. One that can't be
//     decoded is reported, and its chat is read from the start. A Store that
//     can't be read is asked again: it is never taken for one that is empty.
//   - If all items in Seen were deleted, the next pass reads the chat to its end,
//     delivers what is as new as From and not known, and if there is nothing puts
//     what it met in the place of what has vanished.
//
// # One pass over a chat
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
//	    goes, until it meets what the walk kept, which comes last.
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
//   - with Config.Latest at the first look, when the lookback is covered
//   - at the chat's end
//
// What is believed of times is little. A single one ends nothing. An item is old
// because of its time only if it stands below what was delivered last; above that
// it is new. One without a time gets that of the newer one next to it, and its id is
// kept as long as that of what was delivered next. A time in the future or in another unit
// is reported once for a chat. That a server lists the oldest message first they
// show only if they go up eight times at least, and eight times as often as down,
// over the pages of all chats; then nothing of it is used (evidence.go).
//
// A short page is not taken for the chat's end. Servers may hide entries after
// they have applied the limit, or have a limit of their own, so it is looked
// behind (end, in walk.go): at what follows all that was asked for, or, as long as no
// page was full, right behind it. Once nothing was found 32 times that is believed of a chat's first page, but
// for one in 64. If something was found, and the short page still ends above it when it is asked
// for again, short pages mislead at this server: from then on all are looked behind,
// and the chats whose ends were believed are read again from their beginning. Until
// then no look is taken in a chat that shows nothing at all, nor at the first look of
// Config.Latest.
//
// A pass is lost when nothing of what it read before is left where it goes on. The
// walk then begins anew, having emitted nothing. The climb looks for its start
// again, a few times, and leaves out what it has passed, of which it remembers the
// last 2,000 items; if it has passed more than that, the pass fails and the next one
// goes on from the checkpoint. A pass that begins anew too often, or makes 64 requests
// in a row without anything new, fails with ErrNoProgress.
//
// # Many chats
//
// A Reader gives each chat that is due a pass, at most ParallelChats at a time.
// What a pass emits takes a part of the CheckpointLimit, waits in its chat's
// work until Next hands it out, and gives its part back when it is acknowledged.
// A pass that is far enough ahead of its acknowledgements leaves its place to
// another chat.
//
// A chat is in one of three phases, and what its phase does not say, two bits do:
// it is quiet when all that was read is acknowledged, and stored when all that was
// acknowledged is written.
//
//	phase      moves to   by        when
//	(none)     scheduled  Add       it is named for the first time: in line
//	scheduled  passing    dispatch  it comes first in its line (turn), and there is a place
//	passing    resting    read      the pass has come to its end
//	passing    scheduled  read      the pass failed: asleep until the retry (failed); or the Store
//	                                could not be read: asleep until it is asked again
//	resting    scheduled  settle    one more pass is due (readAgain): in line; with Poll: asleep till then.
//	                                With PreserveOrder not before it is quiet
//	resting    (none)     settle    Named, quiet and stored: forget
//	scheduled  (none)     letGo     Named and not ours, and there are too many such: forget
//	scheduled  scheduled  RetryNotOurs  it sleeps because it is not ours: in line
//
// There are two lines: ready, and retries for those whose last pass failed. These have
// one turn in four while others are ready, and half of the places at most.
//
// settle draws all consequences whenever one of these has changed, and is the only
// place that does. It tells those who named the chat, has a run with an end write
// the checkpoint at once, drops the work and sets the State:
//
//	Failing     the last pass failed, until one succeeds; or a call of this one that is
//	            waited for; or, between passes, the Store
//	Reading     passing
//	Delivering  otherwise, and not quiet
//	Waiting     scheduled and quiet
//	Done        resting and quiet
//
// Two things interrupt a pass without ending it, and leave its place to another
// chat (giveWay): emit, when the chat is far ahead of its acknowledgements, and
// park, when a call failed that may succeed later and the pass has come some way,
// which it keeps in memory. At most ParallelChats are parked; one that failed ten
// times in a row is given up.
//
// readAgain asks for one more pass after the one that is going on: because the chat
// was named again, or because its end was believed and short pages mislead. In the
// latter case that pass begins at the chat's beginning, once the chat is quiet.
//
// The work of a chat is what it needs while anything is under way. It is there from
// the begin of a pass until no pass goes on and the chat is quiet and stored. An idle
// chat is nothing but its name, its packed checkpoint, its state and its place in a
// queue.
//
// The counters, all of the Reader:
//
//	budget             messages that are read and not acknowledged, up to CheckpointLimit
//	fetching           passes that hold a place, up to ParallelChats
//	retrying           those of them that follow one that failed
//	resuming           passes that gave theirs up and wait to have it back; they come first
//	parked             passes that wait for a call that failed
//	open               chats that keep Next from its end: it comes with open 0 after Listed
//	unread             chats of which no pass has come to its end
//	named, held        callers of chats that do not fail, and that do; Room bounds both
//	counts             chats by State
//	messages, unacked  handed out, and not acknowledged of these
//
// # Memory of checkpoints
//
// A Store can lose what it has, or be set back. So each chat keeps its last
// checkpoint, packed (pack.go), and of chats that were named and forgotten the
// Reader remembers the last 32,768 to 65,536, or all without a Store (memory.go).
// Each pass of an idle chat reads the Store first (load). The Store's value counts
// unless it is missing, can't be decoded or is older than ours; or, where no other
// process has reason to write it, differs from ours. Then ours counts, is written
// again, and CheckpointVanished is called. What was lost between two processes
// nobody knows, and the chat is read as one without a checkpoint.
//
// # Locks and goroutines
//
// Reader.mu guards everything that is not the pass's own, and Reader.changed is
// signalled whenever something that anybody may wait for has changed. No lock is
// held during a call of Source, of Store or of a callback, but for Hooks.State.
// evidence, which all passes share, has a lock of its own, and nothing is called
// with it held.
//
// Start starts one goroutine that begins passes (dispatch), one that calls back
// (tell), and four that write checkpoints (save); dispatch starts one for each
// pass. A single timer wakes those who wait for a time. Close ends them all: it
// cancels the context that Source and Store were called with, waits, tells those
// whose chats are not through that it is closed, and then writes what is left.
package history
