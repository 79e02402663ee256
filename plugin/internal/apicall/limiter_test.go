// SPDX-License-Identifier: Apache-2.0

package apicall

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// tooMany looks for a window with more grants than burst + T·rate.
func tooMany(grants []time.Time, rate float64, burst int) error {
	for i := range grants {
		for j := i; j < len(grants); j++ {
			window := grants[j].Sub(grants[i])
			if allowed := float64(burst) + window.Seconds()*rate; float64(j-i+1) > allowed+1e-6 {
				return fmt.Errorf("%d grants within %s, allowed %g", j-i+1, window, allowed)
			}
		}
	}
	return nil
}

func TestLimiter_NeverGrantsMoreThanAllowedInAnyWindow(t *testing.T) {
	type waiter struct {
		At, GivesUpAfter time.Duration // GivesUpAfter 0: never
	}
	type pause struct{ At, For time.Duration }

	rapid.Check(t, func(rt *rapid.T) {
		ms := func(most int) *rapid.Generator[time.Duration] {
			return rapid.Map(rapid.IntRange(0, most), func(n int) time.Duration { return time.Duration(n) * time.Millisecond })
		}
		rate := rapid.Float64Range(0.5, 200).Draw(rt, "rate")
		burst := rapid.IntRange(1, 5).Draw(rt, "burst")
		waiters := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) waiter {
			w := waiter{At: ms(2000).Draw(rt, "at")}
			if rapid.IntRange(0, 4).Draw(rt, "impatient") == 0 {
				w.GivesUpAfter = 1 + ms(300).Draw(rt, "gives up after")
			}
			return w
		}), 1, 40).Draw(rt, "waiters")
		pauses := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) pause {
			// Between two milliseconds, so that no arrival is at the same time.
			return pause{ms(2000).Draw(rt, "at") + 500*time.Microsecond, ms(800).Draw(rt, "for")}
		}), 0, 4).Draw(rt, "pauses")
		late := rapid.SliceOfN(ms(100), 1, 30).Draw(rt, "late")
		shared := rapid.SliceOfN(ms(30), 0, 5).Draw(rt, "shared")
		for i := range waiters { // one after another, so that the order is known
			waiters[i].At += time.Duration(i)
		}

		type grant struct {
			at     time.Time
			waiter int
		}
		var grants []grant
		var start time.Time
		synctest.Test(t, func(*testing.T) {
			start = time.Now()
			conf := LimiterConfig{RequestsPerSecond: rate, Burst: burst}
			asked := 0
			if len(shared) > 0 {
				conf.Shared = func(context.Context) (time.Duration, error) {
					asked++
					if asked%2 == 0 {
						return 0, nil
					}
					return shared[asked/2%len(shared)], nil
				}
			}
			l := NewLimiter(conf)
			slept := 0
			l.sleep = func(ctx context.Context, d time.Duration) error {
				slept++
				return Sleep(ctx, d+late[slept%len(late)])
			}
			var mu sync.Mutex
			var all sync.WaitGroup
			for i, w := range waiters {
				all.Go(func() {
					time.Sleep(w.At)
					ctx := context.Background()
					if w.GivesUpAfter > 0 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, w.GivesUpAfter)
						defer cancel()
					}
					if l.Wait(ctx) == nil {
						mu.Lock()
						defer mu.Unlock()
						grants = append(grants, grant{time.Now(), i})
					}
				})
			}
			for _, p := range pauses {
				all.Go(func() {
					time.Sleep(p.At)
					l.Pause(p.For)
				})
			}
			all.Wait()
		})

		// Two grants of one moment may be noted down in either order.
		slices.SortFunc(grants, func(a, b grant) int {
			return cmp.Or(a.at.Compare(b.at), cmp.Compare(waiters[a.waiter].At, waiters[b.waiter].At))
		})
		times := make([]time.Time, 0, len(grants))
		granted := map[int]bool{}
		for i, g := range grants {
			times = append(times, g.at)
			granted[g.waiter] = true
			if i > 0 && waiters[g.waiter].At < waiters[grants[i-1].waiter].At {
				rt.Fatalf("waiter %d was served before waiter %d, which came earlier", grants[i-1].waiter, g.waiter)
			}
			for _, p := range pauses {
				if since := g.at.Sub(start) - p.At; since > 0 && since < p.For { // in one moment, either may be first
					rt.Fatalf("granted %s into a pause of %s", since, p.For)
				}
			}
		}
		if err := tooMany(times, rate, burst); err != nil {
			rt.Fatal(err)
		}
		for i, w := range waiters {
			if w.GivesUpAfter == 0 && !granted[i] {
				rt.Fatalf("waiter %d of %d was never served", i, len(waiters))
			}
		}
	})
}

func TestLimiter_GrantsAllThatIsAllowed(t *testing.T) {
	for _, burst := range []int{1, 10} {
		synctest.Test(t, func(t *testing.T) {
			l := NewLimiter(LimiterConfig{RequestsPerSecond: 50, Burst: burst})
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			var mu sync.Mutex
			var grants []time.Time
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					for l.Wait(ctx) == nil {
						mu.Lock()
						grants = append(grants, time.Now())
						mu.Unlock()
						time.Sleep(200 * time.Millisecond) // the request
					}
				})
			}
			all.Wait()
			require.NoError(t, tooMany(grants, 50, burst))
			assert.GreaterOrEqual(t, len(grants), (20*50+burst)*97/100)
		})
	}
}

