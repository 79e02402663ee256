// SPDX-License-Identifier: Apache-2.0

package chathistory

import (
	"sync/atomic"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
	"github.com/kommo-connect/kommo-connect/plugin/internal/reader"
)

// metrics are the metrics of the input. Their names are a public contract.
type metrics struct {
	component.CallMetrics
	messages         *service.MetricCounter
	realigned        *service.MetricCounter
	checkpointErrors *service.MetricCounter
	chats            *service.MetricGauge
	apiUp            *service.MetricGauge
	newestMessage    *service.MetricGauge

	newest atomic.Int64 // of newestMessage, in s
}

func newMetrics(m *service.Metrics) *metrics {
	im := &metrics{
		CallMetrics:      component.NewCallMetrics(m, inputName),
		messages:         m.NewCounter(inputName + "_messages_total"),
		realigned:        m.NewCounter(inputName + "_realigned_total"),
		checkpointErrors: m.NewCounter(inputName + "_checkpoint_errors_total"),
		chats:            m.NewGauge(inputName+"_chats", "state"),
		apiUp:            m.NewGauge(inputName + "_api_up"),
		newestMessage:    m.NewGauge(inputName + "_newest_message_timestamp"),
	}
	// Present from the start, so that an alert on them is never without data.
	for _, s := range reader.States() {
		im.chats.Set(0, s.String())
	}
	im.apiUp.Set(1)
	im.messages.Incr(0)
	im.realigned.Incr(0)
	im.checkpointErrors.Incr(0)
	return im
}

func (m *metrics) delivered(messages int, newestMs int64) {
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
