// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func FuzzDecodeCheckpoint(f *testing.F) {
	whole, err := EncodeCheckpoint(Checkpoint{Time: 5123, From: 4000, Seen: []Seen{{ID: "a", Time: 4001}, {ID: "ü\x00\"", Time: 5123}}})
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
	b, err := EncodeCheckpoint(Checkpoint{Time: 5123, From: 4000, Seen: []Seen{{ID: "a", Time: 4001}, {ID: "b", Time: 5123}}})
	require.NoError(t, err)
	assert.Equal(t, `{"version":1,"time_ms":5123,"from_ms":4000,"seen":[{"id":"a","time_ms":4001},{"id":"b","time_ms":5123}]}`, string(b))
}

// Behind a clock that is slow by less than the lookback, a late message stays known as
// long as what was delivered before it.
func TestCheckpoint_SlowClock(t *testing.T) {
	const lookback = 5 * time.Second
	var c Checkpoint
	for i := range 10 {
		c.Advance([]Seen{{ID: fmt.Sprint("before ", i), Time: 62_000}}, lookback, 60_000)
	}
	c.Advance([]Seen{{ID: "late", Time: 50_000}, {ID: "on time", Time: 59_000}}, lookback, 60_000)
	for i := range 2 * anchors {
		c.Advance([]Seen{{ID: fmt.Sprint("after ", i), Time: 63_000}}, lookback, 60_000)
	}
	c.Advance([]Seen{{ID: "last", Time: 66_000}}, lookback, 70_000)
	require.True(t, c.firms(c.floor(lookback))["before 0"])
	require.Contains(t, c.firms(0), "late", "it would be new above what is firm")
}

// A checkpoint keeps what can still be met and nothing else.
func TestCheckpoint_StaysSmall(t *testing.T) {
	const clock = int64(1) << 40
	var c Checkpoint
	for i := range 1000 {
		c.Advance([]Seen{{ID: fmt.Sprint(i), Time: int64(i) * 500}}, 8*time.Second, clock)
		require.LessOrEqual(t, len(c.Seen), 18)
		require.Equal(t, fmt.Sprint(i), c.Seen[len(c.Seen)-1].ID)
	}
	// A late one is kept as long as what was delivered before it.
	c.Advance([]Seen{{ID: "late", Time: 5}}, 8*time.Second, clock)
	require.Equal(t, "late", c.Seen[len(c.Seen)-1].ID)
	for i := range anchors {
		c.Advance([]Seen{{ID: fmt.Sprint("next ", i), Time: int64(600_000 + 9_000*i)}}, 8*time.Second, clock)
	}
	for _, s := range c.Seen {
		require.NotEqual(t, "late", s.ID)
	}
	require.Len(t, c.Seen, anchors)
	require.EqualValues(t, 663_000, c.Time)
	require.EqualValues(t, 500_000, c.From)
	c.Advance(nil, 0, clock)
	require.EqualValues(t, 500_000, c.From)
}

// However many messages share a second, a checkpoint has a bound.
func TestCheckpoint_IsBounded(t *testing.T) {
	var c Checkpoint
	for i := range 60_000 {
		c.Advance([]Seen{{ID: fmt.Sprintf("%036d", i), Time: 1_700_000_000_000}}, 5*time.Minute, 1_800_000_000_000)
	}
	require.LessOrEqual(t, len(c.Seen), maxSeen)
	require.Equal(t, fmt.Sprintf("%036d", 59_999), c.Seen[len(c.Seen)-1].ID)
	require.EqualValues(t, 1_700_000_001_000, c.From, "what was forgotten is done with")
	b, err := EncodeCheckpoint(c)
	require.NoError(t, err)
	require.Less(t, len(b), 100_000)
}

// A message from the future moves a checkpoint no further than the moment of
// reading, and is remembered.
func TestCheckpoint_NeverLaterThanTheReading(t *testing.T) {
	const now = int64(1_700_000_000_000)
	var c Checkpoint
	c.Advance([]Seen{{ID: "a", Time: now - 1000}, {ID: "future", Time: now + 1e12}, {ID: "b", Time: now - 500}}, time.Minute, now)
	require.Equal(t, now-500, c.Time)
	require.Zero(t, c.From)
	for i := range 10_000 {
		at := now + int64(i)*10_000
		c.Advance([]Seen{{ID: fmt.Sprint(i), Time: at}}, time.Minute, at+20)
		require.Equal(t, at, c.Time)
		require.Contains(t, c.Seen, Seen{ID: "future", Time: now + 1e12})
		require.LessOrEqual(t, len(c.Seen), 3+anchors)
	}
}

// A neighbour that is deleted, or one that arrives, may make what shows no time look
// newer: up to what was delivered next.
func TestCheckpoint_KeepsWhatShowsNoTimeBelowWhatItKeeps(t *testing.T) {
	const now = 1_700_000_000_000
	var c Checkpoint
	c.Advance([]Seen{{ID: "old", Time: now - 9e9}, {ID: "a", Time: now - 9e9, Untimed: true}, {ID: "b", Time: now - 9e9, Untimed: true}}, time.Minute, now)
	for i := range 20 {
		c.Advance([]Seen{{ID: fmt.Sprint(i), Time: now - 1000}}, time.Minute, now)
	}
	require.Len(t, c.Seen, 22)
	require.Equal(t, "a", c.Seen[0].ID)
	require.True(t, c.Seen[0].Untimed)
}

// An API that orders the messages of a second as it likes lists any of them above the
// last few, so long as one of these is left.
func TestCheckpoint_KeepsTheSecondOfTheLastFew(t *testing.T) {
	const now = 1_700_000_000_000
	var c Checkpoint
	for i := range 20 {
		c.Advance([]Seen{{ID: fmt.Sprint(i), Time: now + 900 - 10*int64(i)}}, time.Minute, now+1000)
	}
	for i := range int64(5) {
		at := now + 70_000 + 30_000*i
		c.Advance([]Seen{{ID: fmt.Sprint("next ", i), Time: at}}, time.Minute, at)
		require.Len(t, c.Seen, 21+int(i))
	}
}

func TestCheckpoint_Begun(t *testing.T) {
	for begun, c := range map[bool][]Checkpoint{
		true:  {{Time: 1}, {From: 1}, {Seen: []Seen{{ID: "a"}}}},
		false: {{}, {Believed: true, ShortPages: true}},
	} {
		for i := range c {
			require.Equal(t, begun, c[i].Begun(), "%+v", c[i])
		}
	}
}
