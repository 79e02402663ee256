// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain fails when a goroutine of this package outlives the tests: every one
// has an owner, and Close waits for it.
func TestMain(m *testing.M) {
	code := m.Run()
	if left := leaked(); left != "" && code == 0 {
		fmt.Fprintf(os.Stderr, "goroutines outlive the tests:\n%s\n", left)
		code = 1
	}
	os.Exit(code)
}

// leaked returns the stacks of this package's goroutines, after it has given
// those that are about to end the time to do so.
func leaked() string {
	for try := 0; ; try++ {
		buf := make([]byte, 4<<20)
		stacks := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
		var left []string
		for _, s := range stacks[1:] { // the first is this one's
			if strings.Contains(s, "/internal/replay.") {
				left = append(left, s)
			}
		}
		if len(left) == 0 || try == 100 {
			return strings.Join(left, "\n\n")
		}
		time.Sleep(20 * time.Millisecond)
	}
}
