// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"strings"
	"testing"
	"time"

	"github.com/kommo-connect/kommo-connect/internal/testkit"
)

func TestMain(m *testing.M) {
	testkit.Main(m, 2*time.Second, func(stack string) bool {
		return strings.Contains(stack, "/plugin/internal/") && !strings.Contains(stack, "testing.runFuzz")
	})
}
