// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kommo-connect/kommo-connect/integration/servers"
)

const (
	topic       = "kommo.messages"
	deadLetters = "kommo.dead-letters"
	tenThousand = "chats=20,messages=500"
)

func TestKafka_TenThousandMessagesArriveOnceAndInOrder(t *testing.T) {
	api := startSandbox(t, "--synthetic", tenThousand)
	kafka := startKafka(t)
	e := readFrom(t, api).with(env{"KAFKA_BROKERS": kafka.Address})

	startPipeline(t, "examples/kafka/pipeline.yaml", e).wait(t, 3*time.Minute)

	sent := api.messages(t)
	require.Equal(t, 10_000, count(sent))
	records := consume(t, kafka, topic)
	require.Equal(t, sent, byKey(t, records), "each message once, in order per key")
	partitions := map[int32]bool{}
	for _, record := range records {
		requireRecord(t, record)
		partitions[record.Partition] = true
	}
	assert.Greater(t, len(partitions), 1, "partitions that have records")

	startPipeline(t, "examples/kafka/pipeline.yaml", e).wait(t, time.Minute)
	require.Len(t, consume(t, kafka, topic), 10_000, "after a second run with the same checkpoints")
}

func TestKafka_NoPersonalData(t *testing.T) {
	api := startSandbox(t, "--demo")
	kafka := startKafka(t)
	startPipeline(t, "examples/kafka/pipeline.yaml", readFrom(t, api).with(env{
		"KAFKA_BROKERS": kafka.Address, "KOMMO_PERSONAL_DATA": "false",
	})).wait(t, time.Minute)

	records := consume(t, kafka, topic)
	require.Len(t, records, count(api.messages(t)))
	for _, record := range records {
		var message map[string]any
		require.NoError(t, json.Unmarshal(record.Value, &message))
		for key := range message {
			require.NotRegexp(t, `_(name|phone|email|avatar)$|extra|contact`, removeFileName(key))
		}
	}
}

func TestKafka_BrokerStopsAndComesBack(t *testing.T) {
	api := startSandbox(t, "--synthetic", tenThousand)
	kafka := startKafka(t)
	run := startPipeline(t, "examples/kafka/pipeline.yaml", readFrom(t, api).with(env{
		"KAFKA_BROKERS": kafka.Address, "KOMMO_REQUESTS_PER_SECOND": "25",
	}))

	eventually(t, "some messages in Kafka", func() bool { return produced(t, kafka, topic) >= 1000 })
	kafka.Stop(t)
	time.Sleep(5 * time.Second) // an outage has to last
	require.True(t, run.running(), "the pipeline goes on while the broker is away")
	kafka.Start(t)
	run.wait(t, 3*time.Minute)

	require.Equal(t, api.messages(t), byKey(t, consume(t, kafka, topic)), "each message once, in order per key")
}

func TestKafka_KilledAndStartedAgain(t *testing.T) {
	api := startSandbox(t, "--synthetic", tenThousand)
	kafka := startKafka(t)
	e := readFrom(t, api).with(env{"KAFKA_BROKERS": kafka.Address, "KOMMO_REQUESTS_PER_SECOND": "25"})

	for kills := int64(1); kills <= 3; kills++ {
		run := startPipeline(t, "examples/kafka/pipeline.yaml", e)
		eventually(t, "messages in Kafka", func() bool { return produced(t, kafka, topic) >= kills*2500 })
		require.True(t, run.running(), "the pipeline is killed in the middle")
		run.kill()
	}
	startPipeline(t, "examples/kafka/pipeline.yaml", e).wait(t, 3*time.Minute)

	records := consume(t, kafka, topic)
	t.Logf("%d of 10,000 messages came more than once", len(records)-10_000)
	arrived := byKey(t, records)
	for chat, ids := range arrived {
		arrived[chat] = firstOnly(ids)
	}
	require.Equal(t, api.messages(t), arrived, "all messages, in order where each came first")
}

