// SPDX-License-Identifier: Apache-2.0

// Package reader reads many chats side by side: it gives each one a pass when it is
// due, delivers what the passes find, takes the acknowledgements, and saves how far
// each chat was acknowledged. It knows nothing of how a chat is read, which is a
// chat.Pass's business, nor of what becomes of a message.
//
// A chat is queued to be read, read by a pass, and delivered as batches, which are out
// until they are acknowledged.
//
// # What it promises
//
//   - The messages of a chat are delivered oldest first, each once in a run and in each Reread. With
//     Config.PreserveOrder the next batch of a chat is not delivered before the one
//     before it was acknowledged.
//   - A chat's checkpoint moves by an acknowledgement, over what has been acknowledged
//     without a gap, in the order of the chat. With Config.Latest, what the first look
//     at a chat finds counts as acknowledged.
//   - It is written at most once in a CheckpointInterval; at once when a chat has been
//     read and acknowledged in a run that has an end; and at Close. While it can't be
//     written, nothing more of its chat is delivered.
//   - A crash costs what was not acknowledged, and what was acknowledged after
//     the last writing: both come again.
//   - A batch that is rejected is not acknowledged. It stays out, and whoever
//     has it either acknowledges it later or gets it again after a restart.
//   - After a restart the chat goes on behind its checkpoint. One that can't be
//     decoded is reported, and its chat is read from the start. A Store that
//     can't be read is asked again: it is never taken for one that is empty.
//   - What fails for one chat costs that chat only: it is tried again without end, and
//     the others are read meanwhile.
//   - Of the messages that are read and not acknowledged there are never more than
//     CheckpointLimit.
//
// # The states of a chat
//
// A chat is in one of three phases (record.phase). What its phase does not say, two
// questions to its work do: it is quiet when all that was read is acknowledged, and
// stored when all that was acknowledged is written.
//
//	phase    becomes  by            when
//	(none)   queued   Add           it is added for the first time: in ready
//	queued   reading  dispatch      it comes first in its queue (nextQueue), and there is a place
//	reading  resting  read          its pass has come to its end
//	reading  resting  read          its pass was ended (unfinished): again, when it is quiet
//	reading  queued   read          its pass failed: asleep until the retry (failed); or the Store
//	                                could not be read: asleep until it is asked again
//	resting  queued   settle        one more pass is due (again): in ready; with Poll: asleep till then.
//	                                With PreserveOrder not before it is quiet
//	resting  queued   settle        OncePerAdd, quiet and stored, and its messages may still change:
//	                                in watched till then (watch)
//	resting  (none)   settle        OncePerAdd, quiet and stored, and else: forget
//	queued   (none)   letGo         OncePerAdd, not ours, and there are too many such: forget
//	queued   queued   Add           it is in watched: in ready
//	queued   queued   RetryNotOurs  it sleeps because it is not ours: in ready or retries
//
// settle draws all consequences whenever the phase, what is quiet or what is stored
// has changed, and is the only place that does. Beside the transitions above these are:
// it tells the callers of Add, hurries the checkpoint of a chat in a run that has an
// end, says that the chat no longer keeps Next from its end, drops the work, and sets
// the State:
//
//	State       when
//	Failing     the last pass failed, until one succeeds; or a call of this one that is
//	            waited for; or, between passes, the Store
//	Reading     reading
//	Delivering  otherwise, and not quiet
//	Waiting     queued and quiet
//	Done        resting and quiet
//
// A pass gives its place to another chat without ending (giveWay) for two reasons: emit
// is far ahead of the acknowledgements, or a call failed that may succeed later (park):
// then the pass keeps what it has read in memory. At most ParallelChats are parked, and
// one whose call failed eleven times in a row ends with that failure.
//
// A pass also gives its place up when its chat has its share of the limit (share.go), but no more than
// mostShort for each place do. Beyond that one of them ends whose chat the output has rejected
// (Batch.Rejected), or has had for ten seconds without a word: it is unfinished, what it read is forgotten, and the chat is read on from
// its checkpoint once it is quiet. So a chat that is rejected or held for ever costs what is out of it: in the last
// quarter of the limit, which is rationed then, one message, or as many as were acknowledged since its pass began.
//
// readAgain asks for one more pass after the one that is going on: because the chat
// was added again, or because its end was believed and short pages mislead
// (chat.Start.OnShortPages). Both are in the checkpoints, so that another process reads it again where this
// one ends before. In the latter case that pass begins at the chat's
// beginning, once the chat is quiet (doubt.go), and what the checkpoint knows is not delivered again.
// That checkpoint is set aside and a new one begun, which is kept as usual, so that after a crash
// this goes on, and what was set aside comes again. They become one when a pass has come to the
// chat's end and all is acknowledged. Until then the chat is not stored.
//
// Reread (reread.go) sets a chat back that is quiet: the next pass goes on from an earlier
// checkpoint than the one that is kept, which stays as it is until a pass has come to
// the chat's end and all is acknowledged, and then moves over both. Until then the chat is not
// stored, so that it keeps its work and nobody is told. Passes that fail in between
// go on where they were. After a crash nothing is left of it. Whoever wants it while it is under
// way, or while something is out, waits until the chat is quiet, and what comes then is
// what all of them want.
//
// # What always holds
//
// Each with mu free:
//
//   - A chat is in Reader.chats, or it was forgotten and nothing refers to it but what
//     sleeping, dirty and notOurs have of an earlier time. That is skipped: in sleeping and watched
//     by the count of sleeps, in dirty because it has no work, in notOurs by its phase.
//   - A queued chat is once in ready or retries, or asleep once in sleeping or watched. A
//     chat that is reading or resting is in none of them. One that is in watched keeps
//     nobody from anything: neither Next from its end, unless a pass finds something, nor another chat
//     from its turn, but for one pass in four.
//   - A chat is in offers if and only if work.offered, and then it has pending messages.
//   - A chat whose work is dirty and not being saved is in dirty, perhaps twice: who
//     hurries adds it again, and whoever takes it out second finds nothing to do.
//   - A chat has work from the begin of a pass until no pass goes on and it is quiet and
//     stored. An idle chat is nothing but its record: its name, its packed checkpoint,
//     its state and its place in a queue.
//   - Nobody but its pass appends to a chat's pending, and no chat has two passes.
//   - A drawn ticket of the budget is used before anything else is waited for, unless
//     the Reader is closed: everybody who drew later waits for it. So a chat that has its
//     share of the limit waits for more before it draws (awaitShare).
//   - notOurs says that a chat sleeps because it was refused with chat.ErrNotOurs, or
//     that its pass is parked for that.
//
// # Memory of checkpoints
//
// A Store can lose what it has, or be set back. So each chat keeps its last
// checkpoint, packed (pack.go), and of chats that were forgotten the Reader remembers
// the last 32,768 to 65,536, or all without a Store (memory.go). Each pass of an idle
// chat reads the Store first (load). The Store's value counts unless it is missing,
// can't be decoded or is older than ours; or, where no other process has reason to
// write it, differs from ours. Then ours counts, is written again, and
// CheckpointVanished is called. What was lost between two processes nobody knows, and
// the chat is read as one without a checkpoint.
//
// # Locks, goroutines and the end
//
// Reader.mu guards everything that is not the pass's own. No lock is held during a call
// of a Pass, of Store or of a callback, but for Hooks.State.
//
// Reader.changed is what everybody waits for, whatever it is. Who changes anything that
// somebody may wait for broadcasts before it gives mu back. The functions that begin
// with the lock do, from Add to ack; those whose caller holds it leave that to the
// caller, settle first of all; and read broadcasts at the end for load and pass. What
// comes with time has no one to broadcast: who waits for a time calls wakeAt, and one
// timer wakes all.
//
// Start starts one goroutine that begins passes (dispatch), one that calls back
// (tell), and four that write checkpoints (save); dispatch starts one for each
// pass (read).
//
// There is one way to stop them: Close ends Reader.ctx. All calls of passes and of
// Store have it, and await looks at it (closed). So that nobody goes to wait after
// having looked, it ends with mu held. What a pass or a write returns after that is
// neither an end nor a failure. Close waits for all of them, tells the callers of Add
// that the Reader is closed, and then writes what is left with the context it was
// given.
package reader
