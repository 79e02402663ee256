// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// hiding is a server that applies limit and then leaves rows out, and says nothing
// of a next page.
type hiding struct {
	m      *model
	hidden func(key string) bool
	on     bool
}

func (h *hiding) Page(ctx context.Context, page, limit int) (Page, error) {
	p, err := h.m.Page(ctx, page, limit)
	p.More = false
	p.Rows = slices.DeleteFunc(p.Rows, func(r Row) bool { return h.on && h.hidden(r.Key) })
	return p, err
}

// capped is a server that gives no more than so many rows, whatever it is asked
// for, and counts its pages by that.
type capped struct {
	m    *model
	most int
}

func (c *capped) Page(ctx context.Context, page, limit int) (Page, error) {
	return c.m.Page(ctx, page, min(limit, c.most))
}

func listed1(t require.TestingT, l *Lister) map[string]int {
	seen := map[string]int{}
	listAll(t, l, func(r Row) { seen[r.Chat]++ })
	return seen
}

func TestLister_PagesThatAreNotFull(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := account(rapid.SampledFrom(orderNames()).Draw(t, "order"), rapid.IntRange(0, 700).Draw(t, "rows"))
		m.noMore = rapid.Bool().Draw(t, "no next")
		want := map[string]bool{}
		var source Source
		if rapid.Bool().Draw(t, "capped") {
			source = &capped{m, rapid.IntRange(25, 100).Draw(t, "most")}
			for _, r := range m.rows {
				want[r.Chat] = true
			}
		} else {
			one, of := rapid.IntRange(0, 3).Draw(t, "hidden"), rapid.IntRange(31, 60).Draw(t, "of")
			hidden := func(key string) bool { return int(chatIDOf(key)[3])%of < one }
			source = &hiding{m, hidden, true}
			for _, r := range m.rows {
				if !hidden(r.Key) {
					want[r.Chat] = true
				}
			}
		}
		once := rapid.Bool().Draw(t, "once")
		loose := 0
		l := New(Config{Source: source, Name: "talks", PageSize: rapid.IntRange(50, 250).Draw(t, "page size"), Once: once, Hooks: Hooks{Loose: func() { loose++ }}})
		seen := listed1(t, l)
		for chat := range want {
			require.Positive(t, seen[chat], chat)
		}
		require.Zero(t, loose)
		m.now += unsure
		require.Empty(t, listed1(t, l))
	})
}

// A server that only after hours begins to leave rows out, when it has been
// believed: what was passed over comes out, and that is known after a restart.
func TestLister_PagesThatAreNotFullAnyMore(t *testing.T) {
	t.Parallel()
	m := account("id", 600)
	short := 0
	store := memoryStore{}
	h := &hiding{m: m, hidden: func(key string) bool { return strings.HasSuffix(key, "7") }}
	conf := Config{Source: h, Name: "talks", Store: store, PageSize: 250, Hooks: Hooks{Short: func() { short++ }}}
	l := New(conf)
	require.Len(t, listed1(t, l), 600)
	for range proofs {
		m.now += 300
		require.Empty(t, listed1(t, l))
	}
	m.now += 300
	cost := m.asked
	require.Empty(t, listed1(t, l))
	assert.Equal(t, 4, m.asked-cost, "three pages, the last not full, and the front")

	h.on = true
	for i := range 100 {
		m.insert(0)
		m.rows[i*5].random = i
		m.now += 10
	}
	m.now += 1000
	seen := map[string]int{}
	for range recheck + 1 {
		m.touch(m.rows[0]) // so that the watermark passes those that are not seen
		for chat := range listed1(t, l) {
			seen[chat]++
		}
		m.now += 300
	}
	for _, r := range m.rows {
		if !h.hidden(r.Key) && r.Serial > 600 {
			require.Positive(t, seen[r.Chat], r.Chat)
		}
	}
	assert.Equal(t, 1, short)
	listed1(t, l)
	require.NoError(t, l.Save(context.Background()))
	l = New(conf)
	require.Empty(t, listed1(t, l))
	assert.True(t, l.lies)
	assert.Equal(t, 1, short, "it is known")
}

// What the clocks say is wrong by an hour, one of them or both by different
// hours, or there are rows from the future: every change is listed, also one that
// shows late, or that comes within the second of the one before.
func TestLister_ClocksThatErr(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := account(rapid.SampledFrom(orderNames()).Draw(t, "order"), 60)
		// Without a clock that is right a second change within a second can't show.
		m.ticks = rapid.Bool().Draw(t, "no clock is right")
		hour := rapid.SampledFrom([]int64{0, 3600, -3600, 1800}).Draw(t, "error of the server's clock")
		source := sourceFunc(func(ctx context.Context, page, limit int) (Page, error) {
			p, err := m.Page(ctx, page, limit)
			p.Date, p.Received = time.Unix(m.now+hour, 0), time.Unix(m.now, 0)
			if m.ticks {
				p.Received = p.Date
			}
			return p, err
		})
		for range rapid.IntRange(0, 2).Draw(t, "from the future") {
			if m.ticks {
				break // an update an hour ahead looks like one of now, by both clocks
			}
			m.rows[rapid.IntRange(0, 59).Draw(t, "row")].Updated = m.now + rapid.SampledFrom([]int64{1000, 1e5, 1e9, 1e12}).Draw(t, "ahead")
		}
		store := memoryStore{}
		conf := Config{Source: source, Name: "talks", Store: store, PageSize: 25}
		l := New(conf)
		changes := map[string]int{} // by chat, since it was listed last
		for range rapid.IntRange(1, 25).Draw(t, "polls") {
			for range rapid.IntRange(0, 3).Draw(t, "changes") {
				r := rapid.SampledFrom(m.rows).Draw(t, "row")
				m.now += int64(rapid.IntRange(0, 2).Draw(t, "apart"))
				m.touch(r)
				changes[r.Chat]++
			}
			var late *modelRow
			other := rapid.SampledFrom(m.rows).Draw(t, "another row")
			if len(m.rows) > 0 && rapid.IntRange(0, 3).Draw(t, "late") == 0 {
				late = rapid.SampledFrom(m.rows).Draw(t, "row")
				m.remove(late)
				m.now++
				m.touch(late)
				m.now += int64(rapid.IntRange(0, lag-40).Draw(t, "by"))
				m.touch(other)
				changes[other.Chat]++
			}
			for chat := range listed1(t, l) {
				delete(changes, chat)
			}
			if late != nil {
				m.rows = append(m.rows, late)
				changes[late.Chat]++
			}
			if rapid.Bool().Draw(t, "restart") {
				require.NoError(t, l.Save(context.Background()))
				l = New(conf)
			}
			m.now += int64(rapid.IntRange(0, 30).Draw(t, "pause"))
		}
		m.now += unsure + 1
		for chat := range listed1(t, l) {
			delete(changes, chat)
		}
		require.Empty(t, changes)
	})
}

