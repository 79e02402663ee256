// SPDX-License-Identifier: Apache-2.0

package apicall

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// limitModel is how a server counts; it says if it takes a request.
type limitModel func(now time.Time) bool

// fixedWindow takes so many requests in each window of the clock.
func fixedWindow(n int, window time.Duration) limitModel {
	var begin time.Time
	used := 0
	return func(now time.Time) bool {
		if at := now.Truncate(window); !at.Equal(begin) {
			begin, used = at, 0
		}
		used++
		return used <= n
	}
}

// slidingWindow takes a request if there were fewer than n in the window before
// it; those it refused count too if harsh.
func slidingWindow(n int, window time.Duration, harsh bool) limitModel {
	var seen []time.Time
	return func(now time.Time) bool {
		for len(seen) > 0 && now.Sub(seen[0]) >= window {
			seen = seen[1:]
		}
		ok := len(seen) < n
		if ok || harsh {
			seen = append(seen, now)
		}
		return ok
	}
}

func tokenBucket(perSecond, size float64) limitModel {
	tokens, at := size, time.Now()
	return func(now time.Time) bool {
		tokens, at = min(size, tokens+now.Sub(at).Seconds()*perSecond), now
		if tokens < 1-1e-9 {
			return false
		}
		tokens--
		return true
	}
}

// limitedServer answers 429 to what its model does not take.
type limitedServer struct {
	mu    sync.Mutex
	takes limitModel
	delay time.Duration
	body  string // of a 429
	sent  []time.Time
	taken []time.Time
}

func (s *limitedServer) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := Sleep(r.Context(), s.delay/2); err != nil {
		return nil, err
	}
	s.mu.Lock()
	now := time.Now()
	resp := &http.Response{StatusCode: 204, Header: http.Header{}, Body: http.NoBody, Request: r}
	s.sent = append(s.sent, now)
	if s.takes(now) {
		s.taken = append(s.taken, now)
	} else {
		resp.StatusCode, resp.Body = 429, io.NopCloser(strings.NewReader(s.body))
	}
	s.mu.Unlock()
	if err := Sleep(r.Context(), s.delay/2); err != nil {
		return nil, err
	}
	return resp, nil
}

// during counts what was sent and taken in a part of the run.
func (s *limitedServer) during(from, to time.Time) (sent, taken int) {
	count := func(all []time.Time) (n int) {
		for _, at := range all {
			if !at.Before(from) && at.Before(to) {
				n++
			}
		}
		return n
	}
	return count(s.sent), count(s.taken)
}

// ask keeps so many callers busy until ctx ends.
func ask(ctx context.Context, s *limitedServer, limiter *Limiter, callers int) {
	call := New(Config{HTTP: &http.Client{Transport: s}, Limiter: limiter, Timeout: 30 * time.Second})
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for call.Get(ctx, build, func(*Response) error { return nil }) == nil {
			}
		})
	}
	all.Wait()
}

// A server that allows a third of what is configured, or any share of no limit at
// all, must rarely be asked for more, and most of what it allows must be used.
func TestSlowdown_FindsWhatTheServerAllows(t *testing.T) {
	const burst = 5
	for name, test := range map[string]struct {
		allowed    float64 // requests per second
		configured float64
		takes      func() limitModel
		body       string
		most       float64 // of all answers, the share of 429s
		least      float64 // of what is allowed, the share that is used
	}{
		"fixed window of 1 s":          {5, 15, func() limitModel { return fixedWindow(5, time.Second) }, "", 0.05, 0.75},
		"fixed window, 1 per second":   {1, 3, func() limitModel { return fixedWindow(1, time.Second) }, "", 0.08, 0.6},
		"fixed window, 50 per second":  {50, 150, func() limitModel { return fixedWindow(50, time.Second) }, "", 0.03, 0.75},
		"fixed window of 1 minute":     {5, 15, func() limitModel { return fixedWindow(300, time.Minute) }, "", 0.05, 0.75},
		"sliding window":               {7, 21, func() limitModel { return slidingWindow(7, time.Second, false) }, "", 0.05, 0.7},
		"sliding window, harsh":        {7, 21, func() limitModel { return slidingWindow(7, time.Second, true) }, "", 0.05, 0.7},
		"sliding window of 10 s":       {7, 21, func() limitModel { return slidingWindow(70, 10*time.Second, false) }, "", 0.05, 0.75},
		"token bucket":                 {5, 15, func() limitModel { return tokenBucket(5, 5) }, "", 0.05, 0.75},
		"token bucket, large":          {5, 15, func() limitModel { return tokenBucket(5, 100) }, "", 0.05, 0.75},
		"unlimited, fixed window":      {5, 0, func() limitModel { return fixedWindow(5, time.Second) }, "", 0.05, 0.75},
		"unlimited, token bucket":      {20, 0, func() limitModel { return tokenBucket(20, 20) }, "", 0.05, 0.75},
		"unlimited, large bucket":      {5, 0, func() limitModel { return tokenBucket(5, 100) }, "", 0.05, 0.75},
		"states a wait that is no use": {5, 15, func() limitModel { return fixedWindow(5, time.Second) }, `{"retry_after":1}`, 0.05, 0.7},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &limitedServer{takes: test.takes(), delay: 200 * time.Millisecond, body: test.body}
				limiter := NewLimiter(LimiterConfig{RequestsPerSecond: test.configured, Burst: burst})
				const long = 30 * time.Minute
				ctx, cancel := context.WithTimeout(t.Context(), long)
				defer cancel()
				start := time.Now()
				ask(ctx, s, limiter, 16)

				sent, taken := s.during(start.Add(time.Minute), start.Add(long))
				refused := float64(sent-taken) / float64(sent)
				used := float64(taken) / (test.allowed * (long - time.Minute).Seconds())
				early, earlyTaken := s.during(start, start.Add(time.Minute))
				t.Logf("429: %.1f%%, used: %.0f%%; in the first minute %d of %d", 100*refused, 100*used, early-earlyTaken, early)
				assert.LessOrEqual(t, refused, test.most)
				assert.GreaterOrEqual(t, used, test.least)
				if test.configured > 0 {
					require.NoError(t, tooMany(s.sent[:min(len(s.sent), 2000)], test.configured, burst))
				}
			})
		})
	}
}

