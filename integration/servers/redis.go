// SPDX-License-Identifier: Apache-2.0

//go:build integration

package servers

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Redis is one Redis server that keeps its data on disk.
type Redis struct {
	*Process
	URL  string
	port int
}

// StartRedis starts an empty server.
func StartRedis(tb testing.TB) *Redis {
	tb.Helper()
	server := tool(tb, "redis-server", "redis-server")
	dir := serverDir(tb, "redis")
	port := freePort(tb)
	redis := &Redis{URL: fmt.Sprintf("redis://127.0.0.1:%d/0", port), port: port}
	redis.Process = &Process{
		name:    "Redis",
		logPath: filepath.Join(dir, "redis.out"),
		command: func() *exec.Cmd {
			cmd := exec.Command(server, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--appendonly", "yes", "--save", "")
			cmd.Dir = dir
			return cmd
		},
		ready:   portOpen(fmt.Sprintf("127.0.0.1:%d", port)),
		timeout: 30 * time.Second,
	}
	tb.Cleanup(func() { redis.Stop(tb) })
	redis.Start(tb)
	return redis
}

// Command runs one command with Redis's own client and returns its answer, a line for each element.
func (r *Redis) Command(tb testing.TB, args ...string) string {
	tb.Helper()
	cli := tool(tb, "redis-tools", "redis-cli")
	out, err := exec.Command(cli, append([]string{"-p", strconv.Itoa(r.port), "--raw"}, args...)...).CombinedOutput()
	if err != nil {
		tb.Fatalf("asking Redis: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}
