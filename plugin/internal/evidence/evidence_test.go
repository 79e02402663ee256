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
		require.False(t, e.Believed("a", 3, 50))
		e.Ended("a", 3, 50)
	}
	for range 3 {
		for range 63 {
			require.True(t, e.Believed("a", 3, 50))
		}
		require.False(t, e.Believed("a", 3, 50), "one in 64 is looked behind")
	}
}

// As many as any page held may be the server's limit.
func TestServer_BelievesTheLongestLast(t *testing.T) {
	var e evidence.Server
	e.Held(3)
	for range 32 {
		e.Ended("a", 2, 50)
	}
	for i := range 32 {
		other := fmt.Sprint(i)
		require.True(t, e.Believed("a", 2, 50))
		require.False(t, e.Believed(other, 3, 50))
		e.Ended(other, 3, 50)
		require.True(t, e.Believed(other, 3, 50), "it has proved it")
	}
	require.True(t, e.Believed("a", 3, 50))
	e.Held(4)
	require.True(t, e.Believed("a", 3, 50), "it is not the limit")
	require.False(t, e.Believed("a", 4, 50))
}

// One that lacks hardly anything may hide it.
func TestServer_BelievesTheNearlyFullLate(t *testing.T) {
	var e evidence.Server
	e.Held(50)
	for range 32 {
		e.Ended("a", 2, 50)
	}
	for range 8 {
		require.False(t, e.Believed("a", 48, 50))
		e.Ended("a", 48, 50)
	}
	require.True(t, e.Believed("a", 48, 50))
}

// A single entry may have been imported there between two requests.
func TestServer_TwoEntriesRefute(t *testing.T) {
	var e evidence.Server
	for range 32 {
		e.Ended("a", 0, 50)
	}
	require.False(t, e.Continued(1))
	require.False(t, e.Misleads())
	require.True(t, e.Continued(1))
	assert.True(t, e.Misleads())
	assert.False(t, e.Continued(50), "that was said")
	assert.False(t, e.Believed("a", 0, 50))
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
			e.Ended("a", length, 50)
		}
		require.True(t, e.BelievedFew("b", length))
	}
}
