// SPDX-License-Identifier: Apache-2.0

package chat

// For the tests of other packages' view.
const (
	Anchors = anchors
	Tick    = tick
)

// ErrLost is what a pass ends with that has to be made again.
var ErrLost = errLost

// Second rounds a time down.
func Second(ms int64) int64 { return second(ms) }
