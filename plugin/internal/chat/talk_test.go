// SPDX-License-Identifier: Apache-2.0

package chat_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
	"github.com/kommo-connect/kommo-connect/plugin/internal/chat/chattest"
	"github.com/kommo-connect/kommo-connect/plugin/internal/evidence"
)

// talk makes one pass over a talk.
func talk(server *evidence.Server, src chat.TalkSource, size, maxPages int, with func(*chat.Start)) ([]string, chat.Result, error) {
	var got []string
	s := chat.Start{
		Chat: "1", PageSize: size, MaxKept: size * maxPages, Now: time.UnixMilli(1_700_000_000_000),
		Emit: func(_ context.Context, items []chat.Item, _ int64) error {
			got = append(got, chattest.IDsOf(items)...)
			return nil
		},
		Call:         func(ctx context.Context, request func(context.Context) error) error { return request(ctx) },
		OnRealigned:  func() {},
		OnShortPages: func() {},
		OnBelieved:   func() {},
	}
	if with != nil {
		with(&s)
	}
	found, err := chat.FromTalks(src, server)(s).Run(context.Background())
	return got, found, err
}

// talkBound is how many requests n messages of news may take.
func talkBound(n, size int) int {
	if n < size {
		return 1
	}
	return (n+199)/200 + 2
}

func TestTalk_RequestsOfAQuietTalk(t *testing.T) {
	for _, order := range []string{"newest", "oldest"} {
		for _, next := range []string{"", "missing", "always"} {
			for _, n := range []int{0, 1, 100, 249, 250, 251, 400, 500, 501, 1000, 5000, 20_000, 25_000, 25_001, 26_000, 50_000, 100_000} {
				m := chattest.NewTalk()
				m.Order, m.Next = order, next
				m.Arrive(n, func() int64 { return 700 })
				got, _, err := talk(chattest.Trusting(), m, 250, 100, nil)
				require.NoError(t, err)
				require.Equal(t, m.IDs(), append([]string{}, got...), "%d messages, %s first", n, order)
				bound := talkBound(n, 250)
				if next == "always" && n < 250 {
					bound += 2
				}
				require.LessOrEqual(t, m.Requests, bound, "%d messages, %s first, next %s", n, order, next)
			}
		}
	}
}

// requireTooMany checks that a pass was right to give up: so much is of one second, or the
// filter is not kept.
func requireTooMany(t require.TestingT, m *chattest.Talk, kept int, err error) {
	require.ErrorIs(t, err, chat.ErrTooManyKept)
	require.ErrorContains(t, err, "max_buffered_pages")
	require.Greater(t, len(m.Ever), kept-50)
	if m.KeepFrom && m.KeepTo || strings.Contains(err.Error(), "of one second") {
		seconds := map[int64]int{}
		most := 0
		for _, it := range m.Ever {
			seconds[chat.Second(it.Time)]++
			most = max(most, seconds[chat.Second(it.Time)])
		}
		require.Greater(t, most, kept-50)
	}
}

// requireTimes checks that nothing is older than what came before it, by whole seconds.
func requireTimes(t require.TestingT, m *chattest.Talk, got []string, but map[string]bool) {
	at, last := map[string]int64{}, int64(0)
	for _, it := range m.Items {
		at[it.ID] = chat.Second(it.Time)
	}
	for _, id := range got {
		if s, ok := at[id]; ok && !but[id] {
			require.GreaterOrEqual(t, s, last, "%s in %v", id, got)
			last = s
		}
	}
}

