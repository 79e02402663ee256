// SPDX-License-Identifier: Apache-2.0

package pipetest

import "math/rand/v2"

// Draws returns the draws of a simulator's run for a purpose. They depend on nothing else, so
// that a run does not come out otherwise because two goroutines changed places.
func Draws(seed uint64, purpose string, ids ...int) *rand.Rand {
	h := uint64(14695981039346656037)
	for i := range len(purpose) {
		h = (h ^ uint64(purpose[i])) * 1099511628211
	}
	for _, id := range ids {
		h = (h ^ uint64(id)) * 1099511628211 //nolint:gosec // a hash takes any bits
		h ^= h >> 29
	}
	return rand.New(rand.NewPCG(seed, h))
}
