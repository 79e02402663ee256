// SPDX-License-Identifier: Apache-2.0

package apicall

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestBackoff_GrowsWithJitterUpToItsMaximum(t *testing.T) {
	different := map[time.Duration]bool{}
	for range 200 {
		waits := Backoff{}.withDefaults().intervals()
		middle := DefaultInitialInterval
		for range 30 {
			wait := waits.next()
			assert.GreaterOrEqual(t, wait, middle/2)
			assert.LessOrEqual(t, wait, min(middle*3/2+1, DefaultMaxInterval))
			different[wait] = true
			middle = min(middle*3/2, DefaultMaxInterval)
		}
	}
	assert.Greater(t, len(different), 1000)
}

func TestBackoff_InitialAboveMaximum(t *testing.T) {
	waits := Backoff{InitialInterval: time.Hour, MaxInterval: time.Second}.withDefaults().intervals()
	assert.LessOrEqual(t, waits.next(), time.Second)
}
