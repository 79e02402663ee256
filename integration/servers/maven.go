// SPDX-License-Identifier: Apache-2.0

//go:build integration

package servers

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
)

// The versions are those of pom.xml.
const (
	kafkaVersion         = "3.9.1"
	openSearchVersion    = "2.19.3"
	elasticsearchVersion = "8.19.3"
	apicurioVersion      = "2.6.13.Final"
)

var fetched struct {
	sync.Mutex
	dir string
}

// Main runs the tests and removes what was fetched for them.
func Main(m *testing.M) {
	code := m.Run()
	fetched.Lock()
	if fetched.dir != "" && fetched.dir != os.Getenv("KOMMO_SERVERS_DIR") {
		_ = os.RemoveAll(fetched.dir)
	}
	os.Exit(code)
}

// mavenServers returns the folder that holds the servers from Maven Central. They are laid out once a run, in a temporary
// folder, or once for all runs in KOMMO_SERVERS_DIR.
func mavenServers(tb testing.TB) string {
	tb.Helper()
	fetched.Lock()
	defer fetched.Unlock()
	dir := fetchedDir(tb)
	pom, err := os.ReadFile(filepath.Join(sourceDir(), "pom.xml"))
	if err != nil {
		tb.Fatalf("reading what servers there are: %v", err)
	}
	done := filepath.Join(dir, fmt.Sprintf("complete-%x", sha256.Sum256(pom))) // others are fetched where another version left its own
	if _, err := os.Stat(done); err == nil {
		return dir
	}

	java(tb)
	tb.Logf("fetching Kafka %s, OpenSearch %s, Elasticsearch %s and Apicurio Registry %s", kafkaVersion, openSearchVersion, elasticsearchVersion, apicurioVersion)
	maven := exec.Command(tool(tb, "maven", "mvn"), "--batch-mode", "--quiet", "--file", filepath.Join(sourceDir(), "pom.xml"),
		"-Dservers.dir="+dir, "-Dkafka.version="+kafkaVersion, "-Dopensearch.version="+openSearchVersion,
		"-Delasticsearch.version="+elasticsearchVersion, "-Dapicurio.version="+apicurioVersion, "package")
	if out, err := maven.CombinedOutput(); err != nil {
		tb.Fatalf("fetching the servers from Maven Central: %v\n%s", err, out)
	}
	completeOpenSearch(tb, filepath.Join(dir, "opensearch-"+openSearchVersion))
	completeElasticsearch(tb, filepath.Join(dir, "elasticsearch-"+elasticsearchVersion))
	if err := os.WriteFile(done, nil, 0o644); err != nil {
		tb.Fatalf("noting that the servers are complete: %v", err)
	}
	return dir
}

// fetchedDir returns the folder for what is fetched. The caller holds the lock.
func fetchedDir(tb testing.TB) string {
	tb.Helper()
	if fetched.dir != "" {
		return fetched.dir
	}
	dir := os.Getenv("KOMMO_SERVERS_DIR")
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "kommo-servers-"); err != nil { //nolint:usetesting // it serves all tests
			tb.Fatalf("making a folder for the servers: %v", err)
		}
		// Servers run as another user where the tests run as root.
		if err := os.Chmod(dir, 0o755); err != nil {
			tb.Fatalf("opening the servers' folder: %v", err)
		}
	}
	fetched.dir = dir
	return dir
}

// java returns the home of the Java that runs the servers.
func java(tb testing.TB) string {
	tb.Helper()
	path := tool(tb, "openjdk-17-jdk-headless", "javac")
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		tb.Fatalf("finding Java: %v", err)
	}
	return filepath.Dir(filepath.Dir(path))
}

// sourceDir is the folder of this file.
func sourceDir() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(file)
}

func writeFile(tb testing.TB, path, content string) {
	tb.Helper()
	err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644))
	if err != nil {
		tb.Fatalf("writing %s: %v", filepath.Base(path), err)
	}
}