// slow brings a limiter to less than its speed.
func slow(t *testing.T, l *Limiter) {
	t.Helper()
	require.NoError(t, l.Wait(t.Context()))
	require.Positive(t, l.throttled(time.Now(), 0, time.Second, time.Second, time.Minute))
}

func TestSlowdown_FullSpeedAgainWithinFiveMinutes(t *testing.T) {
	for _, full := range []float64{0, 0.5, 5, 1000} {
		synctest.Test(t, func(t *testing.T) {
			l := NewLimiter(LimiterConfig{RequestsPerSecond: full, Burst: 4})
			want := full
			if full == 0 {
				want = math.Inf(1)
			}
			assert.InDelta(t, want, l.Rate(), 0)
			slow(t, l)
			begun := time.Now()
			first := l.Rate()
			assert.Less(t, first, want)
			for before := first; l.Rate() < want; before = l.Rate() {
				require.GreaterOrEqual(t, l.Rate(), before, "it only grows")
				time.Sleep(time.Second)
			}
			assert.LessOrEqual(t, time.Since(begun), 5*time.Minute+2*time.Second, "the pause is not counted")
			require.NoError(t, l.Wait(t.Context()))
			time.Sleep(time.Minute)
			start := time.Now()
			for range 4 {
				require.NoError(t, l.Wait(t.Context()))
			}
			assert.Zero(t, time.Since(start), "the burst is back too")
		})
	}
}

func TestSlowdown_TakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(LimiterConfig{RequestsPerSecond: 10, Burst: 4})
		slow(t, l)
		assert.InDelta(t, 7, l.Rate(), 0.01)
		time.Sleep(time.Second) // the pause
		assert.InDelta(t, 7, l.Rate(), 0.01, "a pause is no time without a 429")
		start := time.Now()
		for range 3 {
			require.NoError(t, l.Wait(t.Context()))
		}
		assert.InDelta(t, 0.28, time.Since(start).Seconds(), 0.02, "no bursts")
		time.Sleep(20 * time.Second)
		assert.Greater(t, l.Rate(), 9.0)
		assert.Less(t, l.Rate(), 10.0)
		time.Sleep(20 * time.Second)
		assert.InDelta(t, 10, l.Rate(), 0)
	})
}

// Requests that were under way when the first 429 came tell nothing new.
func TestSlowdown_429sOfOneMomentCountAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(LimiterConfig{RequestsPerSecond: 100, Burst: 10})
		var granted []time.Time
		for range 10 {
			require.NoError(t, l.Wait(t.Context()))
			granted = append(granted, time.Now())
		}
		time.Sleep(time.Second)
		slowed := 0
		for _, at := range granted {
			if l.throttled(at, 0, time.Second, time.Second, time.Minute) > 0 {
				slowed++
			}
			time.Sleep(time.Millisecond)
		}
		assert.Equal(t, 1, slowed)
		assert.Equal(t, 1, l.slow.strikes)
		require.NoError(t, l.Wait(t.Context()))
		l.accepted(time.Now())
		require.NoError(t, l.Wait(t.Context()))
		assert.Positive(t, l.throttled(time.Now(), 0, time.Second, time.Second, time.Minute), "but the next one does")
	})
}

