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

// drop takes those out at the head that no longer count, and returns the earliest that does
// with the time when it is due; nil: there is none.
func (q *dueQueue) drop() (c *record, due time.Time) {
	for len(q.h) > 0 {
		if first := q.h[0]; first.sleep == first.c.sleep {
			return first.c, first.at
		}
		heap.Pop(&q.h)
	}
	return nil, time.Time{}
}

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
type fifo []*record

func (f *fifo) push(c *record) { *f = append(*f, c) }

func (f *fifo) pop() *record {
	c := (*f)[0]
	(*f)[0] = nil // what is behind it keeps the array
	*f = (*f)[1:]
	return c
}

// draw puts one of the chats, drawn by chance, at the head.
func (f fifo) draw(chance *rand.Rand) {
	i := chance.IntN(len(f))
	f[0], f[i] = f[i], f[0]
}
