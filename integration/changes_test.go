// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kommo-connect/kommo-connect/integration/servers"
)

var firstOfChanging = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)

// allTold is what is to be told of the changing chat, in this order.
var allTold = []string{"create kept", "create edited", "create deleted", "create last", "update edited", "delete deleted"}

// changing is a chat of which one message will be edited and one deleted.
func changing(t *testing.T) *sandbox {
	t.Helper()
	var items []any
	for i, id := range []string{"kept", "edited", "deleted", "last"} {
		items = append(items, item(id, "text", "as it was sent", firstOfChanging.Add(time.Duration(i)*time.Minute), nil))
	}
	return startSandbox(t, "--seed", seedFile(t, map[string][]any{"chat-changing": items}))
}

// change edits the one and deletes the other.
func (s *sandbox) change(t *testing.T) {
	t.Helper()
	s.replace(t, item("edited", "text", "corrected", firstOfChanging.Add(time.Minute), nil))
	s.remove(t, "deleted")
}

// replace gives a message of the changing chat other bytes.
func (s *sandbox) replace(t *testing.T, item map[string]any) {
	t.Helper()
	message, ok := item["message"].(map[string]any)
	require.True(t, ok)
	id, ok := message["id"].(string)
	require.True(t, ok)
	call(t, http.MethodPut, s.url+"/sandbox/chats/chat-changing/messages/"+url.PathEscape(id), item, nil)
}

// remove deletes a message of the changing chat.
func (s *sandbox) remove(t *testing.T, id string) {
	t.Helper()
	call(t, http.MethodDelete, s.url+"/sandbox/chats/chat-changing/messages/"+url.PathEscape(id), nil, nil)
}

// runs runs a pipeline to its end: once before the changes, and then until all of them are
// found, for a deletion is believed only the second time.
func (s *sandbox) runs(t *testing.T, config string, e env) {
	t.Helper()
	e = e.with(env{"KOMMO_CHANGES": "true", "KOMMO_LOOKBACK": "24h"})
	startPipeline(t, config, e).wait(t, time.Minute)
	s.change(t)
	for range 3 {
		startPipeline(t, config, e).wait(t, time.Minute)
	}
}

func TestChanges_OpenSearch(t *testing.T) {
	testChangesInSearch(t, servers.StartOpenSearch(t), "examples/opensearch", "OPENSEARCH_URL")
}

func TestChanges_Elasticsearch(t *testing.T) {
	testChangesInSearch(t, servers.StartElasticsearch(t), "examples/elasticsearch", "ELASTICSEARCH_URL")
}

func testChangesInSearch(t *testing.T, engine *servers.Search, example, urlVariable string) {
	t.Helper()
	api := changing(t)
	e := readFrom(t, api).with(env{urlVariable: engine.URL})
	documented(t, example+"/README.md", "curl", e)
	api.runs(t, example+"/pipeline.yaml", e)
	require.Equal(t, 3, documents(t, engine))
	require.ElementsMatch(t, []string{"kept", "edited", "last"}, search(t, engine, map[string]any{"match_all": map[string]any{}}))
	require.Equal(t, []string{"edited"}, search(t, engine, map[string]any{"match": map[string]any{"text": "corrected"}}))

	t.Run("a deletion that comes again", func(t *testing.T) {
		// As after a crash: the index lacks what the checkpoint knows, so that the document is gone already.
		api.remove(t, "last")
		call(t, http.MethodDelete, engine.URL+index+"/_doc/last", nil, nil)
		again := e.with(env{"KOMMO_CHANGES": "true", "KOMMO_LOOKBACK": "24h"})
		for range 2 {
			startPipeline(t, example+"/pipeline.yaml", again).wait(t, time.Minute)
		}
		require.Equal(t, 2, documents(t, engine))
	})
}

