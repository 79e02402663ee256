// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"bytes"
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
	body, err := json.Marshal(item("edited", "text", "corrected", firstOfChanging.Add(time.Minute), nil))
	require.NoError(t, err)
	for _, c := range []struct {
		method, id string
		body       []byte
	}{{http.MethodPut, "edited", body}, {http.MethodDelete, "deleted", nil}} {
		path := s.url + "/sandbox/chats/chat-changing/messages/" + url.PathEscape(c.id)
		request, err := http.NewRequestWithContext(t.Context(), c.method, path, bytes.NewReader(c.body))
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		_ = response.Body.Close()
		require.Equal(t, http.StatusNoContent, response.StatusCode)
	}
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

// remove deletes a message.
func (s *sandbox) remove(t *testing.T, id string) {
	t.Helper()
	call(t, http.MethodDelete, s.url+"/sandbox/chats/chat-changing/messages/"+url.PathEscape(id), nil, nil)
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

// requireAllTold requires what is to be told of the changing chat, in the order in which it is.
func requireAllTold(t *testing.T, records []*kgo.Record) {
	t.Helper()
	var got []string
	for _, record := range records {
		var m struct {
			MessageID string `json:"message_id"`
			Operation string
		}
		require.NoError(t, json.Unmarshal(record.Value, &m))
		require.Equal(t, "chat-changing", string(record.Key))
		require.Equal(t, m.Operation, header(record, "kommo_operation"))
		got = append(got, m.Operation+" "+m.MessageID)
	}
	require.Equal(t, []string{"create kept", "create edited", "create deleted", "create last", "update edited", "delete deleted"}, got)
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
