// SPDX-License-Identifier: Apache-2.0

// Package lintinfo carries what a program knows of the configurations it lints to
// the lint rules of the inputs. A rule sees the fields of one component and
// nothing else: not whether a field is empty because a variable is not set, and
// not which resources there are.
//
// The binary kommo-connect tells. In a program that does not, the rules leave out
// what they can't know, and the inputs say it when they are built.
package lintinfo

import "sync/atomic"

// Info is what a program knows. Its zero value knows nothing.
type Info struct {
	// VariablesSet tells whether every variable that the configurations need is
	// set. Only then is a field empty because somebody left it so.
	VariablesSet func() bool

	// HasCache and HasRateLimit tell whether there is a resource with a label. nil
	// means that any may be there.
	HasCache, HasRateLimit func(label string) bool
}

var told atomic.Pointer[Info]

// Tell replaces what is known.
func Tell(info Info) { told.Store(&info) }

// Variables tells whether every variable that the configurations need is set, and
// whether that is known.
func Variables() (set, known bool) {
	info := told.Load()
	if info == nil || info.VariablesSet == nil {
		return false, false
	}
	return info.VariablesSet(), true
}

// Labels are the resources that there may be.
type Labels struct{}

// HasCache is false where there is certainly no such cache.
func (Labels) HasCache(label string) bool {
	info := told.Load()
	return info == nil || info.HasCache == nil || info.HasCache(label)
}

// HasRateLimit is false where there is certainly no such rate limit.
func (Labels) HasRateLimit(label string) bool {
	info := told.Load()
	return info == nil || info.HasRateLimit == nil || info.HasRateLimit(label)
}
