// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kommo-connect/kommo-connect/integration/servers"
)

func TestAccountChanges_Kafka(t *testing.T) {
	kafka := startKafka(t)
	testAccountChanges(t, "examples/whole-account/kafka.yaml", env{"KAFKA_BROKERS": kafka.Address}, func() map[string]accountMessage {
		return toldBy(t, consume(t, kafka, topic))
	})
	require.Contains(t, operations(consume(t, kafka, topic)), "update edited")
	require.Contains(t, operations(consume(t, kafka, topic)), "delete deleted")
}

func TestAccountChanges_KafkaCompactedTopic(t *testing.T) {
	const name = "kommo.messages.latest"
	kafka := startKafka(t)
	compact := "compact"
	_, err := admin(t, kafka).CreateTopic(t.Context(), 3, 1, map[string]*string{"cleanup.policy": &compact}, name)
	require.NoError(t, err)
	testAccountChanges(t, "examples/whole-account/kafka-compacted.yaml", env{"KAFKA_BROKERS": kafka.Address}, func() map[string]accountMessage {
		latest := map[string][]byte{}
		for _, record := range consume(t, kafka, name) {
			latest[string(record.Key)] = record.Value
		}
		maps.DeleteFunc(latest, func(_ string, value []byte) bool { return value == nil })
		held := map[string]accountMessage{}
		for key, value := range latest {
			message := readMessages(t, [][]byte{value})[0]
			require.Equal(t, key, fmt.Sprintf("%d/%s", message.Talk, message.ID))
			held[message.ID] = message
		}
		return held
	})
}

func TestAccountChanges_OpenSearch(t *testing.T) {
	engine := servers.StartOpenSearch(t)
	e := env{"OPENSEARCH_URL": engine.URL}
	documented(t, "examples/opensearch/README.md", "curl", e)
	testAccountChanges(t, "examples/whole-account/opensearch.yaml", e, func() map[string]accountMessage {
		return byID(indexedMessages(t, engine))
	})
}

func TestAccountChanges_PostgreSQL(t *testing.T) {
	postgres := servers.StartPostgres(t)
	e := env{"POSTGRES_DSN": postgres.DSN}
	documented(t, "examples/warehouse/README.md", "psql", e)
	testAccountChanges(t, "examples/whole-account/postgresql.yaml", e, func() map[string]accountMessage {
		return byID(rowMessages(t, postgres, "NOT deleted"))
	})
	require.Equal(t, "deleted|chat-of-1001|as it was sent\nonly|chat-of-2000|as it was sent",
		postgres.Query(t, "SELECT message_id, chat_id, text FROM kommo_messages WHERE deleted ORDER BY message_id"), "what is deleted keeps its row")
}

// Workers look after what the lister has named to them.
func TestAccountChanges_ManyWorkers(t *testing.T) {
	const talksTopic = "kommo.talks"
	kafka, redis := startKafka(t), servers.StartRedis(t)
	_, err := admin(t, kafka).CreateTopic(t.Context(), 4, 1, nil, talksTopic)
	require.NoError(t, err)
	api := startAccount(t, 3, 5)
	e := tellChanges(readAccount(t, api)).with(env{
		"KAFKA_BROKERS": kafka.Address, "REDIS_URL": redis.URL, "KOMMO_HTTP_ADDRESS": "127.0.0.1:0", "KOMMO_REQUEST_INTERVAL": "10ms",
	})
	startPipeline(t, "examples/whole-account/lister.yaml", e)
	for range 2 {
		startPipeline(t, "examples/whole-account/worker.yaml", e)
	}
	api.changesInTail(t, func() map[string]accountMessage { return toldBy(t, consume(t, kafka, topic)) })
	require.Contains(t, operations(consume(t, kafka, topic)), "delete deleted")
}

// testAccountChanges edits and deletes messages while an account is tailed, and while nobody reads it. held returns what
// a place holds of the account, by the messages' ids, and that has to become what the account has.
func testAccountChanges(t *testing.T, config string, e env, held func() map[string]accountMessage) {
	t.Helper()
	api := startAccount(t, 3, 5)
	e = tellChanges(readAccount(t, api)).with(e)
	run := startPipeline(t, config, e)
	api.changesInTail(t, held)

	run.stop(t) // a message that no checkpoint knows could be deleted without a trace
	api.edit(t, 1001, "kept", "changed while nobody read")
	api.deleteInTalk(t, 2000, "only") // of which only the checkpoint knows anything now
	run = startPipeline(t, config, e)
	eventually(t, "what changed while nobody read", func() bool { return maps.Equal(held(), api.present(t)) })
	run.stop(t)
}

