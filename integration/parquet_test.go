// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/integration/servers"
)

func TestParquet(t *testing.T) {
	const config = "examples/parquet/pipeline.yaml"
	at := time.Date(2025, 3, 1, 12, 0, 0, 250e6, time.UTC)
	api := startSandbox(t, "--demo", "--random", "chats=10,messages=300", "--synthetic", "chats=1,messages=12000",
		"--seed", seedFile(t, map[string][]any{"chat-typed": {
			item("text", "text", "Привет, \"ÿ\" 👍", at, nil),
			item("place", "location", "", at.Add(time.Minute), map[string]any{
				"location": map[string]any{"lon": -46.63, "lat": -23.55}, "file_size": "9007199254740991", "options": []string{"yes"},
			}),
		}}))
	dir := t.TempDir()
	e := readFrom(t, api).with(env{"PARQUET_DIR": dir, "PARQUET_PERIOD": "1s"})
	startPipeline(t, config, e).wait(t, 3*time.Minute)

	files, err := filepath.Glob(filepath.Join(dir, "*.parquet"))
	require.NoError(t, err)
	assert.GreaterOrEqual(t, len(files), 2, "no file has more than 10,000 messages")
	ask := func(sql string) string { return servers.DuckDB(t, dir, sql) }

	assert.Equal(t, "text|1740830400250|2025-03-01T12:00:00.250Z|Анна|Привет, \"ÿ\" 👍|||\n"+
		"place|1740830460250|2025-03-01T12:01:00.250Z|Анна||9007199254740991|-23.55|-46.63", ask(
		"SELECT message_id, sent_at_ms, sent_at, customer_name, text, media_file_size, location.lat, location.lon FROM '*.parquet' "+
			"WHERE chat_id = 'chat-typed' ORDER BY sent_at_ms"))
	assert.Equal(t, "BIGINT|STRUCT(lat DOUBLE, lon DOUBLE)|VARCHAR", ask(
		"SELECT DISTINCT typeof(sent_at_ms), typeof(location), typeof(text) FROM '*.parquet'"))

	ids := func(sql string) map[string][]string {
		messages := map[string][]string{}
		for line := range strings.Lines(ask(sql)) {
			chat, id, _ := strings.Cut(strings.TrimSpace(line), "|")
			messages[chat] = append(messages[chat], id)
		}
		return messages
	}
	sent := api.messages(t)
	requireSame(t, sent, ids("SELECT chat_id, message_id FROM '*.parquet'"))

	t.Run("what comes twice, even with other columns, is told by its ids", func(t *testing.T) {
		startPipeline(t, config, e.with(env{"KOMMO_CHECKPOINT_DIR": t.TempDir(), "KOMMO_PERSONAL_DATA": "false"})).wait(t, 3*time.Minute)
		readme, err := os.ReadFile(filepath.Join(project, "examples", "parquet", "README.md"))
		require.NoError(t, err)
		_, rest, ok := strings.Cut(string(readme), "```sql\n")
		require.True(t, ok)
		view, _, _ := strings.Cut(rest, "```")
		requireSame(t, sent, ids(view+"; SELECT chat_id, message_id FROM messages"))
	})
}

// requireSame requires the same messages in any order.
func requireSame(t *testing.T, want, got map[string][]string) {
	t.Helper()
	require.Len(t, got, len(want))
	for chat, ids := range want {
		require.ElementsMatch(t, ids, got[chat], chat)
	}
}
