// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// families is what each file of this folder promises, as the binary lists it.
// The first two are in every build.
var families = map[string]map[string][]string{
	"core.go": {
		"inputs":      {"kommo_chat_history", "kommo_chats", "kommo_talk_history", "file", "http_server", "generate", "stdin"},
		"outputs":     {"file", "http_client", "stdout", "switch", "fallback", "broker"},
		"caches":      {"file", "memory", "multilevel"},
		"processors":  {"kommo_message", "mapping", "dedupe", "http"},
		"rate-limits": {"local"},
	},
	"prometheus.go":       {"metrics": {"prometheus"}},
	"kafka.go":            {"inputs": {"redpanda"}, "outputs": {"redpanda", "kafka_franz", "kafka"}, "caches": {"redpanda"}},
	"elasticsearch_v8.go": {"outputs": {"elasticsearch_v8"}},
	"elasticsearch_v9.go": {"outputs": {"elasticsearch_v9"}},
	"opensearch.go":       {"outputs": {"opensearch"}},
	"redis.go": {
		"caches":      {"redis"},
		"rate-limits": {"redis"},
		"inputs":      {"redis_streams", "redis_list"},
		"outputs":     {"redis_streams", "redis_hash"},
	},
	"sql.go":       {"inputs": {"sql_select"}, "outputs": {"sql_insert", "sql_raw"}, "caches": {"sql"}},
	"nats.go":      {"inputs": {"nats_jetstream"}, "outputs": {"nats", "nats_jetstream"}, "caches": {"nats_kv"}},
	"amqp.go":      {"inputs": {"amqp_0_9"}, "outputs": {"amqp_0_9"}},
	"mqtt.go":      {"inputs": {"mqtt"}, "outputs": {"mqtt"}},
	"confluent.go": {"processors": {"schema_registry_encode", "schema_registry_decode"}},
	"extended.go":  {"processors": {"parquet_encode", "parquet_decode"}},
	"mongodb.go":   {"inputs": {"mongodb"}, "outputs": {"mongodb"}, "caches": {"mongodb"}},
}

// onlyByTag are in no build that does not name their tag.
var onlyByTag = []string{"elasticsearch_v9.go"}

func TestFamilies_EveryFileIsNamedHere(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, f := range files {
		if !slices.Contains([]string{"main.go", "about.go", "check.go", "checkfields.go", "files.go", "lint.go", "listen.go"}, f) && !strings.HasSuffix(f, "_test.go") {
			assert.Contains(t, families, f)
		}
	}
}

func TestFamilies_AreRegistered(t *testing.T) {
	t.Parallel()
	for file, kinds := range families {
		light := file == "core.go" || file == "prometheus.go"
		for kind, names := range kinds {
			t.Run(file+" "+kind, func(t *testing.T) {
				t.Parallel()
				r := run(t, nil, "list", kind)
				require.Zero(t, r.code, r)
				for _, name := range names {
					entry := "- " + name + "\n"
					switch {
					case slices.Contains(onlyByTag, file):
						assert.NotContains(t, r.stdout, entry, "only its own tag takes it in")
					case full || light:
						assert.Contains(t, r.stdout, entry)
					case !slices.Contains(families["core.go"][kind], name):
						assert.NotContains(t, r.stdout, entry, "the tag core leaves it out")
					}
				}
			})
		}
	}
}

// A build with one family's tag beside core has that family: the tag is named
// like the file, as the documents say.
func TestFamilies_TagsAreNamedLikeTheFiles(t *testing.T) {
	t.Parallel()
	for file := range families {
		if file == "core.go" || file == "prometheus.go" {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		want := "!core || "
		if slices.Contains(onlyByTag, file) {
			want = ""
		}
		assert.Contains(t, string(text), "\n//go:build "+want+strings.TrimSuffix(file, ".go")+"\n", file)
	}
}

// The SQL drivers that sql.go imports answer, and SQLite does so for real.
func TestFamilies_SQLDriversAreLinked(t *testing.T) {
	t.Parallel()
	if !full {
		t.Skip("needs " + envBinary + ": make test-families")
	}
	config := writeConfig(t, `
http: { enabled: false }
input: { generate: { count: 1, mapping: 'root.id = "a"' } }
output:
  sql_insert:
    driver: sqlite
    dsn: "file:${DIR}/test.db"
    init_statement: "CREATE TABLE t (id TEXT PRIMARY KEY)"
    table: t
    columns: [ id ]
    args_mapping: root = [ this.id ]
`)
	dir := t.TempDir()
	r := run(t, map[string]string{"DIR": dir}, "run", config)
	require.Zero(t, r.code, r)
	data, err := os.ReadFile(filepath.Join(dir, "test.db"))
	require.NoError(t, err)
	assert.True(t, bytes.HasPrefix(data, []byte("SQLite format 3\x00")))

	out, err := exec.CommandContext(t.Context(), "go", "version", "-m", binary).Output()
	require.NoError(t, err)
	for _, module := range []string{"github.com/lib/pq", "github.com/ClickHouse/clickhouse-go/v2", "modernc.org/sqlite"} {
		assert.Contains(t, string(out), "\tdep\t"+module+"\t")
	}
}

// A build of one's own that imports the plugin gets Benthos and not Connect.
func TestFamilies_PluginBringsNoConnect(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "../../plugin").Output()
	require.NoError(t, err)
	assert.Contains(t, string(out), "github.com/redpanda-data/benthos/v4/public/service\n")
	assert.NotContains(t, string(out), "github.com/redpanda-data/connect/")
}

// What docs/licences.md says of files under the Redpanda Community License.
func TestFamilies_LicencesAreAsDocumented(t *testing.T) {
	t.Parallel()
	if !full {
		t.Skip("needs " + envBinary + ": make test-families")
	}
	const connect = "github.com/redpanda-data/connect/v4/"
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f",
		`{{if .Module}}{{range .GoFiles}}{{$.ImportPath}}{{"\t"}}{{$.Dir}}{{"\t"}}{{.}}{{"\n"}}{{end}}{{end}}`, ".")
	out, err := list.Output()
	require.NoError(t, err)

	header := regexp.MustCompile(`Redpanda Community\s+(//\s*)?License`)
	var found []string
	for line := range strings.Lines(string(out)) {
		path, rest, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok || !strings.Contains(path, "redpanda-data/") {
			continue
		}
		dir, name, _ := strings.Cut(rest, "\t")
		if header.MatchString(firstLines(t, filepath.Join(dir, name))) {
			found = append(found, strings.TrimPrefix(path, connect)+"/"+name)
		}
	}
	assert.Equal(t, []string{"internal/serviceaccount/oauth2.go"}, found, "update docs/licences.md")

	page, err := os.ReadFile(filepath.Join(root(t), "docs", "licences.md"))
	require.NoError(t, err)
	for _, f := range found {
		assert.Contains(t, string(page), "`"+f+"`")
	}
}

// firstLines returns the head of a file, where its licence is named.
func firstLines(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	var b strings.Builder
	for s := bufio.NewScanner(f); s.Scan() && b.Len() < 1000; {
		b.WriteString(s.Text() + "\n")
	}
	return b.String()
}
