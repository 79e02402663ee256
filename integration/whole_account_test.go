// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/integration/servers"
)

func TestWholeAccount_Kafka(t *testing.T) {
	kafka := startKafka(t)
	testWholeAccount(t, "examples/whole-account/kafka.yaml", env{"KAFKA_BROKERS": kafka.Address}, func() []accountMessage {
		var documents [][]byte
		for _, record := range consume(t, kafka, topic) {
			require.Contains(t, string(record.Value), `"talk_id":`+string(record.Key))
			documents = append(documents, record.Value)
		}
		return readMessages(t, documents)
	}, inOrder)
}

func TestWholeAccount_OpenSearch(t *testing.T) {
	engine := servers.StartOpenSearch(t)
	e := env{"OPENSEARCH_URL": engine.URL}
	documented(t, "examples/opensearch/README.md", "curl", e)
	testWholeAccount(t, "examples/whole-account/opensearch.yaml", e, func() []accountMessage {
		call(t, http.MethodPost, engine.URL+index+"/_refresh?ignore_unavailable=true", nil, nil)
		var answer struct {
			Hits struct {
				Hits []struct {
					ID     string          `json:"_id"`
					Source json.RawMessage `json:"_source"`
				}
			}
		}
		call(t, http.MethodPost, engine.URL+index+"/_search?ignore_unavailable=true", map[string]any{"size": 10_000}, &answer)
		var documents []json.RawMessage
		for _, hit := range answer.Hits.Hits {
			require.Contains(t, string(hit.Source), `"message_id":"`+hit.ID+`"`)
			documents = append(documents, hit.Source)
		}
		return readMessages(t, documents)
	}, byKeyOnce)
}

func TestWholeAccount_PostgreSQL(t *testing.T) {
	postgres := servers.StartPostgres(t)
	e := env{"POSTGRES_DSN": postgres.DSN}
	documented(t, "examples/warehouse/README.md", "psql", e)
	testWholeAccount(t, "examples/whole-account/postgresql.yaml", e, func() []accountMessage {
		// The columns that the table computes count, not the message that it computes them from.
		return readMessages(t, strings.FieldsFunc(postgres.Query(t,
			`SELECT message || jsonb_build_object('talk_id', talk_id, 'chat_id', chat_id, 'message_id', message_id, 'type', type, 'text', text,
				'sent_at_ms', (extract(epoch FROM sent_at) * 1000)::bigint) FROM kommo_messages`,
		), func(r rune) bool { return r == '\n' }))
	}, byKeyOnce)
}

// What a place promises of the messages in it.
const (
	inOrder   = true  // each talk in order where each message came first, and some may come again
	byKeyOnce = false // no order, and a repeat changes nothing
)

// testWholeAccount reads an account while it is killed in the backfill and in the tail, and while messages arrive at each
// of these times; messages returns all that has arrived.
func testWholeAccount(t *testing.T, config string, e env, messages func() []accountMessage, ordered bool) {
	t.Helper()
	const talks, perTalk = 60, 60
	api := startAccount(t, talks, perTalk)
	e = readAccount(t, api).with(e)
	total := func() (n int) {
		for _, list := range api.accountMessages(t) {
			n += len(list)
		}
		return n
	}
	arrived := func() int {
		ids := map[string]bool{}
		for _, m := range messages() {
			ids[m.ID] = true
		}
		return len(ids)
	}

	// The backfill, killed in the middle.
	run := startPipeline(t, config, e.with(env{"KOMMO_REQUESTS_PER_SECOND": "15"}))
	eventually(t, "a third of the messages", func() bool { return arrived() >= total()/3 })
	require.Less(t, arrived(), total(), "it is killed in the backfill")
	run.kill()
	api.inTalk(t, 5, "written after the first end")
	api.opens(t, 2000, "a talk that is new")

	run = startPipeline(t, config, e)
	eventually(t, "the backfill", func() bool { return arrived() == total() })

	// The tail, killed too.
	api.inTalk(t, 5, "written while it is tailed")
	api.inTalk(t, 1003, "written while it is tailed, too")
	api.opens(t, 2001, "another talk that is new")
	eventually(t, "what arrives", func() bool { return arrived() == total() })
	run.kill()
	api.inTalk(t, 1003, "written after the second end")
	api.inTalk(t, 2001, "so is this")
	api.forget(t)

	run = startPipeline(t, config, e)
	eventually(t, "what came after the second end", func() bool { return arrived() == total() })
	asked := api.requests(t).ByEndpoint["talk-messages"]
	require.Less(t, asked, talks/2, "requests for messages after the last start, which are of the talks with news")
	run.stop(t)

	want := api.accountMessages(t)
	got, repeated := byTalk(messages())
	t.Logf("%d messages, %d of them came again, %d requests for messages after the last start", total(), repeated, asked)
	if !ordered {
		require.Zero(t, repeated)
		for _, of := range []map[int][]accountMessage{want, got} {
			for _, list := range of {
				slices.SortFunc(list, func(a, b accountMessage) int { return cmp.Compare(a.ID, b.ID) })
			}
		}
	}
	require.Equal(t, len(want), len(got), "talks")
	for talk, list := range want {
		require.Equal(t, list, got[talk], fmt.Sprintf("talk %d", talk))
	}
}
