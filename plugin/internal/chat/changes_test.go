// SPDX-License-Identifier: Apache-2.0

package chat_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
	"github.com/kommo-connect/kommo-connect/plugin/internal/chat/chattest"
)

// ledger is a journal of passes that look for changes, with a consumer behind it.
type ledger struct {
	*chattest.Consumer
	cp    chat.Checkpoint
	known bool
	// unacked was delivered, perhaps, when a pass was cut off: if it is deleted before the
	// next pass reads it, nobody remembers that it ever was.
	unacked map[string]bool
}

func newLedger(c *chattest.Consumer) *ledger {
	return &ledger{Consumer: c, unacked: map[string]bool{}}
}

// has returns what the consumer has, without what nobody remembers.
func (l *ledger) has() map[string]chat.Hash {
	return chattest.Without(l.Has, func(id string) bool { return l.unacked[id] && l.Deleted(id) })
}

// follow has a pass go on from the ledger. It is cut off after so many items, below 0
// never; the last unacked of them are delivered, and not in the checkpoint.
func (l *ledger) follow(s *chat.Start, lookback time.Duration, left, unacked int) {
	s.From, s.Known, s.Lookback, s.Changes = l.cp, l.known, lookback, true
	cut := left >= 0
	s.Emit = func(_ context.Context, items []chat.Item, now int64) error {
		acked := items
		if cut {
			items = items[:min(left, len(items))]
			left -= len(items)
			acked = items
			if left <= 0 {
				acked = items[:max(0, len(items)-unacked)]
			}
		}
		l.Take(items)
		l.cp.Advance(chat.SeenOf(acked), lookback, now)
		l.known = l.known || len(acked) > 0
		if cut && left <= 0 {
			for i := range items[len(acked):] {
				if it := &items[len(acked)+i]; it.Op == chat.Create {
					l.unacked[it.ID] = true
				}
			}
			return errors.New("crash")
		}
		for i := range items {
			delete(l.unacked, items[i].ID)
		}
		return nil
	}
}

// end takes the end of a pass, and has the checkpoint written and read.
func (l *ledger) end(t require.TestingT, found chat.Result, err error) {
	if err == nil {
		if found.Set {
			l.cp, l.known = found.Checkpoint, true
		}
		l.cp.Note(found.Notes)
	}
	value, err := chat.EncodeCheckpoint(l.cp)
	require.NoError(t, err)
	if l.known {
		l.cp, err = chat.DecodeCheckpoint(value)
		require.NoError(t, err)
	}
}

// quiet is how many passes over a chat at rest tell all that happened: two to delete, and
// one more, since those may begin anew on the way.
const quiet = 4

// Whatever is sent, changed, deleted, and hidden for the time of a pass, between any two
// requests, over passes that are cut off anywhere: no message is deleted that is there,
// and in the end the consumer has what the API has.
func TestPass_Changes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := chattest.NewModel()
		size := rapid.IntRange(4, 12).Draw(t, "page size") // smaller ones hardly overlap where some are hidden
		pages := rapid.IntRange(1, 6).Draw(t, "buffered pages")
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		storm := chattest.NewChaos(t, m, 2*size, 20)
		m.Arrive("a", rapid.IntRange(1, 200).Draw(t, "messages"), storm.Gap)
		edits := &chattest.Edits{}
		edits.Version(m.Chats["a"])
		chance := rapid.IntRange(0, 30).Draw(t, "edits")
		moments := &chattest.Moments{Rnd: rnd, Hidden: map[string]bool{}, Chance: rapid.SampledFrom([]int{0, 0, 20}).Draw(t, "hides")}
		calm := false
		m.Before = func(string) {
			if !calm {
				storm.Strike("a")
				if n := len(m.Chats["a"]); n > 0 && rnd.IntN(100) < chance {
					m.Chats["a"] = edits.Edit(rnd, m.Chats["a"], 1+rnd.IntN(3))
				}
			}
			edits.Version(m.Chats["a"])
		}
		m.Bend = func(_ string, _, _ int, page []chat.Item) []chat.Item {
			if calm {
				return page
			}
			return moments.Bend(page)
		}
		ever := func(id string) bool { return !slices.Contains(m.IDs("a"), id) }
		l := newLedger(chattest.NewConsumer(t, ever))
		const lookback = 1000 * time.Hour // all of it
		server := chattest.Trusting()
		if moments.Chance > 0 {
			server.Continued(2)
		}
		passes := rapid.IntRange(1, 8).Draw(t, "passes")
		for i := range passes + quiet {
			calm = i >= passes
			left := -1
			if !calm {
				left = rapid.IntRange(-100, 200).Draw(t, "crash after")
			}
			var found chat.Result
			_, found, err := runAt(server, m, size, pages, func(s *chat.Start) {
				l.follow(s, lookback, left, rnd.IntN(20))
			})
			if calm {
				require.NoError(t, err)
			}
			l.end(t, found, err)
			moments.Ended(err == nil)
		}
		want := chattest.Hashes(m.Chats["a"])
		if moments.Chance > 0 {
			// What a page hid when it was read first is not promised.
			want = chattest.Without(want, func(id string) bool { return !l.Created[id] })
		}
		require.Equal(t, want, l.has())
	})
}

