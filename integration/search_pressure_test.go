// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/integration/servers"
)

// pressed lets a node write one thing at a time and keep one more waiting. A bulk request
// goes to each shard by itself, so that of one with many shards the node rejects parts.
var pressed = []string{"node.processors: 1", "thread_pool.write.queue_size: 1"}

func TestOpenSearch_UnderWritePressure(t *testing.T) {
	testPressure(t, servers.StartOpenSearch(t, pressed...), "examples/opensearch", "OPENSEARCH_URL")
}

func TestElasticsearch_UnderWritePressure(t *testing.T) {
	testPressure(t, servers.StartElasticsearch(t, pressed...), "examples/elasticsearch", "ELASTICSEARCH_URL")
}

// What the engine rejects of a bulk request, time and again, is stored in the end.
func testPressure(t *testing.T, engine *servers.Search, example, urlVariable string) {
	t.Helper()
	api := startSandbox(t, "--synthetic", "chats=6,messages=150")
	e := readFrom(t, api).with(env{urlVariable: engine.URL})
	documented(t, example+"/README.md", "curl", e)
	call(t, http.MethodPut, engine.URL+index, map[string]any{"settings": map[string]any{"number_of_shards": 16, "number_of_replicas": 0}}, nil)

	startPipeline(t, example+"/pipeline.yaml", e).wait(t, 5*time.Minute)
	rejected := rejections(t, engine)
	t.Logf("%d parts of bulk requests were rejected", rejected)
	require.Positive(t, rejected, "there was pressure")
	require.Equal(t, count(api.messages(t)), documents(t, engine))
}

// rejections returns how many writes a node's queue had no place for.
func rejections(t *testing.T, engine *servers.Search) (n int) {
	t.Helper()
	var answer struct {
		Nodes map[string]struct {
			ThreadPool struct {
				Write struct{ Rejected int } `json:"write"`
			} `json:"thread_pool"`
		}
	}
	call(t, http.MethodGet, engine.URL+"/_nodes/stats/thread_pool", nil, &answer)
	for _, node := range answer.Nodes {
		n += node.ThreadPool.Write.Rejected
	}
	return n
}
