// SPDX-License-Identifier: Apache-2.0

// Package testkit has what the tests of several packages measure by.
package testkit

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// Main runs the tests of a package, and fails when a goroutine outlives them that is
// its own by its stack: every one has an owner, and Close waits for it. Those that are
// about to end have some time to do so.
func Main(m *testing.M, patience time.Duration, own func(stack string) bool) {
	code := m.Run()
	if code == 0 {
		if left := leaked(patience, own); len(left) > 0 {
			fmt.Fprintf(os.Stderr, "FAIL: %d goroutines outlived the tests:\n\n%s\n", len(left), strings.Join(left, "\n\n"))
			code = 1
		}
	}
	os.Exit(code)
}

func leaked(patience time.Duration, own func(stack string) bool) []string {
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		stacks := make([]byte, 16<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		var left []string
		for _, stack := range strings.Split(string(stacks), "\n\n")[1:] { // the first is this one
			if own(stack) {
				left = append(left, stack)
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			return left
		}
	}
}

// PeakHeap is how much more heap f needs at its worst, in bytes.
func PeakHeap(f func()) uint64 {
	defer debug.SetGCPercent(debug.SetGCPercent(5)) // so that what is not needed is not counted
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before, peak := m.HeapAlloc, uint64(0)
	done, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		var m runtime.MemStats
		for {
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	f()
	close(done)
	<-watched
	return peak - min(before, peak)
}
