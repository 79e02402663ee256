// SPDX-License-Identifier: Apache-2.0

package component

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
)

// While saving fails it is tried again with growing waits, and it ends when its context does,
// even if it fails then.
func TestSaver_TriesAgainAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var broken atomic.Bool
		broken.Store(true)
		var waits []time.Duration
		saved := 0
		s := &Saver{
			Save: func(context.Context) error {
				if broken.Load() {
					return errors.New("no room")
				}
				return nil
			},
			Interval: time.Second, Backoff: apicall.Backoff{InitialInterval: time.Second, MaxInterval: 3 * time.Second},
			Saved:  func() { saved++ },
			Failed: func(_ error, retryIn time.Duration) { waits = append(waits, retryIn) },
			Moved:  NewSignal(),
		}
		ended := make(chan struct{})
		go func() { s.Run(ctx); close(ended) }()
		s.Moved.Send()
		time.Sleep(7 * time.Second)
		synctest.Wait()
		assert.Equal(t, []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 3 * time.Second}, waits)
		assert.True(t, s.Stuck())

		broken.Store(false)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		assert.False(t, s.Stuck())
		assert.Equal(t, 1, saved)

		broken.Store(true)
		s.Moved.Send()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.True(t, s.Stuck())
		stop()
		<-ended
	})
}