// Whatever the order, the filter, the links, and whatever arrives, shows up late and
// vanishes between any two requests, over passes that are cut off anywhere: what stays
// comes out once, in the order of time.
func TestTalk_EverythingThatStaysComesOutOnceInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := chattest.DrawTalk(t)
		size := rapid.IntRange(4, 12).Draw(t, "page size")
		pages := rapid.SampledFrom([]int{1, 2, 3, 5, 8, 1000}).Draw(t, "buffered pages")
		lookback := time.Duration(rapid.IntRange(0, 3).Draw(t, "lookback")) * 1700 * time.Millisecond
		storm := chattest.NewTalkChaos(t, m, 2*size, 40, lookback.Milliseconds())
		m.Arrive(rapid.IntRange(0, 200).Draw(t, "messages"), storm.Gap)
		limits := rapid.SampledFrom([]string{"", "caps", "caps and shifts", "hides"}).Draw(t, "short pages")
		switch limits {
		case "caps", "caps and shifts":
			m.Cap = rapid.IntRange(max(4, (size+1)/2), size).Draw(t, "cap") // pages of less hardly overlap
			m.CapShifts = limits == "caps and shifts"
		case "hides":
			every := rapid.IntRange(2, 5).Draw(t, "every")
			m.Hides = func(it chat.Item) bool { return int(it.Time/100+int64(it.ID[len(it.ID)-1]))%every == 0 }
		}
		m.Fail = func() error {
			require.Less(t, m.Requests, 20_000)
			return nil
		}
		server := &evidence.Server{}
		if limits != "" {
			server.Continued(2) // the first time it can't be told from a talk that shrinks
		}
		var j journal
		passes := rapid.IntRange(1, 4).Draw(t, "passes")
		for i := range passes + 1 {
			m.Before = storm.Strike
			left := rapid.IntRange(0, 200).Draw(t, "crash after")
			if i == passes {
				m.Before, left = nil, -1
			}
			_, _, err := talk(server, m, size, pages, func(s *chat.Start) { j.follow(s, lookback, left) })
			if err != nil && errors.Is(err, chat.ErrTooManyKept) {
				requireTooMany(t, m, size*pages, err)
				return
			}
			if i == passes {
				require.NoError(t, err)
			}
		}
		chattest.RequireOnce(t, j.got)
		var want []string
		for _, it := range m.Items {
			if m.Hides != nil && m.Hides(it) {
				storm.Late[it.ID] = true // it is shown at times, where a page has nothing else
				continue
			}
			want = append(want, it.ID)
		}
		requireTimes(t, m, j.got, storm.Late)
		require.Subset(t, j.got, want)
	})
}

// A server with a lower limit, or that hides entries, is found out by the first talk that is
// longer than a page.
func TestTalk_ShortPagesOfAnUnknownServer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := chattest.DrawTalk(t)
		size := rapid.IntRange(4, 12).Draw(t, "page size")
		m.Arrive(rapid.IntRange(0, 200).Draw(t, "messages"), gap(rapid.Int64Range(0, 2000).Draw(t, "gap")))
		hidden := map[string]bool{}
		for i := range m.Items {
			hidden[m.Items[i].ID] = rapid.IntRange(0, 3).Draw(t, "hidden") == 0
		}
		if rapid.Bool().Draw(t, "caps") {
			clear(hidden)
			m.Cap, m.CapShifts = rapid.IntRange(2, max(2, size)).Draw(t, "cap"), rapid.Bool().Draw(t, "shifts")
		}
		m.Hides = func(it chat.Item) bool { return hidden[it.ID] }
		got, _, err := talk(&evidence.Server{}, m, size, 1000, nil)
		require.NoError(t, err)
		chattest.RequireOnce(t, got)
		require.Subset(t, got, slices.DeleteFunc(m.IDs(), func(id string) bool { return hidden[id] }))
	})
}

func gap(ms int64) func() int64 { return func() int64 { return ms } }

func TestTalk_RequestsOfAPoll(t *testing.T) {
	for _, order := range []string{"newest", "oldest", "none"} {
		for _, news := range []int{0, 1, 20, 100, 230, 249, 250, 400, 1000, 5000} {
			m := chattest.NewTalk()
			m.Order = order
			m.Arrive(3000, gap(7000))
			var j journal
			server := chattest.Trusting()
			_, _, err := talk(server, m, 250, 100, func(s *chat.Start) { j.follow(s, 0, -1) })
			require.NoError(t, err)
			m.Arrive(news, gap(7000))
			m.Requests = 0
			_, _, err = talk(server, m, 250, 100, func(s *chat.Start) { j.follow(s, 0, -1) })
			require.NoError(t, err)
			require.Equal(t, m.IDs(), j.got)
			// The one that was delivered last is asked for too.
			if bound := talkBound(news+1, 250); order != "none" || bound == 1 {
				require.LessOrEqual(t, m.Requests, bound, "%d messages, %s first", news, order)
			}
		}
	}
}

