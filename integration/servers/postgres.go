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

// Postgres is one PostgreSQL server.
type Postgres struct {
	*Process
	DSN string
}

// StartPostgres starts a server with an empty database.
func StartPostgres(tb testing.TB) *Postgres {
	tb.Helper()
	const folder = "/usr/lib/postgresql/*/bin"
	initdb, server := tool(tb, "postgresql", "initdb", folder), tool(tb, "postgresql", "postgres", folder)
	dir := serverDir(tb, "postgres")
	data := filepath.Join(dir, "data")
	run(tb, dir, initdb, "--pgdata", data, "--username", "kommo", "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync")

	port := freePort(tb)
	postgres := &Postgres{DSN: fmt.Sprintf("postgres://kommo@127.0.0.1:%d/postgres?sslmode=disable", port)}
	postgres.Process = &Process{
		name:    "PostgreSQL",
		logPath: filepath.Join(dir, "postgres.out"),
		command: func() *exec.Cmd {
			cmd := exec.Command(server, "-D", data, "-h", "127.0.0.1", "-p", strconv.Itoa(port), "-k", dir)
			cmd.Dir = dir
			return cmd
		},
		ready:   portOpen(fmt.Sprintf("127.0.0.1:%d", port)),
		timeout: time.Minute,
	}
	tb.Cleanup(func() { postgres.Stop(tb) })
	postgres.Start(tb)
	return postgres
}

// Query runs SQL with psql and returns its rows, a line for each, with | between the columns.
func (p *Postgres) Query(tb testing.TB, sql string) string {
	tb.Helper()
	return p.psql(tb, "--command", sql)
}

// File runs a file of SQL with psql.
func (p *Postgres) File(tb testing.TB, path string) {
	tb.Helper()
	p.psql(tb, "--file", path)
}

func (p *Postgres) psql(tb testing.TB, args ...string) string {
	tb.Helper()
	psql := tool(tb, "postgresql-client", "psql")
	cmd := exec.Command(psql, append([]string{p.DSN, "--no-psqlrc", "--no-align", "--tuples-only", "--quiet", "--set", "ON_ERROR_STOP=1"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		tb.Fatalf("asking PostgreSQL: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}
