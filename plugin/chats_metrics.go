// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"sync/atomic"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
)

// chatsMetrics are the metrics of the input kommo_chats. Their names are a public
// contract.
type chatsMetrics struct {
	callMetrics
	listed           *service.MetricCounter
	checkpointErrors *service.MetricCounter
	newestUpdate     *service.MetricGauge
	apiUp            *service.MetricGauge

	newest int64        // of newestUpdate; for Read alone
	failed atomic.Int32 // attempts in a row
}

func newChatsMetrics(m *service.Metrics) *chatsMetrics {
	cm := &chatsMetrics{
		callMetrics:      newCallMetrics(m, chatsName),
		listed:           m.NewCounter(chatsName + "_listed_total"),
		checkpointErrors: m.NewCounter(chatsName + "_checkpoint_errors_total"),
		newestUpdate:     m.NewGauge(chatsName + "_newest_update_timestamp"),
		apiUp:            m.NewGauge(chatsName + "_api_up"),
	}
	cm.apiUp.Set(1)
	cm.listed.Incr(0)
	cm.checkpointErrors.Incr(0)
	return cm
}

// mostFailed is how many attempts may fail in a row before the API counts as down.
const mostFailed = 4

// reached notes how an attempt ended.
func (m *chatsMetrics) reached(o apicall.Outcome) {
	switch o {
	case apicall.OutcomeOK, apicall.OutcomeEmpty:
		m.failed.Store(0)
		m.apiUp.Set(1)
	case apicall.OutcomeThrottled:
	default:
		if m.failed.Add(1) >= mostFailed || o == apicall.OutcomeRefused {
			m.apiUp.Set(0)
		}
	}
}

func (m *chatsMetrics) delivered(chats int, newest int64) {
	m.listed.Incr(int64(chats))
	if newest > m.newest {
		m.newest = newest
		m.newestUpdate.Set(newest)
	}
}
