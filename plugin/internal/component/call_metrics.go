// SPDX-License-Identifier: Apache-2.0

package component

import (
	"sync/atomic"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
)

// CallMetrics are the metrics of the requests, of every input here. Their names
// are a public contract: that of the input, and what follows it.
type CallMetrics struct {
	requests        *service.MetricCounter
	requestDuration *service.MetricTimer
	limiterWait     *service.MetricTimer
	throttled       *service.MetricCounter

	sent *atomic.Int64
}

// NewCallMetrics makes the metrics of an input, present from the start.
func NewCallMetrics(m *service.Metrics, input string) CallMetrics {
	cm := CallMetrics{
		requests:        m.NewCounter(input+"_requests_total", "outcome"),
		requestDuration: m.NewTimer(input + "_request_duration_ns"),
		limiterWait:     m.NewTimer(input + "_limiter_wait_ns"),
		throttled:       m.NewCounter(input + "_throttled_total"),
		sent:            &atomic.Int64{},
	}
	// Present from the start, so that an alert on them is never without data.
	for _, o := range apicall.Outcomes() {
		cm.requests.Incr(0, string(o))
	}
	cm.throttled.Incr(0)
	return cm
}

// Sent returns how many requests there were.
func (m *CallMetrics) Sent() int64 { return m.sent.Load() }

// Attempt counts a request.
func (m *CallMetrics) Attempt(a apicall.Attempt) {
	m.sent.Add(1)
	m.requests.Incr(1, string(a.Outcome))
	m.requestDuration.Timing(a.Duration.Nanoseconds())
	m.limiterWait.Timing(a.LimiterWait.Nanoseconds())
	if a.Throttled {
		m.throttled.Incr(1)
	}
}
