// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// env is what a pipeline gets from its environment. Nothing else of the test's environment reaches it but PATH.
type env map[string]string

// readFrom is the environment that every example needs: where and what to read, and an empty folder for checkpoints.
func readFrom(t *testing.T, s *sandbox) env {
	t.Helper()
	return env{
		"KOMMO_BASE_URL":            s.url,
		"KOMMO_SCOPE_ID":            scopeID,
		"KOMMO_CHANNEL_SECRET":      secret,
		"KOMMO_CHATS":               s.chats(t),
		"KOMMO_CHECKPOINT_DIR":      t.TempDir(),
		"KOMMO_REQUESTS_PER_SECOND": "500",
	}
}

// with returns the environment with other settings beside it.
func (e env) with(settings env) env {
	all := maps.Clone(e)
	maps.Copy(all, settings)
	return all
}

func (e env) list() []string {
	list := []string{"PATH=" + os.Getenv("PATH")}
	for key, value := range e {
		list = append(list, key+"="+value)
	}
	return list
}

// pipeline is a running example.
type pipeline struct {
	cmd    *exec.Cmd
	out    string // standard output, where the log is too unless messages are
	log    string // standard error
	exited chan struct{}
}

// startPipeline runs an example, named as its README does, from the project's top folder.
func startPipeline(t *testing.T, config string, e env) *pipeline {
	t.Helper()
	dir := t.TempDir()
	p := &pipeline{out: filepath.Join(dir, "out"), log: filepath.Join(dir, "log"), exited: make(chan struct{})}
	out, err := os.Create(p.out)
	require.NoError(t, err)
	defer func() { _ = out.Close() }()
	log, err := os.Create(p.log)
	require.NoError(t, err)
	defer func() { _ = log.Close() }()

	p.cmd = exec.Command(binary(t, "kommo-connect"), "run", config)
	p.cmd.Dir = project
	p.cmd.Env = e.list()
	p.cmd.Stdout, p.cmd.Stderr = out, log
	require.NoError(t, p.cmd.Start())
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.kill()
		said := p.said(t)
		for _, kept := range []string{secret, accessToken} {
			if strings.Contains(said, kept) {
				t.Error("the log holds the channel's secret or the account's token")
			}
		}
		if t.Failed() {
			t.Logf("the log of %s:\n%s", config, last(said, 40))
		}
	})
	return p
}

// wait waits until the pipeline ends by itself, and requires that it ends well.
func (p *pipeline) wait(t *testing.T, timeout time.Duration) {
	t.Helper()
	select {
	case <-p.exited:
		require.Equal(t, 0, p.cmd.ProcessState.ExitCode(), "exit code of the pipeline")
	case <-time.After(timeout):
		t.Fatalf("the pipeline has not ended after %s", timeout)
	}
}

// kill ends the pipeline as kill -9 does.
func (p *pipeline) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// stop asks the pipeline to end.
func (p *pipeline) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	p.wait(t, 30*time.Second)
}

// lines returns the complete lines of the standard output.
func (p *pipeline) lines(t *testing.T) []string {
	t.Helper()
	content, err := os.ReadFile(p.out)
	require.NoError(t, err)
	lines := strings.Split(string(content), "\n")
	return lines[:len(lines)-1]
}

// said returns all that the pipeline has printed. Its log is on standard error where the messages are on standard output, and else there.
func (p *pipeline) said(t *testing.T) string {
	t.Helper()
	var said []byte
	for _, path := range []string{p.out, p.log} {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		said = append(said, content...)
	}
	return string(said)
}

func (p *pipeline) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// documented runs a command of an example's README: the one that begins with the word.
func documented(t *testing.T, readme, word string, e env) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(project, readme))
	require.NoError(t, err)
	command := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(word) + ` (?:.*\\\n)*.*$`).FindString(string(content))
	require.NotEmpty(t, command, "a command in %s that begins with %q", readme, word)
	shell := exec.Command("bash", "-e", "-c", command)
	shell.Dir = project
	shell.Env = e.list()
	out, err := shell.CombinedOutput()
	require.NoError(t, err, "%s\n%s", command, out)
}

// last returns the last lines of a text, each cut to what a log can show.
func last(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	all = all[max(0, len(all)-lines):]
	for i, line := range all {
		if len(line) > 300 {
			all[i] = line[:300] + "…"
		}
	}
	return strings.Join(all, "\n")
}
