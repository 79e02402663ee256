// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// account is a model of n talks, made and last updated in different orders.
func account(order string, n int) *model {
	m := &model{now: 1_700_000_000, by: orders[order], ticks: true}
	random := rand.New(rand.NewPCG(1, 2))
	for range n {
		m.insert(random.Int())
		m.now += 10
	}
	for _, i := range random.Perm(n) {
		m.touch(m.rows[i])
		m.now += 10
	}
	m.now += 1000
	return m
}

func poll(t *testing.T, l *Lister, m *model) (listed, requests int) {
	t.Helper()
	m.asked = 0
	listAll(t, l, func(Row) { listed++ })
	return listed, m.asked
}

func TestLister_CostOfAPoll(t *testing.T) {
	t.Parallel()
	for order, cheap := range map[string]bool{
		"newest update first": true, "newest update last": false, "id": false, "id, downward": false, "no order": false,
	} {
		t.Run(order, func(t *testing.T) {
			t.Parallel()
			m := account(order, 10_000)
			l := New(Config{Source: m, Name: "talks", PageSize: 250})
			listed, requests := poll(t, l, m)
			assert.Equal(t, 10_000, listed)
			assert.Less(t, requests, 50)
			assert.Equal(t, cheap, updatesOf(l).newestFirst)
			for range 5 {
				m.now += 500
				for range 100 {
					m.touch(m.rows[rand.IntN(len(m.rows))])
					m.now++
				}
				changed := map[string]bool{}
				m.now += unsure
				m.asked = 0
				listAll(t, l, func(r Row) { changed[r.Chat] = true })
				assert.InDelta(t, 100, len(changed), 5)
				if cheap {
					assert.Equal(t, 1, m.asked)
				} else {
					assert.InDelta(t, 45, m.asked, 5)
				}
			}
		})
	}
}

// A list sorted by age whose updates happen to fall is not taken for one sorted
// by update.
func TestLister_OrderByAgeProvesNothing(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"id", "id, downward"} {
		m := &model{now: 1_700_000_000, by: orders[order], ticks: true}
		for range 1000 {
			m.insert(0)
			m.now++
		}
		if order == "id" {
			for i := range m.rows {
				m.touch(m.rows[len(m.rows)-1-i])
				m.now++
			}
		}
		m.now += 1000
		l := New(Config{Source: m, Name: "talks", PageSize: 100})
		poll(t, l, m)
		assert.False(t, updatesOf(l).newestFirst, order)
		m.touch(m.rows[500])
		m.now += 10
		listed, _ := poll(t, l, m)
		assert.Equal(t, 1, listed, order)
	}
}

// The list was sorted by update, and no longer is: what was missed meanwhile is
// listed once that shows.
func TestLister_OrderThatChanges(t *testing.T) {
	t.Parallel()
	for _, sweep := range []bool{true, false} {
		m := account("newest update first", 1000)
		refuted := 0
		store := memoryStore{}
		conf := Config{Source: m, Name: "talks", Store: store, PageSize: 100, Hooks: Hooks{Refuted: func() { refuted++ }}}
		l := New(conf)
		poll(t, l, m)
		require.True(t, updatesOf(l).newestFirst)
		require.NoError(t, l.Save(context.Background()))

		m.by = orders["id, downward"]
		hidden := m.rows[2]
		m.touch(hidden)
		m.now += 10
		seen := map[string]bool{}
		l = New(conf)
		m.asked = 0
		listAll(t, l, func(r Row) { seen[r.Chat] = true })
		if sweep {
			m.now += sweepEvery + 1
		} else {
			m.touch(m.rows[900])
			m.now += 1000
		}
		listAll(t, l, func(r Row) { seen[r.Chat] = true })
		assert.True(t, seen[hidden.Chat])
		assert.Equal(t, 1, refuted)
		assert.False(t, updatesOf(l).newestFirst)
		listed, requests := poll(t, l, m)
		assert.Zero(t, listed)
		assert.Greater(t, requests, 10)
	}
}

// A row that changes twice within a second shows the same update both times.
func TestLister_ChangedAgainInTheSameSecond(t *testing.T) {
	t.Parallel()
	m := account("newest update first", 10)
	l := New(Config{Source: m, Name: "talks", PageSize: 100})
	poll(t, l, m)
	m.touch(m.rows[3])
	listed, _ := poll(t, l, m)
	assert.Equal(t, 1, listed)
	m.now += unsure
	listed, _ = poll(t, l, m)
	assert.Equal(t, 1, listed, "it may have changed since")
	listed, _ = poll(t, l, m)
	assert.Zero(t, listed)
}

// A row can appear later than one that was updated after it.
func TestLister_RowThatAppearsLate(t *testing.T) {
	t.Parallel()
	m := account("newest update first", 10)
	l := New(Config{Source: m, Name: "talks", PageSize: 100})
	poll(t, l, m)
	late := m.rows[3]
	m.remove(late)
	m.now++
	late.Updated = m.now
	m.now += 30
	m.touch(m.rows[0])
	m.now += unsure
	listed, _ := poll(t, l, m)
	assert.Equal(t, 1, listed)
	m.now += lag - 40
	m.rows = append(m.rows, late)
	listed, _ = poll(t, l, m)
	assert.Equal(t, 1, listed)
}

func TestLister_OddRows(t *testing.T) {
	t.Parallel()
	m := account("id", 10)
	m.rows[2].Chat = ""
	m.rows[4].Updated = 0
	odd := 0
	l := New(Config{Source: m, Name: "talks", PageSize: 100, Hooks: Hooks{Odd: func(n int) { odd = n }}})
	listed, _ := poll(t, l, m)
	assert.Equal(t, 9, listed)
	assert.Equal(t, 1, odd)
	listed, _ = poll(t, l, m)
	assert.Equal(t, 1, listed, "nobody can tell if it changed")
}

