// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/integration/servers"
)

// Edits and deletions reach both places, where the index rejects parts of bulk requests, has lost a document and can't
// index some.
func TestFanOut_Changes(t *testing.T) {
	kafka := startKafka(t)
	engine := servers.StartOpenSearch(t)
	documented(t, "examples/opensearch/README.md", "curl", env{"OPENSEARCH_URL": engine.URL})
	call(t, http.MethodPut, engine.URL+index, map[string]any{
		"mappings": map[string]any{"properties": map[string]any{"media_file_size": map[string]any{"type": "short"}}},
	}, nil)

	small := func(id int, text string) map[string]any {
		return item(fmt.Sprintf("m%02d", id), "text", text, firstOfChanging.Add(time.Duration(id)*time.Minute), nil)
	}
	large := func(id int) map[string]any {
		it := small(id, "")
		message, ok := it["message"].(map[string]any)
		require.True(t, ok)
		message["file_size"] = 7_000_000
		return it
	}
	var items []any
	var want []string // what Kafka is to be told, in this order
	there := map[string]string{}
	for id := range 60 {
		name := fmt.Sprintf("m%02d", id)
		want = append(want, "create "+name)
		if id < 5 {
			items = append(items, large(id))
			continue
		}
		items = append(items, small(id, "as it was sent"))
		there[name] = "as it was sent"
	}
	api := startSandbox(t, "--seed", seedFile(t, map[string][]any{"chat-changing": items}))
	origin, err := url.Parse(engine.URL)
	require.NoError(t, err)
	busy := &busyIndex{engine: engine.URL, front: httputil.NewSingleHostReverseProxy(origin)}
	front := httptest.NewServer(busy)
	defer front.Close()
	e := readFrom(t, api).with(env{
		"KAFKA_BROKERS": kafka.Address, "OPENSEARCH_URL": front.URL + "," + front.URL, "KOMMO_CHANGES": "true", "KOMMO_LOOKBACK": "24h",
	})
	startPipeline(t, fanOut, e).wait(t, time.Minute)
	require.Equal(t, want, toldInRecords(t, consume(t, kafka, topic)))
	require.Equal(t, there, texts(t, engine))

	// Of the first, which are dead letters, three are deleted; of the last, one is gone from the index already.
	call(t, http.MethodDelete, engine.URL+index+"/_doc/m59", nil, nil)
	var deletions []string
	for id := range 60 {
		if name := fmt.Sprintf("m%02d", id); id < 3 || id >= 40 {
			api.remove(t, name)
			deletions = append(deletions, "delete "+name)
			delete(there, name)
		}
	}
	startPipeline(t, fanOut, e).wait(t, time.Minute) // a deletion is believed only the second time
	require.Len(t, consume(t, kafka, topic), len(want))
	for id := 5; id < 30; id++ {
		name := fmt.Sprintf("m%02d", id)
		want = append(want, "update "+name)
		if id < 10 {
			api.replace(t, large(id)) // stays in the index as it was
			continue
		}
		api.replace(t, small(id, "corrected"))
		there[name] = "corrected"
	}
	want = append(want, deletions...)
	for range 2 {
		startPipeline(t, fanOut, e).wait(t, time.Minute)
	}
	require.Subset(t, busy.rejected(), []string{"index m03", "index m06", "index m12", "delete m57"})
	require.Equal(t, want, toldInRecords(t, consume(t, kafka, topic)), "each once")
	require.Equal(t, there, texts(t, engine))

	letters := func() map[string]bool {
		told := map[string]bool{}
		for _, record := range consume(t, kafka, deadLetters) {
			var letter struct{ Message json.RawMessage }
			require.NoError(t, json.Unmarshal(record.Value, &letter))
			told[toldIn(t, letter.Message)] = true
		}
		return told
	}
	require.Equal(t, map[string]bool{
		"create m00": true, "create m01": true, "create m02": true, "create m03": true, "create m04": true,
		"update m05": true, "update m06": true, "update m07": true, "update m08": true, "update m09": true,
	}, letters())

	t.Run("a deletion waits for an index that is away", func(t *testing.T) {
		api.remove(t, "m39")
		startPipeline(t, fanOut, e).wait(t, time.Minute)
		sent := consume(t, kafka, deadLetters)
		engine.Stop(t)
		run := startPipeline(t, fanOut, e)
		eventually(t, "the deletion in Kafka", func() bool { return produced(t, kafka, topic) == int64(len(want)+1) })
		time.Sleep(3 * time.Second) // longer than a checkpoint takes
		require.True(t, run.running(), "the pipeline waits for the index")
		run.kill()

		engine.Start(t)
		startPipeline(t, fanOut, e).wait(t, time.Minute)
		delete(there, "m39")
		require.Equal(t, there, texts(t, engine))
		require.Len(t, consume(t, kafka, deadLetters), len(sent), "an index that is away sends nothing to the dead letters")
	})
}

