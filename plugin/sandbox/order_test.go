// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func ids(items []json.RawMessage) []string {
	out := make([]string, len(items))
	for i, item := range items {
		out[i] = MessageID(item)
	}
	return out
}

func TestOrder_ALateMessage(t *testing.T) {
	t.Parallel()
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	for order, want := range map[Order][]string{
		"":           {"told", "late", "tie", "m3", "m2", "m1"},
		OrderArrival: {"told", "late", "tie", "m3", "m2", "m1"},
		OrderTime:    {"m3", "tie", "m2", "late", "told", "m1"},
	} {
		s := newServer(t, Config{Order: order})
		for i := range 3 {
			id := fmt.Sprintf("m%d", i+1)
			s.Append("a", Text(id, at(10*i), id))
		}
		s.Append("a", Text("tie", at(10), "as old as m2"), Text("late", at(5), "between m1 and m2"))
		// The item itself says 2106; the server knows better.
		s.AppendAt("a", at(4), Restamp(Text("told", at(4), "x"), Stamp2106, 0))
		assert.Equal(t, want, ids(items(t, page(s, "a", 0, 50))), order)
	}
}

func TestOrder_ByTheTimesThatItemsBear(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{Order: OrderTime})
	s.Append("a", Text("b", noon, "x"), Text("c", noon.Add(time.Minute), "x"))
	s.Append("a", Restamp(Text("a", noon.Add(2*time.Minute), "x"), StampMsecSeconds, 0))
	s.Append("a", json.RawMessage(`{"message":{"id":"timeless"}}`))
	s.Append("a", Restamp(Text("d", noon.Add(time.Second), "x"), StampShifted, time.Hour))
	assert.Equal(t, []string{"a", "b", "c", "timeless", "d"}, ids(s.Messages("a")))
}

// Computed messages are sorted among as stored ones are.
func TestOrder_LikeAStableSort(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, err := New(Config{Now: func() time.Time { return noon }, Order: OrderTime})
		require.NoError(t, err)
		type message struct {
			id string
			at int
		}
		var model []message
		n := rapid.IntRange(0, 8).Draw(t, "computed")
		require.NoError(t, s.Synthetic("a", n, noon, time.Second))
		for i := range n {
			model = append(model, message{SyntheticID("a", i), i})
		}
		for i, at := range rapid.SliceOfN(rapid.IntRange(-3, 12), 0, 12).Draw(t, "times") {
			m := message{fmt.Sprint(i), at}
			s.AppendAt("a", noon.Add(time.Duration(at)*time.Second), Text(m.id, noon, "x"))
			model = append(model, m)
			if gone := rapid.IntRange(0, 3*len(model)).Draw(t, "deleted"); gone < len(model) {
				require.True(t, s.Delete("a", model[gone].id))
				model = slices.Delete(model, gone, gone+1)
			}
		}
		slices.SortStableFunc(model, func(a, b message) int { return a.at - b.at })
		want := make([]string, len(model))
		for i, m := range model {
			want[i] = m.id
		}
		require.Equal(t, want, ids(s.Messages("a")))
	})
}

func TestChurn_ClocksThatErr(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{Order: OrderTime})
	s.Append("a")
	c := newChurner(s, 1, 1)
	c.clocks = []time.Duration{0, 3 * time.Second}
	seen := map[int64]int{}
	for range 100 {
		c.grow()
	}
	last := int64(0)
	for _, raw := range s.Messages("a") {
		var item Item
		require.NoError(t, json.Unmarshal(raw, &item))
		seen[item.Timestamp-noon.Unix()]++
		at, _ := itemTime(raw)
		assert.GreaterOrEqual(t, at, last, "sorted by the time it bears")
		last = at
	}
	assert.Len(t, seen, 2)
	assert.Positive(t, seen[0])
	assert.Positive(t, seen[3])
}
