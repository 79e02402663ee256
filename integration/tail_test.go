// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/integration/servers"
)

func TestBackfillThenTail_Redis(t *testing.T) {
	redis := servers.StartRedis(t)
	testTail(t, "examples/backfill-then-tail/pipeline.yaml", env{"REDIS_URL": redis.URL})
	require.Contains(t, redis.Command(t, "KEYS", "kommo:*"), "kommo_chat_history", "checkpoints in Redis")

	t.Run("edits and deletions", func(t *testing.T) {
		testTailChanges(t, "examples/backfill-then-tail/pipeline.yaml", env{"REDIS_URL": redis.URL, "REDIS_PREFIX": "changing:"})
	})

	t.Run("Redis stops and comes back", func(t *testing.T) {
		api := startSandbox(t, "--random", "chats=1,messages=10")
		chat := api.chats(t)
		run := startPipeline(t, "examples/backfill-then-tail/pipeline.yaml", readFrom(t, api).with(env{
			"REDIS_URL": redis.URL, "REDIS_PREFIX": "again:", "KOMMO_POLL_INTERVAL": "200ms", "KOMMO_HTTP_ADDRESS": "127.0.0.1:0",
		}))
		eventually(t, "the old messages", func() bool { return len(run.lines(t)) == 10 })
		redis.Stop(t)
		api.append(t, chat, "while Redis is away")
		time.Sleep(2 * time.Second) // an outage has to last
		redis.Start(t)
		api.append(t, chat, "after it came back")
		eventually(t, "both new messages", func() bool { return len(run.lines(t)) >= 12 })
		run.stop(t)
		require.Equal(t, api.messages(t), printed(t, run), "each message once")
	})
}

func TestBackfillThenTail_SQLite(t *testing.T) {
	dir := t.TempDir()
	testTail(t, "examples/backfill-then-tail/pipeline-sqlite.yaml", env{"KOMMO_CHECKPOINT_DIR": dir})
	content, err := os.ReadFile(filepath.Join(dir, "checkpoints.sqlite"))
	require.NoError(t, err)
	require.Contains(t, string(content), "SQLite format 3")

	t.Run("edits and deletions", func(t *testing.T) {
		testTailChanges(t, "examples/backfill-then-tail/pipeline-sqlite.yaml", nil)
	})
}

// testTailChanges edits and deletes messages while a chat is tailed, and while nobody reads it.
func testTailChanges(t *testing.T, config string, settings env) {
	t.Helper()
	api := changing(t)
	e := readFrom(t, api).with(env{
		"KOMMO_POLL_INTERVAL": "1h", "KOMMO_HTTP_ADDRESS": "127.0.0.1:0", // only looking for changes reads a chat again
		"KOMMO_CHANGES": "true", "KOMMO_CHANGES_INTERVAL": "300ms", "KOMMO_LOOKBACK": time.Since(firstOfChanging.Add(-time.Hour)).String(),
	}).with(settings)
	run := startPipeline(t, config, e)
	eventually(t, "the messages", func() bool { return len(run.lines(t)) == 4 })
	api.change(t)
	eventually(t, "the edit and the deletion", func() bool { return len(run.lines(t)) >= 6 })
	run.stop(t)
	require.Equal(t, allTold, toldInLines(t, run))

	api.remove(t, "last")
	run = startPipeline(t, config, e)
	eventually(t, "the deletion of the meantime", func() bool { return len(run.lines(t)) > 0 })
	run.stop(t)
	require.Equal(t, []string{"delete last"}, toldInLines(t, run))
}

// toldInLines returns what the lines of the standard output tell of the changing chat.
func toldInLines(t *testing.T, run *pipeline) []string {
	t.Helper()
	var told []string
	for _, line := range run.lines(t) {
		told = append(told, toldIn(t, []byte(line)))
	}
	return told
}

func testTail(t *testing.T, config string, settings env) {
	t.Helper()
	api := startSandbox(t, "--random", "chats=3,messages=120")
	e := readFrom(t, api).with(env{"KOMMO_POLL_INTERVAL": "200ms", "KOMMO_HTTP_ADDRESS": "127.0.0.1:0"}).with(settings)
	var chat string
	for chat = range api.messages(t) {
		break
	}

	run := startPipeline(t, config, e)
	eventually(t, "the old messages", func() bool { return len(run.lines(t)) == 360 })
	api.append(t, chat, "new")
	eventually(t, "the new message", func() bool { return len(run.lines(t)) == 361 })
	require.Equal(t, api.messages(t), printed(t, run), "each message once, in order")
	run.stop(t)

	later := api.append(t, chat, "written while nobody reads")
	run = startPipeline(t, config, e)
	eventually(t, "the message of the meantime", func() bool { return len(run.lines(t)) > 0 })
	run.stop(t)
	require.Equal(t, map[string][]string{chat: {later}}, printed(t, run), "only what is new")
}

// printed returns the ids of the messages on the standard output, by chat.
func printed(t *testing.T, run *pipeline) map[string][]string {
	t.Helper()
	ids := map[string][]string{}
	for _, line := range run.lines(t) {
		var message struct {
			ChatID    string `json:"chat_id"`
			MessageID string `json:"message_id"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &message))
		ids[message.ChatID] = append(ids[message.ChatID], message.MessageID)
	}
	return ids
}