// tellChanges has changes looked for in what was sent within a day.
func tellChanges(e env) env {
	return e.with(env{"KOMMO_CHANGES": "true", "KOMMO_LOOKBACK": "24h", "KOMMO_CHANGES_INTERVAL": "300ms"})
}

// changesInTail sends messages, then edits one and deletes one.
func (s *sandbox) changesInTail(t *testing.T, held func() map[string]accountMessage) {
	t.Helper()
	for _, id := range []string{"kept", "edited", "deleted", "last"} {
		s.post(t, "/sandbox/talks/1001/messages", talkMessage(1001, id, "as it was sent"))
	}
	s.post(t, "/sandbox/talks", map[string]any{"talk_id": 2000, "chat_id": "chat-of-2000", "origin": "telegram"})
	s.post(t, "/sandbox/talks/2000/messages", talkMessage(2000, "only", "as it was sent"))
	eventually(t, "the messages", func() bool { return maps.Equal(held(), s.present(t)) })

	s.edit(t, 1001, "edited", "corrected")
	s.deleteInTalk(t, 1001, "deleted")
	eventually(t, "the edit and the deletion", func() bool { return maps.Equal(held(), s.present(t)) })
}

// talkMessage is a message that the client sends now.
func talkMessage(talk int, id, text string) map[string]any {
	now := time.Now()
	return map[string]any{
		"id": id, "chat_id": fmt.Sprintf("chat-of-%d", talk), "type": "incoming", "message_type": "text", "text": text,
		"author":     map[string]any{"id": "client", "type": "external", "name": "Анна Петрова"},
		"created_at": now.Unix(), "msec_created_at": now.UnixMilli(),
	}
}

// edit gives a message of a talk another text.
func (s *sandbox) edit(t *testing.T, talk int, id, text string) {
	t.Helper()
	var list struct{ Messages []map[string]any }
	s.get(t, fmt.Sprintf("/sandbox/talks/%d/messages", talk), &list)
	for _, message := range list.Messages {
		if message["id"] == id {
			message["text"] = text
			call(t, http.MethodPut, fmt.Sprintf("%s/sandbox/talks/%d/messages/%s", s.url, talk, id), message, nil)
			return
		}
	}
	t.Fatalf("talk %d has no message %s", talk, id)
}

// deleteInTalk deletes a message of a talk.
func (s *sandbox) deleteInTalk(t *testing.T, talk int, id string) {
	t.Helper()
	call(t, http.MethodDelete, fmt.Sprintf("%s/sandbox/talks/%d/messages/%s", s.url, talk, id), nil, nil)
}

// present returns all messages of the account by their ids.
func (s *sandbox) present(t *testing.T) map[string]accountMessage {
	t.Helper()
	present := map[string]accountMessage{}
	for _, list := range s.accountMessages(t) {
		maps.Copy(present, byID(list))
	}
	return present
}

func byID(messages []accountMessage) map[string]accountMessage {
	ids := map[string]accountMessage{}
	for _, m := range messages {
		ids[m.ID] = m
	}
	return ids
}

// toldBy returns what is there after all that the records tell, in the order of each talk.
func toldBy(t *testing.T, records []*kgo.Record) map[string]accountMessage {
	t.Helper()
	there := map[string]accountMessage{}
	for _, record := range records {
		message := readMessages(t, [][]byte{record.Value})[0]
		var told struct{ Operation string }
		require.NoError(t, json.Unmarshal(record.Value, &told))
		require.Equal(t, header(record, "kommo_operation"), told.Operation)
		switch told.Operation {
		case "create", "update":
			there[message.ID] = message
		case "delete":
			delete(there, message.ID)
		default:
			t.Fatalf("the operation %q", told.Operation)
		}
	}
	return there
}

// operations returns what the records' headers tell of which message, a line for each.
func operations(records []*kgo.Record) string {
	var told []string
	for _, record := range records {
		told = append(told, header(record, "kommo_operation")+" "+header(record, "kommo_message_id"))
	}
	return strings.Join(told, "\n")
}
