// SPDX-License-Identifier: Apache-2.0

//go:build integration

// Package integration runs the example pipelines, as they are, with the built binaries against real servers, and reads back
// what arrived with clients of its own. See README.md.
package integration

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/kommo-connect/kommo-connect/integration/servers"
)

func TestMain(m *testing.M) { servers.Main(m) }

// project is the top folder: pipelines run from there.
var project = func() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(file))
}()

// binary returns the path of a program that make has built.
func binary(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("KOMMO_BIN_DIR")
	if dir == "" {
		dir = filepath.Join(project, "bin")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is missing: make build build-sandbox", path)
	}
	return path
}

// eventually waits a minute for the condition to hold, and then fails the test with what was awaited.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("after a minute still waiting for %s", what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
