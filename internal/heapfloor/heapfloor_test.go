// SPDX-License-Identifier: Apache-2.0

package heapfloor

import (
	"runtime"
	"runtime/metrics"
	"testing"

	"github.com/stretchr/testify/require"
)

// goal is how large the heap gets before it is collected.
func goal() uint64 {
	runtime.GC()
	sample := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

func TestKeep(t *testing.T) {
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	require.Less(t, goal(), uint64(Size/2))
	release := Keep()
	require.GreaterOrEqual(t, goal(), uint64(Size))
	release()
	require.Less(t, goal(), uint64(Size/2))
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		t.Setenv(name, "100")
		release := Keep()
		require.Less(t, goal(), uint64(Size/2), "%s is set", name)
		release()
		t.Setenv(name, "")
	}
}
