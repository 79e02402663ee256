// SPDX-License-Identifier: Apache-2.0

package history

import "time"

// State is what a chat is doing.
type State int

// A chat waits for its turn or its next poll, is read, or has been read and
// waits for its acknowledgements. A failing one waits for its next try, a done
// one for nothing.
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
type phase int

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

	// saved is when the checkpoint was last written, on the Reader's clock.
	saved time.Duration
	// current are to be told when what was read for them is acknowledged, next
	// those for whom the pass that is going on came too early.
	current, next []func(error)

	state State
	phase phase
	// open: the input can't end, this chat still has something to hand out.
	open bool
	// again: named while it was being read, so one more pass follows.
	again bool
	// failing: its last pass failed.
	failing bool
	// oddTold, corruptTold: reported already. These, and unread, belong to the
	// goroutine of the pass.
	oddTold, corruptTold bool
	// unread counts the failed reads of the checkpoint in a row.
	unread uint8
}

// work is what a chat needs while anything is under way.
type work struct {
	loaded  bool
	known   bool // there is a checkpoint
	restart bool // there was one, but it can't be decoded

	read    Checkpoint // as far as handed to pending
	pending []Item     // read and not yet handed out
	queued  bool       // in Reader.out
	flights []*Batch   // handed out, the first of them not yet acknowledged
	acked   Checkpoint // as far as acknowledged without a gap

	dirty   bool // acked is newer than what is stored
	saving  bool
	unsaved int // failed writes in a row; after any, nothing more is handed out
}

// quiet says that everything which was read has been acknowledged.
func (w *work) quiet() bool { return w == nil || len(w.pending) == 0 && len(w.flights) == 0 }

// Batch is a run of one chat's messages, oldest first, without a gap to the
// batch before. Ack takes its Items away: who wants them longer copies them.
type Batch struct {
	Chat  string
	Items []Item

	r     *Reader
	c     *chat
	n     int
	seen  []Seen
	acked bool
}

// Ack says that the batch has been delivered, or is to count as such. It may be
// called once or more, in any order and from any goroutine, and returns at
// once: checkpoints are written elsewhere.
func (b *Batch) Ack() { b.r.ack(b) }
