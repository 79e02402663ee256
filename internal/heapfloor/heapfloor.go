// SPDX-License-Identifier: Apache-2.0

// Package heapfloor keeps the garbage collector from collecting a small heap all the
// time. The Go runtime collects whenever the heap has doubled; a pipeline has some ten
// MiB that live and makes garbage at the rate of what it reads, so that it collects
// many times a second.
package heapfloor

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

// Size is the least that the heap grows to before it is collected, in bytes. A heap of
// which more than half lives is collected when it has doubled, as any is.
const Size = 64 << 20

// The growth of the heap between two collections, in percent of what lives. It is bounded
// because it counts until the collection is over after which it is set anew: what lives
// may be a multiple then.
const (
	leastGrowth = 100  // the runtime's own
	mostGrowth  = 1600 // with it the runtime never collects below 64 MiB
)

// Keep keeps the floor under the heap until release is called. It does nothing where GOGC
// or GOMEMLIMIT is set: then somebody has decided.
func Keep() (release func()) {
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		if os.Getenv(name) != "" {
			return func() {}
		}
	}
	f := &floor{}
	f.kept.Store(true)
	runtime.GC() // for what lives to be known
	f.set()
	f.afterNext()
	return func() {
		f.kept.Store(false)
		debug.SetGCPercent(leastGrowth)
	}
}

type floor struct {
	kept   atomic.Bool
	growth int
}

// set sets how much the heap may grow until the next collection.
func (f *floor) set() {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	live := int(min(sample[0].Value.Uint64(), Size))
	growth := min(max(leastGrowth, (Size-live)*100/max(1, live)), mostGrowth)
	// To set it stops the world for a moment, so small changes are left alone.
	if d := growth - f.growth; d > f.growth/16 || -d > f.growth/16 {
		f.growth = growth
		debug.SetGCPercent(growth)
	}
}

// afterNext has set called after each collection: what nobody refers to is finalized then.
func (f *floor) afterNext() {
	type sign struct{ _ *floor }
	runtime.SetFinalizer(&sign{f}, func(*sign) {
		if f.kept.Load() {
			f.set()
			f.afterNext()
		}
	})
}
