// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"bytes"
	encoding "encoding/binary"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/xeipuuv/gojsonschema"

	"github.com/kommo-connect/kommo-connect/integration/servers"
)

// typedTopics are those of the Avro records, which is the example's own, and of those with a JSON Schema.
var typedTopics = []string{"kommo.messages.avro", "kommo.messages.json"}

// Nothing is prepared but the topic: the pipeline registers the schema, and another reader of Avro and of JSON Schema gets every message
// back with what the registry has.
func TestSchemaRegistry(t *testing.T) {
	const config = "examples/schema-registry/pipeline.yaml"
	at := time.Date(2025, 3, 1, 12, 0, 0, 250e6, time.UTC)
	api := startSandbox(t, "--demo", "--random", "chats=10,messages=300", "--seed", seedFile(t, map[string][]any{"chat-typed": {
		item("text", "text", "Привет, ÿ 👍", at, nil),
		item("place", "location", "", at.Add(time.Minute), map[string]any{
			"location": map[string]any{"lon": -46.63, "lat": -23.55}, "file_size": "9007199254740991", "options": []string{"yes"},
		}),
	}}))
	kafka := startKafka(t)
	for _, name := range typedTopics {
		_, err := admin(t, kafka).CreateTopic(t.Context(), 6, 1, map[string]*string{"retention.ms": new("-1")}, name)
		require.NoError(t, err)
	}
	registry := servers.StartRegistry(t)
	registry.Stop(t) // it is away at first, which rejects what was to be delivered: some of that may repeat
	e := readFrom(t, api).with(env{"KAFKA_BROKERS": kafka.Address, "SCHEMA_REGISTRY_URL": registry.URL})
	flat := plain(t, kafka, e)
	require.Len(t, flat, count(api.messages(t)))

	t.Run("Avro", func(t *testing.T) {
		running := startPipeline(t, config, e.with(env{"KOMMO_CHECKPOINT_DIR": t.TempDir()}))
		eventually(t, "a word that the registry does not answer", func() bool { return strings.Contains(running.said(t), "Rejecting ") })
		registry.Start(t)
		running.wait(t, 3*time.Minute)

		codecs := map[int]*goavro.Codec{}
		requireMessages(t, flat, consume(t, kafka, typedTopics[0]), func(id int, body []byte) map[string]any {
			if codecs[id] == nil {
				codec, err := goavro.NewCodecForStandardJSONFull(registered(t, registry, id))
				require.NoError(t, err)
				codecs[id] = codec
			}
			native, rest, err := codecs[id].NativeFromBinary(body)
			require.NoError(t, err)
			require.Empty(t, rest)
			text, err := codecs[id].TextualFromNative(nil, native)
			require.NoError(t, err)
			return object(t, text)
		}, "extra")
		require.Len(t, codecs, 1, "one schema for all")
		require.Equal(t, []string{typedTopics[0] + "-value"}, subjects(t, registry))
	})

	t.Run("JSON Schema", func(t *testing.T) {
		startPipeline(t, config, e.with(env{
			"KOMMO_CHECKPOINT_DIR": t.TempDir(), "KAFKA_TOPIC": typedTopics[1], "SCHEMA_FORMAT": "json_schema",
		})).wait(t, 3*time.Minute)

		schemas := map[int]*gojsonschema.Schema{}
		requireMessages(t, flat, consume(t, kafka, typedTopics[1]), func(id int, body []byte) map[string]any {
			if schemas[id] == nil {
				schema, err := gojsonschema.NewSchema(gojsonschema.NewStringLoader(registered(t, registry, id)))
				require.NoError(t, err)
				schemas[id] = schema
			}
			result, err := schemas[id].Validate(gojsonschema.NewBytesLoader(body))
			require.NoError(t, err)
			require.True(t, result.Valid(), result.Errors())
			return object(t, body)
		})
		require.Len(t, schemas, 1, "one schema for all")
		require.Equal(t, int64(len(flat)), produced(t, kafka, typedTopics[1]), "each message once")
	})
}

// plain returns the messages as examples/kafka writes them, by their chats' and their own ids.
func plain(t *testing.T, kafka *servers.Kafka, e env) map[[2]string]map[string]any {
	t.Helper()
	startPipeline(t, "examples/kafka/pipeline.yaml", e.with(env{"KOMMO_CHECKPOINT_DIR": t.TempDir()})).wait(t, time.Minute)
	messages := map[[2]string]map[string]any{}
	for _, record := range consume(t, kafka, topic) {
		message := object(t, record.Value)
		messages[key(message)] = message
	}
	return messages
}

func key(message map[string]any) [2]string {
	chat, _ := message["chat_id"].(string)
	id, _ := message["message_id"].(string)
	return [2]string{chat, id}
}

// requireMessages requires that the records hold each message, but for its fields without a place in the schema.
func requireMessages(
	t *testing.T, want map[[2]string]map[string]any, records []*kgo.Record,
	decode func(id int, body []byte) map[string]any, without ...string,
) {
	t.Helper()
	arrived := map[[2]string]bool{}
	for _, record := range records {
		// One zero byte and the schema's id are before what is encoded.
		require.Greater(t, len(record.Value), 5)
		require.Zero(t, record.Value[0])
		got := decode(int(encoding.BigEndian.Uint32(record.Value[1:])), record.Value[5:])
		wanted := map[string]any{}
		for name, value := range want[key(got)] {
			if !slices.Contains(without, name) {
				wanted[name] = value
			}
		}
		for name, value := range got {
			if value == nil {
				delete(got, name)
			}
		}
		require.Equal(t, wanted, got)
		require.Equal(t, got["chat_id"], string(record.Key))
		require.Equal(t, got["sent_at_ms"], json.Number(strconv.FormatInt(record.Timestamp.UnixMilli(), 10)))
		arrived[key(got)] = true
	}
	require.Len(t, arrived, len(want))
}

// object decodes a JSON object. Its numbers stay as they are written.
func object(t *testing.T, text []byte) map[string]any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var decoded map[string]any
	require.NoError(t, decoder.Decode(&decoded))
	return decoded
}

// registered returns the schema of an id.
func registered(t *testing.T, registry *servers.Registry, id int) string {
	t.Helper()
	var answer struct{ Schema string }
	call(t, http.MethodGet, registry.URL+"/schemas/ids/"+strconv.Itoa(id), nil, &answer)
	return answer.Schema
}

func subjects(t *testing.T, registry *servers.Registry) []string {
	t.Helper()
	var names []string
	call(t, http.MethodGet, registry.URL+"/subjects", nil, &names)
	return names
}