// With nothing known of the server, a poll that shows little is one request all the same.
func TestTalk_FewMessagesOfAnUnknownServer(t *testing.T) {
	m := chattest.NewTalk()
	m.Arrive(20, gap(7000))
	believed := 0
	counts := func(s *chat.Start) { s.OnBelieved = func() { believed++ } }
	_, _, err := talk(&evidence.Server{}, m, 250, 100, counts)
	require.NoError(t, err)
	require.Equal(t, 1, m.Requests)
	require.Equal(t, 1, believed)
	m.Arrive(100, gap(7000))
	m.Requests = 0
	_, _, err = talk(&evidence.Server{}, m, 250, 100, counts)
	require.NoError(t, err)
	require.Equal(t, 3, m.Requests, "it is looked behind")
	require.Equal(t, 1, believed)
}

// Where short pages are known to mislead, nothing is believed.
func TestTalk_ShortPagesThatAreKnownToMislead(t *testing.T) {
	m := chattest.NewTalk()
	m.Arrive(20, gap(7000))
	server := &evidence.Server{}
	_, _, err := talk(server, m, 250, 100, func(s *chat.Start) {
		s.ShortPages = true
		s.OnBelieved = func() { require.Fail(t, "believed") }
	})
	require.NoError(t, err)
	require.True(t, server.Misleads())
	require.Greater(t, m.Requests, 1, "it is looked behind")
}

// A filter that means another time than the messages show, by hours, would hide what is
// new, or lets more pass.
func TestTalk_FilterOfAnotherClock(t *testing.T) {
	for _, off := range []int64{-3 * 3600, 3 * 3600} {
		for _, order := range []string{"newest", "oldest", "none"} {
			m := chattest.NewTalk()
			m.Order = order
			m.Arrive(700, gap(7000))
			var j journal
			for range 3 {
				_, _, err := talk(chattest.Trusting(), m, 50, 100, func(s *chat.Start) { j.follow(s, 0, -1) })
				require.NoError(t, err)
				m.FromOff, m.ToOff = off, off
				m.Arrive(30, gap(7000))
			}
			chattest.RequireOnce(t, j.got)
			require.Subset(t, j.got, m.IDs()[:len(m.Items)-30])
		}
	}
}

// What shows up late, while a talk is read in parts, in one that was delivered before is left
// to the next pass, whatever of the later parts is delivered first.
func TestTalk_LateInAPartThatWasDelivered(t *testing.T) {
	for _, order := range []string{"newest", "oldest", "none"} {
		m := chattest.NewTalk()
		m.Order = order
		m.Arrive(300, gap(7000))
		m.Before = func() {
			if m.Requests%2 == 0 {
				m.Late(50_000)
				m.Arrive(2, gap(20_000))
			}
		}
		var j journal
		for range 2 {
			_, _, err := talk(chattest.Trusting(), m, 10, 3, func(s *chat.Start) { j.follow(s, time.Minute, -1) })
			require.NoError(t, err)
			m.Before = nil
		}
		chattest.RequireOnce(t, j.got)
		require.Subset(t, j.got, m.IDs(), "%s first", order)
	}
}

