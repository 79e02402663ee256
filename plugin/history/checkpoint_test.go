// SPDX-License-Identifier: Apache-2.0

package history

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func FuzzDecodeCheckpoint(f *testing.F) {
	whole, err := EncodeCheckpoint(Checkpoint{Time: 5123, From: 4000, Seen: []Seen{{"a", 4001}, {"ü\x00\"", 5123}}})
	require.NoError(f, err)
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte("{}"))
	f.Add([]byte(`{"version":1,"seen":null}`))
	f.Add([]byte(`{"version":1} {}`))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeCheckpoint(b)
		if err != nil {
			require.Equal(t, Checkpoint{}, c)
			return
		}
		again, err := EncodeCheckpoint(c)
		require.NoError(t, err)
		back, err := DecodeCheckpoint(again)
		require.NoError(t, err)
		require.Equal(t, c, back)
		require.GreaterOrEqual(t, c.floor(time.Hour), int64(0))
	})
}

func TestCheckpoint_RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Checkpoint{Time: rapid.Int64Min(0).Draw(t, "time"), From: rapid.Int64Min(0).Draw(t, "from")}
		for range rapid.IntRange(0, 5).Draw(t, "seen") {
			c.Seen = append(c.Seen, Seen{ID: rapid.StringN(1, 20, -1).Draw(t, "id"), Time: rapid.Int64().Draw(t, "time")})
		}
		b, err := EncodeCheckpoint(c)
		require.NoError(t, err)
		back, err := DecodeCheckpoint(b)
		require.NoError(t, err)
		require.Equal(t, c, back)
		// Whatever is cut off its end is noticed.
		for n := range b {
			_, err := DecodeCheckpoint(b[:n])
			require.Error(t, err)
		}
	})
}

// The format is on other people's disks.
func TestCheckpoint_Format(t *testing.T) {
	b, err := EncodeCheckpoint(Checkpoint{Time: 5123, From: 4000, Seen: []Seen{{"a", 4001}, {"b", 5123}}})
	require.NoError(t, err)
	assert.Equal(t, `{"version":1,"time_ms":5123,"from_ms":4000,"seen":[{"id":"a","time_ms":4001},{"id":"b","time_ms":5123}]}`, string(b))
}

// A checkpoint keeps what can still be met and nothing else.
func TestCheckpoint_StaysSmall(t *testing.T) {
	var c Checkpoint
	for i := range 1000 {
		c.advance([]Seen{{fmt.Sprint(i), int64(i) * 500}}, 3*time.Second)
		require.LessOrEqual(t, len(c.Seen), 8)
		require.Equal(t, fmt.Sprint(i), c.Seen[len(c.Seen)-1].ID)
	}
	// A late one is kept as the last, and dropped when it is no more.
	c.advance([]Seen{{"late", 5}}, 3*time.Second)
	require.Equal(t, "late", c.Seen[len(c.Seen)-1].ID)
	c.advance([]Seen{{"next", 500_000}}, 3*time.Second)
	for _, s := range c.Seen {
		require.NotEqual(t, "late", s.ID)
	}
	require.EqualValues(t, 500_000, c.Time)
	require.EqualValues(t, 497_000, c.From)
	c.advance(nil, 0)
	require.EqualValues(t, 497_000, c.From)
}