type samePage struct{ m *model }

func (s samePage) Page(ctx context.Context, _, limit int) (Page, error) {
	p, err := s.m.Page(ctx, 1, limit)
	p.More = true
	return p, err
}

func TestLister_ServerThatStopsToPage(t *testing.T) {
	t.Parallel()
	l := New(Config{Source: samePage{account("id", 1000)}, Name: "talks", PageSize: 100})
	for range 1000 {
		if _, err := l.Next(context.Background()); err != nil {
			assert.ErrorIs(t, err, errStale)
			return
		}
	}
	require.Fail(t, "it goes on for ever")
}

type shuffled struct{ m *model }

func (s shuffled) Page(ctx context.Context, page, limit int) (Page, error) {
	for _, r := range s.m.rows {
		r.random = rand.Int()
		r.Updated++
	}
	return s.m.Page(ctx, page, limit)
}

func TestLister_NoLastingOrderEndsAllTheSame(t *testing.T) {
	t.Parallel()
	loose := 0
	l := New(Config{Source: shuffled{account("no order", 1000)}, Name: "talks", PageSize: 100, Hooks: Hooks{Loose: func() { loose++ }}})
	listAll(t, l, func(Row) {})
	assert.Equal(t, 1, loose)
}

func TestLister_ErrorsAreRepeated(t *testing.T) {
	t.Parallel()
	m := account("newest update first", 1000)
	broken := errors.New("broken")
	fails := 0
	l := New(Config{Source: flaky{m, func() error {
		if fails++; fails%2 == 1 {
			return broken
		}
		return nil
	}}, Name: "talks", PageSize: 100})
	listed := 0
	for {
		b, err := l.Next(context.Background())
		if err != nil {
			require.ErrorIs(t, err, broken)
			continue
		}
		listed += len(b.Rows)
		b.Ack()
		if b.Done {
			break
		}
	}
	assert.Equal(t, 1000, listed)
}

type flaky struct {
	m    *model
	fail func() error
}

func (f flaky) Page(ctx context.Context, page, limit int) (Page, error) {
	if err := f.fail(); err != nil {
		return Page{}, err
	}
	return f.m.Page(ctx, page, limit)
}

// A batch that is never acknowledged costs no more memory with each poll.
func TestLister_BatchThatIsNeverAcknowledged(t *testing.T) {
	t.Parallel()
	m := account("newest update first", 1000)
	l := New(Config{Source: m, Name: "talks", PageSize: 100})
	held, err := l.Next(context.Background())
	require.NoError(t, err)
	require.NotEmpty(t, held.Rows)
	for range 200 {
		for range 50 {
			m.touch(m.rows[rand.IntN(len(m.rows))])
			m.now += 2
		}
		m.now += 10
		listAll(t, l, func(Row) {})
	}
	require.Same(t, l.pending.first, l.pending.last)
	assert.LessOrEqual(t, len(l.pending.first.remember), maxRemembered+100)
	assert.Equal(t, len(held.Rows), l.Unacked())
	held.Ack()
	assert.Zero(t, l.Unacked())
	assert.Equal(t, updatesOf(l).watermark, updatesOf(l).saved.watermark)
	assert.Less(t, len(updatesOf(l).saved.stamps), 500)
}

func TestCheckpoint_RoundTrip(t *testing.T) {
	t.Parallel()
	m := account("newest update last", 1000)
	store := memoryStore{}
	l := New(Config{Source: m, Name: "talks", Store: store, PageSize: 100, Origins: []string{"b", "a", "b"}, Since: time.Unix(5, 0)})
	for range 4 {
		b, err := l.Next(context.Background())
		require.NoError(t, err)
		b.Ack()
	}
	require.NoError(t, l.Save(context.Background()))
	require.NoError(t, CheckCheckpoint(store["talks"]))
	s, origins, since, err := decodeState(store["talks"])
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b"}, origins)
	assert.Equal(t, int64(5), since)
	again, err := encodeState(s, origins, since)
	require.NoError(t, err)
	assert.Equal(t, string(store["talks"]), string(again))
	assert.Less(t, len(again), 10_000, "small in the middle of a listing too")
	for cut := range again {
		assert.Error(t, CheckCheckpoint(again[:cut]), fmt.Sprint(cut))
	}
}

func FuzzCheckCheckpoint(f *testing.F) {
	f.Add([]byte(`{"version":1,"watermark":3,"named":[{"id":"a","updated_at":3}],"newest_first":true,"swept":1,"swept_at":2}`))
	f.Add([]byte(`{"version":1,"chats":"AAAAAAAAAAAAAAAAAAAAAA=="}`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, value []byte) {
		if CheckCheckpoint(value) != nil {
			return
		}
		// What is accepted can be gone on from.
		for _, once := range []bool{true, false} {
			m := account("id", 20)
			name := "talks"
			if once {
				name = "talks-00"
			}
			l := New(Config{Source: m, Name: "talks", Store: memoryStore{name: value}, PageSize: 10, Once: once})
			for range 100 {
				b, err := l.Next(context.Background())
				require.NoError(t, err)
				b.Ack()
			}
			require.NoError(t, l.Save(context.Background()))
		}
	})
}

// Ack says that all rows were delivered.
func (b *Batch) Ack() {
	for i := range b.pending.out {
		b.AckRow(i)
	}
}

func updatesOf(l *Lister) *updates {
	u, _ := l.memory.(*updates)
	return u
}
