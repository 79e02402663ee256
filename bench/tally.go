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

// tally counts what the output bench_tally is given.
type tally struct {
	number int
	delay  time.Duration // before each acknowledgement
	count  atomic.Int64  // of acknowledged messages
	last   atomic.Int64  // unix ns, when the last of them was acknowledged
}

// tallies are those in use, by the number with which a configuration names one.
var tallies struct {
	mu       sync.Mutex
	byNumber map[int]*tally
	next     int
}

// newTally returns a tally and the output that fills it. Its owner closes it.
func newTally(delay time.Duration) (t *tally, output string) {
	tallies.mu.Lock()
	defer tallies.mu.Unlock()
	if tallies.byNumber == nil {
		tallies.byNumber = map[int]*tally{}
	}
	t = &tally{number: tallies.next, delay: delay}
	tallies.byNumber[t.number] = t
	tallies.next++
	return t, "bench_tally: { number: " + strconv.Itoa(t.number) + " }"
}

func (t *tally) close() {
	tallies.mu.Lock()
	defer tallies.mu.Unlock()
	delete(tallies.byNumber, t.number)
}

func (t *tally) messages() int { return int(t.count.Load()) }

// inFlight is how many batches bench_tally takes side by side: more than
// anything that is measured with it gives.
const inFlight = 10_000

func init() {
	spec := service.NewConfigSpec().Field(service.NewIntField("number"))
	service.MustRegisterBatchOutput("bench_tally", spec,
		func(conf *service.ParsedConfig, _ *service.Resources) (service.BatchOutput, service.BatchPolicy, int, error) {
			n, err := conf.FieldInt("number")
			if err != nil {
				return nil, service.BatchPolicy{}, 0, err
			}
			tallies.mu.Lock()
			defer tallies.mu.Unlock()
			t, ok := tallies.byNumber[n]
			if !ok {
				return nil, service.BatchPolicy{}, 0, fmt.Errorf("there is no tally %d", n)
			}
			return tallyOutput{t}, service.BatchPolicy{}, inFlight, nil
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
