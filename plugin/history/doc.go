// SPDX-License-Identifier: Apache-2.0

// Package history reads chats through an API that gives them in pages, newest
// message first, counted from the newest one, while messages arrive and vanish.
// It hands out each message that stays, oldest first, and remembers how far that
// was acknowledged. It knows nothing of HTTP and of what becomes of a message:
// the API is a Source, the memory a Store.
//
// # What a Checkpoint promises
//
// There is one for each chat. Everything older than its From is done with, and
// of the rest exactly the items in Seen are. It is never only a time, since
// several messages can share one.
//
//   - An acknowledgement moves it, and nothing else does: over what has been
//     acknowledged without a gap, in the order of the chat. With Config.Latest,
//     what the first look at a chat finds counts as acknowledged.
//   - It is written at most once in a CheckpointInterval, and at Close. While it
//     can't be written, nothing more of its chat is handed out.
//   - A crash costs what was not acknowledged, and what was acknowledged after
//     the last writing: both come again.
//   - A batch that is rejected is not acknowledged. It stays out, and whoever
//     has it either acknowledges it later or gets it again after a restart. With
//     Config.PreserveOrder its chat waits for that.
//   - After a restart the chat goes on behind its checkpoint. One that can't be
//     decoded is reported, and its chat is read from the start. A Store that
//     can't be read is asked again: it is never taken for one that is empty.
//
// # One pass over a chat
//
// A position means another message as soon as something arrives or vanishes, so
// no page is believed for its position. Each overlaps what was read before, and
// is used from the item on that is recognised (seek.go).
//
//	newest                                                      oldest
//	[page][page][page]            …            [page]| checkpoint, or end
//	 walk --> buffer full          <-- climb <-- locate
//
//	 1. walk (walk.go) goes from the newest page toward the checkpoint, or the
//	    chat's end, and keeps what it sees. Most passes end here: what is new is
//	    complete, and is emitted oldest first.
//	 2. locate (climb.go), once the buffer is full: finds the page with the oldest
//	    item that is new, by doubling the position and then halving.
//	 3. climb (climb.go) goes from there toward the newest page and emits as it
//	    goes, until it meets what the walk kept, which comes last.
//
// A pass that is interrupted anywhere has emitted a part without a gap, so that
// the next one goes on behind it.
//
// # Many chats
//
// A Reader gives each chat that is due a pass, at most ParallelChats at a time.
// What a pass emits takes a part of the CheckpointLimit, waits in its chat's
// work until Next hands it out, and gives its part back when it is acknowledged.
// A pass that is far enough ahead of its acknowledgements leaves its place to
// another chat. An idle chat is nothing but its name, its state and its place in
// a queue.
//
// A chat is resting, scheduled (to be read at once or later) or passing, and
// Reader.settle decides what follows whenever that or its acknowledgements have
// changed.
//
// # Locks and goroutines
//
// Reader.mu guards everything that is not the pass's own, and Reader.changed is
// signalled whenever something that anybody may wait for has changed. No lock is
// held during a call of Source, of Store or of a callback, but for Hooks.State.
//
// Start starts one goroutine that begins passes (dispatch), one that calls back
// (tell), and some that write checkpoints (save); dispatch starts one for each
// pass. A single timer wakes those who wait for a time. Close ends them all: it
// cancels the context that Source and Store were called with, waits, and then
// writes what is left.
package history
