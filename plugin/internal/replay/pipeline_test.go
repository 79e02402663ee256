// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// picky is an output that rejects some messages the first few times that they
// come, and reports that message by message, or for the batch.
type picky struct {
	mu      sync.Mutex
	times   func(body string) int // how often a body is rejected
	whole   bool                  // one that is rejected rejects its batch
	came    map[string]int
	stored  map[string]int // how often a body was delivered
	order   []string       // as delivered
	batches int
}

func newPicky(times func(string) int) *picky {
	return &picky{times: times, came: map[string]int{}, stored: map[string]int{}}
}

func (*picky) Connect(context.Context) error { return nil }
func (*picky) Close(context.Context) error   { return nil }

func (p *picky) WriteBatch(_ context.Context, batch service.MessageBatch) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.batches++
	e := service.NewBatchError(batch, errRejected)
	failed := make([]bool, len(batch))
	for i, m := range batch {
		b, err := m.AsBytes()
		if err != nil {
			return err
		}
		if p.came[string(b)]++; p.came[string(b)] <= p.times(string(b)) {
			failed[i] = true
			e.Failed(i, errRejected)
		}
	}
	some := slices.Contains(failed, true)
	if some && p.whole {
		return errRejected
	}
	for i, m := range batch {
		if b, _ := m.AsBytes(); !failed[i] {
			for body := range strings.FieldsSeq(strings.Trim(string(b), `"`)) {
				p.stored[body]++
				p.order = append(p.order, body)
			}
		}
	}
	if some {
		return e
	}
	return nil
}

// random rejects about a third of the bodies up to four times.
func random(seed uint64) func(string) int {
	r := rand.New(rand.NewPCG(seed, 1))
	times := map[string]int{}
	return func(body string) int {
		n, ok := times[body]
		if !ok {
			if n = 0; r.IntN(3) == 0 {
				n = 1 + r.IntN(4)
			}
			times[body] = n
		}
		return n
	}
}

// build builds a pipeline from a feed into outputs picky_0, picky_1, ….
func build(t *testing.T, f *feed, config string, outputs ...*picky) *service.Stream {
	t.Helper()
	env := service.GlobalEnvironment().Clone()
	require.NoError(t, env.RegisterBatchInput("feed", service.NewConfigSpec().Field(service.NewAutoRetryNacksToggleField()),
		func(conf *service.ParsedConfig, _ *service.Resources) (service.BatchInput, error) {
			return New(conf, f)
		}))
	for i, out := range outputs {
		require.NoError(t, env.RegisterBatchOutput(fmt.Sprint("picky_", i), service.NewConfigSpec().Field(service.NewBatchPolicyField("batching")),
			func(conf *service.ParsedConfig, _ *service.Resources) (service.BatchOutput, service.BatchPolicy, int, error) {
				policy, err := conf.FieldBatchPolicy("batching")
				return out, policy, 3, err
			}))
	}
	b := env.NewStreamBuilder()
	b.SetLogger(slog.New(slog.DiscardHandler))
	require.NoError(t, b.SetYAML("http: { enabled: false }\ninput: { feed: {} }\n"+config))
	stream, err := b.Build()
	require.NoError(t, err)
	return stream
}

// run runs a pipeline until it ends by itself.
func run(t *testing.T, f *feed, config string, outputs ...*picky) {
	t.Helper()
	stream := build(t, f, config, outputs...)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(t, stream.Run(ctx))
	assert.Equal(t, 1, f.closed)
}

// start runs a pipeline until it is told to stop.
func start(t *testing.T, f *feed, config string, outputs ...*picky) (stop func()) {
	t.Helper()
	stream := build(t, f, config, outputs...)
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = stream.Run(context.WithoutCancel(t.Context()))
	}()
	return func() {
		_ = stream.StopWithin(100 * time.Millisecond) // it complains of what was not acknowledged
		<-over
	}
}

