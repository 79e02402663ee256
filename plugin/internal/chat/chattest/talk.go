// SPDX-License-Identifier: Apache-2.0

package chattest

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"

	"pgregory.net/rapid"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
)

// Talk is the talk API as chats-api.md has it ("Messages of every channel"), with all
// that is not known of it as a switch. The messages are those of one talk, oldest first,
// and change between any two requests.
type Talk struct {
	Items    []chat.Item
	Ever     []chat.Item // these, and what was removed
	Now      int64       // ms
	Requests int
	Asked    []chat.TalkQuery

	// Order of the answers: "newest", "oldest", or "none", which is by a hash of the id.
	Order string
	// KeepFrom and KeepTo say whether the filter is kept. It is off by FromOff and ToOff
	// seconds, and with Exclusive leaves out its ends.
	KeepFrom, KeepTo bool
	FromOff, ToOff   int64
	Exclusive        bool
	// Next is the link: "" as it should be, "missing" or "always".
	Next string
	// Cap is the most entries of a page; 0: what is asked for. With CapShifts the limit
	// that was asked for still tells where a page begins.
	Cap       int
	CapShifts bool
	// Hides leaves out entries after the limit was applied, but not all of a page, which
	// nothing would tell from the end.
	Hides func(chat.Item) bool
	// Bend, if set, changes an answer.
	Bend func(page []chat.Item) []chat.Item
	// Bare gives whole seconds only.
	Bare bool

	// Before is called before each request.
	Before func()
	// Fail may answer a request with an error.
	Fail func() error

	next int

	// What was listed last, of these messages.
	listed []chat.Item
	of     []chat.Item
	asked  chat.TalkQuery
}

// NewTalk returns a talk that keeps everything, newest first.
func NewTalk() *Talk {
	return &Talk{Now: 1_700_000_000_000, Order: "newest", KeepFrom: true, KeepTo: true}
}

// Messages implements chat.TalkSource.
func (m *Talk) Messages(ctx context.Context, _ string, q chat.TalkQuery) (chat.TalkPage, error) {
	if ctx.Err() != nil {
		return chat.TalkPage{}, ctx.Err()
	}
	m.Requests++
	m.Asked = append(m.Asked, q)
	if q.Page < 1 || q.Limit < 1 || q.From < 0 || q.To < 0 || q.To > 0 && q.To < q.From {
		return chat.TalkPage{}, fmt.Errorf("asked for %+v", q)
	}
	if m.Before != nil {
		m.Before()
	}
	if m.Fail != nil {
		if err := m.Fail(); err != nil {
			return chat.TalkPage{}, err
		}
	}
	all := m.list(q)
	limit := q.Limit
	if m.Cap > 0 {
		limit = min(limit, m.Cap)
	}
	begin := (q.Page - 1) * limit
	if m.CapShifts {
		begin = (q.Page - 1) * q.Limit
	}
	begin = min(begin, len(all))
	end := min(begin+limit, len(all))
	page := chat.TalkPage{Items: slices.Clone(all[begin:end]), Now: m.Now / 1000 * 1000}
	switch m.Next {
	case "":
		page.More = end < len(all)
	case "always":
		page.More = true
	}
	if m.Hides != nil {
		if shown := slices.DeleteFunc(slices.Clone(page.Items), m.Hides); len(shown) > 0 {
			page.Items = shown
		}
	}
	if m.Bend != nil {
		page.Items = m.Bend(page.Items)
	}
	if m.Bare {
		for i := range page.Items {
			page.Items[i].Time = page.Items[i].Time / 1000 * 1000
		}
	}
	return page, nil
}

// list returns the messages that a query asks for, in the order of the API.
func (m *Talk) list(q chat.TalkQuery) []chat.Item {
	q.Page, q.Limit = 0, 0
	if m.listed != nil && q == m.asked && len(m.of) == len(m.Items) && (len(m.of) == 0 || &m.of[0] == &m.Items[0]) {
		return m.listed
	}
	m.asked, m.of = q, m.Items
	out := []chat.Item{}
	defer func() { m.listed = out }()
	for _, it := range m.Items {
		s := it.Time / 1000
		from, to := q.From+m.FromOff, q.To+m.ToOff
		if m.Exclusive {
			from, to = from+1, to-1
		}
		if q.From > 0 && m.KeepFrom && s < from || q.To > 0 && m.KeepTo && s > to {
			continue
		}
		out = append(out, it)
	}
	switch m.Order {
	case "newest":
		slices.Reverse(out)
	case "none":
		slices.SortStableFunc(out, func(a, b chat.Item) int { return int(hash(a.ID)) - int(hash(b.ID)) })
	}
	return out
}

