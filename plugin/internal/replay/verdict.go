// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"context"
	"errors"
	"slices"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// verdict is what an answer says of the messages that were sent.
type verdict struct {
	// failed says of each message whether it was rejected; nil: none was.
	failed []bool
	// doubtful says that some were rejected, and that nobody can tell which.
	doubtful bool
	// errs are the reasons.
	errs []error
}

// ticket knows the messages of one send again.
type ticket struct {
	index *service.Indexer
	marks []any // what the index has left on each
}

// newTicket gives each message of a batch its place in it.
func newTicket(batch service.MessageBatch) *ticket {
	t := &ticket{index: batch.Index(), marks: make([]any, len(batch))}
	for i, m := range batch {
		t.marks[i] = m.Context().Value(markKey)
	}
	return t
}

// judge reads the answer to the messages of a ticket.
//
// Benthos reports failures message by message, but not always of the right
// messages. A processor that works on batches (mapping, split, group_by, archive
// and most others) hands on the index by position: behind one that drops the
// first of three messages, the second bears the index of the first. Where a batch
// is divided, each part is numbered from the beginning again, and the failures of
// all parts are put together as if they were of one. So a report is believed only
// if it is of as many messages as were sent, in the same order, and if it can't be
// one of a divided batch, whose failures are of the first messages. That it is
// none is certain where nothing between here and the output has an index of its
// own, as every pipeline of processors has.
func (t *ticket) judge(err error) verdict {
	if err == nil {
		return verdict{}
	}
	n := len(t.marks)
	all := verdict{failed: slices.Repeat([]bool{true}, n), errs: []error{err}}
	var report *service.BatchError
	if n == 1 || !errors.As(err, &report) || report.IndexedErrors() == 0 {
		return all
	}
	v := verdict{failed: make([]bool, n)}
	mentioned, failed, direct, divided := 0, 0, true, false
	report.WalkMessages(func(i int, m *service.Message, err error) bool { //nolint:staticcheck // the other walk leaves out what it can't match
		if i >= n || t.index.IndexOf(m) != i {
			v.doubtful = true
		} else {
			direct = direct && m.Context().Value(markKey) == t.marks[i]
			v.failed[i] = err != nil
		}
		if mentioned++; err != nil {
			failed++
			v.errs = append(v.errs, err)
			var part interface{ IndexedErrors() int }
			divided = divided || errors.As(err, &part)
		}
		return true
	})
	if failed == mentioned {
		return all // whatever has become of them
	}
	first := 0
	for first < n && v.failed[first] {
		first++
	}
	v.doubtful = v.doubtful || mentioned != n || divided || first == failed && !direct
	return v
}

// markKey is the key under which benthos keeps the index of a message in its
// context. The value there is the latest index alone, so it shows whether another
// was made since.
var markKey = func() any {
	s := &spy{Context: context.Background()}
	batch := service.MessageBatch{service.NewMessage(nil)}
	batch.Index().IndexOf(service.NewMessageWithContext(s, nil))
	return s.asked
}()

// spy notes what it is asked for.
type spy struct {
	context.Context //nolint:containedctx // it is one
	asked           any
}

// Value implements context.Context.
func (s *spy) Value(key any) any {
	s.asked = key
	return nil
}