func TestReplay_Pipelines(t *testing.T) {
	t.Parallel()
	for title, tc := range map[string]struct {
		config  string
		outputs int
		whole   bool // the outputs reject whole batches
		// each says in how many of the outputs a body has to be; nil: in one or more.
		each func(body string) []int
		once bool // nothing is delivered twice
		slow bool // it has a pause of its own after each rejection
	}{
		"errors message by message": {config: `output: { picky_0: {} }`, once: true},
		"errors of whole batches":   {config: `output: { picky_0: {} }`, whole: true, once: true},
		"switch": {outputs: 2, config: `
output:
  switch:
    retry_until_success: false
    cases:
      - check: content().string().re_match("[02468]$")
        output: { picky_0: {} }
      - output: { picky_1: {} }`},
		"switch, whole batches": {outputs: 2, once: true, whole: true, config: `
output:
  switch:
    retry_until_success: false
    cases:
      - check: content().string().re_match("[02468]$")
        output: { picky_0: {} }
      - output: { picky_1: {} }`},
		"switch that continues": {outputs: 2, config: `
output:
  switch:
    retry_until_success: false
    cases:
      - check: content().string().re_match("[02468]$")
        continue: true
        output: { picky_0: {} }
      - output: { picky_1: {} }`, each: func(body string) []int {
			if strings.ContainsAny(body[len(body)-1:], "02468") {
				return []int{0, 1}
			}
			return []int{1}
		}},
		"broker, fan_out": {slow: true, outputs: 2, config: `
output: { broker: { pattern: fan_out, outputs: [ { picky_0: {} }, { picky_1: {} } ] } }`,
			each: func(string) []int { return []int{0, 1} }},
		"broker, fan_out_sequential": {slow: true, outputs: 2, config: `
output: { broker: { pattern: fan_out_sequential, outputs: [ { picky_0: {} }, { picky_1: {} } ] } }`,
			each: func(string) []int { return []int{0, 1} }},
		"broker, fan_out_fail_fast, whole batches": {outputs: 2, whole: true, config: `
output: { broker: { pattern: fan_out_fail_fast, outputs: [ { picky_0: {} }, { picky_1: {} } ] } }`,
			each: func(string) []int { return []int{0, 1} }},
		"broker, fan_out_sequential_fail_fast, whole batches": {outputs: 2, whole: true, config: `
output: { broker: { pattern: fan_out_sequential_fail_fast, outputs: [ { picky_0: {} }, { picky_1: {} } ] } }`,
			each: func(string) []int { return []int{0, 1} }},
		"broker, round_robin": {outputs: 2, once: true, config: `
output: { broker: { pattern: round_robin, outputs: [ { picky_0: {} }, { picky_1: {} } ] } }`},
		"broker, greedy": {outputs: 2, once: true, config: `
output: { broker: { pattern: greedy, outputs: [ { picky_0: {} }, { picky_1: {} } ] } }`},
		"fallback": {outputs: 2, config: `
output: { fallback: [ { picky_0: {} }, { picky_1: {} } ] }`},
		"fallback, whole batches": {outputs: 2, once: true, whole: true, config: `
output: { fallback: [ { picky_0: {} }, { picky_1: {} } ] }`},
		"retry":   {slow: true, config: `output: { retry: { backoff: { initial_interval: 1ms }, output: { picky_0: {} } } }`},
		"drop_on": {config: `output: { drop_on: { back_pressure: 1m, output: { picky_0: {} } } }`, once: true},
		"output batching": {config: `
output: { picky_0: { batching: { count: 17, period: 5ms } } }`},
		"output batching that archives": {config: `
output: { picky_0: { batching: { count: 17, period: 5ms, processors: [ { archive: { format: lines } } ] } } }`},
		"a pipeline that filters": {config: `
pipeline: { processors: [ { mapping: 'root = if content().string().has_suffix("3") { deleted() }' } ] }
output: { picky_0: {} }`, each: func(body string) []int {
			if strings.HasSuffix(body, "3") {
				return []int{}
			}
			return []int{0}
		}},
		"a pipeline that divides": {config: `
pipeline: { processors: [ { split: { size: 3 } } ] }
output: { picky_0: {} }`},
		"a pipeline that divides, then drops single ones": {config: `
pipeline: { processors: [ { split: { size: 8 } }, { mapping: 'root = if content().string().has_suffix("3") { [] } else { [ content().string() ] }' }, { unarchive: { format: json_array } } ] }
output: { picky_0: {} }`, each: func(body string) []int {
			if strings.HasSuffix(body, "3") {
				return []int{}
			}
			return []int{0}
		}},
		"a pipeline that groups": {config: `
pipeline: { processors: [ { group_by_value: { value: '${! content().string().slice(-1) }' } } ] }
output: { picky_0: {} }`},
		"a pipeline that groups, in batches of the output": {config: `
pipeline: { processors: [ { group_by_value: { value: '${! content().string().slice(-1) }' } } ] }
output: { picky_0: { batching: { count: 7, period: 5ms } } }`},
		"a pipeline that archives": {config: `
pipeline: { processors: [ { archive: { format: lines } } ] }
output: { picky_0: {} }`},
		"an output that archives": {config: `
output: { picky_0: {}, processors: [ { archive: { format: lines } } ] }`},
		"a pipeline that duplicates": {config: `
pipeline: { processors: [ { mapping: 'root = [ content().string(), content().string() ]' }, { unarchive: { format: json_array } }, { mapping: 'root = json().string()' } ] }
output: { picky_0: {} }`},
		"a pipeline that reorders": {config: `
pipeline: { processors: [ { mapping: 'meta key = random_int(seed: timestamp_unix_nano(), max: 1000)' }, { group_by_value: { value: '${! @key % 3 }' } } ] }
output: { picky_0: {} }`},
		"processors that branch": {config: `
pipeline: { processors: [ { branch: { processors: [ { mapping: 'root = 1' } ], result_map: 'meta x = this' } }, { switch: [ { check: 'content().string().has_suffix("1")', processors: [ { mapping: 'meta y = 1' } ] } ] }, { workflow: { branches: {} } } ] }
output: { picky_0: {} }`},
		"several threads": {config: `
pipeline: { threads: 4, processors: [ { mapping: 'root = content()' } ] }
output: { picky_0: {} }`},
		"strict, and a processor that fails now and then": {config: `
error_handling: { strict: true }
pipeline: { processors: [ { mapping: 'root = if random_int(seed: timestamp_unix_nano(), max: 3) == 0 { throw("now and then") } else { content() }' } ] }
output: { picky_0: {} }`},
		"reject_errored": {config: `
pipeline: { processors: [ { mapping: 'root = if random_int(seed: timestamp_unix_nano(), max: 3) == 0 { throw("now and then") } else { content() }' } ] }
output: { reject_errored: { picky_0: {} } }`},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			seeds, sizes, times := uint64(5), []int{}, random
			for n := range 12 {
				sizes = append(sizes, 1+n*3)
			}
			if tc.slow {
				seeds, sizes = 1, []int{7, 2}
				times = func(seed uint64) func(string) int {
					r := random(seed)
					return func(body string) int { return min(r(body), 1) }
				}
			}
			for seed := range seeds {
				f := newFeed(sizes...)
				outputs := []*picky{}
				for i := range max(tc.outputs, 1) {
					p := newPicky(times(10*seed + uint64(i)))
					p.whole = tc.whole
					outputs = append(outputs, p)
				}
				run(t, f, tc.config, outputs...)
				f.settled(t)
				for n, size := range sizes {
					for i := range size {
						body, times := name(n, i), 0
						for _, p := range outputs {
							times += p.stored[body]
						}
						if tc.each == nil {
							require.Positive(t, times, body)
						} else {
							for _, out := range tc.each(body) {
								require.Positive(t, outputs[out].stored[body], "%s in output %d", body, out)
							}
							if len(tc.each(body)) == 0 {
								require.Zero(t, times, body)
							}
						}
						if tc.once {
							require.LessOrEqual(t, times, 1, body)
						}
					}
				}
			}
		})
	}
}