// One request where nothing has happened, and none more where something has changed.
func TestPass_RequestsOfChanges(t *testing.T) {
	m := chattest.NewModel()
	m.Fill("a", 40, 700)
	edits := &chattest.Edits{}
	edits.Version(m.Chats["a"])
	l := newLedger(chattest.NewConsumer(t, func(id string) bool { return !slices.Contains(m.IDs("a"), id) }))
	pass := func() int {
		m.Requests = 0
		_, found, err := run(m, 50, 100, func(s *chat.Start) { l.follow(s, time.Hour, -1, 0) })
		require.NoError(t, err)
		l.end(t, found, err)
		return m.Requests
	}
	require.Equal(t, 1, pass())
	before, err := chat.EncodeCheckpoint(l.cp)
	require.NoError(t, err)
	require.Equal(t, 1, pass())
	after, err := chat.EncodeCheckpoint(l.cp)
	require.NoError(t, err)
	require.Equal(t, string(before), string(after))
	m.Chats["a"] = edits.Edit(rand.New(rand.NewPCG(1, 1)), m.Chats["a"], 3)
	require.Equal(t, 1, pass())
	require.Equal(t, chattest.Hashes(m.Chats["a"]), l.Has)
	m.Remove("a", 20, 1)
	require.Equal(t, 1, pass())
	require.Zero(t, l.Deletes, "a page may have missed it")
	require.Equal(t, 1, pass())
	require.Equal(t, 1, l.Deletes)
	require.Equal(t, 1, pass())
	require.Equal(t, 1, l.Deletes, "once")
	m.Remove("a", 38, 1)
	require.Equal(t, 1, pass())
	require.Equal(t, 2, pass(), "it is made sure that the chat ends there")
	require.Equal(t, 2, l.Deletes)
	require.Equal(t, 1, pass())
	require.Equal(t, chattest.Hashes(m.Chats["a"]), l.Has)
}

// What came late has no place of its own. Its deletion is told where all of the chat may be held, and
// where more of it stands below than that, it is looked for once.
func TestPass_ALateMessageThatIsDeleted(t *testing.T) {
	for name, c := range map[string]struct{ pages, deletes int }{"all may be held": {100, 1}, "it may not": {2, 0}} {
		t.Run(name, func(t *testing.T) {
			m := chattest.NewModel()
			m.Fill("a", 300, 60_000)
			edits := &chattest.Edits{}
			edits.Version(m.Chats["a"])
			l := newLedger(chattest.NewConsumer(t, func(id string) bool { return !slices.Contains(m.IDs("a"), id) }))
			pass := func() int {
				m.Requests = 0
				_, found, err := run(m, 20, c.pages, func(s *chat.Start) { l.follow(s, 10*time.Minute, -1, 0) })
				require.NoError(t, err)
				l.end(t, found, err)
				return m.Requests
			}
			pass()
			late := m.Put("a", 5, m.Chats["a"][5].Time)
			edits.Version(m.Chats["a"])
			require.Equal(t, 1, pass())
			require.Contains(t, l.Has, late)
			require.Equal(t, 1, pass(), "it is there")
			m.Remove("a", 5, 1)
			require.Greater(t, pass(), 1)
			require.Zero(t, l.Deletes)
			pass()
			require.Equal(t, c.deletes, l.Deletes)
			require.Equal(t, 1, pass())
			require.Equal(t, c.deletes, l.Deletes)
		})
	}
}

