// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kommo-connect/kommo-connect/integration/servers"
)

const (
	chatsTopic    = "kommo.chats"
	consumerGroup = "kommo.workers"
	lister        = "examples/scale-out/lister.yaml"
	worker        = "examples/scale-out/worker.yaml"

	origin = "com.example.sandbox"
)

// 300 chats of two pages each, three workers that share 25 requests a second, one of them killed and one added in the middle.
func TestScaleOut(t *testing.T) {
	const chats, perChat, perSecond = 300, 70, 25
	kafka, redis := startKafka(t), servers.StartRedis(t)
	forever := "-1"
	_, err := admin(t, kafka).CreateTopic(t.Context(), 12, 1, map[string]*string{"retention.ms": &forever}, chatsTopic)
	require.NoError(t, err)

	api := startSandbox(t, "--synthetic", fmt.Sprintf("chats=%d,messages=%d", chats, perChat))
	e := readFrom(t, api).with(env{
		"KOMMO_API_URL":      api.url,
		"KOMMO_ACCESS_TOKEN": accessToken,
		"KOMMO_ORIGIN":       origin,
		"KAFKA_BROKERS":      kafka.Address,
		"REDIS_URL":          redis.URL,
		// No worker is held back by its own limit: the shared one has to do.
		"KOMMO_REQUESTS_PER_SECOND": "0",
		"KOMMO_REQUEST_INTERVAL":    (time.Second / perSecond).String(),
	})

	var workers []*scaledWorker
	add := func() { workers = append(workers, startWorker(t, worker, e)) }
	for range 3 {
		add()
	}
	// A worker that came first and found the chats would begin with those of all partitions, and read them although the others
	// read them as well.
	eventually(t, "each worker has its part of the topic", func() bool { return sharedBy(t, kafka, consumerGroup, chatsTopic) == 3 })

	listing := startPipeline(t, lister, e.with(env{"KOMMO_HTTP_ADDRESS": "127.0.0.1:0"}))
	eventually(t, "all chats in the topic", func() bool { return produced(t, kafka, chatsTopic) == chats })
	listing.stop(t)
	requireNamedOnce(t, consume(t, kafka, chatsTopic), api)
	api.forget(t) // the lister's requests have a limit of their own
	began := time.Now()

	total := int64(chats * perChat)
	eventually(t, "a third of the messages", func() bool { return produced(t, kafka, topic) >= total/3 })
	before := workers[0].messages(t)
	workers[0].kill()
	add()
	eventually(t, "all chats read and committed", func() bool { return committed(t, kafka, consumerGroup, chatsTopic) == chats })

	sent := api.messages(t)
	records := consume(t, kafka, topic)
	arrived := byKey(t, records)
	for chat, ids := range arrived {
		arrived[chat] = firstOnly(ids)
	}
	require.Equal(t, sent, arrived, "every message, in order where each came first")

	shares := []float64{before}
	for _, w := range workers[1:] {
		shares = append(shares, w.messages(t))
	}
	ledger := api.requests(t)
	t.Logf("messages of each worker: %v, the first was killed; %d came more than once; %d requests, at most %d in a second, %d of them refused",
		shares, len(records)-int(total), ledger.Requests, ledger.PeakPerSecond, ledger.RefusedTotal)
	for i, share := range shares {
		require.Greater(t, share, float64(total)/20, "messages of worker %d", i+1)
	}
	requireShared(t, ledger, perSecond, began)
	require.Less(t, ledger.Requests, 3*chats+32*len(workers), "requests: two for each chat, those that were repeated, and each worker's looks behind short pages")

	t.Run("a chat that changed costs requests, the others none", func(t *testing.T) {
		var chat string
		for chat = range sent {
			break
		}
		api.append(t, chat, "written later")
		// A worker that has lost a partition still reads what it had taken from it, though another has committed that by now.
		eventually(t, "workers with nothing to read", func() bool {
			return !slices.ContainsFunc(workers[1:], func(w *scaledWorker) bool { return w.unfinished(t) > 0 })
		})
		api.forget(t)
		listing := startPipeline(t, lister, e.with(env{"KOMMO_HTTP_ADDRESS": "127.0.0.1:0", "KOMMO_LIST_INTERVAL": "500ms"}))
		eventually(t, "the lister runs", func() bool { return strings.Contains(listing.said(t), "is now active") })
		eventually(t, "the new message", func() bool { return produced(t, kafka, topic) == int64(len(records))+1 })
		listing.stop(t)
		asked := api.requests(t).ByEndpoint["history"]
		t.Logf("%d requests for the history of one chat that changed, of %d", asked, chats)
		require.Less(t, asked, 5)
	})

	for _, w := range workers[1:] {
		w.stop(t)
	}
}

// scaledWorker is a running worker and where its metrics are.
type scaledWorker struct {
	*pipeline
	address string
}

