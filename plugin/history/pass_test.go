// SPDX-License-Identifier: Apache-2.0

package history

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// trusting is what is known of a server after it has shown the end of many chats.
func trusting() *evidence {
	e := newEvidence()
	e.ends = enoughEnds
	return e
}

// run makes one pass over a chat and returns what it emitted, oldest first.
func run(src Source, size, maxPages int, with func(*pass)) ([]string, *pass, error) {
	var got []string
	p := &pass{
		src: src, chat: "a", pageSize: size, maxKept: size * maxPages, server: trusting(), since: math.MinInt64,
		emit: func(_ context.Context, items []Item, _ int64) error {
			got = append(got, idsOf(items)...)
			return nil
		},
		onRealigned:  func() {},
		onShortPages: func() {},
	}
	if with != nil {
		with(p)
	}
	_, err := p.run(context.Background())
	return got, p, err
}

func TestPass_RequestsOfAQuietChat(t *testing.T) {
	for _, c := range []struct{ size, maxPages int }{{50, 100}, {50, 1}, {50, 3}, {7, 4}, {2, 1}, {3, 2}} {
		for _, n := range []int{0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 48, 49, 50, 51, 98, 99, 100, 101, 148, 149, 150, 151, 300, 1000, 4900, 4901, 4999, 5000, 5001, 5050, 9800, 20_000, 100_003} {
			if n > 5050 && c.size < 50 {
				continue
			}
			m := newModel()
			m.fillQuickly("a", n, 700)
			got, _, err := run(m, c.size, c.maxPages, nil)
			require.NoError(t, err)
			require.Equal(t, m.ids("a"), append([]string(nil), got...), "%d messages in pages of %d, %d buffered", n, c.size, c.maxPages)
			require.LessOrEqual(t, m.requests, bound(n, c.size, c.maxPages), "%d messages in pages of %d, %d buffered", n, c.size, c.maxPages)
		}
	}
}

// Whatever arrives and vanishes between any two requests, all that stays comes
// out once and in order.
func TestPass_EverythingThatStaysComesOutOnceInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel()
		size := rapid.IntRange(2, 12).Draw(t, "page size")
		storm := newChaos(t, m, 4*size, 40)
		m.arrive("a", rapid.IntRange(0, 400).Draw(t, "messages"), storm.gap)
		pages := rapid.IntRange(1, 8).Draw(t, "buffered pages")
		before := m.ids("a")
		m.before = storm.strike
		got, _, err := run(m, size, pages, nil)
		require.NoError(t, err)

		requireOnce(t, got)
		requireStayed(t, before, m.ids("a"), got)
		require.True(t, slices.IsSorted(got), "what arrived meanwhile is in order too: %v", got)
	})
}

// A pass that is cut off anywhere leaves what it emitted without a gap: the next
// one, from a checkpoint of that, completes it.
func TestPass_GoesOnBehindAnyCrash(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel()
		size := rapid.IntRange(2, 12).Draw(t, "page size")
		storm := newChaos(t, m, 3*size, 25)
		m.arrive("a", rapid.IntRange(1, 300).Draw(t, "messages"), storm.gap)
		pages := rapid.IntRange(1, 6).Draw(t, "buffered pages")
		lookback := time.Duration(rapid.IntRange(0, 3).Draw(t, "lookback")) * 700 * time.Millisecond
		m.before = storm.strike

		before := m.ids("a")
		var j journal
		passes := rapid.IntRange(1, 6).Draw(t, "passes")
		for i := range passes {
			last := i == passes-1
			left := rapid.IntRange(0, 200).Draw(t, "crash after")
			if last {
				left = -1
			}
			_, _, err := run(m, size, pages, func(p *pass) { j.follow(p, lookback, left) })
			if last {
				require.NoError(t, err)
			}
			value, err := EncodeCheckpoint(j.cp)
			require.NoError(t, err)
			if j.known {
				j.cp, err = DecodeCheckpoint(value)
				require.NoError(t, err)
			}
		}
		requireOnce(t, j.got)
		requireStayed(t, before, m.ids("a"), j.got)
	})
}

// journal is what passes that follow on each other have emitted, and the checkpoint
// behind that, as a Reader has them.
type journal struct {
	got   []string
	cp    Checkpoint
	known bool
}

// follow has a pass go on from the journal and emit into it, and cuts it off after so
// many items: below 0 never.
func (j *journal) follow(p *pass, lookback time.Duration, left int) {
	p.from, p.known, p.lookback = j.cp, j.known, lookback
	cut := left >= 0
	p.emit = func(_ context.Context, items []Item, now int64) error {
		if cut {
			items = items[:min(left, len(items))]
			left -= len(items)
		}
		j.got = append(j.got, idsOf(items)...)
		j.cp.advance(seenOf(items), lookback, now)
		j.known = j.known || len(items) > 0
		if cut && left <= 0 {
			return errors.New("crash")
		}
		return nil
	}
}

func requireOnce(t require.TestingT, got []string) {
	seen := map[string]bool{}
	for _, id := range got {
		require.False(t, seen[id], "%s came twice: %v", id, got)
		seen[id] = true
	}
}

// requireStayed checks that what was there before and after came out, in order.
// What came or went meanwhile may come out or not; and where everything around
// it was deleted and it shares its second with all of that, nothing tells its
// place.
func requireStayed(t require.TestingT, before, after, got []string) {
	stayed, last := map[string]bool{}, map[string]bool{}
	for _, id := range after {
		last[id] = true
	}
	for _, id := range before {
		stayed[id] = last[id]
	}
	var want, have []string
	for _, id := range before {
		if stayed[id] {
			want = append(want, id)
		}
	}
	for _, id := range got {
		if stayed[id] {
			have = append(have, id)
		}
	}
	require.Equal(t, want, have)
}