func TestTalk_ManyMessagesOfOneSecond(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := chattest.NewTalk()
		m.Order = rapid.SampledFrom([]string{"newest", "oldest", "none"}).Draw(t, "order")
		m.Bare = rapid.Bool().Draw(t, "seconds only")
		m.Arrive(rapid.IntRange(0, 300).Draw(t, "before"), gap(900))
		m.Now = m.Now / 1000 * 1000
		m.Arrive(rapid.IntRange(1100, 2500).Draw(t, "of one second"), gap(0))
		m.Now += 60_000
		m.Arrive(rapid.IntRange(0, 300).Draw(t, "behind"), gap(900))
		var j journal
		for range rapid.IntRange(1, 3).Draw(t, "crashes") {
			left := rapid.IntRange(0, 2500).Draw(t, "crash after")
			_, _, _ = talk(chattest.Trusting(), m, 250, 12, func(s *chat.Start) { j.follow(s, 0, left) })
		}
		_, _, err := talk(chattest.Trusting(), m, 250, 12, func(s *chat.Start) { j.follow(s, 0, -1) })
		require.NoError(t, err)
		chattest.RequireOnce(t, j.got)
		require.Len(t, j.got, len(m.Items))
		requireTimes(t, m, j.got, nil)
	})
}

func TestTalk_MoreThanMayBeHeld(t *testing.T) {
	for _, order := range []string{"newest", "oldest", "none"} {
		for _, keepFrom := range []bool{false, true} {
			m := chattest.NewTalk()
			m.Order, m.KeepFrom, m.KeepTo = order, keepFrom, false
			m.Arrive(2000, gap(7000))
			got, _, err := talk(chattest.Trusting(), m, 50, 10, nil)
			if keepFrom && order == "oldest" {
				require.NoError(t, err, "from is enough")
				require.Equal(t, m.IDs(), got)
				continue
			}
			require.ErrorIs(t, err, chat.ErrTooManyKept)
			require.ErrorContains(t, err, "of other times than it is asked for", "%s first, from %v", order, keepFrom)
			require.ErrorContains(t, err, "raise max_buffered_pages")
			require.NotEqual(t, m.IDs(), got)

			got, _, err = talk(chattest.Trusting(), m, 50, 40, nil)
			require.NoError(t, err)
			require.Equal(t, m.IDs(), got)
		}
	}
}

// What may be held bounds what a pass holds, and not what a talk has.
func TestTalk_HoldsNoMoreThanItMay(t *testing.T) {
	for _, order := range []string{"newest", "oldest", "none"} {
		m := chattest.NewTalk()
		m.Order = order
		m.Arrive(20_000, gap(7000))
		most, last := 0, ""
		_, _, err := talk(chattest.Trusting(), m, 250, 4, func(s *chat.Start) {
			s.Emit = func(_ context.Context, items []chat.Item, _ int64) error {
				most = max(most, len(items))
				for i := range items {
					require.Greater(t, items[i].ID, last)
					last = items[i].ID
				}
				return nil
			}
		})
		require.NoError(t, err)
		require.Equal(t, m.IDs()[19_999], last)
		require.LessOrEqual(t, most, 1250)
	}
}

func TestTalk_Latest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := chattest.DrawTalk(t)
		m.Now = 1_700_000_000_000 - 400*60_000
		m.Arrive(rapid.IntRange(0, 400).Draw(t, "messages"), gap(60_000))
		m.Now = max(m.Now, 1_700_000_000_000) + rapid.Int64Range(-2, 2).Draw(t, "clock is off by")*3600_000
		m.Now += 5000
		lookback := time.Duration(rapid.IntRange(0, 60).Draw(t, "lookback")) * time.Minute
		for len(m.Items) > 0 && m.Items[len(m.Items)-1].Time > m.Now {
			m.Remove(len(m.Items)-1, 1)
		}
		got, found, err := talk(chattest.Trusting(), m, 50, 20, func(s *chat.Start) { s.Latest, s.Lookback = true, lookback })
		require.NoError(t, err)
		require.Empty(t, got)
		require.True(t, found.Set)
		before := len(m.Items)
		m.Arrive(rapid.IntRange(1, 120).Draw(t, "news"), gap(2000))
		j := journal{cp: found.Checkpoint, known: true}
		_, _, err = talk(chattest.Trusting(), m, 50, 20, func(s *chat.Start) { j.follow(s, lookback, -1) })
		require.NoError(t, err)
		require.Equal(t, m.IDs()[before:], j.got)
	})
}