// A message that was rejected is overtaken by none that the output had not
// accepted before, and behind a pipeline too only what failed is sent again.
func TestReplay_KeepsOrderOfWhatIsSentAgain(t *testing.T) {
	t.Parallel()
	for _, config := range []string{
		`output: { picky_0: {} }`,
		`
pipeline: { processors: [ { mapping: 'root = content()' }, { mutation: 'meta x = 1' } ] }
output: { picky_0: {} }`,
	} {
		f := newFeed(40)
		p := newPicky(func(body string) int {
			if slices.Contains([]string{"0/7", "0/8", "0/30"}, body) {
				return 3
			}
			return 0
		})
		run(t, f, config, p)
		f.settled(t)
		require.Len(t, p.order, 40)
		assert.Equal(t, []string{"0/7", "0/8", "0/30"}, p.order[37:])
		assert.Equal(t, 4, p.batches)
	}
}

// One message that is rejected for ever costs itself: whatever the pipeline does,
// the others are accepted, and after that they are not delivered any more.
func TestReplay_RejectedForEver(t *testing.T) {
	t.Parallel()
	for title, config := range map[string]string{
		"nothing between": ``,
		"a mapping":       `pipeline: { processors: [ { mapping: 'root = content()' } ] }`,
		"a filter":        `pipeline: { processors: [ { mapping: 'root = if content().string().has_suffix("3") { deleted() }' } ] }`,
		"split":           `pipeline: { processors: [ { split: { size: 3 } } ] }`,
		"groups":          `pipeline: { processors: [ { group_by_value: { value: '${! content().string().slice(-1) }' } } ] }`,
	} {
		for _, bad := range []string{"0/0", "0/1", "0/12", "0/39"} {
			for _, whole := range []bool{true, false} {
				if whole && !strings.Contains(title, "group") && title != "split" {
					continue // it rejects all that is sent with it
				}
				t.Run(fmt.Sprint(title, ", ", bad, ", ", whole), func(t *testing.T) {
					t.Parallel()
					f := newFeed(40)
					p := newPicky(func(body string) int {
						if body == bad {
							return 1 << 30
						}
						return 0
					})
					p.whole = whole
					stop := start(t, f, config+"\noutput: { picky_0: {} }", p)
					company := 1 // those that are always in a batch with the bad one
					if whole {
						company = 4
					}
					require.Eventually(t, func() bool {
						f.mu.Lock()
						defer f.mu.Unlock()
						return len(f.accepted) >= 40-company
					}, 10*time.Second, 5*time.Millisecond)
					came, stored := 0, 0
					require.Eventually(t, func() bool {
						p.mu.Lock()
						defer p.mu.Unlock()
						if p.came[bad] < came+3 {
							return false
						}
						alone := came > 0 && len(p.order) == stored
						came, stored = p.came[bad], len(p.order)
						return alone
					}, 10*time.Second, 5*time.Millisecond, "others come again with it")
					stop()
					assert.Zero(t, f.accepted[bad])
					assert.Empty(t, f.acked)
				})
			}
		}
	}
}

// With auto_replay_nacks: false a rejection is the output's own business.
func TestReplay_NoneAgain(t *testing.T) {
	t.Parallel()
	f := newFeed(10, 10)
	env := service.NewConfigSpec().Field(service.NewAutoRetryNacksToggleField())
	conf, err := env.ParseYAML(`auto_replay_nacks: false`, nil)
	require.NoError(t, err)
	in, err := New(conf, f)
	require.NoError(t, err)
	for {
		batch, ack, err := in.ReadBatch(t.Context())
		if errors.Is(err, service.ErrEndOfInput) {
			break
		}
		require.NoError(t, err)
		require.NoError(t, ack(t.Context(), failing(batch, 2, 3)))
	}
	f.settled(t)
	require.NoError(t, in.Close(t.Context()))
}
