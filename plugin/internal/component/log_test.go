// SPDX-License-Identifier: Apache-2.0

package component_test

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"
)

func TestThrottle_AFewLinesInEachPeriodAndThenHowManyWereLeftOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		th := component.NewThrottle()
		allowed := 0
		for range 100 {
			more, ok := th.Allow()
			if ok {
				allowed++
				assert.Empty(t, more)
			}
		}
		assert.Equal(t, th.Lines, allowed)

		time.Sleep(th.Period - time.Second)
		_, ok := th.Allow()
		assert.False(t, ok)
		time.Sleep(time.Second)
		more, ok := th.Allow()
		assert.True(t, ok)
		assert.Equal(t, " (96 lines like this one were left out)", more)
		more, ok = th.Allow()
		assert.True(t, ok)
		assert.Empty(t, more, "said once")
	})
}

// One kind of failure must not hide another, and the last attempt is reported by
// whoever made the call.
func TestAttempts_AreThrottledByTheirOutcome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &pipetest.LogBook{}
		attempts := component.NewAttemptLog(service.NewLoggerFromSlog(slog.New(log)))
		for range 50 {
			attempts.Observe(apicall.Attempt{Outcome: apicall.OutcomeTimeout, Err: errors.New("slow"), Try: 2, RetryIn: 1500 * time.Millisecond})
		}
		attempts.Observe(apicall.Attempt{Outcome: apicall.OutcomeServerError, Err: errors.New("broken"), Try: 1, RetryIn: 250 * time.Millisecond})
		attempts.Observe(apicall.Attempt{Outcome: apicall.OutcomeRejected, Err: errors.New("last"), Try: 1, RetryIn: -1})
		attempts.Observe(apicall.Attempt{Outcome: apicall.OutcomeOK, Try: 1, RetryIn: -1})
		assert.Equal(t, []string{"WARN Attempt 2 failed, next in 2s: slow"}, log.With("slow"))
		assert.Equal(t, []string{"WARN Attempt 1 failed, next in 250ms: broken"}, log.With("broken"))
		assert.Empty(t, log.With("last"))
		assert.Len(t, log.With(""), 2)

		time.Sleep(10 * time.Minute)
		attempts.Observe(apicall.Attempt{Outcome: apicall.OutcomeTimeout, Err: errors.New("still slow"), Try: 1, RetryIn: time.Second})
		assert.Equal(t, []string{"WARN Attempt 1 failed, next in 1s (49 lines like this one were left out): still slow"}, log.With("still slow"))
	})
}
