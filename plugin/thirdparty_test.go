// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const modulePath = "github.com/kommo-connect/kommo-connect"

// A third party's program prints which components it has of this module.
const thirdParty = `package main

import (
	"fmt"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"

	_ "IMPORT"
)

func main() {
	show := func(kind string) func(string, *service.ConfigView) {
		return func(name string, _ *service.ConfigView) {
			if strings.HasPrefix(name, "kommo_") {
				fmt.Println(kind, name)
			}
		}
	}
	env := service.GlobalEnvironment()
	env.WalkInputs(show("input"))
	env.WalkProcessors(show("processor"))
}
`

// One import adds everything, and that of a component's folder the component alone.
// Either brings Benthos, and nothing of Redpanda Connect.
func TestThirdParty_BuildsOutsideOfTheModule(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	for imported, want := range map[string][]string{
		modulePath + "/plugin":             {"input kommo_chat_history", "input kommo_chats", "input kommo_talk_history", "processor kommo_message"},
		modulePath + "/plugin/chathistory": {"input kommo_chat_history"},
		modulePath + "/plugin/chatlist":    {"input kommo_chats"},
		modulePath + "/plugin/talkhistory": {"input kommo_talk_history"},
		modulePath + "/plugin/message":     {"processor kommo_message"},
	} {
		t.Run(strings.TrimPrefix(imported, modulePath+"/"), func(t *testing.T) {
			t.Parallel()
			dir := outside(t, root, imported)
			deps := strings.Fields(goCommand(t, dir, "list", "-tags", "core", "-deps", "."))
			assert.Contains(t, deps, "github.com/redpanda-data/benthos/v4/public/service")
			for _, dep := range deps {
				assert.False(t, strings.HasPrefix(dep, "github.com/redpanda-data/connect"), dep)
			}
			goCommand(t, dir, "build", "-tags", "core", "-ldflags", "-s -w", "-o", "program", ".")
			out, err := exec.CommandContext(t.Context(), filepath.Join(dir, "program")).Output()
			require.NoError(t, err)
			assert.ElementsMatch(t, want, strings.Split(strings.TrimSpace(string(out)), "\n"))
		})
	}
}

// outside makes a module that imports a package of this one.
func outside(t *testing.T, root, imported string) (dir string) {
	t.Helper()
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	require.NoError(t, err)
	// What this module requires, so that nothing has to be looked up.
	text := regexp.MustCompile(`(?m)^module .*$`).ReplaceAllString(string(mod), "module example.com/outside") +
		"\nrequire " + modulePath + " v0.0.0\n\nreplace " + modulePath + " => " + root + "\n"
	dir = t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)) //nolint:gosec // a folder of the test's own
	}
	write("go.mod", text)
	write("main.go", strings.Replace(thirdParty, "IMPORT", imported, 1))
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	require.NoError(t, err)
	write("go.sum", string(sum))
	return dir
}

func goCommand(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=mod")
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	require.NoError(t, err, complaints.String())
	return string(out)
}