// With a burst, a late wake-up costs nothing: what was missed is made up for.
func TestLimiter_MakesUpForLateWakeUpsWithinTheBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(LimiterConfig{RequestsPerSecond: 50, Burst: 2})
		l.sleep = func(ctx context.Context, d time.Duration) error { return Sleep(ctx, d+15*time.Millisecond) }
		start := time.Now()
		for range 501 {
			require.NoError(t, l.Wait(t.Context()))
		}
		assert.Less(t, time.Since(start), 10*time.Second*103/100)
	})
}

func TestLimiter_CancelledWaiterLeaksNoTokenAndBlocksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(LimiterConfig{RequestsPerSecond: 1})
		require.NoError(t, l.Wait(t.Context()))
		start := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range 3 { // one that holds the turnstile, two in the queue
			all.Go(func() { assert.ErrorIs(t, l.Wait(ctx), context.Canceled) })
		}
		synctest.Wait()
		all.Go(func() {
			assert.NoError(t, l.Wait(t.Context()))
			assert.Equal(t, time.Second, time.Since(start), "the first token after the start is for whoever still waits")
		})
		time.Sleep(500 * time.Millisecond)
		cancel()
		all.Wait()

		assert.ErrorIs(t, l.Wait(ctx), context.Canceled, "an ended context is granted nothing, even if a token is there")
	})
}

func TestLimiter_PauseIsNeverShortened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(LimiterConfig{}) // without a limit too
		start := time.Now()
		l.Pause(time.Minute)
		l.Pause(time.Second)
		l.Pause(-time.Second)
		require.NoError(t, l.Wait(t.Context()))
		assert.Equal(t, time.Minute, time.Since(start))

		go func() {
			time.Sleep(500 * time.Millisecond)
			l.Pause(time.Minute)
		}()
		l.Pause(time.Second)
		require.NoError(t, l.Wait(t.Context()))
		assert.Equal(t, 2*time.Minute+500*time.Millisecond, time.Since(start), "a pause that comes during the wait")
	})
}

func TestLimiter_Shared(t *testing.T) {
	t.Run("is asked again until it grants, and a refusal takes no token", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			answers := []time.Duration{3 * time.Second, 2 * time.Second, 0}
			l := NewLimiter(LimiterConfig{RequestsPerSecond: 0.001, Shared: func(context.Context) (time.Duration, error) {
				d := answers[0]
				answers = answers[1:]
				return d, nil
			}})
			start := time.Now()
			require.NoError(t, l.Wait(t.Context()))
			assert.Equal(t, 5*time.Second, time.Since(start))
			assert.Empty(t, answers)
		})
	})
	t.Run("is asked only when there is a token", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			l := NewLimiter(LimiterConfig{RequestsPerSecond: 1, Shared: func(context.Context) (time.Duration, error) {
				asked++
				return 0, nil
			}})
			require.NoError(t, l.Wait(t.Context()))
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			require.ErrorIs(t, l.Wait(ctx), context.DeadlineExceeded)
			assert.Equal(t, 1, asked)
		})
	})
	t.Run("a pause that comes while it is asked is kept", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var l *Limiter
			asked := 0
			l = NewLimiter(LimiterConfig{Shared: func(context.Context) (time.Duration, error) {
				if asked++; asked == 1 {
					l.Pause(time.Minute)
				}
				return 0, nil
			}})
			start := time.Now()
			require.NoError(t, l.Wait(t.Context()))
			assert.Equal(t, time.Minute, time.Since(start))
			assert.Equal(t, 2, asked)
		})
	})
	t.Run("an error is returned, and the next waiter asks again", func(t *testing.T) {
		down := errors.New("redis: connection refused")
		l := NewLimiter(LimiterConfig{Shared: func(context.Context) (time.Duration, error) { return 0, down }})
		for range 2 {
			err := l.Wait(t.Context())
			require.ErrorIs(t, err, down)
			require.ErrorIs(t, err, ErrSharedLimit)
			assert.True(t, Retryable(err))
			assert.Contains(t, err.Error(), "check the rate_limit resource")
		}
	})
	t.Run("that waits for ctx gives ctx's error", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := NewLimiter(LimiterConfig{Shared: func(ctx context.Context) (time.Duration, error) {
				<-ctx.Done()
				return 0, errors.New("aborted")
			}})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			assert.Equal(t, context.DeadlineExceeded, l.Wait(ctx))
		})
	})
}

// On the real clock: the part of sleepExactly that a synctest bubble can't run.
// How many are granted depends on how busy the machine is, so only the bound is
// asserted: n grants need n-1 intervals.
func TestLimiter_RealClockStaysWithinTheBound(t *testing.T) {
	t.Parallel()
	l := NewLimiter(LimiterConfig{RequestsPerSecond: 200})
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	start := time.Now()
	n := 0
	for l.Wait(ctx) == nil {
		n++
	}
	require.Positive(t, n)
	assert.LessOrEqual(t, float64(n), 1+time.Since(start).Seconds()*200)
}

// The share of what is allowed that is granted, on the real clock.
func BenchmarkLimiter50PerSecond(b *testing.B) {
	l := NewLimiter(LimiterConfig{RequestsPerSecond: 50})
	start := time.Now()
	for b.Loop() {
		if err := l.Wait(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(100*float64(b.N)/(1+50*time.Since(start).Seconds()), "%ofAllowed")
}
