// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"cmp"
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

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
	testWholeAccount(t, "examples/whole-account/opensearch.yaml", e, func() []accountMessage { return indexedMessages(t, engine) }, byKeyOnce)
}

func TestWholeAccount_PostgreSQL(t *testing.T) {
	postgres := servers.StartPostgres(t)
	e := env{"POSTGRES_DSN": postgres.DSN}
	documented(t, "examples/warehouse/README.md", "psql", e)
	testWholeAccount(t, "examples/whole-account/postgresql.yaml", e, func() []accountMessage { return rowMessages(t, postgres, "true") }, byKeyOnce)
}

// indexedMessages returns the messages in the index, which need not be there yet.
func indexedMessages(t *testing.T, engine *servers.Search) []accountMessage {
	t.Helper()
	if !searchable(t, engine) {
		return nil
	}
	call(t, http.MethodPost, engine.URL+index+"/_refresh", nil, nil)
	var answer struct {
		Hits struct {
			Hits []struct {
				ID     string          `json:"_id"`
				Source json.RawMessage `json:"_source"`
			}
		}
	}
	call(t, http.MethodPost, engine.URL+index+"/_search", map[string]any{"size": 10_000}, &answer)
	var documents []json.RawMessage
	for _, hit := range answer.Hits.Hits {
		require.Contains(t, string(hit.Source), `"message_id":"`+hit.ID+`"`)
		documents = append(documents, hit.Source)
	}
	return readMessages(t, documents)
}

// rowMessages returns the messages in those rows of the table. The columns that it computes count, not the message that it
// computes them from.
func rowMessages(t *testing.T, postgres *servers.Postgres, where string) []accountMessage {
	t.Helper()
	return readMessages(t, strings.FieldsFunc(postgres.Query(t,
		`SELECT message || jsonb_build_object('talk_id', talk_id, 'chat_id', chat_id, 'message_id', message_id, 'type', type, 'text', text,
			'sent_at_ms', (extract(epoch FROM sent_at) * 1000)::bigint) FROM kommo_messages WHERE `+where,
	), func(r rune) bool { return r == '\n' }))
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

	// The backfill, killed in the middle: further than that it does not get, however late the messages are seen.
	faults := api.url + "/sandbox/faults"
	call(t, http.MethodPut, faults, map[string]any{"kind": "hang", "endpoint": "talk-messages", "after": 100}, nil)
	run := startPipeline(t, config, e.with(env{"KOMMO_REQUESTS_PER_SECOND": "15"}))
	eventually(t, "a third of the messages", func() bool { return arrived() >= total()/3 })
	require.Less(t, arrived(), total(), "it is killed in the backfill")
	run.kill()
	call(t, http.MethodDelete, faults, nil, nil)
	api.inTalk(t, 5, "written after the first end")
	api.opens(t, 2000, "a talk that is new")

	run = startPipeline(t, config, e)
	eventually(t, "the backfill", func() bool { return arrived() == total() })

	// The tail, killed too.
	api.inTalk(t, 5, "written while it is tailed")
	api.inTalk(t, 1003, "written while it is tailed, too")
	api.opens(t, 2001, "another talk that is new")
	eventually(t, "what arrives", func() bool { return arrived() == total() })
	eventually(t, "checkpoints of all that", func() bool { return unchangedFor(t, e["KOMMO_CHECKPOINT_DIR"], 2*time.Second) })
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
	require.Len(t, got, len(want), "talks")
	for talk, list := range want {
		require.Equal(t, list, got[talk], "talk %d", talk)
	}
}

// unchangedFor tells whether no file of a folder was written for so long.
func unchangedFor(t *testing.T, dir string, quiet time.Duration) bool {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range entries {
		info, err := entry.Info()
		require.NoError(t, err)
		if time.Since(info.ModTime()) < quiet {
			return false
		}
	}
	return true
}

// One lists the talks from the feed, three workers read them with 25 requests a second for all, one of them is killed and one
// added in the middle, and then messages arrive.
func TestWholeAccount_ManyWorkers(t *testing.T) {
	const (
		perSecond  = 25
		talksTopic = "kommo.talks"
		group      = "kommo.talk-workers"
	)
	kafka, redis := startKafka(t), servers.StartRedis(t)
	forever := "-1"
	_, err := admin(t, kafka).CreateTopic(t.Context(), 12, 1, map[string]*string{"retention.ms": &forever}, talksTopic)
	require.NoError(t, err)
	api := startAccount(t, 250, 20)
	e := readAccount(t, api).with(env{
		"KAFKA_BROKERS": kafka.Address, "REDIS_URL": redis.URL, "KOMMO_HTTP_ADDRESS": "127.0.0.1:0", "KOMMO_POLL_INTERVAL": "1s",
		// Nobody is held back by a limit of its own: the shared one has to do.
		"KOMMO_REQUESTS_PER_SECOND": "0", "KOMMO_REQUEST_INTERVAL": (time.Second / perSecond).String(),
	})
	total := func() (n int) {
		for _, list := range api.accountMessages(t) {
			n += len(list)
		}
		return n
	}
	arrived := func() (talks map[int][]accountMessage, repeated int) {
		var documents [][]byte
		for _, record := range consume(t, kafka, topic) {
			documents = append(documents, record.Value)
		}
		return byTalk(readMessages(t, documents))
	}
	count := func() (n int) {
		talks, _ := arrived()
		for _, list := range talks {
			n += len(list)
		}
		return n
	}

	var workers []*scaledWorker
	add := func() { workers = append(workers, startWorker(t, "examples/whole-account/worker.yaml", e)) }
	for range 3 {
		add()
	}
	eventually(t, "each worker has its part of the topic", func() bool { return sharedBy(t, kafka, group, talksTopic) == 3 })
	began := time.Now()
	listing := startPipeline(t, "examples/whole-account/lister.yaml", e)
	eventually(t, "a third of the messages", func() bool { return count() >= total()/3 })
	shares := []float64{workers[0].messages(t)}
	workers[0].kill()
	add()
	eventually(t, "the backfill", func() bool { return count() == total() })

	api.inTalk(t, 5, "written later")
	api.opens(t, 2000, "a talk that is new")
	eventually(t, "what arrives", func() bool { return count() == total() })
	eventually(t, "all talks read and committed", func() bool {
		named := produced(t, kafka, talksTopic)
		return named > 0 && committed(t, kafka, group, talksTopic) == named
	})

	for _, w := range workers[1:] {
		shares = append(shares, w.messages(t))
	}
	got, repeated := arrived()
	sum := api.requests(t)
	t.Logf("%d messages, %d of them came again; messages of each worker: %v, the first was killed; %d requests, at most %d in a second",
		total(), repeated, shares, sum.Requests, sum.PeakPerSecond)
	require.Equal(t, api.accountMessages(t), got, "every message, in order where each came first")
	for i, share := range shares {
		require.Greater(t, share, float64(total())/20, "messages of worker %d", i+1)
	}
	requireShared(t, sum, perSecond, began)
	for _, record := range consume(t, kafka, topic) {
		require.Equal(t, string(record.Key), header(record, "kommo_talk_id"))
		require.NotEmpty(t, header(record, "kommo_origin"), "what the feed tells of a talk gets through to its messages")
		require.NotEmpty(t, header(record, "kommo_entity_id"))
	}

	listing.stop(t)
	for _, w := range workers[1:] {
		w.stop(t)
	}
}

// header returns a record's header, or "".
func header(record *kgo.Record, key string) string {
	for _, h := range record.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}
