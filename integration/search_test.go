// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/integration/servers"
)

const index = "/kommo-messages"

func TestOpenSearch(t *testing.T) {
	testSearch(t, servers.StartOpenSearch(t), "examples/opensearch", "OPENSEARCH_URL")
}

func TestElasticsearch(t *testing.T) {
	testSearch(t, servers.StartElasticsearch(t), "examples/elasticsearch", "ELASTICSEARCH_URL")
}

func testSearch(t *testing.T, engine *servers.Search, example, urlVariable string) {
	t.Helper()
	day := time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)
	api := startSandbox(t, "--demo", "--random", "chats=10,messages=300", "--seed", seedFile(t, map[string][]any{"chat-words": {
		item("word-ru", "text", "Когда привезут наши новые книги?", day, nil),
		item("word-en", "text", "The boxes were delivered yesterday", day.Add(time.Minute), nil),
		item("word-pt", "text", "Gostaria de cancelar as encomendas", day.Add(2*time.Minute), nil),
		item("word-es", "text", "Quisiera devolver los zapatos", day.Add(3*time.Minute), nil),
		item("place", "location", "", day.Add(4*time.Minute), map[string]any{"location": map[string]any{"lon": -46.63, "lat": -23.55}}),
		item("file", "file", "", day.Add(5*time.Minute), map[string]any{"media": "https://cdn.example/1", "file_name": "big_box-2.JPG"}),
		item("card", "contact", "", day.Add(6*time.Minute), map[string]any{"contact": map[string]any{"name": "Анна Петрова", "phone": "+1 (555) 010-0142"}}),
	}, "chat-two-sides": {
		party("asked", day, map[string]any{"sender": map[string]any{"id": "client-2", "name": "Мария Волкова"}}),
		party("answered", day.Add(time.Minute), map[string]any{
			"sender": map[string]any{"id": "desk"}, "receiver": map[string]any{"id": "client-2", "name": "Мария Волкова"},
		}),
	}}))
	e := readFrom(t, api).with(env{urlVariable: engine.URL})
	total := count(api.messages(t))

	documented(t, example+"/README.md", "curl", e)
	startPipeline(t, example+"/pipeline.yaml", e).wait(t, 3*time.Minute)
	require.Equal(t, total, documents(t, engine))

	t.Run("a second run changes nothing", func(t *testing.T) {
		again := e.with(env{"KOMMO_CHECKPOINT_DIR": t.TempDir()})
		startPipeline(t, example+"/pipeline.yaml", again).wait(t, 3*time.Minute)
		require.Equal(t, total, documents(t, engine))
	})

	t.Run("words are found by another of their forms", func(t *testing.T) {
		tests := map[string]string{"книга": "word-ru", "книгами": "word-ru", "box": "word-en", "encomenda": "word-pt", "zapato": "word-es"}
		for word, id := range tests {
			in := func(fields ...string) []string {
				return search(t, engine, map[string]any{"bool": map[string]any{
					"must":   map[string]any{"multi_match": map[string]any{"query": word, "type": "most_fields", "fields": fields}},
					"filter": map[string]any{"term": map[string]any{"chat_id": "chat-words"}},
				}})
			}
			require.Equal(t, []string{id}, in("text", "text.*"), word)
			require.Empty(t, in("text"), "%s without the language analyzers", word)
		}
	})

	t.Run("places and times can be asked for", func(t *testing.T) {
		require.Equal(t, []string{"place"}, search(t, engine, map[string]any{"bool": map[string]any{"filter": []any{
			map[string]any{"geo_distance": map[string]any{"distance": "5km", "location": map[string]any{"lat": -23.54, "lon": -46.62}}},
			map[string]any{"range": map[string]any{"@timestamp": map[string]any{"gte": "2025-03-01", "lt": "2025-03-02"}}},
		}}}))
	})

	t.Run("people, files and numbers are found as one would look for them", func(t *testing.T) {
		match := func(field, text string) map[string]any { return map[string]any{"match": map[string]any{field: text}} }
		for name, tc := range map[string]struct {
			query map[string]any
			ids   []string
		}{
			"a client's conversation":        {map[string]any{"term": map[string]any{"customer_id": "client-2"}}, []string{"asked", "answered"}},
			"a name in another case":         {match("customer_name.ru", "Марии Волковой"), []string{"asked", "answered"}},
			"a contact's name, another case": {match("contact_name.ru", "Анной"), []string{"card"}},
			"a word of a file's name":        {match("media_file_name", "box"), []string{"file"}},
			"a file's kind":                  {match("media_file_name", "jpg"), []string{"file"}},
			"a number with +":                {match("contact_phone", "+15550100142"), []string{"card"}},
			"a number without +":             {map[string]any{"term": map[string]any{"contact_phone": "15550100142"}}, []string{"card"}},
			"a number as it is written":      {map[string]any{"term": map[string]any{"contact_phone": "+1 (555) 010-0142"}}, []string{"card"}},
			"a message with a file":          {map[string]any{"exists": map[string]any{"field": "media_url"}}, []string{"file"}},
		} {
			in := map[string]any{"bool": map[string]any{
				"must":   tc.query,
				"filter": map[string]any{"terms": map[string]any{"chat_id": []string{"chat-words", "chat-two-sides"}}},
			}}
			assert.ElementsMatch(t, tc.ids, search(t, engine, in), name)
		}
	})

	t.Run("a document has its message's id and nothing of extra is indexed", func(t *testing.T) {
		var hit struct {
			Source map[string]any `json:"_source"`
		}
		call(t, http.MethodGet, engine.URL+index+"/_doc/word-ru", nil, &hit)
		require.Equal(t, "Когда привезут наши новые книги?", hit.Source["text"])
		require.Equal(t, "2025-03-01T12:00:00.000Z", hit.Source["@timestamp"])
		require.NotEmpty(t, search(t, engine, map[string]any{"term": map[string]any{"chat_id": "chat-words"}}))
		require.Empty(t, search(t, engine, map[string]any{"exists": map[string]any{"field": "extra.*"}}))
	})
}

