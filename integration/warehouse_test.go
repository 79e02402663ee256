// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/integration/servers"
)

func TestWarehouse(t *testing.T) {
	const config = "examples/warehouse/pipeline.yaml"
	postgres := servers.StartPostgres(t)
	at := time.Date(2025, 3, 1, 12, 0, 0, 250e6, time.UTC)
	api := startSandbox(t, "--demo", "--random", "chats=10,messages=300", "--synthetic", "chats=1,messages=6000",
		"--seed", seedFile(t, map[string][]any{"chat-nul": {item("nul", "text", "a\x00b", at, nil)}}))
	e := readFrom(t, api).with(env{"POSTGRES_DSN": postgres.DSN})
	total := fmt.Sprint(count(api.messages(t)))

	documented(t, "examples/warehouse/README.md", "psql", e)
	startPipeline(t, config, e).wait(t, 3*time.Minute)
	require.Equal(t, total, postgres.Query(t, "SELECT count(*) FROM kommo_messages"))
	require.Equal(t, "chat-nul|incoming|2025-03-01 12:00:00.25+00|ab", postgres.Query(t,
		"SET timezone TO 'UTC'; SELECT chat_id, direction, sent_at, text FROM kommo_messages WHERE message_id = 'nul'"))

	startPipeline(t, config, e.with(env{"KOMMO_CHECKPOINT_DIR": t.TempDir()})).wait(t, 3*time.Minute)
	require.Equal(t, total, postgres.Query(t, "SELECT count(*) FROM kommo_messages"), "a second run changes nothing")
}
