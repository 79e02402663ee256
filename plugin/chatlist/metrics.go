// SPDX-License-Identifier: Apache-2.0

package chatlist

import (
	"sync/atomic"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
)

// metrics are the metrics of the input kommo_chats. Their names are a public
// contract.
type metrics struct {
	component.CallMetrics
	listed           *service.MetricCounter
	checkpointErrors *service.MetricCounter
	newestUpdate     *service.MetricGauge
	apiUp            *service.MetricGauge

	newest int64        // of newestUpdate; for Read alone
	failed atomic.Int32 // attempts in a row
}

func newMetrics(m *service.Metrics) *metrics {
	cm := &metrics{
		CallMetrics:      component.NewCallMetrics(m, inputName),
		listed:           m.NewCounter(inputName + "_listed_total"),
		checkpointErrors: m.NewCounter(inputName + "_checkpoint_errors_total"),
		newestUpdate:     m.NewGauge(inputName + "_newest_update_timestamp"),
		apiUp:            m.NewGauge(inputName + "_api_up"),
	}
	cm.apiUp.Set(1)
	cm.listed.Incr(0)
	cm.checkpointErrors.Incr(0)
	return cm
}

// mostFailed is how many attempts may fail in a row before the API counts as down.
const mostFailed = 4

// reached notes how an attempt ended.
func (m *metrics) reached(o apicall.Outcome) {
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

func (m *metrics) delivered(chats int, newest int64) {
	m.listed.Incr(int64(chats))
	if newest > m.newest {
		m.newest = newest
		m.newestUpdate.Set(newest)
	}
}
