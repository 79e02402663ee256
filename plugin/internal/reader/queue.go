// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// dueQueue holds chats until they are due, the earliest first.
type dueQueue struct{ h dueHeap }

type dueChat struct {
	c     *record
	at    time.Time
	sleep uint32 // record.sleep when it was added
}

func (q *dueQueue) add(c *record, at time.Time) { heap.Push(&q.h, dueChat{c, at, c.sleep}) }

// next takes the earliest chat out if it is due, else c is nil. Then due says when it
// will be; zero: there is none.
func (q *dueQueue) next(now time.Time) (c *record, sleep uint32, due time.Time) {
	if len(q.h) == 0 {
		return nil, 0, time.Time{}
	}
	if due = q.h[0].at; due.After(now) {
		return nil, 0, due
	}
	first := heap.Pop(&q.h).(dueChat) //nolint:forcetypeassert // add puts nothing else there
	return first.c, first.sleep, first.at
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
	q    []*record
	head int
}

func (f *fifo) len() int { return len(f.q) - f.head }

func (f *fifo) push(c *record) { f.q = append(f.q, c) }

// draw puts one of the chats, drawn by chance, at the head.
func (f *fifo) draw(chance *rand.Rand) {
	i := f.head + chance.IntN(f.len())
	f.q[f.head], f.q[i] = f.q[i], f.q[f.head]
}

func (f *fifo) pop() *record {
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
