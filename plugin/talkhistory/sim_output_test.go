// SPDX-License-Identifier: Apache-2.0

package talkhistory_test

import (
	"context"
	"errors"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
)

var errRejected = errors.New("the output rejects it")

// MaxInFlight implements pipetest.Surroundings.
func (l *simLife) MaxInFlight() int { return l.w.cfg.inFlight }

// WriteBatch implements pipetest.Surroundings. What it has accepted is accepted for good,
// whether or not the process hears of it.
func (l *simLife) WriteBatch(ctx context.Context, batch service.MessageBatch) error {
	w, c := l.w, &l.w.cfg
	w.mu.Lock()
	msgs := make([]*simMessage, len(batch))
	got := make([]simGot, len(batch))
	for i := range batch {
		id, _ := batch[i].MetaGet("kommo_message_id")
		talk, _ := batch[i].MetaGet("kommo_talk_id")
		m, is := w.known[id], false
		if m != nil && m.t.id == talk {
			got[i], is = m.got(batch[i])
		}
		if !is {
			w.violated("verbatim", "the output got what is no message of the API, as %q of talk %s", id, talk)
			w.mu.Unlock()
			return nil
		}
		msgs[i] = m
	}
	if !l.gone {
		l.arrives(msgs, got)
	}
	first := msgs[0]
	for _, m := range msgs {
		m.tries++
	}
	r := w.rnd("write", first.t.n, first.n, first.tries, len(msgs))
	w.note("life %d writes %s", l.n, idsOf(msgs, got))
	w.mu.Unlock()

	if err := simSleep(ctx, between(r, 0, time.Duration(c.slowMS)*time.Millisecond)); err != nil {
		return err
	}
	w.mu.Lock()
	if l.gone {
		w.mu.Unlock()
		<-ctx.Done()
		return ctx.Err()
	}
	defer w.mu.Unlock()
	if !w.calm && first.tries <= c.rejects && chance(r, c.rejectsWhole) {
		return errRejected
	}
	var failed *service.BatchError
	for i, m := range msgs {
		if !w.calm && m.tries <= c.rejects && chance(w.rnd("reject", m.t.n, m.n, m.tries), c.rejectsPart) {
			if failed == nil {
				failed = service.NewBatchError(batch, errRejected)
			}
			failed.Failed(i, errRejected)
			m.rejected = true
			w.note("rejected %s", m.id)
			continue
		}
		l.accepts(m, got[i])
	}
	if failed != nil {
		return failed
	}
	return nil
}

func idsOf(msgs []*simMessage, got []simGot) (ids []string) {
	for i, m := range msgs {
		what := m.id
		if !got[i].creates() {
			what = got[i].op + " " + what
		}
		ids = append(ids, what)
	}
	return ids
}
