// SPDX-License-Identifier: Apache-2.0

package history

// budget counts the messages that are read ahead or delivered and not yet
// acknowledged, over all chats. Whoever wants more than is left waits in line,
// so that a chat that needs much is not overtaken for ever by those that need
// little. Its owner's lock guards it, and its owner wakes the waiting.
type budget struct {
	limit, free    int
	serving, taken uint64 // the ticket being served, and the next to be drawn
}

// ticket is a place in the line.
type ticket uint64

func (b *budget) draw() ticket {
	t := ticket(b.taken)
	b.taken++
	return t
}

// take gives the holder of the ticket as much as there is, most at the most, and
// nothing before it is their turn and there is enough. Enough is all of most,
// or an eighth of the limit where most is more than that: a large request must
// not leave much of the limit unused while it waits.
func (b *budget) take(t ticket, most int) int {
	enough := min(most, max(1, b.limit/8))
	if uint64(t) != b.serving || b.free < enough {
		return 0
	}
	n := min(most, b.free)
	b.free -= n
	b.serving++
	return n
}

func (b *budget) give(n int) { b.free += n }
