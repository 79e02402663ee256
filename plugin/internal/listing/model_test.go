// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"github.com/kommo-connect/kommo-connect/plugin/internal/checkpoint"

	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// model is a list of talks, sorted as it likes.
type model struct {
	now    int64
	rows   []*modelRow
	serial int64
	moves  int
	by     func(a, b *modelRow) int
	always func() // before each request
	asked  int
	noMore bool // never says that more follows
	// ticks makes each change of a row show in its update.
	ticks bool
}

type modelRow struct {
	Row
	random, moved int
}

var orders = map[string]func(a, b *modelRow) int{
	"newest update first": func(a, b *modelRow) int {
		return cmp.Or(cmp.Compare(b.Updated, a.Updated), cmp.Compare(b.moved, a.moved))
	},
	"newest update last": func(a, b *modelRow) int {
		return cmp.Or(cmp.Compare(a.Updated, b.Updated), cmp.Compare(a.moved, b.moved))
	},
	"id":           func(a, b *modelRow) int { return cmp.Compare(a.Serial, b.Serial) },
	"id, downward": func(a, b *modelRow) int { return cmp.Compare(b.Serial, a.Serial) },
	"no order":     func(a, b *modelRow) int { return cmp.Compare(a.random, b.random) },
}

func orderNames() []string {
	names := []string{}
	for name := range orders {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (m *model) insert(random int) {
	m.serial++
	r := &modelRow{Row: Row{
		Key: fmt.Sprint(m.serial), Chat: fmt.Sprintf("chat-%d", m.serial), Serial: m.serial, Created: m.now, Updated: m.now,
	}, random: random}
	m.rows = append(m.rows, r)
	m.touch(r)
}

func (m *model) touch(r *modelRow) {
	m.moves++
	if m.ticks && r.Updated == m.now {
		m.now++
	}
	r.Updated, r.moved = m.now, m.moves
}

func (m *model) remove(r *modelRow) {
	m.rows = slices.DeleteFunc(m.rows, func(x *modelRow) bool { return x == r })
}

func (m *model) Page(_ context.Context, page, limit int) (Page, error) {
	m.asked++
	if m.always != nil {
		m.always()
	}
	slices.SortStableFunc(m.rows, m.by)
	from := min((page-1)*limit, len(m.rows))
	to := min(from+limit, len(m.rows))
	p := Page{More: to < len(m.rows) && !m.noMore, Date: time.Unix(m.now, 0)}
	for _, r := range m.rows[from:to] {
		p.Rows = append(p.Rows, r.Row)
	}
	return p, nil
}

// memoryStore is a checkpoint.Store.
type memoryStore map[string][]byte

func (m memoryStore) Load(_ context.Context, name string) ([]byte, error) {
	if value, ok := m[name]; ok {
		return value, nil
	}
	return nil, checkpoint.ErrNone
}
func (m memoryStore) Save(_ context.Context, name string, value []byte) error {
	m[name] = value
	return nil
}

// listAll lists once, and acknowledges everything.
func listAll(t require.TestingT, l *Lister, each func(Row)) {
	for n := 0; ; n++ {
		require.Less(t, n, 100_000, "the listing goes on for ever")
		b, err := l.Next(context.Background())
		require.NoError(t, err)
		for _, r := range b.Rows {
			each(r)
		}
		b.Ack()
		if b.Done {
			return
		}
	}
}

// Whatever changes between two requests and however the list is sorted: what was
// in it all the time is listed, and after it has come to rest the latest update of
// each row has been listed. Where a row changes twice within a second, and so moves
// without showing it, it may take the next listing to name another one.
func TestLister_NamesEverythingInAnyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := &model{now: 1_700_000_000, by: orders[rapid.SampledFrom(orderNames()).Draw(t, "order")]}
		for range rapid.IntRange(0, 60).Draw(t, "rows") {
			m.now += int64(rapid.IntRange(0, 90).Draw(t, "apart"))
			m.insert(rapid.Int().Draw(t, "place"))
		}
		m.now += int64(rapid.IntRange(0, 1000).Draw(t, "later"))
		for range rapid.IntRange(0, 10).Draw(t, "touched before") {
			if len(m.rows) > 0 {
				m.touch(rapid.SampledFrom(m.rows).Draw(t, "row"))
				m.now += int64(rapid.IntRange(0, 90).Draw(t, "apart"))
			}
		}
		m.noMore = rapid.Bool().Draw(t, "no next")
		m.ticks = rapid.Bool().Draw(t, "ticks")
		chaos := func() {
			if m.asked > 60 {
				return // or a list may grow faster than it is read
			}
			m.now += int64(rapid.IntRange(0, 5).Draw(t, "passing"))
			for range rapid.IntRange(0, 3).Draw(t, "events") {
				switch what := rapid.IntRange(0, 9).Draw(t, "what"); {
				case what == 0:
					m.insert(rapid.Int().Draw(t, "place"))
				case len(m.rows) == 0:
				case what == 1:
					m.remove(rapid.SampledFrom(m.rows).Draw(t, "row"))
				default:
					m.touch(rapid.SampledFrom(m.rows).Draw(t, "row"))
				}
			}
		}
		store := memoryStore{}
		conf := Config{Source: m, Name: "talks", Store: store, PageSize: rapid.IntRange(2, 12).Draw(t, "page size")}
		loose := false
		conf.Hooks.Loose = func() { loose = true }
		l := New(conf)
		delivered := map[string]int64{} // acknowledged, by chat
		note := func(r Row) { delivered[r.Chat] = max(delivered[r.Chat], r.Updated) }

		for range rapid.IntRange(1, 6).Draw(t, "listings") {
			present := slices.Clone(m.rows)
			before := map[string]int64{}
			for _, r := range present {
				before[r.Chat] = r.Updated
			}
			m.always, m.asked = chaos, 0
			listAll(t, l, note)
			m.always = nil
			if loose {
				t.Skip("everything that was read has changed, five times over")
			}
			for _, r := range m.rows {
				if m.ticks && slices.Contains(present, r) && delivered[r.Chat] < before[r.Chat] {
					t.Fatalf("%s was there all the time, and was not listed: updated %d, listed for %d, now %d",
						r.Chat, before[r.Chat], delivered[r.Chat], m.now)
				}
			}
			m.now += int64(rapid.IntRange(0, 100_000).Draw(t, "pause"))
			for range rapid.IntRange(0, 5).Draw(t, "touched between") {
				if len(m.rows) > 0 {
					m.touch(rapid.SampledFrom(m.rows).Draw(t, "row"))
				}
			}
			if rapid.Bool().Draw(t, "restart") {
				require.NoError(t, l.Save(context.Background()))
				l = New(conf)
			}
		}
		m.now += unsure + 1
		listAll(t, l, note)
		for _, r := range m.rows {
			if delivered[r.Chat] != r.Updated {
				t.Fatalf("%s was updated %d, and was listed for %d", r.Chat, r.Updated, delivered[r.Chat])
			}
		}
		m.now += sweepEvery / 2
		listAll(t, l, func(r Row) { t.Fatalf("%s has not changed since", r.Chat) })
	})
}

