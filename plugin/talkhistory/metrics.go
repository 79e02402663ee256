// SPDX-License-Identifier: Apache-2.0

package talkhistory

import (
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
)

// metrics are the metrics of the input. Their names are a public contract.
type metrics struct {
	component.HistoryMetrics
	missing *service.MetricCounter
}

func newMetrics(m *service.Metrics) *metrics {
	tm := &metrics{
		HistoryMetrics: component.NewHistoryMetrics(m, inputName),
		missing:        m.NewCounter(inputName + "_missing_total"),
	}
	tm.missing.Incr(0)
	return tm
}
