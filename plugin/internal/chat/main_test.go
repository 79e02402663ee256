// SPDX-License-Identifier: Apache-2.0

package chat_test

import (
	"strings"
	"testing"
	"time"

	"github.com/kommo-connect/kommo-connect/internal/testkit"
)

func TestMain(m *testing.M) {
	testkit.Main(m, 2*time.Second, func(stack string) bool {
		return strings.Contains(stack, "/plugin/internal/chat") && !strings.Contains(stack, "testing.runFuzz")
	})
}