// Whatever the clocks do, and in whichever order the API lists: no message is deleted that
// is there, and with a lookback over all of it the consumer has what the API has.
func TestPass_ChangesWithClocksThatErr(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := chattest.NewModel()
		size := rapid.IntRange(2, 12).Draw(t, "page size")
		pages := rapid.IntRange(1, 6).Draw(t, "buffered pages")
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		const all = 100 * 365 * 24 * time.Hour
		const wide = 24 * time.Hour // all that have their right time
		lookback := rapid.SampledFrom([]time.Duration{time.Minute, 10 * time.Minute, time.Hour, wide, all}).Draw(t, "lookback")
		if lookback == wide {
			pages = 200 // a time that errs hides what is more than may be held
		}
		e := &erring{
			m: m, rnd: rnd, keys: map[string]int64{}, late: map[string]bool{}, sent: map[string]int64{}, behind: lookback,
			byTime: rapid.Bool().Draw(t, "by time"), chance: rapid.IntRange(0, 40).Draw(t, "chance"),
		}
		e.arrive(rapid.IntRange(1, 200).Draw(t, "messages"))
		edits := &chattest.Edits{}
		m.Skew = []int64{0, -5000, 60_000, -3600_000}[rnd.IntN(4)]
		changes := 24
		m.Before = func(string) {
			defer func() { edits.Version(m.Chats["a"]) }()
			n := len(m.Chats["a"])
			switch n := n; {
			case changes == 0:
				return
			case rnd.IntN(100) < 20:
				e.arrive(1 + rnd.IntN(size))
				changes--
			case n > 0 && rnd.IntN(100) < 10:
				m.Remove("a", rnd.IntN(n), 1+rnd.IntN(3))
				changes--
			case n > 0 && rnd.IntN(100) < 20:
				edits.Version(m.Chats["a"])
				m.Chats["a"] = edits.Edit(rnd, m.Chats["a"], 3)
				changes--
			}
		}
		server := chattest.Trusting()
		server.Ordered(nil, 1<<30) // this is about times, not about the order
		l := newLedger(chattest.NewConsumer(t, func(id string) bool { return !slices.Contains(m.IDs("a"), id) }))
		passes := rapid.IntRange(1, 6).Draw(t, "passes")
		for i := range passes + quiet {
			left := -1
			if i < passes {
				left = rnd.IntN(400) - 200
			} else {
				changes = 0
			}
			_, found, err := runAt(server, m, size, pages, func(s *chat.Start) { l.follow(s, lookback, left, rnd.IntN(20)) })
			if i >= passes {
				require.NoError(t, err)
			}
			l.end(t, found, err)
		}
		if lookback >= wide {
			odd := func(id string) bool {
				sent := e.sent[id]
				return lookback == wide && (sent <= m.Now-wide.Milliseconds()/2 || sent > m.Now)
			}
			// One whose place in the checkpoint says nothing is called deleted only where the chat
			// was read to its end.
			kept := map[string]bool{}
			for _, s := range l.cp.Seen {
				kept[s.ID] = s.Unplaced && l.Deleted(s.ID)
			}
			require.Equal(t, chattest.Without(chattest.Hashes(m.Chats["a"]), odd),
				chattest.Without(l.has(), func(id string) bool { return odd(id) || kept[id] }))
		}
	})
}

// A message that is known by its bytes alone can't change, and nothing could name it in a
// deletion.
func TestPass_ChangesOfWhatHasNoID(t *testing.T) {
	m := chattest.NewModel()
	m.Fill("a", 9, 700)
	m.Chats["a"][4].ID = chat.MakeID([]byte("one"))
	(&chattest.Edits{}).Version(m.Chats["a"])
	l := newLedger(chattest.NewConsumer(t, func(string) bool { return true }))
	for i := range 5 {
		if i == 1 {
			m.Chats["a"][4] = chat.Item{ID: chat.MakeID([]byte("two")), Time: m.Chats["a"][4].Time, Hash: 99}
		}
		_, found, err := run(m, 50, 3, func(s *chat.Start) { l.follow(s, time.Hour, -1, 0) })
		require.NoError(t, err)
		l.end(t, found, err)
	}
	require.Len(t, l.Created, 10)
	require.Len(t, l.Has, 10)
	require.Zero(t, l.Updates+l.Deletes)
}

