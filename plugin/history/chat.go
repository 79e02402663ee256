// SPDX-License-Identifier: Apache-2.0

package history

import "time"

// State is what a chat is doing.
type State uint8

// A chat waits for its turn or its next poll, is read, or has been read and
// waits for its acknowledgements. A failing one waits for its next try or is being
// tried again, a done one waits for nothing.
const (
	Waiting State = iota
	Reading
	Delivering
	Failing
	Done
	states
)

// String returns the state as metrics and logs show it.
func (s State) String() string {
	return [...]string{"waiting", "reading", "delivering", "failing", "done"}[s]
}

// States returns all states, for those who count chats by them.
func States() []State { return []State{Waiting, Reading, Delivering, Failing, Done} }

// phase is where a chat is between two passes.
type phase uint8

const (
	resting   phase = iota // no pass is due
	scheduled              // in Reader.ready or Reader.sleeping
	passing                // a pass is going on
)

// chat is what the Reader knows of a chat at all times. It is small, since
// there can be very many of them with nothing to do; what a chat needs while it
// is read, delivered or saved is in work. The Reader's lock guards both.
type chat struct {
	id   string
	work *work

	// kept is the checkpoint as this process has read or written it last: a Store
	// can lose its own.
	kept packed
	// saved is when the checkpoint was last written, on the Reader's clock.
	saved time.Duration
	// callers are those who named the chat; nil: nobody waits for it.
	callers *callers

	// turn tells the place in Reader.sleeping that counts from those left behind.
	turn  uint32
	state State
	phase phase
	// failures counts the failed passes in a row, of those refused with ErrNotOurs or
	// of all others, as strange says; unread the failed reads of the checkpoint. unread
	// belongs to the goroutine of the pass while there is one.
	failures, unread uint8
	strange          bool
	// notOurs: the last pass was refused with ErrNotOurs, and the chat rests for that.
	// listed: it is in Reader.notOurs.
	notOurs, listed bool
	// retried: the pass that is going on follows one that failed.
	retried bool
	// open: the input can't end, this chat still has something to hand out.
	open bool
	// again: named while it was being read, or to be read anew, so one more pass
	// follows.
	again bool
	// reread: the next pass begins at the chat's beginning.
	reread bool
	// believed: the chat was read to the end of a short page and no further.
	believed bool
	// ended: some pass has come to its end.
	ended bool
	// forgotten: it is no longer in Reader.chats, but may still be in a queue.
	forgotten bool
	// oddTold, timesTold, corruptTold: reported already. They belong to the
	// goroutine of the pass.
	oddTold, timesTold, corruptTold bool
}

// callers are to be told when a chat has been read, delivered and saved: current
// by the pass that is going on or the next one, next by the one after it, since
// the one that is going on came too early for them.
type callers struct{ current, next []func(error) }

// turn says that the pass which begins is for all of them.
func (q *callers) turn() {
	if q != nil {
		q.current, q.next = append(q.current, q.next...), nil
	}
}

func (c *chat) failing() bool { return c.failures > 0 }

// work is what a chat needs while anything is under way.
type work struct {
	loaded  bool
	known   bool // there is a checkpoint
	restart bool // there was one, but it can't be decoded

	read    Checkpoint // as far as handed to pending
	now     int64      // the server's clock when that was read
	pending []Item     // read and not yet handed out
	queued  bool       // in Reader.out
	flights []*Batch   // handed out, the first of them not yet acknowledged
	acked   Checkpoint // as far as acknowledged without a gap

	dirty   bool // acked is newer than what is stored
	hurried bool // and is to be written without waiting for an interval
	saving  bool
	unsaved int // failed writes in a row; after any, nothing more is handed out
}

// quiet says that everything which was read has been acknowledged.
func (w *work) quiet() bool { return w == nil || len(w.pending) == 0 && len(w.flights) == 0 }

// stored says that everything which was acknowledged has been written.
func (w *work) stored() bool { return w == nil || !w.dirty && !w.saving }

// Batch is a run of one chat's messages, oldest first, without a gap to the
// batch before. Ack takes its Items away: who wants them longer copies them.
type Batch struct {
	Chat  string
	Items []Item

	r     *Reader
	c     *chat
	n     int
	seen  []Seen
	now   int64
	acked bool
}

// Ack says that the batch has been delivered, or is to count as such. It may be
// called once or more, in any order and from any goroutine, and returns at
// once: checkpoints are written elsewhere.
func (b *Batch) Ack() { b.r.ack(b) }
