// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRestamp(t *testing.T) {
	t.Parallel()
	const odd = `{ "message" : {"id":"a","timestamp":7} , "timestamp" : 1772539200 ,"x":1.0, "msec_timestamp":1772539200123 }`
	for stamp, want := range map[Stamp][2]string{
		StampShifted:          {"1772542800", "1772542800123"},
		Stamp2106:             {"4294967295", "4294967295000"},
		Stamp1970:             {"0", "0"},
		StampMsecSeconds:      {"1772539200", "1772539200"},
		StampMsecMicroseconds: {"1772539200", "1772539200123000"},
		StampMsecNegative:     {"1772539200", "-1772539200123"},
		StampMsecContradicts:  {"1772539200", "1772542800123"},
	} {
		assert.Equal(t, `{ "message" : {"id":"a","timestamp":7} , "timestamp" : `+want[0]+` ,"x":1.0, "msec_timestamp":`+want[1]+` }`,
			string(Restamp(json.RawMessage(odd), stamp, 0)), stamp)
	}
	missing := Restamp(json.RawMessage(odd), StampMsecMissing, 0)
	assert.JSONEq(t, `{"message":{"id":"a","timestamp":7},"timestamp":1772539200,"x":1.0}`, string(missing))
	back := Restamp(Restamp(json.RawMessage(odd), StampShifted, 5*time.Second), StampShifted, -5*time.Second)
	assert.Equal(t, odd, string(back))
	for _, none := range []string{"null", "7", `"x"`, `{}`, `{"timestamp":"7"}`, `{"timestamp":1.5}`, `{"a":`, ``} {
		assert.Equal(t, none, string(Restamp(json.RawMessage(none), Stamp2106, 0)))
	}
}

func TestRestamp_SeveralClocks(t *testing.T) {
	t.Parallel()
	seen := map[int64]int{}
	for range 200 {
		raw := Text(newID(), noon, "x")
		stamped := Restamp(raw, StampClocks, 0)
		assert.Equal(t, stamped, Restamp(raw, StampClocks, 0), "a message has one clock")
		var item Item
		require.NoError(t, json.Unmarshal(stamped, &item))
		assert.Equal(t, item.Timestamp*1000, item.MsecTimestamp)
		seen[item.Timestamp-noon.Unix()]++
	}
	for _, gap := range []int64{-6, -3, 0, 3, 6} {
		assert.Positive(t, seen[gap], gap)
	}
	assert.Len(t, seen, 5)
}

func TestFault_StampOnSelectedItems(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	require.NoError(t, s.Synthetic("a", 10, noon, time.Second))
	require.NoError(t, s.SetFaults(Fault{Kind: FaultStamp, Stamp: Stamp2106, Every: 5}))
	for i, raw := range items(t, page(s, "a", 0, 50)) {
		at, _ := itemTime(raw)
		assert.Equal(t, i == 0 || i == 5, at == 4294967295000, "of ten the ones at 4 and 9, newest first")
	}
	s.ClearFaults()
	before := texted(s.Messages("a"))
	assert.Contains(t, before[4], "1772539204000", "what is stored stays")
}
