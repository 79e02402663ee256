// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

// There is no engine to start the services with here: the client checks the file, and the test what it names.
func TestCompose(t *testing.T) {
	client := []string{"docker", "compose"}
	if exec.Command("docker", "compose", "version").Run() != nil {
		_, err := exec.LookPath("docker-compose")
		require.NoError(t, err, "docker compose is missing: apt-get install --no-install-recommends docker-compose")
		client = []string{"docker-compose"}
	}
	cmd := exec.Command(client[0], append(client[1:], "-f", "examples/compose.yaml", "config")...)
	cmd.Dir = project
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())

	var config struct {
		Services map[string]struct {
			Command     []string
			Environment map[string]string
		}
	}
	require.NoError(t, yaml.Unmarshal(out, &config))
	for _, name := range []string{"sandbox", "kafka", "opensearch", "kommo-connect"} {
		require.Contains(t, config.Services, name)
	}
	service := config.Services["kommo-connect"]
	require.FileExists(t, filepath.Join(project, service.Command[len(service.Command)-1]))

	// The chats are those of the sandbox that the file starts.
	api := startSandbox(t, "--demo")
	var chats []string
	for id := range api.messages(t) {
		chats = append(chats, id)
	}
	require.ElementsMatch(t, chats, strings.Split(service.Environment["KOMMO_CHATS"], ","))
}