type sourceFunc func(ctx context.Context, page, limit int) (Page, error)

func (f sourceFunc) Page(ctx context.Context, page, limit int) (Page, error) {
	return f(ctx, page, limit)
}

func TestLister_RowsWithoutAKey(t *testing.T) {
	t.Parallel()
	for _, once := range []bool{true, false} {
		m := account("id", 600)
		source := sourceFunc(func(ctx context.Context, page, limit int) (Page, error) {
			p, err := m.Page(ctx, page, limit)
			for i := range p.Rows {
				p.Rows[i].Key = ""
				if once {
					p.Rows[i].Updated, p.Rows[i].Created = 0, 0
				} else {
					p.Rows[i].Updated = 1_700_000_000
				}
			}
			return p, err
		})
		assert.Len(t, listed1(t, New(Config{Source: source, Name: "talks", PageSize: 100, Once: once})), 600)
	}
}

// Of a page on which one row is never acknowledged only that row counts as out.
func TestLister_OneRowOfEachPageIsNeverAcknowledged(t *testing.T) {
	t.Parallel()
	for _, once := range []bool{true, false} {
		m := account("id", 10_000)
		if once {
			for _, r := range m.rows {
				r.Updated, r.Created = 0, 0
			}
		}
		store := memoryStore{}
		conf := Config{Source: m, Name: "talks", Store: store, PageSize: 250, Once: once}
		l := New(conf)
		bad := map[string]bool{}
		for done := false; !done; {
			b, err := l.Next(context.Background())
			require.NoError(t, err)
			for i, r := range b.Rows {
				if i == 100 {
					bad[r.Chat] = true
					continue
				}
				b.AckRow(i)
				b.AckRow(i)
			}
			b.AckRow(-1)
			b.AckRow(len(b.Rows))
			done = b.Done
		}
		require.Greater(t, len(bad), 38)
		assert.Equal(t, len(bad), l.Unacked())
		kept := 0
		for f := l.pending.first; f != nil; f = f.behind {
			kept += len(f.remember)
		}
		assert.Less(t, kept, 1000, "what is old enough is not remembered row by row")
		require.NoError(t, l.Save(context.Background()))
		again := listed1(t, New(conf))
		for chat := range bad {
			assert.Positive(t, again[chat], chat)
		}
		if once {
			assert.Len(t, again, len(bad))
		}
	}
}

// What has gone from the Store, is torn or is an older one, is written again from
// memory when the next listing has ended, and told of.
func TestLister_StoreThatForgets(t *testing.T) {
	t.Parallel()
	for _, once := range []bool{true, false} {
		for title, forget := range map[string]func(m memoryStore, old map[string][]byte){
			"all of it": func(m memoryStore, _ map[string][]byte) { clear(m) },
			"torn": func(m memoryStore, _ map[string][]byte) {
				for name := range m {
					m[name] = m[name][:len(m[name])/2]
				}
			},
			"an older one": func(m memoryStore, old map[string][]byte) {
				for name := range m {
					m[name] = old[name]
				}
			},
		} {
			t.Run(fmt.Sprint(title, ", ", once), func(t *testing.T) {
				t.Parallel()
				m := account("id", 1000)
				show := func() {
					for _, r := range m.rows {
						if once {
							r.Updated, r.Created = 0, 0
						}
					}
				}
				show()
				store, lost := memoryStore{}, 0
				conf := Config{Source: m, Name: "talks", Store: store, PageSize: 250, Once: once, Hooks: Hooks{Lost: func(string) { lost++ }}}
				l := New(conf)
				require.Len(t, listed1(t, l), 1000)
				require.NoError(t, l.Save(context.Background()))
				old := map[string][]byte{}
				maps.Copy(old, store)
				for range 300 {
					m.insert(0)
				}
				show()
				m.now += 1000
				require.Len(t, listed1(t, l), 300)
				require.NoError(t, l.Save(context.Background()))
				require.Zero(t, lost)
				forget(store, old)
				require.Empty(t, listed1(t, l))
				require.NoError(t, l.Save(context.Background()))
				assert.Equal(t, 1, lost)
				require.NoError(t, l.Save(context.Background()))
				require.Empty(t, listed1(t, l))
				require.NoError(t, l.Save(context.Background()))
				assert.Equal(t, 1, lost)
				assert.Empty(t, listed1(t, New(conf)))
			})
		}
	}
}