// What the example's README says of a topic's retention: by default it is a week, counted from the records' time.
func TestKafka_OldMessagesDoNotStayInATopicWithTheDefaultRetention(t *testing.T) {
	const name = "kommo.default-retention"
	api := startSandbox(t, "--synthetic", "chats=1,messages=100,start=2025-01-01T00:00:00Z")
	kafka := startKafka(t)
	_, err := admin(t, kafka).CreateTopic(t.Context(), 1, 1, nil, name)
	require.NoError(t, err)

	e := readFrom(t, api).with(env{"KAFKA_BROKERS": kafka.Address})
	startPipeline(t, "examples/kafka/pipeline.yaml", e.with(env{"KAFKA_TOPIC": name, "KOMMO_CHECKPOINT_DIR": t.TempDir()})).wait(t, time.Minute)
	startPipeline(t, "examples/kafka/pipeline.yaml", e).wait(t, time.Minute)

	eventually(t, "the broker to delete the records", func() bool {
		offsets, err := admin(t, kafka).ListStartOffsets(t.Context(), name)
		require.NoError(t, err)
		first, _ := offsets.Lookup(name, 0)
		return first.Offset == 100
	})
	require.Len(t, consume(t, kafka, topic), 100, "in the topic that the README makes")
}

// startKafka starts a broker with the topics of the examples, made as their READMEs say.
func startKafka(t *testing.T) *servers.Kafka {
	t.Helper()
	kafka := servers.StartKafka(t)
	forever := "-1"
	for name, partitions := range map[string]int32{topic: 6, deadLetters: 1} {
		_, err := admin(t, kafka).CreateTopic(t.Context(), partitions, 1, map[string]*string{"retention.ms": &forever}, name)
		require.NoError(t, err)
	}
	return kafka
}

func admin(t *testing.T, kafka *servers.Kafka) *kadm.Client {
	t.Helper()
	client, err := kadm.NewOptClient(kgo.SeedBrokers(kafka.Address))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// produced returns how many records a topic has got.
func produced(t *testing.T, kafka *servers.Kafka, name string) int64 {
	t.Helper()
	client, err := kadm.NewOptClient(kgo.SeedBrokers(kafka.Address))
	require.NoError(t, err)
	defer client.Close()
	offsets, err := client.ListEndOffsets(t.Context(), name)
	require.NoError(t, err)
	var n int64
	offsets.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n
}

// consume reads a topic from its start to its present end.
func consume(t *testing.T, kafka *servers.Kafka, name string) []*kgo.Record {
	t.Helper()
	want := produced(t, kafka, name)
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.Address), kgo.ConsumeTopics(name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var records []*kgo.Record
	for int64(len(records)) < want {
		fetches := client.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		records = append(records, fetches.Records()...)
	}
	return records
}

// byKey returns the ids of the messages in the records, by the records' key, in the order of their offsets.
func byKey(t *testing.T, records []*kgo.Record) map[string][]string {
	t.Helper()
	ids := map[string][]string{}
	for _, record := range records {
		var message struct {
			ChatID    string `json:"chat_id"`
			MessageID string `json:"message_id"`
		}
		require.NoError(t, json.Unmarshal(record.Value, &message))
		require.Equal(t, string(record.Key), message.ChatID)
		ids[message.ChatID] = append(ids[message.ChatID], message.MessageID)
	}
	return ids
}

// requireRecord requires that a record's headers are exactly the safe ones and its time is the message's.
func requireRecord(t *testing.T, record *kgo.Record) {
	t.Helper()
	var message struct {
		SentAtMS   int64  `json:"sent_at_ms"`
		ReceiverID string `json:"receiver_id"`
	}
	require.NoError(t, json.Unmarshal(record.Value, &message))
	require.Equal(t, message.SentAtMS, record.Timestamp.UnixMilli())

	var headers []string
	for _, header := range record.Headers {
		headers = append(headers, header.Key)
	}
	slices.Sort(headers)
	want := []string{
		"kommo_chat_id", "kommo_direction", "kommo_message_client_id", "kommo_message_id", "kommo_message_type",
		"kommo_msec_timestamp", "kommo_receiver_id", "kommo_scope_id", "kommo_sender_id", "kommo_timestamp",
	}
	if message.ReceiverID == "" {
		want = slices.DeleteFunc(want, func(key string) bool { return key == "kommo_receiver_id" })
	}
	require.Equal(t, want, headers)
}

func firstOnly(ids []string) []string {
	seen := map[string]bool{}
	var first []string
	for _, id := range ids {
		if !seen[id] {
			first = append(first, id)
		}
		seen[id] = true
	}
	return first
}

func removeFileName(key string) string {
	if key == "media_file_name" {
		return ""
	}
	return key
}
