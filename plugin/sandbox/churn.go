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
	// Grow is the number of messages a second that arrive, over all chats, and the
	// talks that are none of theirs. Zero: none.
	Grow float64
	// Shrink is the number of messages a second that are deleted, anywhere in any
	// of them. Zero: none.
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
	now := c.server.config.Now()
	at := func() time.Time {
		if len(c.clocks) == 0 {
			return now
		}
		return now.Add(c.clocks[c.random.IntN(len(c.clocks))])
	}
	switch chat, talk := c.pick(); {
	case chat != "":
		c.server.Append(chat, randomItem(c.random, at()))
	case talk != 0:
		// The talk is none of an own chat's, the only error there is.
		_ = c.server.AppendTalk(talk, randomTalkMessage(c.random, "", at()).Raw())
	}
}

func (c *churner) shrink() {
	// A chat that is empty is passed over, but not for ever.
	for range 16 {
		switch chat, talk := c.pick(); {
		case chat == "" && talk == 0:
			return
		case chat != "":
			if n := c.server.Len(chat); n > 0 && c.server.DeleteAt(chat, c.random.IntN(n)) {
				return
			}
		case c.server.deleteTalkAt(talk, c.random.IntN):
			return
		}
	}
}

// pick returns a chat or, where chat is "", a talk; neither if there is none.
func (c *churner) pick() (chat string, talk int) {
	s := c.server
	talks := s.talkIDs()
	s.mu.RLock()
	defer s.mu.RUnlock()
	chats := len(s.order)
	if chats+len(talks) == 0 {
		return "", 0
	}
	i := c.random.IntN(chats + len(talks))
	if i < chats {
		return s.order[i], 0
	}
	return "", talks[i-chats]
}
