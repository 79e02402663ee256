// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	testVersion = "1.2.3-test"
	testDate    = "2026-01-31T12:00:00Z"

	// envBinary names a binary to test instead of one built here. It is taken for
	// one with all families.
	envBinary = "KOMMO_CONNECT_BIN"
)

var (
	binary string // the kommo-connect under test
	full   bool   // it has all families
)

func TestMain(m *testing.M) {
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	if binary = os.Getenv(envBinary); binary != "" {
		full = true
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "kommo-connect-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, "making a folder for the binary:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }() // a leftover in the temporary folder is no failure
	binary = filepath.Join(dir, "kommo-connect")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	build := exec.Command("go", "build", "-tags", "core", "-o", binary,
		"-ldflags", "-X main.version="+testVersion+" -X main.dateBuilt="+testDate, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as the Makefile builds it
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the binary: %s\n%s", err, out)
		return 1
	}
	return m.Run()
}

// result is what a finished run of the binary left.
type result struct {
	code           int
	stdout, stderr string
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d\nstdout:\n%s\nstderr:\n%s", r.code, r.stdout, r.stderr)
}

// command prepares the binary to run in dir with the given variables and no
// KOMMO_ variable of the caller's.
func command(ctx context.Context, dir string, env map[string]string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = dir
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "KOMMO_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	return cmd
}

// run runs the binary in the repository's root to its end.
func run(t *testing.T, env map[string]string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := command(ctx, root(t), env, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	require.NoError(t, ctx.Err(), "the binary did not end by itself: %v", args)
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	require.NoError(t, err)
	return dir
}

func TestBinary_CallsItselfKommoConnect(t *testing.T) {
	t.Parallel()
	for _, args := range []string{
		"--help", "run --help", "lint --help", "check --help", "list --help", "create --help",
		"test --help", "streams --help", "blobl --help", "echo --help",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			r := run(t, nil, strings.Fields(args)...)
			require.Zero(t, r.code, r)
			assert.Contains(t, r.stdout, "kommo-connect")
			for _, other := range []string{"benthos", "redpanda"} {
				assert.NotContains(t, strings.ToLower(r.stdout), other)
			}
		})
	}
}

func TestBinary_LogsUnderItsOwnName(t *testing.T) {
	t.Parallel()
	config := writeConfig(t, `
http: { enabled: false }
input: { generate: { count: 1, mapping: 'root.a = 1' } }
output: { stdout: {} }
`)
	r := run(t, nil, "run", config)
	require.Zero(t, r.code, r)
	assert.Equal(t, "{\"a\":1}\n", r.stdout, "standard output has documents and no logs")
	assert.Contains(t, r.stderr, "Launching a kommo-connect instance")
	assert.Contains(t, r.stderr, "@service=kommo-connect")
}

func TestBinary_VersionIsStamped(t *testing.T) {
	t.Parallel()
	r := run(t, nil, "--version")
	require.Zero(t, r.code, r)
	if full {
		assert.Regexp(t, `(?m)^Version: \S+$`, r.stdout)
		return
	}
	assert.True(t, strings.HasPrefix(r.stdout, "Version: "+testVersion+"\nDate: "+testDate+"\n"), r.stdout)
}

// What a bug report has to say, as go.mod has it.
func TestBinary_VersionNamesWhatItIsMadeOf(t *testing.T) {
	t.Parallel()
	gomod, err := os.ReadFile(filepath.Join(root(t), "go.mod"))
	require.NoError(t, err)
	r := run(t, nil, "-v")
	require.Zero(t, r.code, r)
	for name, module := range map[string]string{
		"Redpanda Connect": "github.com/redpanda-data/connect/v4",
		"Benthos":          "github.com/redpanda-data/benthos/v4",
	} {
		found := regexp.MustCompile(regexp.QuoteMeta(module) + ` (v\S+)`).FindSubmatch(gomod)
		require.Len(t, found, 2, module)
		assert.Contains(t, r.stdout, "\n"+name+": "+string(found[1])+"\n")
	}
	assert.Contains(t, r.stdout, "\nGo: "+runtime.Version())
}

func TestBinary_HelpIsAboutKommo(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--help"}, {"help"}, {"-h"}} {
		r := run(t, nil, args...)
		require.Zero(t, r.code, r)
		assert.NotContains(t, r.stdout, "mundane")
		assert.Contains(t, r.stdout, "Kommo (amoCRM)")
		assert.Regexp(t, `(?m)^   lint +\S`, r.stdout, "the commands")
		assert.Contains(t, r.stdout, "--version, -v", "the options")
	}
}

// The commands of the help are run as they are.
func TestBinary_CommandsOfTheHelpWork(t *testing.T) {
	t.Parallel()
	help := run(t, nil, "--help").stdout
	created := regexp.MustCompile(`kommo-connect (create \S+) > pipeline.yaml`).FindStringSubmatch(help)
	require.Len(t, created, 2, help)
	r := run(t, nil, strings.Fields(created[1])...)
	require.Zero(t, r.code, r)
	assert.Contains(t, r.stdout, "kommo_chat_history:")
	assert.Contains(t, r.stdout, "kommo_message:")
}

// writeConfig returns the path of a file with the given text.
func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}
