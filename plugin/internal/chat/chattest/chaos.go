// SPDX-License-Identifier: Apache-2.0

package chattest

import (
	"math/rand/v2"

	"pgregory.net/rapid"
)

// Chaos changes a chat between any two requests: messages arrive at the top in
// small and large numbers, and are deleted in runs anywhere. It draws from a
// source of its own, since rapid takes its time for each draw.
type Chaos struct {
	m      *Model
	rnd    *rand.Rand
	Gap    func() int64
	most   int // the largest change
	chance int // in percent, for each kind of change
	left   int // changes before the chat comes to rest: one that for ever grows faster than it is read has no end
}

// NewChaos returns one that makes changes of most messages at most, each kind with up to
// chance percent.
func NewChaos(t *rapid.T, m *Model, most, chance int) *Chaos {
	rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "chaos"), 0))
	return &Chaos{
		m: m, rnd: rnd, left: 24,
		Gap:    gaps(rnd, rapid.IntRange(0, 3).Draw(t, "gaps")),
		most:   rapid.IntRange(1, most).Draw(t, "most"),
		chance: rapid.IntRange(0, chance).Draw(t, "chance"),
	}
}

// Strike may change a chat.
func (c *Chaos) Strike(name string) {
	if c.left <= 0 {
		return
	}
	if c.rnd.IntN(100) < c.chance {
		c.m.Arrive(name, 1+c.rnd.IntN(c.most), c.Gap)
		c.left--
	}
	if n := len(c.m.Chats[name]); n > 0 && c.rnd.IntN(100) < c.chance {
		c.m.Remove(name, c.rnd.IntN(n), 1+c.rnd.IntN(c.most))
		c.left--
	}
}

// gaps says how times go: all alike, many ties, or spread out.
func gaps(rnd *rand.Rand, kind int) func() int64 {
	return func() int64 {
		return []int64{0, rnd.Int64N(2) * 400, rnd.Int64N(3) * 1000, 60_000}[kind]
	}
}
