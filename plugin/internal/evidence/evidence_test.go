// SPDX-License-Identifier: Apache-2.0

package evidence_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/evidence"
)

// A short page is believed once many were the chat's end, and now and then looked
// behind all the same.
func TestServer_BelievesAfterManyEnds(t *testing.T) {
	var e evidence.Server
	e.Held(4)
	for range 32 {
		require.False(t, e.Believed(3))
		e.Ended(3)
	}
	for range 3 {
		for range 63 {
			require.True(t, e.Believed(3))
		}
		require.False(t, e.Believed(3), "one in 64 is looked behind")
	}
}

// As many as any page held may be the server's limit.
func TestServer_BelievesTheLongestLast(t *testing.T) {
	var e evidence.Server
	e.Held(3)
	for range 32 {
		e.Ended(2)
	}
	for range 32 {
		require.True(t, e.Believed(2))
		require.False(t, e.Believed(3))
		e.Ended(3)
	}
	require.True(t, e.Believed(3))
	e.Held(4)
	require.True(t, e.Believed(3), "it is not the limit")
	require.False(t, e.Believed(4))
}

// A single entry may have been imported there between two requests.
func TestServer_TwoEntriesRefute(t *testing.T) {
	var e evidence.Server
	for range 32 {
		e.Ended(0)
	}
	require.False(t, e.Continued(1))
	require.False(t, e.Misleads())
	require.True(t, e.Continued(1))
	assert.True(t, e.Misleads())
	assert.False(t, e.Continued(50), "that was said")
	assert.False(t, e.Believed(0))
}

func TestServer_OldestFirst(t *testing.T) {
	var e evidence.Server
	for range 20 {
		require.False(t, e.Ordered([]string{"1", "2", "3", "4", "5", "6", "7"}, 0), "a step counts once")
	}
	require.True(t, e.Ordered([]string{"8"}, 0))
	require.False(t, e.Ordered(nil, 2), "that page is as it should be")
	require.False(t, e.Ordered([]string{"9"}, 0), "9 up, but 2 down")
	for i := range 6 {
		require.False(t, e.Ordered([]string{fmt.Sprint("more", i)}, 0))
	}
	require.True(t, e.Ordered([]string{"the last"}, 0))
}

// A server may give no more than a few entries at a time. So where pages of two chats are
// as long as any, two have to be the end.
func TestServer_LimitOfFew(t *testing.T) {
	var e evidence.Server
	require.True(t, e.BelievedFew("a", 3))
	require.True(t, e.BelievedFew("a", 3), "it is the same page")
	for _, length := range []int{3, 20} {
		require.True(t, e.BelievedFew("a", length))
		require.True(t, e.BelievedFew("b", length-1))
		for range 2 {
			require.False(t, e.BelievedFew("b", length))
			e.Ended(length)
		}
		require.True(t, e.BelievedFew("b", length))
	}
}