// What was left out when a chat is read from now on is nobody's, whatever becomes of it.
func TestPass_ChangesOfWhatWasLeftOut(t *testing.T) {
	m := chattest.NewModel()
	m.Fill("a", 9, 700)
	edits := &chattest.Edits{}
	edits.Version(m.Chats["a"])
	l := newLedger(chattest.NewConsumer(t, func(string) bool { return true }))
	for i := range 5 {
		if i == 1 {
			m.Chats["a"] = edits.Edit(rand.New(rand.NewPCG(1, 1)), m.Chats["a"], 5)
			m.Remove("a", 3, 2)
			m.Arrive("a", 1, func() int64 { return 900 })
			edits.Version(m.Chats["a"])
		}
		_, found, err := run(m, 50, 3, func(s *chat.Start) {
			l.follow(s, time.Hour, -1, 0)
			s.Latest = true
		})
		require.NoError(t, err)
		l.end(t, found, err)
	}
	require.Len(t, l.Has, 1)
	require.Zero(t, l.Updates+l.Deletes)
}

// Where all that was delivered last is gone, and something from long ago shows up below what is
// left, what stands above that did not come late.
func TestPass_DeletedAboveAMassDeletion(t *testing.T) {
	m := chattest.NewModel()
	m.Fill("a", 60, 1000)
	edits := &chattest.Edits{}
	l := newLedger(chattest.NewConsumer(t, func(id string) bool { return !slices.Contains(m.IDs("a"), id) }))
	id := ""
	for i := range 6 {
		switch i {
		case 1:
			m.Remove("a", 0, 20)
			m.Arrive("a", 3, func() int64 { return 1000 })
			m.Put("a", 30, m.Now-50_000)
		case 3:
			id = m.Chats["a"][2].ID
			m.Remove("a", 2, 1)
		}
		edits.Version(m.Chats["a"])
		_, found, err := run(m, 6, 9, func(s *chat.Start) { l.follow(s, 50*time.Second, -1, 0) })
		require.NoError(t, err)
		l.end(t, found, err)
	}
	require.NotContains(t, l.Has, id)
}

// A checkpoint from before knows no bytes: they are what they are when it is read first. One
// without changes is written as before.
func TestPass_ChangesFromACheckpointOfBefore(t *testing.T) {
	m := chattest.NewModel()
	m.Fill("a", 9, 700)
	edits := &chattest.Edits{}
	var j journal
	_, _, err := run(m, 50, 3, func(s *chat.Start) { j.follow(s, time.Hour, -1) })
	require.NoError(t, err)
	value, err := chat.EncodeCheckpoint(j.cp)
	require.NoError(t, err)
	require.NotContains(t, string(value), "hash")

	edits.Version(m.Chats["a"])
	l := newLedger(chattest.NewConsumer(t, func(id string) bool { return !slices.Contains(m.IDs("a"), id) }))
	l.cp, err = chat.DecodeCheckpoint(value)
	require.NoError(t, err)
	l.known = true
	for _, id := range m.IDs("a") {
		l.Created[id] = true
	}
	m.Remove("a", 4, 1)
	for i := range 4 {
		if i == 1 {
			m.Chats["a"] = edits.Edit(rand.New(rand.NewPCG(1, 1)), m.Chats["a"], 1)
		}
		_, found, err := run(m, 50, 3, func(s *chat.Start) { l.follow(s, time.Hour, -1, 0) })
		require.NoError(t, err)
		l.end(t, found, err)
	}
	require.Equal(t, 1, l.Updates)
	require.Equal(t, 1, l.Deletes)
}

