// SPDX-License-Identifier: Apache-2.0

package component

import "time"

const (
	// ProgressEvery is how often a run that has an end says how far it is.
	ProgressEvery = 10 * time.Second

	// StalledAfter is how long something may be out without any acknowledgement until
	// that is said.
	StalledAfter = 30 * time.Second

	// CloseTimeout bounds how long Close tries to write the last checkpoints. The
	// engine gives it all the time there is, and a cache that is gone must not hold
	// up the shutdown.
	CloseTimeout = 10 * time.Second
)
