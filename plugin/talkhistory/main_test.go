// SPDX-License-Identifier: Apache-2.0

package talkhistory_test

import (
	"strings"
	"testing"
	"time"

	"github.com/kommo-connect/kommo-connect/internal/testkit"
)

func TestMain(m *testing.M) {
	testkit.Main(m, 5*time.Second, func(stack string) bool {
		return strings.Contains(stack, "kommo-connect/plugin") || strings.Contains(stack, "net/http.") || strings.Contains(stack, "autoretry")
	})
}
