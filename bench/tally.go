// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// tally counts what the output bench_tally is given, for whoever made it.
type tally struct {
	id    int64
	delay time.Duration // before each acknowledgement

	count atomic.Int64
	last  atomic.Int64 // unix ns, when the last was acknowledged
}

var (
	tallies  sync.Map // id to *tally
	tallyIDs atomic.Int64
)

// newTally returns a tally and the output that fills it.
func newTally(delay time.Duration) (t *tally, output string) {
	t = &tally{id: tallyIDs.Add(1), delay: delay}
	tallies.Store(t.id, t)
	return t, "bench_tally: { id: " + strconv.FormatInt(t.id, 10) + " }"
}

func (t *tally) close() { tallies.Delete(t.id) }

func (t *tally) messages() int { return int(t.count.Load()) }

// inFlight is how many batches bench_tally takes side by side: more than
// anything measured with it.
const inFlight = 10_000

func init() {
	spec := service.NewConfigSpec().Field(service.NewIntField("id"))
	service.MustRegisterBatchOutput("bench_tally", spec,
		func(conf *service.ParsedConfig, _ *service.Resources) (service.BatchOutput, service.BatchPolicy, int, error) {
			id, err := conf.FieldInt("id")
			if err != nil {
				return nil, service.BatchPolicy{}, 0, err
			}
			t, ok := tallies.Load(int64(id))
			if !ok {
				return nil, service.BatchPolicy{}, 0, fmt.Errorf("there is no tally %d", id)
			}
			return tallyOutput{t.(*tally)}, service.BatchPolicy{}, inFlight, nil
		})
}

type tallyOutput struct{ t *tally }

func (tallyOutput) Connect(context.Context) error { return nil }

func (o tallyOutput) WriteBatch(ctx context.Context, batch service.MessageBatch) error {
	if o.t.delay > 0 {
		select {
		case <-time.After(o.t.delay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	o.t.count.Add(int64(len(batch)))
	o.t.last.Store(time.Now().UnixNano())
	return nil
}

func (tallyOutput) Close(context.Context) error { return nil }
