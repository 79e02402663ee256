// SPDX-License-Identifier: Apache-2.0

package feed_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kommo-connect/kommo-connect/plugin/internal/checkpoint"
	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
	"github.com/kommo-connect/kommo-connect/plugin/internal/feed"
)

// model is an event feed of unknown habits, with a clock of its own.
type model struct {
	now    int64
	events []modelEvent

	order    string // asc, desc, none, asked
	filter   string // kept, ignored
	shift    int64  // of the filter, s
	pageCap  int    // 0: none. Pages of less than 25 can't always overlap (listing.Lap)
	next     string // right, missing, always
	fails    int    // every so many requests fail
	requests int
	between  func() // happens before each request
}

type modelEvent struct {
	id       int
	at, seen int64 // made, and shown
	talk     int
}

func (m *model) Talk(context.Context, string) (crm.Entry, error) { panic("not asked for") }
func (m *model) List(context.Context, crm.Source, int, int) (crm.Page, error) {
	panic("not asked for")
}

var errModel = errors.New("it failed")

func (m *model) Events(_ context.Context, q crm.EventQuery) (crm.EventPage, error) {
	m.requests++
	m.between()
	if m.fails > 0 && m.requests%m.fails == 0 {
		return crm.EventPage{}, errModel
	}
	if q.To > 0 && q.To < q.From {
		return crm.EventPage{}, fmt.Errorf("asked from %d to %d", q.From, q.To)
	}
	var listed []modelEvent
	for _, e := range m.events {
		from, to := q.From, q.To
		if m.filter == "ignored" {
			from, to = 0, 0
		}
		if e.seen > m.now || from > 0 && e.at < from+m.shift || to > 0 && e.at > to+m.shift {
			continue
		}
		listed = append(listed, e)
	}
	order := m.order
	if order == "asked" {
		order = q.Order
	}
	slices.SortStableFunc(listed, func(a, b modelEvent) int {
		switch order {
		case "asc":
			return cmp.Compare(a.at, b.at)
		case "desc":
			return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(b.id, a.id))
		}
		return cmp.Compare(hash(a.id), hash(b.id))
	})
	limit := q.Limit
	if m.pageCap > 0 {
		limit = min(limit, m.pageCap)
	}
	low := min((q.Page-1)*limit, len(listed))
	high := min(low+limit, len(listed))
	page := crm.EventPage{Date: time.Unix(m.now, 0), Rows: high - low}
	for _, e := range listed[low:high] {
		page.Events = append(page.Events, crm.Event{
			Object: true, ID: fmt.Sprint("e", e.id), Type: crm.IncomingMessage, CreatedAt: e.at,
			MessageID: fmt.Sprint("m", e.id), TalkID: fmt.Sprint(e.talk), Raw: []byte("{}"),
		})
	}
	page.Next.Is = m.next == "always" && page.Rows > 0 || m.next == "right" && high < len(listed)
	return page, nil
}

func hash(id int) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, id*7919)
	return h.Sum64() * 0x9e3779b97f4a7c15
}

// memoryStore is a checkpoint.Store.
type memoryStore struct {
	mu     sync.Mutex
	values map[string][]byte
}

func (s *memoryStore) Load(_ context.Context, name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := s.values[name]; ok {
		return v, nil
	}
	return nil, checkpoint.ErrNone
}

func (s *memoryStore) Save(_ context.Context, name string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[name] = value
	return nil
}