// busyIndex stands before a search engine and rejects every third message of bulk requests each other time that it comes, as an
// engine does whose queue is full: the others of the request are stored. The deletion of m57 it rejects more often than
// the pipeline's output asks in one attempt.
type busyIndex struct {
	engine string
	front  http.Handler // passes on what is no bulk request

	mu   sync.Mutex
	seen map[string]int // how often each action came
	told []string
}

// rejected returns the actions that were rejected, each with its message.
func (b *busyIndex) rejected() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.told)
}

func (b *busyIndex) rejects(action, id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen == nil {
		b.seen = map[string]int{}
	}
	key := action + " " + id
	b.seen[key]++
	number, err := strconv.Atoi(strings.TrimPrefix(id, "m"))
	switch {
	case err != nil, number%3 != 0:
		return false
	case action == "delete" && (id != "m57" || b.seen[key] > 6):
		return false
	case action != "delete" && b.seen[key]%2 == 0:
		return false
	}
	b.told = append(b.told, key)
	return true
}

func (b *busyIndex) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method != http.MethodDelete:
		b.bulk(w, r)
	case b.rejects("delete", path.Base(r.URL.Path)):
		http.Error(w, "the queue is full", http.StatusTooManyRequests)
	default:
		b.front.ServeHTTP(w, r)
	}
}

// bulk passes on what it does not reject.
func (b *busyIndex) bulk(w http.ResponseWriter, r *http.Request) {
	items := []any{}
	var forward bytes.Buffer
	for body := json.NewDecoder(r.Body); ; {
		var line map[string]struct {
			ID string `json:"_id"`
		}
		err := body.Decode(&line)
		if err == io.EOF {
			break
		}
		if err != nil {
			panic(err) // it is no bulk request
		}
		for action, of := range line {
			var document json.RawMessage
			if err := body.Decode(&document); err != nil {
				panic(err)
			}
			if b.rejects(action, of.ID) {
				items = append(items, map[string]any{action: map[string]any{
					"_id": of.ID, "status": 429, "error": map[string]any{"type": "rejected_execution_exception", "reason": "the queue is full"},
				}})
				continue
			}
			items = append(items, nil)
			fmt.Fprintf(&forward, "{%q:{\"_index\":%q,\"_id\":%q}}\n%s\n", action, strings.TrimPrefix(index, "/"), of.ID, document)
		}
	}

	if forward.Len() > 0 {
		response, err := http.Post(b.engine+"/_bulk", "application/json", &forward)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		var answer struct{ Items []any }
		if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode != http.StatusOK {
			http.Error(w, "the engine has no answer", http.StatusBadGateway)
			return
		}
		for i, item := range items {
			if item == nil {
				items[i], answer.Items = answer.Items[0], answer.Items[1:]
			}
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"took": 1, "errors": true, "items": items})
}

// texts returns what the index has: the texts by the documents' ids.
func texts(t *testing.T, engine *servers.Search) map[string]string {
	t.Helper()
	var answer struct {
		Hits struct {
			Hits []struct {
				ID     string                `json:"_id"`
				Source struct{ Text string } `json:"_source"`
			}
		}
	}
	call(t, http.MethodPost, engine.URL+index+"/_refresh", nil, nil)
	call(t, http.MethodPost, engine.URL+index+"/_search", map[string]any{"size": 1000}, &answer)
	texts := map[string]string{}
	for _, hit := range answer.Hits.Hits {
		texts[hit.ID] = hit.Source.Text
	}
	return texts
}
