// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/integration/servers"
)

const fanOut = "examples/fan-out/pipeline.yaml"

func TestFanOut(t *testing.T) {
	kafka := startKafka(t)
	engine := servers.StartOpenSearch(t)
	documented(t, "examples/opensearch/README.md", "curl", env{"OPENSEARCH_URL": engine.URL})
	// An index that someone made with too small a number for the size of a file.
	call(t, http.MethodPut, engine.URL+index, map[string]any{"mappings": map[string]any{"properties": map[string]any{
		"media_file_size": map[string]any{"type": "short"},
	}}}, nil)

	day := time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)
	api := startSandbox(t, "--random", "chats=5,messages=200", "--seed", seedFile(t, map[string][]any{"chat-large": {
		item("before", "text", "Hello", day, nil),
		item("large", "video", "", day.Add(time.Second), map[string]any{"media": "https://cdn.example/v.mp4", "file_size": 7_000_000}),
		item("after", "text", "Did you get the video?", day.Add(2*time.Second), nil),
	}}))
	large := 0
	for _, size := range api.fileSizes(t) {
		if size > 32767 {
			large++
		}
	}
	require.Positive(t, large)
	e := readFrom(t, api).with(env{"KAFKA_BROKERS": kafka.Address, "OPENSEARCH_URL": engine.URL})

	startPipeline(t, fanOut, e).wait(t, 3*time.Minute)
	sent := api.messages(t)
	total := count(sent)
	require.Equal(t, sent, byKey(t, consume(t, kafka, topic)), "each message once in Kafka, in order per key")
	require.Equal(t, total-large, documents(t, engine))
	require.Contains(t, search(t, engine, map[string]any{"ids": map[string]any{"values": []string{"after"}}}), "after",
		"the message behind the rejected one")

	letters := map[string]string{}
	for _, record := range consume(t, kafka, deadLetters) {
		var letter struct {
			Error, Index string
			Message      struct {
				MessageID string `json:"message_id"`
			}
		}
		require.NoError(t, json.Unmarshal(record.Value, &letter))
		letters[letter.Message.MessageID] = letter.Error
	}
	require.Len(t, letters, large)
	require.Contains(t, letters["large"], "media_file_size")

	t.Run("progress needs both", func(t *testing.T) {
		engine.Stop(t)
		var added []string
		for range 3 {
			added = append(added, api.append(t, "chat-large", "written while the index is away"))
		}
		run := startPipeline(t, fanOut, e)
		eventually(t, "the new messages in Kafka", func() bool { return produced(t, kafka, topic) >= int64(total+3) })
		time.Sleep(3 * time.Second) // longer than a checkpoint takes
		require.True(t, run.running(), "the pipeline waits for the index")
		run.kill()

		engine.Start(t)
		startPipeline(t, fanOut, e).wait(t, 3*time.Minute)
		require.Equal(t, total+3-large, documents(t, engine))
		require.ElementsMatch(t, added, search(t, engine, map[string]any{"ids": map[string]any{"values": added}}))
		require.Len(t, consume(t, kafka, deadLetters), large, "an index that is away sends nothing to the dead letters")
	})
}

// fileSizes returns the sizes of the files in all messages.
func (s *sandbox) fileSizes(t *testing.T) []float64 {
	t.Helper()
	var sizes []float64
	for chat := range s.messages(t) {
		var items struct {
			Messages []struct {
				Message struct {
					Size any `json:"file_size"`
				}
			}
		}
		s.get(t, "/sandbox/chats/"+chat+"/messages", &items)
		for _, item := range items.Messages {
			switch size := item.Message.Size.(type) {
			case float64:
				sizes = append(sizes, size)
			case string:
				var number float64
				if json.Unmarshal([]byte(size), &number) == nil {
					sizes = append(sizes, number)
				}
			}
		}
	}
	return sizes
}