// Where nothing is accepted any more, the speed is not to blame.
func TestSlowdown_AnEmptyQuotaMakesLongerPausesAndNoSlowerSpeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &limitedServer{takes: func(now time.Time) bool { return now.Minute() >= 2 }, delay: 100 * time.Millisecond}
		l := NewLimiter(LimiterConfig{RequestsPerSecond: 10})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		ask(ctx, s, l, 8)
		start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
		sent, taken := s.during(start, start.Add(2*time.Minute))
		assert.Zero(t, taken)
		assert.LessOrEqual(t, sent, 14, "10 of these were sent in the first second or after the first pauses")
		sent, taken = s.during(start.Add(150*time.Second), start.Add(3*time.Minute))
		assert.Equal(t, sent, taken)
		assert.Greater(t, taken, 30*6, "at once at the speed of before")
	})
}

// A probe that is never answered must not hold up everything.
func TestSlowdown_AProbeThatIsNotAnsweredIsFollowedByAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(LimiterConfig{})
		for range 3 {
			require.NoError(t, l.Wait(t.Context()))
			l.throttled(time.Now(), 0, time.Second, time.Second, 30*time.Second)
		}
		start := time.Now()
		for range 3 {
			require.NoError(t, l.Wait(t.Context()))
		}
		assert.Equal(t, 12*time.Second, time.Since(start), "the pause of 4 s three times")
		l.accepted(time.Now())
		start = time.Now()
		require.NoError(t, l.Wait(t.Context()))
		assert.Less(t, time.Since(start), time.Second)
	})
}

// A server that answers 429 at random, whatever the speed, does not stop the rest.
func TestSlowdown_429sAtRandomLeaveSomeSpeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		s := &limitedServer{takes: func(time.Time) bool { n++; return n%10 != 0 }, delay: 100 * time.Millisecond}
		l := NewLimiter(LimiterConfig{RequestsPerSecond: 20})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		ask(ctx, s, l, 8)
		t.Logf("%.2f per second", float64(len(s.taken))/3600)
		assert.Greater(t, len(s.taken), 360)
	})
}

// However 429s come, no window sees more than what is configured, and every waiter
// is served in the end.
func TestSlowdown_NeverFasterThanConfigured(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		perSecond := rapid.Float64Range(0.5, 100).Draw(rt, "per second")
		burst := rapid.IntRange(1, 5).Draw(rt, "burst")
		answers := rapid.SliceOfN(rapid.SampledFrom([]string{"ok", "ok", "ok", "429", "429 hint", "none", "late 429"}), 20, 60).Draw(rt, "answers")
		var grants []time.Time
		synctest.Test(t, func(t *testing.T) {
			l := NewLimiter(LimiterConfig{RequestsPerSecond: perSecond, Burst: burst})
			for _, a := range answers {
				if l.Wait(t.Context()) != nil {
					return
				}
				at := time.Now()
				grants = append(grants, at)
				switch a {
				case "ok":
					l.accepted(at)
				case "429":
					l.throttled(at, 0, 10*time.Millisecond, 5*time.Millisecond, time.Second)
				case "429 hint":
					l.throttled(at, time.Second, 10*time.Millisecond, 5*time.Millisecond, time.Second)
				case "late 429":
					l.throttled(at.Add(-time.Second), 0, 10*time.Millisecond, 5*time.Millisecond, time.Second)
				}
				if r := l.Rate(); r > perSecond || r < min(slowest, perSecond) {
					panic(fmt.Sprint("rate ", r))
				}
			}
		})
		if len(grants) != len(answers) {
			rt.Fatal("not all were served")
		}
		if err := tooMany(grants, perSecond, burst); err != nil {
			rt.Fatal(err)
		}
	})
}

func TestMeter(t *testing.T) {
	start := time.Now()
	var m meter
	assert.Zero(t, m.perSecond(start))
	m.add(start)
	m.add(start)
	assert.InDelta(t, 20, m.perSecond(start), 0, "two in no time")
	assert.InDelta(t, 4, m.perSecond(start.Add(time.Second/2)), 0)
	assert.InDelta(t, 2, m.perSecond(start.Add(9*time.Second)), 0)
	m.add(start.Add(9 * time.Second))
	assert.InDelta(t, 1, m.perSecond(start.Add(10*time.Second)), 0, "forgotten after ten seconds")
	for range 7 {
		m.add(start.Add(20 * time.Second))
	}
	assert.InDelta(t, 7, m.perSecond(start.Add(25*time.Second)), 0)
	assert.Zero(t, m.perSecond(start.Add(time.Hour)))
}
