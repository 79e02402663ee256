// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"reflect"
	"time"
)

// Hooks tell what happens inside a Reader. Each may be nil. State is called
// with a lock held and must return at once. ChatFailed and the callbacks of
// Reader.Add are called one after the other; the rest may take their time, but
// the chat they speak of waits for them. None may call Close.
type Hooks struct {
	// Realigned is called for each page that had shifted so far that it had to
	// be asked for again.
	Realigned func()
	// CheckpointFailed is called when a checkpoint could not be read or written,
	// and says when that is tried again.
	CheckpointFailed func(chat string, err error, retryIn time.Duration)
	// CheckpointCorrupt is called when a checkpoint could not be decoded. The
	// chat is then read from its beginning.
	CheckpointCorrupt func(chat string, err error)
	// ChatFailed is called when a pass failed, with how often in a row it has, and
	// when it is tried again.
	ChatFailed func(chat string, err error, times int, retryIn time.Duration)
	// CheckpointVanished is called when the Store has lost the checkpoint of a chat,
	// or has an older one. The Reader goes on from what it knows itself and writes
	// that again.
	CheckpointVanished func(chat string)
	// LetGo is called for a chat that is not ours, with Config.OncePerAdd, when there
	// are so many of these that it is given up: those who added it are told that all is
	// well.
	LetGo func(chat string)
	// Empty is called once for a chat in which the first pass found nothing at all:
	// it is unknown to the API, or has no messages.
	Empty func(chat string)
	// Odd is called once for a chat that holds entries that can't be messages,
	// with how many the pass met.
	Odd func(chat string, entries int)
	// WrongTimes is called once for a chat that holds messages which claim to be
	// of the future, or whose times can't have been meant as they stand.
	WrongTimes func(chat string, messages int)
	// ShortPages is called once when the server turns out to give pages that are
	// shorter than asked though more follows, or a checkpoint says that it does. It says how many chats
	// are read again from their beginning because the end of such a page was taken for theirs; there may
	// be others whose checkpoints have yet to be loaded.
	ShortPages func(again int)
	// NotWatched is called once, with Config.OncePerAdd, for the first chat whose changes are not
	// looked for until it is added again, since too many are looked after.
	NotWatched func(chat string)
	// State is called with how many chats are in a state now.
	State func(s State, chats int)
}

// fill has those that are nil do nothing.
func (h *Hooks) fill() {
	for _, hook := range reflect.ValueOf(h).Elem().Fields() {
		if hook.IsNil() {
			hook.Set(reflect.MakeFunc(hook.Type(), func([]reflect.Value) []reflect.Value { return nil }))
		}
	}
}