func TestChanges_KafkaCompactedTopic(t *testing.T) {
	const name = "kommo.messages.latest"
	api := changing(t)
	kafka := startKafka(t)
	compact, now, ms := "compact", "0", "100"
	_, err := admin(t, kafka).CreateTopic(t.Context(), 1, 1, map[string]*string{
		"cleanup.policy": &compact, "min.cleanable.dirty.ratio": &now, "segment.ms": &ms, "max.compaction.lag.ms": &ms,
	}, name)
	require.NoError(t, err)
	api.runs(t, "examples/kafka/pipeline-compacted.yaml", readFrom(t, api).with(env{"KAFKA_BROKERS": kafka.Address}))

	latest := map[string]*kgo.Record{}
	records := consume(t, kafka, name)
	for _, record := range records {
		latest[string(record.Key)] = record
	}
	require.Len(t, records, 6, "four messages, one update, one tombstone")
	require.Len(t, latest, 4)
	require.Nil(t, latest["chat-changing/deleted"].Value, "a tombstone, and not an empty value")
	var edited struct{ Text, Operation string }
	require.NoError(t, json.Unmarshal(latest["chat-changing/edited"].Value, &edited))
	require.Equal(t, "corrected", edited.Text)
	require.Equal(t, "update", edited.Operation)
}

func TestChanges_Kafka(t *testing.T) {
	api := changing(t)
	kafka := startKafka(t)
	api.runs(t, "examples/kafka/pipeline.yaml", readFrom(t, api).with(env{"KAFKA_BROKERS": kafka.Address}))
	requireAllTold(t, consume(t, kafka, topic))
}

// A worker looks after the chat that was named to it.
func TestChanges_ScaleOut(t *testing.T) {
	api := changing(t)
	kafka, redis := startKafka(t), servers.StartRedis(t)
	_, err := admin(t, kafka).CreateTopic(t.Context(), 1, 1, nil, chatsTopic)
	require.NoError(t, err)
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.Address))
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: chatsTopic, Value: []byte("chat-changing")}).FirstErr())

	startPipeline(t, worker, readFrom(t, api).with(env{
		"KAFKA_BROKERS": kafka.Address, "REDIS_URL": redis.URL, "KOMMO_HTTP_ADDRESS": "127.0.0.1:0", "KOMMO_REQUEST_INTERVAL": "10ms",
		"KOMMO_CHANGES": "true", "KOMMO_CHANGES_INTERVAL": "300ms", "KOMMO_LOOKBACK": time.Since(firstOfChanging.Add(-time.Hour)).String(),
	}))
	eventually(t, "the messages", func() bool { return produced(t, kafka, topic) == 4 })
	api.change(t)
	eventually(t, "the edit and the deletion", func() bool { return produced(t, kafka, topic) >= 6 })
	requireAllTold(t, consume(t, kafka, topic))
}

// requireAllTold requires that the records tell all of the changing chat.
func requireAllTold(t *testing.T, records []*kgo.Record) {
	t.Helper()
	require.Equal(t, allTold, toldInRecords(t, records))
}

// toldInRecords returns what the records tell of the changing chat.
func toldInRecords(t *testing.T, records []*kgo.Record) []string {
	t.Helper()
	var told []string
	for _, record := range records {
		require.Equal(t, "chat-changing", string(record.Key))
		told = append(told, toldIn(t, record.Value))
		require.Equal(t, told[len(told)-1], header(record, "kommo_operation")+" "+header(record, "kommo_message_id"))
	}
	return told
}

// toldIn returns what a message tells of which.
func toldIn(t *testing.T, value []byte) string {
	t.Helper()
	var m struct {
		MessageID string `json:"message_id"`
		Operation string
	}
	require.NoError(t, json.Unmarshal(value, &m))
	return m.Operation + " " + m.MessageID
}

func TestChanges_Warehouse(t *testing.T) {
	postgres := servers.StartPostgres(t)
	api := changing(t)
	e := readFrom(t, api).with(env{"POSTGRES_DSN": postgres.DSN})
	documented(t, "examples/warehouse/README.md", "psql", e)
	documented(t, "examples/warehouse/README.md", "psql", e) // a table from before gets what it lacks
	api.runs(t, "examples/warehouse/pipeline.yaml", e)
	require.Equal(t, "deleted|t|as it was sent\nedited|f|corrected\nkept|f|as it was sent\nlast|f|as it was sent",
		postgres.Query(t, "SELECT message_id, deleted, text FROM kommo_messages ORDER BY message_id"))
}
