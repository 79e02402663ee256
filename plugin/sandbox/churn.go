// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// Churn is how chats change by themselves while they are read.
type Churn struct {
	// Grow is the number of messages a second that arrive, over all chats. Zero:
	// none.
	Grow float64
	// Shrink is the number of messages a second that are deleted, anywhere in any
	// chat. Zero: none.
	Shrink float64
	// Clocks are the clocks that give new messages their time, as distances from the
	// server's, positive into the future; a random one each time. Nil: the server's.
	Clocks []time.Duration
	// Seed decides which chats and messages are hit; the same seed and chats give
	// the same sequence.
	Seed uint64
}

// Validate names the first field that is wrong.
func (c Churn) Validate() error {
	if !(c.Grow >= 0 && c.Grow <= 1e6) {
		return fmt.Errorf("grow: want 0..1000000 a second, got %v", c.Grow)
	}
	if !(c.Shrink >= 0 && c.Shrink <= 1e6) {
		return fmt.Errorf("shrink: want 0..1000000 a second, got %v", c.Shrink)
	}
	return nil
}

// Churn changes the chats there are until ctx ends, and returns once it has
// stopped. It makes no new chat. What falls behind is made up for.
func (s *Server) Churn(ctx context.Context, c Churn) error {
	if err := c.Validate(); err != nil {
		return err
	}
	growing, shrinking := newChurner(s, c.Seed, c.Grow), newChurner(s, c.Seed+1, c.Shrink)
	growing.clocks = c.Clocks
	start := time.Now()
	for {
		elapsed := time.Since(start)
		for growing.due(elapsed) {
			growing.grow()
		}
		for shrinking.due(elapsed) {
			shrinking.shrink()
		}
		next := min(growing.next(), shrinking.next())
		if !wait(ctx, max(next-time.Since(start), time.Nanosecond)) {
			return nil
		}
	}
}

// churner makes one kind of change at a rate.
type churner struct {
	server *Server
	random *rand.Rand
	rate   float64
	clocks []time.Duration
	done   int
}

func newChurner(s *Server, seed uint64, rate float64) *churner {
	return &churner{server: s, random: rand.New(rand.NewPCG(seed, 4)), rate: rate}
}

// next returns the time of the next change, counted from the start.
func (c *churner) next() time.Duration {
	if c.rate == 0 {
		return time.Hour
	}
	return time.Duration(float64(c.done+1) / c.rate * float64(time.Second))
}

func (c *churner) due(elapsed time.Duration) bool {
	if c.rate == 0 || elapsed < c.next() {
		return false
	}
	c.done++
	return true
}

func (c *churner) grow() {
	if id, ok := c.pick(); ok {
		now := c.server.config.Now()
		if len(c.clocks) > 0 {
			now = now.Add(c.clocks[c.random.IntN(len(c.clocks))])
		}
		c.server.Append(id, randomItem(c.random, now))
	}
}

func (c *churner) shrink() {
	// A chat that is empty is passed over, but not for ever.
	for range 16 {
		id, ok := c.pick()
		if !ok {
			return
		}
		if n := c.server.Len(id); n > 0 && c.server.DeleteAt(id, c.random.IntN(n)) {
			return
		}
	}
}

func (c *churner) pick() (string, bool) {
	c.server.mu.RLock()
	defer c.server.mu.RUnlock()
	order := c.server.order
	if len(order) == 0 {
		return "", false
	}
	return order[c.random.IntN(len(order))], true
}