// party is a message of these parties.
func party(id string, at time.Time, parties map[string]any) map[string]any {
	message := item(id, "text", "Hello", at, nil)
	maps.Copy(message, parties)
	return message
}

// documents returns how many documents the index has.
func documents(t *testing.T, engine *servers.Search) int {
	t.Helper()
	var answer struct{ Count int }
	call(t, http.MethodPost, engine.URL+index+"/_refresh", nil, nil)
	call(t, http.MethodGet, engine.URL+index+"/_count", nil, &answer)
	return answer.Count
}

// searchable tells whether there is the index, and then waits until it can be searched: one that is being made answers 503.
func searchable(t *testing.T, engine *servers.Search) bool {
	t.Helper()
	response, err := http.Head(engine.URL + index)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	if response.StatusCode == http.StatusNotFound {
		return false
	}
	call(t, http.MethodGet, engine.URL+"/_cluster/health"+index+"?wait_for_status=yellow&timeout=1m", nil, nil)
	return true
}

// search returns the ids of the documents that a query finds.
func search(t *testing.T, engine *servers.Search, query map[string]any) []string {
	t.Helper()
	var answer struct {
		Hits struct {
			Hits []struct {
				ID string `json:"_id"`
			}
		}
	}
	call(t, http.MethodPost, engine.URL+index+"/_search", map[string]any{"query": query, "size": 100}, &answer)
	var ids []string
	for _, hit := range answer.Hits.Hits {
		ids = append(ids, hit.ID)
	}
	return ids
}

// call makes one request with JSON both ways, and requires that it succeeds.
func call(t *testing.T, method, url string, body, into any) {
	t.Helper()
	var content bytes.Buffer
	if body != nil {
		require.NoError(t, json.NewEncoder(&content).Encode(body))
	}
	request, err := http.NewRequestWithContext(t.Context(), method, url, &content)
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Less(t, response.StatusCode, 300, "%s %s: %s", method, url, answer)
	if into != nil {
		require.NoError(t, json.Unmarshal(answer, into))
	}
}
