// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLedger_PeakIsExactToTheNanosecond(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		gaps []time.Duration // before each request but the first
		peak int
	}{
		"one":                    {nil, 1},
		"a second apart":         {[]time.Duration{time.Second, time.Second}, 1},
		"just under a second":    {[]time.Duration{time.Second - 1, time.Second - 1}, 2},
		"across a full second":   {[]time.Duration{900 * time.Millisecond, 50 * time.Millisecond, 40 * time.Millisecond, 9 * time.Second}, 4},
		"five at once, later on": {[]time.Duration{5 * time.Second, 0, 0, 0, 0, 5 * time.Second}, 5},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, Config{})
			page(s, "a", 0, 1)
			for _, gap := range c.gaps {
				time.Sleep(gap) // the bubble's clock, not a real wait
				page(s, "a", 0, 1)
			}
			assert.Equal(t, c.peak, s.Ledger().PeakPerSecond, name)
			assert.Len(t, s.Arrivals(), len(c.gaps)+1)
		})
	}
}

func TestLedger_PeakAgainstABruteForce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Config{})
		for i := range 500 {
			page(s, "a", 0, 1)
			time.Sleep(time.Duration(i*i%37) * time.Millisecond)
		}
		times, peak := s.Arrivals(), 0
		for i := range times {
			n := 0
			for _, other := range times[i:] {
				if other.Sub(times[i]) < time.Second {
					n++
				}
			}
			peak = max(peak, n)
		}
		assert.Equal(t, peak, s.Ledger().PeakPerSecond)
	})
}

func TestLedger_Account(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	numbers(s, "a", 3)
	assert.True(t, s.Ledger().First.IsZero())
	page(s, "a", 0, 2)
	page(s, "a", 2, 2)
	page(s, "b", 0, 50)
	serve(s, signed(historyPath("a")+"?offset=x", noon))

	got := s.Ledger()
	assert.Equal(t, 4, got.Requests)
	assert.Equal(t, map[int]int{200: 2, 204: 1, 400: 1}, got.ByStatus)
	assert.Equal(t, map[Endpoint]int{EndpointHistory: 4}, got.ByEndpoint)
	assert.Equal(t, 3, got.Items)
	assert.Equal(t, ChatLedger{3, []PageRequest{{0, 2, 200, 2}, {2, 2, 200, 1}, {-1, -1, 400, 0}}}, got.Chats["a"])
	assert.Equal(t, 1, got.Chats["b"].Requests)
	assert.False(t, got.Last.Before(got.First))
	assert.False(t, got.First.IsZero())

	s.ResetLedger()
	assert.Equal(t, Ledger{ByStatus: map[int]int{}, ByEndpoint: map[Endpoint]int{}, Refused: map[string]int{}, Chats: map[string]ChatLedger{}}, s.Ledger())
}

func TestLedger_IsBounded(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	for i := range 2*MaxLedgerPages + 5 {
		page(s, "a", i, 1)
	}
	account := s.Ledger().Chats["a"]
	assert.Equal(t, 2*MaxLedgerPages+5, account.Requests)
	require.Len(t, account.Pages, MaxLedgerPages)
	assert.Equal(t, MaxLedgerPages+5, account.Pages[0].Offset)
	assert.Equal(t, 2*MaxLedgerPages+4, account.Pages[MaxLedgerPages-1].Offset)

	for i := range MaxLedgerChats - 2 {
		s.ledger.chats[fmt.Sprint("other ", i)] = &asked{}
	}
	for _, chat := range []string{"the last", "one more", "the last", "one more"} {
		page(s, chat, 0, 1)
	}
	assert.Len(t, s.ledger.chats, MaxLedgerChats)
	assert.Equal(t, 2, s.ledger.sum.ChatsLeftOff)

	var kept []int
	for i := range 1000 {
		kept = appendBounded(kept, i, 10)
		want := latest([]int{i - 9, i - 8, i - 7, i - 6, i - 5, i - 4, i - 3, i - 2, i - 1, i}, min(i+1, 10))
		require.Equal(t, want, latest(kept, 10))
		require.LessOrEqual(t, cap(kept), 32)
	}
}