// Whatever the feed does, every event is announced; by one process once, if nothing makes
// it start over; and after a crash again only what was not acknowledged and saved.
func TestEvents_EveryEventIsAnnounced(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := &model{now: 1_700_000_000, between: func() {}}
		m.order = rapid.SampledFrom([]string{"asked", "asc", "desc", "none"}).Draw(t, "order")
		m.filter = rapid.SampledFrom([]string{"kept", "kept", "ignored"}).Draw(t, "filter")
		m.shift = rapid.SampledFrom([]int64{0, 0, 1, -1, 3 * 3600, -3 * 3600}).Draw(t, "shift")
		m.next = rapid.SampledFrom([]string{"right", "missing", "always"}).Draw(t, "next")
		m.pageCap = rapid.SampledFrom([]int{0, 0, 30}).Draw(t, "page cap")
		if m.pageCap > 0 && m.next == "missing" {
			m.next = "right" // what it hides may be found ten minutes later only
		}
		m.fails = rapid.SampledFrom([]int{0, 0, 5}).Draw(t, "fails")
		gap := rapid.Int64Range(0, 40).Draw(t, "gap")
		add := func(n int, until int64) {
			for i := range n {
				at := until - int64(n-1-i)*gap
				m.events = append(m.events, modelEvent{id: len(m.events), at: at, seen: at, talk: rapid.IntRange(1, 9).Draw(t, "talk")})
			}
		}
		add(rapid.IntRange(0, 150).Draw(t, "old"), m.now-rapid.Int64Range(0, 10_000).Draw(t, "age"))
		m.between = func() {
			m.now += rapid.Int64Range(0, 2).Draw(t, "time")
			if rapid.IntRange(0, 3).Draw(t, "something happens") > 0 {
				return
			}
			late := rapid.SampledFrom([]int64{0, 0, 30, 120}).Draw(t, "late")
			m.events = append(m.events, modelEvent{id: len(m.events), at: m.now, seen: m.now + late, talk: rapid.IntRange(1, 9).Draw(t, "talk")})
		}
		store := &memoryStore{values: map[string][]byte{}}
		restarted := false
		conf := feed.Config{
			API: m, Store: store, PageSize: rapid.SampledFrom([]int{5, 20, 50}).Draw(t, "page size"), Repeat: true,
			Gather: rapid.SampledFrom([]int{0, 30}).Draw(t, "gather"),
			Hooks: feed.Hooks{
				Disordered: func() { restarted = true }, Unfiltered: func() { restarted = true }, Loose: func() { restarted = true },
			},
		}
		announced := map[string]int{}
		listing := func(e *feed.Events, most int) {
			for range most {
				b, err := e.Next(context.Background())
				if err != nil && !errors.Is(err, errModel) {
					require.ErrorContains(t, err, "starting over")
					restarted = true
				}
				if err != nil {
					continue
				}
				for i := range b.Talks {
					require.Zero(t, b.Talks[i].Left)
					for _, a := range b.Talks[i].Announced {
						announced[a.ID]++
					}
					b.Ack(i)
				}
				if rapid.Bool().Draw(t, "save") {
					require.NoError(t, e.Save(context.Background()))
				}
				if b.Done {
					return
				}
			}
			require.Less(t, most, 5000, "the listing does not end")
		}
		e := feed.NewEvents(conf)
		if n := rapid.IntRange(0, 30).Draw(t, "requests before a crash"); n > 0 {
			listing(e, n)
			e = feed.NewEvents(conf)
			restarted = true
		}
		for range 2 {
			listing(e, 5000)
			m.now += rapid.Int64Range(0, 60).Draw(t, "pause")
		}
		m.between = func() {}
		m.now += 121 // the last ones show
		listing(e, 5000)
		for _, ev := range m.events {
			times := announced[fmt.Sprint("m", ev.id)]
			require.NotZero(t, times, "event %d of %d, at %d, shown at %d, was not announced", ev.id, len(m.events), ev.at, ev.seen)
			if !restarted {
				require.Equal(t, 1, times, "event %d at %d was announced again", ev.id, ev.at)
			}
		}
		m.now += 60
		named := len(announced)
		listing(e, 5000)
		require.Len(t, announced, named)
	})
}

// One old event among those that were asked for may have a wrong time, and is no place to go on from.
func TestEvents_OneOldEventOfAFilterThatIsNotKept(t *testing.T) {
	t.Parallel()
	m := &model{now: 1_700_000_000, order: "desc", filter: "ignored", next: "always", between: func() {}}
	m.events = []modelEvent{{id: 0, at: m.now - 100_000, talk: 1}}
	e := feed.NewEvents(feed.Config{API: m, PageSize: 250})
	require.Len(t, list(t, e), 1)
	for range 3 {
		for range 6 {
			m.now += 10
			m.events = append(m.events, modelEvent{id: len(m.events), at: m.now, talk: 2})
		}
		talks := list(t, e)
		require.Len(t, talks, 1)
		require.Len(t, talks[0].Announced, 6)
	}
}
