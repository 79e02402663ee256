// SPDX-License-Identifier: Apache-2.0

package reader

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