func startWorker(t *testing.T, config string, e env) *scaledWorker {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	return &scaledWorker{startPipeline(t, config, e.with(env{"KOMMO_HTTP_ADDRESS": address})), address}
}

var (
	messagesMetric   = regexp.MustCompile(`(?m)^kommo_(?:chat|talk)_history_messages_total(?:{.*})? (\S+)$`)
	unfinishedMetric = regexp.MustCompile(`(?m)^kommo_(?:chat|talk)_history_chats{.*state="(?:waiting|reading|delivering|failing)".*} (\S+)$`)
)

// messages returns how many messages a worker has read.
func (w *scaledWorker) messages(t *testing.T) float64 {
	t.Helper()
	return w.metric(t, messagesMetric)
}

// unfinished returns how many chats a worker has to read, reads, or delivers.
func (w *scaledWorker) unfinished(t *testing.T) float64 {
	t.Helper()
	return w.metric(t, unfinishedMetric)
}

// metric returns the sum of those of a worker's metrics.
func (w *scaledWorker) metric(t *testing.T, pattern *regexp.Regexp) (sum float64) {
	t.Helper()
	response, err := http.Get("http://" + w.address + "/metrics")
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	matches := pattern.FindAllSubmatch(text, -1)
	require.NotEmpty(t, matches, "metrics as in %s", pattern)
	for _, match := range matches {
		value, err := strconv.ParseFloat(string(match[1]), 64)
		require.NoError(t, err)
		sum += value
	}
	return sum
}

// sharedBy returns how many workers of a group have partitions of the topic, or 0 while any of these is nobody's.
func sharedBy(t *testing.T, kafka *servers.Kafka, group, topic string) (workers int) {
	t.Helper()
	client, err := kadm.NewOptClient(kgo.SeedBrokers(kafka.Address))
	require.NoError(t, err)
	defer client.Close()
	topics, err := client.ListTopics(t.Context(), topic)
	require.NoError(t, err)
	groups, err := client.DescribeGroups(t.Context(), group)
	// Without a coordinator, which a broker makes when it is first asked, nobody has anything.
	if err != nil || len(groups.AssignedPartitions()[topic]) < len(topics[topic].Partitions) {
		return 0
	}
	for _, member := range groups[group].Members {
		if assigned, ok := member.Assigned.AsConsumer(); ok && len(assigned.Topics) > 0 {
			workers++
		}
	}
	return workers
}

// requireShared requires that workers with one limit have kept it since they began. Redis may grant one more in the last
// millisecond of its window, and what was granted apart arrives closer together where a process or the machine is held up: that
// may double what comes in a second, but not what comes in all.
func requireShared(t *testing.T, asked ledger, perSecond int, began time.Time) {
	t.Helper()
	mean := float64(asked.Requests) / time.Since(began).Seconds()
	t.Logf("%.1f requests/s on average", mean)
	require.LessOrEqual(t, mean, 1.1*float64(perSecond), "requests/s on average")
	require.LessOrEqual(t, asked.PeakPerSecond, 2*perSecond, "requests in a second")
}

// requireNamedOnce requires that the records name each chat once, in the key and in the value.
func requireNamedOnce(t *testing.T, records []*kgo.Record, api *sandbox) {
	t.Helper()
	named := map[string]int{}
	for _, record := range records {
		require.Equal(t, string(record.Key), string(record.Value))
		named[string(record.Value)]++
	}
	for chat := range api.messages(t) {
		require.Equal(t, 1, named[chat], chat)
	}
}

// committed returns how many records of the topic the workers of the group are done with.
func committed(t *testing.T, kafka *servers.Kafka, group, topic string) int64 {
	t.Helper()
	client, err := kadm.NewOptClient(kgo.SeedBrokers(kafka.Address))
	require.NoError(t, err)
	defer client.Close()
	offsets, err := client.FetchOffsets(t.Context(), group)
	require.NoError(t, err)
	var n int64
	offsets.Each(func(o kadm.OffsetResponse) {
		if o.Topic == topic {
			n += o.At
		}
	})
	return n
}

// ledger is the part of the sandbox's account that tests look at.
type ledger struct {
	Requests      int
	PeakPerSecond int            `json:"peak_per_second"`
	RefusedTotal  int            `json:"refused_total"`
	ByEndpoint    map[string]int `json:"by_endpoint"`
}

// requests returns the account of the requests since the start or the last forget.
func (s *sandbox) requests(t *testing.T) ledger {
	t.Helper()
	var sum ledger
	s.get(t, "/sandbox/ledger", &sum)
	return sum
}

// forget starts the account anew.
func (s *sandbox) forget(t *testing.T) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, s.url+"/sandbox/ledger", http.NoBody)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusNoContent, response.StatusCode)
}