// Batches are acknowledged late, in any order or never, and the process dies: what
// was not acknowledged is listed again.
func TestLister_CrashesLoseNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		once := rapid.Bool().Draw(t, "once")
		m := &model{now: 1_700_000_000, by: orders[rapid.SampledFrom(orderNames()).Draw(t, "order")]}
		for range rapid.IntRange(1, 60).Draw(t, "rows") {
			m.now += int64(rapid.IntRange(0, 90).Draw(t, "apart"))
			m.insert(rapid.Int().Draw(t, "place"))
		}
		m.now += 10
		show := func() {
			if once {
				for _, r := range m.rows {
					r.Updated, r.Created = 0, 0
				}
			}
		}
		store := memoryStore{}
		conf := Config{Source: m, Name: "talks", Store: store, PageSize: rapid.IntRange(2, 12).Draw(t, "page size"), Once: once}
		l := New(conf)
		delivered := map[string]int64{}
		var out []*Batch
		ack := func(i int) {
			for _, r := range out[i].Rows {
				delivered[r.Chat] = max(delivered[r.Chat], r.Updated+1)
			}
			out[i].Ack()
			out[i].Ack()
			out = slices.Delete(out, i, i+1)
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			show()
			switch what := rapid.IntRange(0, 9).Draw(t, "step"); {
			case what == 0:
				require.NoError(t, l.Save(context.Background()))
			case what == 1:
				l, out = New(conf), nil
			case what == 2:
				m.now += int64(rapid.IntRange(0, 300).Draw(t, "pause"))
				m.touch(rapid.SampledFrom(m.rows).Draw(t, "row"))
			case what <= 5 && len(out) > 0:
				ack(rapid.IntRange(0, len(out)-1).Draw(t, "batch"))
			default:
				b, err := l.Next(context.Background())
				require.NoError(t, err)
				if len(b.Rows) > 0 {
					out = append(out, b)
				}
			}
		}
		unacked := 0
		for _, b := range out {
			unacked += len(b.Rows)
		}
		require.Equal(t, unacked, l.Unacked())
		kept := 0
		for f := l.pending.first; f != nil; f = f.behind {
			kept++
		}
		require.Equal(t, len(out), kept)
		if rapid.Bool().Draw(t, "crash") {
			l, out = New(conf), nil
		}
		for len(out) > 0 {
			ack(0)
		}
		show()
		m.now += unsure + 1
		for range 2 { // one that was under way may have passed what changed since
			listAll(t, l, func(r Row) { delivered[r.Chat] = max(delivered[r.Chat], r.Updated+1) })
		}
		for _, r := range m.rows {
			if delivered[r.Chat] != r.Updated+1 {
				t.Fatalf("%s was updated %d, and was delivered for %d", r.Chat, r.Updated, delivered[r.Chat]-1)
			}
		}
		require.NoError(t, l.Save(context.Background()))
		l = New(conf)
		m.now += unsure
		listAll(t, l, func(r Row) { t.Fatalf("%s was delivered, acknowledged and saved", r.Chat) })
	})
}
