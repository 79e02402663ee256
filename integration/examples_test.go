// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every pipeline passes lint and its own tests with the binary that users have.
func TestExamples_LintAndConfigTests(t *testing.T) {
	configs, err := filepath.Glob(filepath.Join(project, "examples", "*", "pipeline*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, configs)
	for _, arguments := range [][]string{
		append([]string{"lint"}, configs...),
		{"test", "examples/..."},
		{"test", "config/kommo_message_test.yaml"},
	} {
		cmd := exec.Command(binary(t, "kommo-connect"), arguments...)
		cmd.Dir = project
		cmd.Env = env{
			"KOMMO_SCOPE_ID": scopeID, "KOMMO_CHANNEL_SECRET": secret, "KOMMO_CHATS": "chat-1",
			"KOMMO_API_URL": "https://example.kommo.com", "KOMMO_ACCESS_TOKEN": accessToken,
		}.list()
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "kommo-connect %s\n%s", arguments[0], out)
	}
}
