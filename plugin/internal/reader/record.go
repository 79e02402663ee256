// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
)

// phase is where a chat is between two passes.
type phase uint8

const (
	resting phase = iota // no pass is due
	queued               // in Reader.ready or Reader.retries, or in Reader.sleeping until then
	reading              // a pass is going on
)

// record is what the Reader knows of a chat at all times. It is small, since
// there can be very many of them with nothing to do; what a chat needs while it
// is read, delivered or saved is in work. The Reader's lock guards both.
type record struct {
	id   string
	work *work

	// kept is the checkpoint as this process has read or written it last: a Store
	// can lose its own.
	kept packed
	// saved is when the checkpoint was last written, on the Reader's clock.
	saved time.Duration
	// rereadFrom: somebody wants what was sent since then once more; nil: nobody does.
	rereadFrom *time.Time
	// callers are those who added the chat; nil: nobody waits for it.
	callers *callers

	// sleep counts how often the chat was put into Reader.sleeping: what is there of an
	// earlier time no longer counts.
	sleep uint32
	state State
	phase phase
	// failures counts the failed passes in a row: those refused with chat.ErrNotOurs
	// where foreign is set, else all others.
	failures uint8
	foreign  bool
	// loadFailures counts the failed reads of the checkpoint in a row. It belongs to the
	// goroutine of the pass while there is one.
	loadFailures uint8
	// notOurs: the last pass was refused with chat.ErrNotOurs, and the chat sleeps for
	// that. inNotOurs: it is in Reader.notOurs.
	notOurs, inNotOurs bool
	// retried: the pass that is going on follows one that failed.
	retried bool
	// open: it keeps Next from its end.
	open bool
	// again: one more pass follows the one that is going on: the chat was added again, or
	// is to be read again.
	again bool
	// unfinished: the last pass was ended before its end, and another follows once what is out of the
	// chat is acknowledged.
	unfinished bool
	// doubted: its end is, and the next pass that finds it quiet begins at the chat's beginning.
	doubted bool
	// believed: the chat was read to the end of a short page and no further.
	believed bool
	// watched: it is in Reader.watched, with Config.OncePerAdd.
	watched bool
	// ended: some pass has come to its end.
	ended bool
	// oddTold, timesTold, corruptTold: reported already. They belong to the
	// goroutine of the pass.
	oddTold, timesTold, corruptTold bool
}

func (c *record) failing() bool { return c.failures > 0 }

// work is what a chat needs while anything is under way.
type work struct {
	loaded  bool
	known   bool // there is a checkpoint
	restart bool // there was one, but it can't be decoded

	read    chat.Checkpoint // as far as in pending
	now     int64           // the server's clock when that was read
	pending []chat.Item     // read and not yet delivered
	offered bool            // in Reader.offers
	out     []*Batch        // delivered, the first of them not yet acknowledged
	// rejected counts the batches in out that the output has rejected, accepted the messages
	// that were acknowledged since it last did that.
	rejected, accepted int
	// unfinished: the pass that goes on is to end before its end.
	unfinished bool

	acked  chat.Checkpoint // as far as acknowledged without a gap
	reread *reread         // while that stays where it is; else nil
	doubt  *doubt          // while the chat is read from its beginning again; else nil

	dirty        bool // acked is newer than what is stored
	hurried      bool // and is to be written without waiting for an interval
	saving       bool
	saveFailures int // in a row; after any, nothing more is delivered
}

// quiet says that everything which was read has been acknowledged.
func (w *work) quiet() bool { return w == nil || len(w.pending) == 0 && len(w.out) == 0 }

// stored says that everything which was acknowledged has been written.
func (w *work) stored() bool {
	return w == nil || !w.dirty && !w.saving && w.reread == nil && w.doubt == nil
}
