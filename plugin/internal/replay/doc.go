// SPDX-License-Identifier: Apache-2.0

// Package replay sends again what an output has rejected. Every input here is
// wrapped by it, in place of benthos's own service.AutoRetryNacksBatched, which
// after a second partial rejection sends the wrong messages, forgets others and
// acknowledges the batch: it shortens its list, and goes on to look for the
// positions of the whole one in it.
//
// # What is promised
//
// A batch is acknowledged once, when each of its messages has been accepted, and
// a message is accepted once. Of a send that was rejected in part only what
// failed is sent again, where that can be told. Each send has an index of its own,
// over the messages that are in it, so it does not matter how often that happens.
//
//	state     moves to   when
//	read      out        ReadBatch hands it to the pipeline
//	out       accepted   everything in it was accepted: Accepted for each, then Ack
//	out       waiting    something was rejected, or everything is being stopped
//	waiting   out        its pause is over, and it is its turn
//	any       gone       Close: it was not acknowledged, so a later run reads it again
//
// # What counts as accepted
//
// What the output reports as delivered, and what the pipeline drops on purpose. An
// error that tells of no single message means that everything failed. An answer
// that comes because everything is being stopped accepts nothing.
//
// A report of single failures is believed only if it can be matched with what was
// sent without a doubt (ticket.judge has why it often can't). If it can't, because
// the pipeline has dropped, added, joined or divided messages, none of them is
// accepted, and they are sent once more in halves, one after the other, until each
// part is accepted or rejected as a whole. So a message that the pipeline drops
// does not wait for one that is rejected for ever, and what was delivered in such
// a send is delivered again, but not for ever.
//
// # Where benthos itself reports a failure as less than it is
//
// No input can tell these from a true report, and messages are lost:
//
//   - A processor of an output inside switch or fallback, or one in the
//     batching.processors of an output, that drops or joins messages, if that
//     output reports failures message by message. The pipeline is the place for a
//     filter. An archive is safe in batching.processors outside of those two.
//   - The patterns fan_out_fail_fast and fan_out_sequential_fail_fast of broker
//     pass on the first rejection only, whatever the other outputs did with the
//     rest, if an output reports failures message by message. fan_out and
//     fan_out_sequential try each output again by themselves.
//   - A pipeline that divides batches and then drops single messages by a
//     processor that works on one at a time (unarchive), before an output that
//     rejects whole batches.
//   - A processor that changes the order within a batch, or drops as many
//     messages as it adds. No stock processor does by itself.
//
// # Order
//
// The reader holds back the later batches of a chat until the one that is out was
// acknowledged. So a message that was rejected is overtaken by messages of its own
// batch only, and only by those that the output has accepted. What goes again
// keeps its order.
//
// # Goroutines
//
// One at most, in the inner Read, which goes on when the context of a ReadBatch
// ends and when something has to be sent again meanwhile: what it brings is handed
// out by the next ReadBatch. Close ends it and waits for it.
package replay
