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

func TestSynthetic_Items(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	require.NoError(t, s.Synthetic("a", 1_000_000, noon, 1500*time.Millisecond))
	size := 0
	for i, item := range items(t, page(s, "a", 0, 50)) {
		index := 999_999 - i
		size += len(item)
		var got Item
		require.NoError(t, json.Unmarshal(item, &got))
		at := noon.Add(time.Duration(index) * 1500 * time.Millisecond)
		assert.Equal(t, at.UnixMilli(), got.MsecTimestamp)
		assert.Equal(t, at.Unix(), got.Timestamp)
		assert.Equal(t, SyntheticID("a", index), got.Message.ID)
		assert.Equal(t, index%3 == 0, got.Receiver == nil)
	}
	assert.InDelta(t, 840, size/50, 40, "bytes an item")
	assert.NotEqual(t, SyntheticID("a", 1), SyntheticID("b", 1))
	assert.True(t, s.Delete("a", SyntheticID("a", 999_998)))
	assert.False(t, s.Delete("a", SyntheticID("a", 999_998)))
	assert.False(t, s.Delete("a", SyntheticID("b", 5)))
	assert.Equal(t, 999_999, s.Len("a"))
	assert.Error(t, s.Synthetic("a", -1, noon, 0))
}

// A chat, computed or stored, behaves like a plain list.
func TestChat_LikeAList(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s, err := New(Config{Now: func() time.Time { return noon }})
		require.NoError(t, err)
		n := rapid.IntRange(0, 12).Draw(t, "computed")
		require.NoError(t, s.Synthetic("a", n, noon, time.Second))
		model := texted(s.Messages("a"))
		require.Len(t, model, n)
		id := 0
		next := func() json.RawMessage {
			id++
			return Text(fmt.Sprintf("m%d", id), noon, "x")
		}
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "op") {
			case 0:
				item := next()
				s.Append("a", item)
				model = append(model, string(item))
			case 1:
				offset := rapid.IntRange(0, len(model)).Draw(t, "offset")
				item := next()
				s.Insert("a", offset, item)
				model = slices.Insert(model, len(model)-offset, string(item))
			case 2:
				offset := rapid.IntRange(-1, len(model)).Draw(t, "offset")
				inside := offset >= 0 && offset < len(model)
				require.Equal(t, inside, s.DeleteAt("a", offset))
				if inside {
					model = slices.Delete(model, len(model)-1-offset, len(model)-offset)
				}
			case 3:
				if len(model) > 0 {
					i := rapid.IntRange(0, len(model)-1).Draw(t, "index")
					require.True(t, s.Delete("a", MessageID(json.RawMessage(model[i]))))
					model = slices.Delete(model, i, i+1)
				}
			}
			require.Equal(t, len(model), s.Len("a"))
			require.Equal(t, model, texted(s.Messages("a")))
		}
	})
}

func TestChat_KeepsItsOwnCopy(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	item := []byte(`"a"`)
	s.Append("a", item, nil)
	item[1] = 'X'
	assert.Equal(t, []string{`"a"`, "null"}, texted(s.Messages("a")))
}

func TestDelete_FindsEscapedIDs(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	s.Append("a", json.RawMessage(`{"message":{"id":"\u0061b"}}`), json.RawMessage(`{"text":"ab"}`))
	assert.True(t, s.Delete("a", "ab"))
	assert.Equal(t, []string{`{"text":"ab"}`}, texted(s.Messages("a")))
	assert.False(t, s.Delete("a", ""))
	assert.False(t, s.Delete("unknown", "ab"))
}

func TestChats_InOrder(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	s.Append("b")
	s.Append("a")
	s.Insert("c", 7, json.RawMessage("1"))
	s.Append("b")
	assert.Equal(t, []string{"b", "a", "c"}, s.Chats())
}
