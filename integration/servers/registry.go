// SPDX-License-Identifier: Apache-2.0

//go:build integration

package servers

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Registry is one Apicurio Registry, which speaks the protocol of Confluent's.
type Registry struct {
	*Process
	// URL is the base of that protocol: URL + "/subjects" is its list of subjects.
	URL string
}

// StartRegistry starts a registry without schemas. It keeps them in memory: one that is
// started again has none.
func StartRegistry(tb testing.TB) *Registry {
	tb.Helper()
	home := filepath.Join(mavenServers(tb), "apicurio-"+apicurioVersion)
	java := filepath.Join(java(tb), "bin", "java")
	dir := serverDir(tb, "registry")
	port := freePort(tb)

	url := fmt.Sprintf("http://127.0.0.1:%d/apis/ccompat/v7", port)
	registry := &Registry{URL: url, Process: &Process{
		name:    "Apicurio Registry " + apicurioVersion,
		logPath: filepath.Join(dir, "registry.out"),
		command: func() *exec.Cmd {
			cmd := exec.Command(java, "-Xmx256m", "-Djava.io.tmpdir="+dir, "-jar", filepath.Join(home, "apicurio-registry-app-"+apicurioVersion+"-runner.jar"))
			cmd.Dir = dir
			cmd.Env = []string{"HOME=" + dir, "QUARKUS_HTTP_HOST=127.0.0.1", fmt.Sprintf("QUARKUS_HTTP_PORT=%d", port)}
			return cmd
		},
		ready:   func(ctx context.Context) error { return get(ctx, url+"/subjects") },
		timeout: 2 * time.Minute,
	}}
	tb.Cleanup(func() { registry.Stop(tb) })
	registry.Start(tb)
	return registry
}
