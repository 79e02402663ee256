// SPDX-License-Identifier: Apache-2.0

package chathistory_test

import (
	"context"
	"errors"
	"os"
	"strconv"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// simOutput is where the messages go. What it has accepted is accepted for good,
// whether or not the process hears of it.
type simOutput struct {
	w       *simWorld
	latency time.Duration
	partial int // in percent: how many messages are rejected by themselves
	whole   int // in percent: how many batches are
	rounds  int // so often at most
	total   int
}

// simFlight is a batch of the input as it came out of one process: acknowledged
// when all of it was accepted.
type simFlight struct {
	msgs  []*simMsg
	left  int
	out   time.Duration
	acked time.Duration // noTime: not yet
	tag   string        // where the output makes other batches
	p     *simProcess
}

func (o *simOutput) setup(w *simWorld) {
	o.w = w
	r := w.rnd("output")
	o.latency = between(r, 10*time.Microsecond, 20*time.Millisecond)
	if w.on.has(simSlowOutput) {
		o.latency = between(r, 20*time.Millisecond, 2*time.Second)
	}
	o.partial, o.whole = 1+r.IntN(50), 1+r.IntN(40)
	if !w.on.has(simPartial) {
		o.partial = 0
	}
	if !w.on.has(simWhole) {
		o.whole = 0
	}
	o.rounds = 2
	if w.on.has(simStubborn) {
		o.rounds = 3 + r.IntN(6)
	}
}

var errRejected = errors.New("the output rejects it")

func (o *simOutput) write(ctx context.Context, p *simProcess, batch service.MessageBatch) error {
	w := o.w
	w.mu.Lock()
	if p.gone {
		w.mu.Unlock()
		<-ctx.Done()
		return ctx.Err()
	}
	msgs := make([]*simMsg, len(batch))
	got := make([]simGot, len(batch))
	tags := map[string]*simFlight{}
	for i := range batch {
		body, _ := batch[i].AsBytes()
		got[i] = simGotOf(batch[i], string(body))
		m := w.bodies[string(body)]
		if got[i].op == "delete" {
			m = w.named(batch[i])
		}
		if m == nil {
			w.violated(5, "the output got what is no message of the API: %q", body)
			w.mu.Unlock()
			return nil
		}
		if chat, _ := batch[i].MetaGet("kommo_chat_id"); chat != m.c.id {
			w.violated(5, "%s came as one of chat %q", m, chat)
		}
		msgs[i] = m
		p.checkChange(m, got[i])
		tag, _ := batch[i].MetaGet("sim_tag")
		if got[i].creates() {
			p.arrives(m, tag, tags)
		} else {
			p.changeArrives(simOp{m, got[i]}, tag, tags)
		}
	}
	if p.unacked > w.cfg.limit && !w.blurred() {
		w.violated(6, "%d messages are out, more than checkpoint_limit %d", p.unacked, w.cfg.limit)
	}
	first := msgs[0]
	first.tries++
	for _, m := range msgs[1:] {
		m.tries++
	}
	r := w.rnd("write", first.c.n, first.n, first.tries, len(msgs))
	d := between(r, 0, o.latency)
	w.note("write", first.c, first.n, len(msgs), "")
	w.mu.Unlock()

	if err := simSleep(ctx, d); err != nil {
		return err
	}
	w.mu.Lock()
	if p.gone {
		w.mu.Unlock()
		<-ctx.Done()
		return ctx.Err()
	}
	defer w.mu.Unlock()
	if !w.calm && o.whole > 0 && first.tries <= o.rounds && chance(w.rnd("whole", first.c.n, first.n, first.tries), o.whole) {
		w.note("reject", first.c, first.n, len(msgs), "whole")
		return errRejected
	}
	var failed *service.BatchError
	out := make([]bool, len(msgs))
	for i, m := range msgs { // first, what is rejected
		if w.calm || o.partial <= 0 || m.tries > o.rounds || !chance(w.rnd("partial", m.c.n, m.n, m.tries), o.partial) {
			continue
		}
		if failed == nil {
			failed = service.NewBatchError(batch, errRejected)
		}
		failed.Failed(i, errRejected)
		m.rejected = true
		w.note("reject", m.c, m.n, m.tries, "")
		out[i] = true
	}
	for i, m := range msgs {
		if out[i] {
			continue
		}
		m.take(got[i])
		if got[i].creates() {
			p.accepted(m, failed == nil)
		} else {
			p.changeAccepted(simOp{m, got[i]}, failed == nil)
		}
	}
	w.note("accept", first.c, first.n, len(msgs), "")
	if os.Getenv("KOMMO_SIM_PAGES") != "" {
		for _, m := range msgs {
			w.note("accepted", m.c, m.n, 0, numbers([]*simMsg{m}))
		}
	}
	if failed != nil {
		return failed
	}
	return nil
}

// simWriter is the output as one process has it.
type simWriter struct{ p *simProcess }

func (simWriter) Connect(context.Context) error { return nil }
func (simWriter) Close(context.Context) error   { return nil }
func (o simWriter) WriteBatch(ctx context.Context, b service.MessageBatch) error {
	return o.p.w.out.write(ctx, o.p, b)
}

// simTagger numbers the batches as they leave the input, where the output makes
// other batches of them.
type simTagger struct{ p *simProcess }

func (t simTagger) ProcessBatch(_ context.Context, b service.MessageBatch) ([]service.MessageBatch, error) {
	t.p.w.mu.Lock()
	t.p.tags++
	tag := strconv.Itoa(t.p.tags)
	t.p.w.mu.Unlock()
	for _, m := range b {
		m.MetaSetMut("sim_tag", tag)
	}
	return []service.MessageBatch{b}, nil
}

func (simTagger) Close(context.Context) error { return nil }
