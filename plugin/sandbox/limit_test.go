// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestLimit_TimeTable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Config{RequestsPerSecond: 5, Burst: 2, RetryAfter: 300 * time.Millisecond})
		start := time.Now()
		for _, step := range []struct {
			at   time.Duration
			want int
		}{
			{0, 204}, {0, 204}, {0, 429}, {199 * time.Millisecond, 429}, {200 * time.Millisecond, 204}, {200 * time.Millisecond, 429},
			{400 * time.Millisecond, 204}, {time.Minute, 204}, {time.Minute, 204}, {time.Minute, 429},
		} {
			time.Sleep(step.at - time.Since(start))
			w := page(s, "a", 0, 1)
			assert.Equal(t, step.want, w.Code, "at %s", step.at)
			if w.Code == 429 {
				assert.Equal(t, "1", w.Header().Get("Retry-After"))
			}
		}
	})
}

func TestLimit_NoneByDefault(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	for range 200 {
		assert.Equal(t, 204, page(s, "a", 0, 1).Code)
	}
}

func TestLimit_BlocksThoseWhoGoOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Config{RequestsPerSecond: 1, BlockAfter: 2, BlockFor: time.Minute})
		codes := func(n int) (got []int) {
			for range n {
				got = append(got, page(s, "a", 0, 1).Code)
			}
			return got
		}
		assert.Equal(t, []int{204, 429, 429, 403, 403}, codes(5))
		assert.Contains(t, page(s, "a", 0, 1).Body.String(), "nginx")
		time.Sleep(time.Minute - 1)
		assert.Equal(t, []int{403}, codes(1))
		time.Sleep(time.Nanosecond)
		assert.Equal(t, []int{204, 429, 429, 403}, codes(4))
		time.Sleep(time.Second)
		s.ResetLedger()
		assert.Equal(t, []int{204}, codes(1))
		assert.Zero(t, s.Ledger().RefusedTotal, "a block is no refused signature")
	})
}

func TestLimit_BlockWithoutEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Config{RequestsPerSecond: 1, BlockAfter: 1})
		page(s, "a", 0, 1)
		assert.Equal(t, 429, page(s, "a", 0, 1).Code)
		time.Sleep(1000 * time.Hour)
		assert.Equal(t, 403, page(s, "a", 0, 1).Code)
		s.Unblock()
		assert.Equal(t, 204, page(s, "a", 0, 1).Code)
	})
}
