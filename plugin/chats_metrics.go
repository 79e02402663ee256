// SPDX-License-Identifier: Apache-2.0

package plugin

import "github.com/redpanda-data/benthos/v4/public/service"

// chatsMetrics are the metrics of the input kommo_chats. Their names are a public
// contract.
type chatsMetrics struct {
	callMetrics
	listed           *service.MetricCounter
	checkpointErrors *service.MetricCounter
	newestUpdate     *service.MetricGauge

	newest int64 // of newestUpdate; for ReadBatch alone
}

func newChatsMetrics(m *service.Metrics) *chatsMetrics {
	cm := &chatsMetrics{
		callMetrics:      newCallMetrics(m, chatsName),
		listed:           m.NewCounter(chatsName + "_listed_total"),
		checkpointErrors: m.NewCounter(chatsName + "_checkpoint_errors_total"),
		newestUpdate:     m.NewGauge(chatsName + "_newest_update_timestamp"),
	}
	cm.listed.Incr(0)
	cm.checkpointErrors.Incr(0)
	return cm
}

func (m *chatsMetrics) delivered(chats int, newest int64) {
	m.listed.Incr(int64(chats))
	if newest > m.newest {
		m.newest = newest
		m.newestUpdate.Set(newest)
	}
}
