// SPDX-License-Identifier: Apache-2.0

package component

import (
	"sync/atomic"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/reader"
)

// HistoryMetrics are the metrics of an input that reads messages. Their names are a
// public contract: that of the input, and what follows it.
type HistoryMetrics struct {
	CallMetrics
	messages         *service.MetricCounter
	realigned        *service.MetricCounter
	checkpointErrors *service.MetricCounter
	chats            *service.MetricGauge
	apiUp            *service.MetricGauge
	newestMessage    *service.MetricGauge

	newest *atomic.Int64 // of newestMessage, in s
}

// NewHistoryMetrics makes the metrics of an input, present from the start, so that an
// alert on them is never without data.
func NewHistoryMetrics(m *service.Metrics, input string) HistoryMetrics {
	hm := HistoryMetrics{
		CallMetrics:      NewCallMetrics(m, input),
		messages:         m.NewCounter(input + "_messages_total"),
		realigned:        m.NewCounter(input + "_realigned_total"),
		checkpointErrors: m.NewCounter(input + "_checkpoint_errors_total"),
		chats:            m.NewGauge(input+"_chats", "state"),
		apiUp:            m.NewGauge(input + "_api_up"),
		newestMessage:    m.NewGauge(input + "_newest_message_timestamp"),
		newest:           &atomic.Int64{},
	}
	for _, s := range reader.States() {
		hm.chats.Set(0, s.String())
	}
	hm.apiUp.Set(1)
	hm.messages.Incr(0)
	hm.realigned.Incr(0)
	hm.checkpointErrors.Incr(0)
	return hm
}

// Delivered counts messages that are handed to the pipeline, with the time of the
// newest in Unix milliseconds.
func (m *HistoryMetrics) Delivered(messages int, newestMs int64) {
	m.messages.Incr(int64(messages))
	seconds := newestMs / 1000
	for {
		old := m.newest.Load()
		if seconds <= old {
			return
		}
		if m.newest.CompareAndSwap(old, seconds) {
			m.newestMessage.Set(seconds)
			return
		}
	}
}

// CheckpointError counts a checkpoint that could not be read or written.
func (m *HistoryMetrics) CheckpointError() { m.checkpointErrors.Incr(1) }
