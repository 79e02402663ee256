// SPDX-License-Identifier: Apache-2.0

package reader

// budget counts the messages that are read and not yet acknowledged, over all chats.
// Whoever wants some draws a ticket and waits for its turn, so that a chat that needs
// much is not overtaken for ever by those that need little. So a ticket that was drawn
// has to be used: all who drew later wait for it. The Reader's lock guards it.
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
// nothing before it is their turn and there is enough, beside what is to be kept. Enough is all of most,
// or an eighth of the limit where most is more than that: a large request must
// not leave much of the limit unused while it waits.
func (b *budget) take(t ticket, most, keep int) int {
	enough := min(most, max(1, b.limit/8))
	if uint64(t) != b.serving || b.free-keep < enough {
		return 0
	}
	n := min(most, b.free-keep)
	b.free -= n
	b.serving++
	return n
}

func (b *budget) give(n int) { b.free += n }