// Whatever the order, the filter and the links, and whatever is sent, changed, deleted and
// hidden for the time of a pass: no message is deleted that is there, and in the end the
// consumer has what the API has.
func TestTalk_Changes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := chattest.DrawTalk(t)
		size := rapid.IntRange(4, 12).Draw(t, "page size")
		pages := rapid.SampledFrom([]int{3, 8, 1000}).Draw(t, "buffered pages")
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		lookback := 1000 * time.Hour
		late := rapid.SampledFrom([]int64{0, 5000}).Draw(t, "late")
		storm := chattest.NewTalkChaos(t, m, 2*size, 20, late)
		m.Arrive(rapid.IntRange(0, 100).Draw(t, "messages"), storm.Gap)
		edits := &chattest.Edits{}
		chance := rapid.IntRange(0, 30).Draw(t, "edits")
		from, to := m.FromOff, m.ToOff
		clock := rapid.SampledFrom([]int64{0, 0, -3 * 3600, 3 * 3600}).Draw(t, "the filter's clock is off by")
		moments := &chattest.Moments{Rnd: rnd, Hidden: map[string]bool{}, Chance: rapid.SampledFrom([]int{0, 0, 20}).Draw(t, "hides")}
		calm := false
		m.Before = func() {
			if !calm {
				storm.Strike()
				if len(m.Items) > 0 && rnd.IntN(100) < chance {
					m.Items = edits.Edit(rnd, m.Items, 1+rnd.IntN(3))
				}
			}
			m.Items = slices.Clone(m.Items)
			edits.Version(m.Items)
		}
		m.Bend = func(page []chat.Item) []chat.Item {
			if calm {
				return page
			}
			return moments.Bend(page)
		}
		server := chattest.Trusting()
		if moments.Chance > 0 {
			server.Continued(2)
		}
		l := newLedger(chattest.NewConsumer(t, func(id string) bool { return !slices.Contains(m.IDs(), id) }))
		passes := rapid.IntRange(1, 6).Draw(t, "passes")
		for i := range passes + quiet {
			calm = i >= passes
			left := -1
			if !calm {
				left = rapid.IntRange(-100, 200).Draw(t, "crash after")
			}
			var found chat.Result
			_, found, err := talk(server, m, size, pages, func(s *chat.Start) { l.follow(s, lookback, left, rnd.IntN(20)) })
			if errors.Is(err, chat.ErrTooManyKept) {
				return
			}
			if calm {
				require.NoError(t, err)
			}
			l.end(t, found, err)
			moments.Ended(err == nil)
			m.FromOff, m.ToOff = from+clock, to+clock
		}
		if clock > 0 {
			return // what it hides can't be known; but it is not deleted
		}
		want := chattest.Hashes(m.Items)
		if moments.Chance > 0 {
			want = chattest.Without(want, func(id string) bool { return !l.Created[id] })
		}
		require.Equal(t, want, l.has())
	})
}

func TestTalk_RequestsOfChanges(t *testing.T) {
	m := chattest.NewTalk()
	m.Arrive(100, gap(7000))
	edits := &chattest.Edits{}
	edits.Version(m.Items)
	l := newLedger(chattest.NewConsumer(t, func(id string) bool { return !slices.Contains(m.IDs(), id) }))
	lookback := 5 * time.Minute
	pass := func() int {
		m.Requests = 0
		_, found, err := talk(chattest.Trusting(), m, 250, 100, func(s *chat.Start) { l.follow(s, lookback, -1, 0) })
		require.NoError(t, err)
		l.end(t, found, err)
		return m.Requests
	}
	require.Equal(t, 1, pass())
	require.Equal(t, 1, pass())
	m.Items = edits.Edit(rand.New(rand.NewPCG(1, 1)), m.Items[:99:99], 0)
	m.Items[97].Hash = 777
	require.Equal(t, 1, pass())
	require.Equal(t, 1, l.Updates)
	require.Equal(t, 2, pass(), "it is made sure that the talk ends there")
	require.Equal(t, 1, l.Deletes)
	require.Equal(t, 1, pass())
	require.Equal(t, chattest.Hashes(m.Items), l.Has)
	// The oldest within the lookback: nothing in it shows that the filter lets it pass.
	oldest := 99 - 42
	m.Remove(oldest, 1)
	require.LessOrEqual(t, pass(), 2)
	require.LessOrEqual(t, pass(), 3)
	require.Equal(t, 2, l.Deletes)
	require.Equal(t, 1, pass())
}