func hash(id string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	return h.Sum32()
}

// Arrive adds n messages, each later than the one before by one of the gaps, in ms.
func (m *Talk) Arrive(n int, gap func() int64) {
	for range n {
		m.Now += gap()
		m.Items = append(m.Items, chat.Item{ID: m.id(), Time: m.Now})
		m.Ever = append(m.Ever, m.Items[len(m.Items)-1])
	}
}

// Late adds a message that was sent so long ago, in ms, where it belongs by its time.
func (m *Talk) Late(ago int64) string {
	it := chat.Item{ID: m.id(), Time: m.Now - ago}
	m.Ever = append(m.Ever, it)
	at := slices.IndexFunc(m.Items, func(o chat.Item) bool { return o.Time > it.Time })
	if at < 0 {
		at = len(m.Items)
	}
	m.Items = slices.Insert(slices.Clone(m.Items), at, it)
	return it.ID
}

// Remove takes n messages away, as far as there are so many.
func (m *Talk) Remove(at, n int) {
	m.Items = slices.Delete(slices.Clone(m.Items), at, min(at+n, len(m.Items)))
}

// IDs returns the ids, oldest first.
func (m *Talk) IDs() []string { return IDsOf(m.Items) }

func (m *Talk) id() string {
	m.next++
	return fmt.Sprintf("m%06d", m.next)
}

// DrawTalk draws what the API does of all that is not known.
func DrawTalk(t *rapid.T) *Talk {
	m := NewTalk()
	m.Order = rapid.SampledFrom([]string{"newest", "oldest", "none"}).Draw(t, "order")
	m.KeepFrom, m.KeepTo = rapid.Bool().Draw(t, "keeps from"), rapid.Bool().Draw(t, "keeps to")
	if rapid.Bool().Draw(t, "keeps both") {
		m.KeepFrom, m.KeepTo = true, true
	}
	m.FromOff = rapid.Int64Range(-1, 1).Draw(t, "from is off by")
	m.ToOff = rapid.Int64Range(-1, 1).Draw(t, "to is off by")
	m.Exclusive = rapid.Bool().Draw(t, "exclusive")
	m.Next = rapid.SampledFrom([]string{"", "missing", "always"}).Draw(t, "next")
	m.Bare = rapid.Bool().Draw(t, "seconds only")
	return m
}

// TalkChaos changes a talk between any two requests: messages arrive, show up late, and
// are deleted in runs anywhere.
type TalkChaos struct {
	m    *Talk
	rnd  *rand.Rand
	Gap  func() int64
	Late map[string]bool // what did not arrive last

	most, chance, left int
	ago                int64
}

// NewTalkChaos returns one that makes changes of most messages at most. What is late was
// sent less than ago before, in ms.
func NewTalkChaos(t *rapid.T, m *Talk, most, chance int, ago int64) *TalkChaos {
	rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "chaos"), 0))
	return &TalkChaos{
		m: m, rnd: rnd, left: 24, Late: map[string]bool{}, ago: ago,
		Gap:    gaps(rnd, rapid.IntRange(0, 3).Draw(t, "gaps")),
		most:   rapid.IntRange(1, most).Draw(t, "most"),
		chance: rapid.IntRange(0, chance).Draw(t, "chance"),
	}
}

// Strike may change the talk.
func (c *TalkChaos) Strike() {
	if c.left <= 0 {
		return
	}
	if c.rnd.IntN(100) < c.chance {
		c.m.Arrive(1+c.rnd.IntN(c.most), c.Gap)
		c.left--
	}
	if n := len(c.m.Items); n > 0 && c.rnd.IntN(100) < c.chance {
		c.m.Remove(c.rnd.IntN(n), 1+c.rnd.IntN(c.most))
		c.left--
	}
	if c.ago > 0 && c.rnd.IntN(100) < c.chance {
		c.Late[c.m.Late(c.rnd.Int64N(c.ago))] = true
		c.left--
	}
}