func TestTalk_Since(t *testing.T) {
	m := chattest.NewTalk()
	m.Arrive(5000, gap(1000))
	since := time.UnixMilli(m.Items[4900].Time)
	got, _, err := talk(chattest.Trusting(), m, 250, 100, func(s *chat.Start) { s.Since = since })
	require.NoError(t, err)
	require.Equal(t, m.IDs()[4900:], got)
	require.Equal(t, 1, m.Requests)
}

// Times that are missing, of the future or of long ago, for single messages, and entries
// that can't be messages.
func TestTalk_OddItems(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := chattest.DrawTalk(t)
		m.KeepFrom, m.KeepTo = true, true
		size := rapid.IntRange(4, 12).Draw(t, "page size")
		m.Arrive(rapid.IntRange(1, 200).Draw(t, "messages"), gap(700))
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		odd := map[string]bool{}
		for range rapid.IntRange(0, 20).Draw(t, "odd ones") {
			it := &m.Items[rnd.IntN(len(m.Items))]
			odd[it.ID] = true
			switch rnd.IntN(4) {
			case 0:
				it.Time = 0
			case 1:
				it.Time += 365 * 24 * 3600_000
			case 2:
				it.Time -= 365 * 24 * 3600_000
			case 3:
				it.ID = ""
			}
		}
		var j journal
		for range 3 {
			_, _, err := talk(&evidence.Server{}, m, size, 1000, func(s *chat.Start) { j.follow(s, 0, -1) })
			require.NoError(t, err)
		}
		chattest.RequireOnce(t, j.got)
		require.ElementsMatch(t, withoutNulls(m.IDs()), append([]string{}, j.got...))
		requireTimes(t, m, j.got, odd)
	})
}

// A server that ignores the number of the page is found out.
func TestTalk_PageIsIgnored(t *testing.T) {
	m := chattest.NewTalk()
	m.Arrive(100, gap(700))
	src := firstPageOnly{m}
	_, _, err := talk(chattest.Trusting(), src, 10, 100, nil)
	require.ErrorIs(t, err, chat.ErrNoProgress)
	require.ErrorContains(t, err, "api_url")
}

type firstPageOnly struct{ *chattest.Talk }

func (s firstPageOnly) Messages(ctx context.Context, id string, q chat.TalkQuery) (chat.TalkPage, error) {
	q.Page = 1
	return s.Talk.Messages(ctx, id, q)
}

// A filter that means another time than the messages show hides the newest of those that
// a part asks for.
func TestTalk_CutBehindAFilterOfAnotherClock(t *testing.T) {
	for _, order := range []string{"newest", "oldest", "none"} {
		for i := range 4 {
			off, messages := []int64{-3 * 3600, 3 * 3600}[i%2], []int{70, 1000}[i/2] // 70: what remains is one part
			m := chattest.NewTalk()
			m.Order, m.FromOff, m.ToOff = order, off, off
			m.Arrive(messages, gap(60_000))
			got, _, err := talk(chattest.Trusting(), m, 10, 5, nil)
			if err != nil {
				require.ErrorIs(t, err, chat.ErrTooManyKept)
				continue
			}
			require.True(t, slices.Equal(m.IDs(), got), "%s first, off by %d: %d came", order, off, len(got))
		}
	}
}

// A server that gives a tenth of a page at most, and says nothing of it, is found out by the
// second talk.
func TestTalk_LimitOfATenth(t *testing.T) {
	server := &evidence.Server{}
	for i := range 3 {
		m := chattest.NewTalk()
		m.Next, m.Cap = "missing", 20
		m.Arrive(45, gap(60_000))
		short, believed := 0, 0
		got, _, err := talk(server, m, 250, 10, func(s *chat.Start) {
			s.Chat = strconv.Itoa(i)
			s.OnShortPages = func() { short++ }
			s.OnBelieved = func() { believed++ }
		})
		require.NoError(t, err)
		if i == 0 {
			require.Equal(t, 1, believed, "it is read again when that turns out to be wrong")
			continue
		}
		require.Equal(t, m.IDs(), got)
		require.Equal(t, i == 1, short == 1)
	}
}