// A talk that the API does not know any more is no proof that its messages were deleted.
func TestTalk_ChangesOfAnUnknownTalk(t *testing.T) {
	m := chattest.NewTalk()
	m.Arrive(10, gap(7000))
	(&chattest.Edits{}).Version(m.Items)
	l := newLedger(chattest.NewConsumer(t, func(string) bool { return true }))
	var src chat.TalkSource = m
	for i := range 5 {
		if i == 1 {
			src = unknownTalk{}
		}
		_, found, err := talk(chattest.Trusting(), src, 250, 100, func(s *chat.Start) { l.follow(s, time.Hour, -1, 0) })
		require.NoError(t, err)
		l.end(t, found, err)
	}
	require.Len(t, l.Has, 10)
}

type unknownTalk struct{}

func (unknownTalk) Messages(context.Context, string, chat.TalkQuery) (chat.TalkPage, error) {
	return chat.TalkPage{None: true, Now: 1_700_000_000_000}, nil
}

// A filter that means another time than the messages show hides some that are there.
func TestTalk_ChangesBehindAFilterOfAnotherClock(t *testing.T) {
	for _, order := range []string{"newest", "oldest", "none"} {
		m := chattest.NewTalk()
		m.Order = order
		m.Arrive(200, gap(10_000))
		(&chattest.Edits{}).Version(m.Items)
		l := newLedger(chattest.NewConsumer(t, func(id string) bool { return !slices.Contains(m.IDs(), id) }))
		for i := range 6 {
			switch i {
			case 1:
				m.FromOff, m.ToOff = 600, 600
			case 2:
				m.Remove(190, 1)
			}
			_, found, err := talk(chattest.Trusting(), m, 250, 100, func(s *chat.Start) { l.follow(s, 20*time.Minute, -1, 0) })
			require.NoError(t, err)
			l.end(t, found, err)
		}
		require.Equal(t, 1, l.Deletes, "%s first", order)
	}
}

// One with a time that can't have been meant is looked for in all of the talk.
func TestTalk_DeletedWithAnOddTime(t *testing.T) {
	m := chattest.NewTalk()
	m.Arrive(20, gap(7000))
	m.Items[5].Implausible, m.Items[7].Implausible = true, true
	edits := &chattest.Edits{}
	edits.Version(m.Items)
	l := newLedger(chattest.NewConsumer(t, func(id string) bool { return !slices.Contains(m.IDs(), id) }))
	pass := func() {
		_, found, err := talk(chattest.Trusting(), m, 250, 100, func(s *chat.Start) { l.follow(s, time.Hour, -1, 0) })
		require.NoError(t, err)
		l.end(t, found, err)
	}
	pass()
	pass()
	m.Items = slices.Delete(slices.Clone(m.Items), 5, 6)
	pass()
	require.Zero(t, l.Deletes)
	pass()
	require.Equal(t, 1, l.Deletes)
	require.Equal(t, chattest.Hashes(m.Items), l.Has)
}

// What shows no time may pass no filter. It is found once, and then a pass is one request again.
func TestTalk_ChangesOfWhatTheFilterHides(t *testing.T) {
	m := chattest.NewTalk()
	m.Arrive(40, gap(7000))
	edits := &chattest.Edits{}
	edits.Version(m.Items)
	l := newLedger(chattest.NewConsumer(t, func(id string) bool { return !slices.Contains(m.IDs(), id) }))
	pass := func() int {
		m.Requests = 0
		_, found, err := talk(chattest.Trusting(), m, 250, 100, func(s *chat.Start) { l.follow(s, time.Hour, -1, 0) })
		require.NoError(t, err)
		l.end(t, found, err)
		return m.Requests
	}
	m.Items[9].Time = 0
	pass()
	hidden := m.Items[9].ID
	m.Bend = func(page []chat.Item) []chat.Item {
		if m.Asked[len(m.Asked)-1].From > 0 {
			return slices.DeleteFunc(slices.Clone(page), func(it chat.Item) bool { return it.ID == hidden })
		}
		return page
	}
	for range 3 {
		pass()
	}
	require.Equal(t, 1, pass())
	require.Contains(t, l.Has, hidden)
	require.Zero(t, l.Deletes)
}
