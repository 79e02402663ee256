// SPDX-License-Identifier: Apache-2.0

//go:build integration

package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// unprivileged is the user that servers run as when the tests run as root: OpenSearch, Elasticsearch and PostgreSQL refuse
// to run as root. 65534 is nobody.
const unprivileged = 65534

// Process is one running server. It can be stopped and started again with the same command, port and data.
type Process struct {
	name    string
	logPath string
	command func() *exec.Cmd
	ready   func(context.Context) error
	timeout time.Duration

	cmd    *exec.Cmd
	exited chan struct{}
}

// Start starts the process and waits until it is ready.
func (p *Process) Start(tb testing.TB) {
	tb.Helper()
	log, err := os.OpenFile(p.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		tb.Fatalf("opening the log of %s: %v", p.name, err)
	}
	defer func() { _ = log.Close() }()

	cmd := p.command()
	cmd.Stdout, cmd.Stderr = log, log
	// A group of its own, so that what a launcher script starts is stopped with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: credential()}
	if err := cmd.Start(); err != nil {
		tb.Fatalf("starting %s: %v", p.name, err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	p.cmd, p.exited = cmd, exited

	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), p.timeout)
	defer cancel()
	for {
		err := p.ready(ctx)
		if err == nil {
			tb.Logf("%s is ready after %.1f s", p.name, time.Since(began).Seconds())
			return
		}
		select {
		case <-exited:
			tb.Fatalf("%s ended while starting (%v); the end of its log:\n%s", p.name, cmd.ProcessState, tail(p.logPath))
		case <-ctx.Done():
			p.Stop(tb)
			tb.Fatalf("%s is not ready after %s (%v); the end of its log:\n%s", p.name, p.timeout, err, tail(p.logPath))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Stop asks the process to end, and kills it after a minute. It may be called again, and on a process that ended.
func (p *Process) Stop(tb testing.TB) {
	tb.Helper()
	if p.cmd == nil {
		return
	}
	group := -p.cmd.Process.Pid
	_ = syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(time.Minute):
		tb.Logf("%s did not stop within a minute and is killed", p.name)
	}
	// The group outlives its first process where a launcher has ended before its server.
	_ = syscall.Kill(group, syscall.SIGKILL)
	<-p.exited
	p.cmd = nil
}

func credential() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	return &syscall.Credential{Uid: unprivileged, Gid: unprivileged}
}

// serverDir makes a folder that the server may write to. The test's own TempDir is closed to other users.
func serverDir(tb testing.TB, name string) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "kommo-"+name+"-") //nolint:usetesting // another user has to enter it
	if err != nil {
		tb.Fatalf("making a folder for %s: %v", name, err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	own(tb, dir)
	return dir
}

// own gives a folder and what is in it to the user that servers run as.
func own(tb testing.TB, dir string) {
	tb.Helper()
	if os.Geteuid() != 0 {
		return
	}
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, unprivileged, unprivileged))
	})
	if err != nil {
		tb.Fatalf("giving %s to the servers' user: %v", dir, err)
	}
}

// run runs a command to its end as the servers' user.
func run(tb testing.TB, dir, name string, args ...string) {
	tb.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential()}
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("running %s: %v\n%s", filepath.Base(name), err, out)
	}
}

// tool finds a program, or fails the test with the package that has it.
func tool(tb testing.TB, debianPackage, name string, folders ...string) string {
	tb.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, folder := range folders {
		found, _ := filepath.Glob(filepath.Join(folder, name))
		if len(found) > 0 {
			return found[len(found)-1]
		}
	}
	tb.Fatalf("%s is missing: apt-get install --no-install-recommends %s", name, debianPackage)
	return ""
}

// freePort returns a loopback port that nothing listens on.
func freePort(tb testing.TB) int {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("finding a free port: %v", err)
	}
	defer func() { _ = listener.Close() }()
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		tb.Fatalf("finding a free port: %s has none", listener.Addr())
	}
	return address.Port
}

// portOpen is ready once something accepts connections at the address.
func portOpen(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return fmt.Errorf("connecting: %w", err)
		}
		return conn.Close()
	}
}

func tail(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}
