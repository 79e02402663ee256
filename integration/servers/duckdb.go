// SPDX-License-Identifier: Apache-2.0

//go:build integration

package servers

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const duckDBVersion = "2.0.0"

// DuckDB asks DuckDB in a folder and returns the rows, a line for each, with | between the columns.
func DuckDB(tb testing.TB, dir, sql string) string {
	tb.Helper()
	cmd := exec.Command(duckDB(tb), "-c", `
import duckdb, sys
for row in duckdb.sql(sys.argv[1]).fetchall():
    print(*("" if v is None else v for v in row), sep="|")
`, sql)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		tb.Fatalf("asking DuckDB: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// duckDB returns a Python that has DuckDB.
func duckDB(tb testing.TB) string {
	tb.Helper()
	fetched.Lock()
	defer fetched.Unlock()
	dir := filepath.Join(fetchedDir(tb), "duckdb-"+duckDBVersion)
	python, done := filepath.Join(dir, "bin", "python"), filepath.Join(dir, "complete")
	if _, err := os.Stat(done); err == nil {
		return python
	}

	tb.Logf("fetching DuckDB %s", duckDBVersion)
	for _, command := range [][]string{
		{tool(tb, "python3-venv", "python3"), "-m", "venv", "--clear", dir},
		{python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "duckdb==" + duckDBVersion},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			tb.Fatalf("fetching DuckDB from PyPI: %v; Debian has what it takes in python3-venv\n%s", err, out)
		}
	}
	writeFile(tb, done, "")
	return python
}
