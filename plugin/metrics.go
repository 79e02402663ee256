// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"sync/atomic"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/history"
)

// inputMetrics are the metrics of the input. Their names are a public contract.
type inputMetrics struct {
	requests         *service.MetricCounter
	messages         *service.MetricCounter
	requestDuration  *service.MetricTimer
	limiterWait      *service.MetricTimer
	throttled        *service.MetricCounter
	realigned        *service.MetricCounter
	checkpointErrors *service.MetricCounter
	chats            *service.MetricGauge
	newestMessage    *service.MetricGauge

	newest  atomic.Int64 // of newestMessage, in s
	counted atomic.Int64 // requests
}

func newInputMetrics(m *service.Metrics) *inputMetrics {
	im := &inputMetrics{
		requests:         m.NewCounter(inputName+"_requests_total", "outcome"),
		messages:         m.NewCounter(inputName + "_messages_total"),
		requestDuration:  m.NewTimer(inputName + "_request_duration_ns"),
		limiterWait:      m.NewTimer(inputName + "_limiter_wait_ns"),
		throttled:        m.NewCounter(inputName + "_throttled_total"),
		realigned:        m.NewCounter(inputName + "_realigned_total"),
		checkpointErrors: m.NewCounter(inputName + "_checkpoint_errors_total"),
		chats:            m.NewGauge(inputName+"_chats", "state"),
		newestMessage:    m.NewGauge(inputName + "_newest_message_timestamp"),
	}
	// Present from the start, so that an alert on them is never without data.
	for _, o := range apicall.Outcomes() {
		im.requests.Incr(0, string(o))
	}
	for _, s := range history.States() {
		im.chats.Set(0, s.String())
	}
	im.messages.Incr(0)
	im.throttled.Incr(0)
	im.realigned.Incr(0)
	im.checkpointErrors.Incr(0)
	return im
}

func (m *inputMetrics) attempt(a apicall.Attempt) {
	m.counted.Add(1)
	m.requests.Incr(1, string(a.Outcome))
	m.requestDuration.Timing(a.Duration.Nanoseconds())
	m.limiterWait.Timing(a.LimiterWait.Nanoseconds())
	if a.Throttled {
		m.throttled.Incr(1)
	}
}

func (m *inputMetrics) delivered(messages int, newestMs int64) {
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
