// SPDX-License-Identifier: Apache-2.0

package history

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// dueQueue holds chats until they are due, the earliest first.
type dueQueue struct{ h dueHeap }

type dueChat struct {
	c    *chat
	at   time.Time
	turn uint32 // chat.turn when it was added
}

func (q *dueQueue) add(c *chat, at time.Time) { heap.Push(&q.h, dueChat{c, at, c.turn}) }

// next returns a chat that is due, and its turn when it was added, or how long the
// earliest still has to wait; ok is false where there is none at all.
func (q *dueQueue) next(now time.Time) (c *chat, turn uint32, wait time.Duration, ok bool) {
	if len(q.h) == 0 {
		return nil, 0, 0, false
	}
	if wait = q.h[0].at.Sub(now); wait > 0 {
		return nil, 0, wait, true
	}
	due := heap.Pop(&q.h).(dueChat) //nolint:forcetypeassert // add puts nothing else there
	return due.c, due.turn, 0, true
}

type dueHeap []dueChat

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any) {
	*h = append(*h, x.(dueChat)) //nolint:forcetypeassert // add puts nothing else there
}

func (h *dueHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = dueChat{}
	*h = old[:len(old)-1]
	return last
}

// fifo is a queue of chats, first in, first out. The zero value is ready.
type fifo struct {
	q    []*chat
	head int
}

func (f *fifo) len() int { return len(f.q) - f.head }

func (f *fifo) push(c *chat) { f.q = append(f.q, c) }

// draw puts one of the chats, drawn by chance, at the head.
func (f *fifo) draw(chance *rand.Rand) {
	i := f.head + chance.IntN(f.len())
	f.q[f.head], f.q[i] = f.q[i], f.q[f.head]
}

func (f *fifo) pop() *chat {
	c := f.q[f.head]
	f.q[f.head] = nil
	f.head++
	// Half of it is spent: move the rest down, at a constant cost per chat.
	if f.head*2 >= len(f.q) {
		n := copy(f.q, f.q[f.head:])
		clear(f.q[n:])
		f.q, f.head = f.q[:n], 0
	}
	return c
}
