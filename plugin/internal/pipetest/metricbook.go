// SPDX-License-Identifier: Apache-2.0

package pipetest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// metricBook keeps metrics by name and labels, as name or name{label=value}.
type metricBook struct {
	bell   *bell
	mu     sync.Mutex
	values map[string]int64 // counters and gauges; of timers the number of timings
}

type metric struct {
	book *metricBook
	key  string
}

func (m metric) change(f func(old int64) int64) {
	m.book.mu.Lock()
	m.book.values[m.key] = f(m.book.values[m.key])
	m.book.mu.Unlock()
	m.book.bell.ring()
}

func (m metric) Incr(n int64)   { m.change(func(old int64) int64 { return old + n }) }
func (m metric) Set(n int64)    { m.change(func(int64) int64 { return n }) }
func (m metric) Timing(_ int64) { m.change(func(old int64) int64 { return old + 1 }) }

func (b *metricBook) metric(name string, keys, values []string) metric {
	labels := make([]string, 0, len(keys))
	for i, k := range keys {
		if k != "label" && k != "path" { // the engine's own
			labels = append(labels, k+"="+values[i])
		}
	}
	if len(labels) > 0 {
		name += "{" + strings.Join(labels, ",") + "}"
	}
	m := metric{b, name}
	m.Incr(0) // it exists from now on
	return m
}

func (b *metricBook) NewCounterCtor(name string, keys ...string) service.MetricsExporterCounterCtor {
	return func(values ...string) service.MetricsExporterCounter { return b.metric(name, keys, values) }
}

func (b *metricBook) NewTimerCtor(name string, keys ...string) service.MetricsExporterTimerCtor {
	return func(values ...string) service.MetricsExporterTimer { return b.metric(name, keys, values) }
}

func (b *metricBook) NewGaugeCtor(name string, keys ...string) service.MetricsExporterGaugeCtor {
	return func(values ...string) service.MetricsExporterGauge { return b.metric(name, keys, values) }
}

func (*metricBook) Close(context.Context) error { return nil }

func (b *metricBook) Get(key string) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.values[key]
}

// Names returns the names of the input's metrics, with their labels, sorted.
func (b *metricBook) Names() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	names := slices.Sorted(maps.Keys(b.values))
	return slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, "kommo_") })
}
