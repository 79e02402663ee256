// SPDX-License-Identifier: Apache-2.0

package chatlist_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// One chat of each of 40 pages is rejected for ever, or 5,000 chats in a row are:
// all the others come out, once, and after a restart those that were rejected.
func TestChats_RejectedForEver(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		talks, pageSize int
		bad             func(i int) bool
	}{
		"one of each of 40 pages": {1200, 30, func(i int) bool { return i%30 == 7 }},
		"5,000":                   {5600, 250, func(i int) bool { return i >= 300 && i < 5300 }},
	} {
		for _, source := range []string{"talks", "contact_chats"} {
			t.Run(fmt.Sprint(name, ", ", source), func(t *testing.T) {
				t.Parallel()
				k := pipetest.NewAccount(t, sandbox.Config{})
				bad := map[string]bool{}
				for i := range tc.talks {
					if source == "talks" {
						k.SetTalk(talk(i))
					} else {
						k.Append(talkChat(i))
					}
					bad[talkChat(i)] = tc.bad(i)
				}
				rejected := 0
				for _, is := range bad {
					if is {
						rejected++
					}
				}
				c := pipetest.NewCache()
				conf := pipetest.Fields{"checkpoint_cache": "progress", "page_size": tc.pageSize, "source": source}
				s := k.Lists(t, conf, pipetest.Options{Cache: c, Bad: func(chat string) bool { return bad[chat] }})
				s.Until("the healthy ones are listed", func() bool { return len(s.Chats()) >= tc.talks-rejected })
				healthy := s.ChatsSorted()
				assert.Len(t, slices.Compact(slices.Clone(healthy)), tc.talks-rejected)
				assert.False(t, s.HasEnded(), "some are still to be delivered")
				s.Crash()
				s = k.Lists(t, conf, pipetest.Options{Cache: c})
				s.Ended()
				again := map[string]bool{}
				for _, chat := range s.Chats() {
					again[chat] = true
				}
				for chat, is := range bad {
					if is {
						require.True(t, again[chat], chat)
					}
				}
				if source == "contact_chats" {
					assert.LessOrEqual(t, len(again), rejected+tc.pageSize, "what was delivered counts by itself")
				}
			})
		}
	}
}

// A quarter of 40 chats on a page is rejected twice: 10 of them were never read,
// as benthos's own wrapper sent the wrong ones again.
func TestChats_RejectedInPartTwice(t *testing.T) {
	t.Parallel()
	k := pipetest.NewAccount(t, sandbox.Config{})
	addTalks(k, 40)
	times := map[string]int{}
	s := k.Lists(t, nil, pipetest.Options{MaxInFlight: 1, Bad: func(chat string) bool {
		for i := 3; i < 40; i += 4 {
			if chat == talkChat(i) {
				times[chat]++
				return times[chat] <= 2
			}
		}
		return false
	}})
	s.Ended()
	assert.Equal(t, talkChats(upTo(40)...), s.ChatsSorted())
}

// Redis is restarted without its data while a tail runs.
func TestChats_CheckpointThatVanishes(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"talks", "contact_chats"} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			k := pipetest.NewAccount(t, sandbox.Config{})
			for i := range 300 {
				if source == "talks" {
					k.SetTalk(talk(i))
				} else {
					k.Append(talkChat(i))
				}
			}
			c := pipetest.NewCache()
			conf := pipetest.Fields{"checkpoint_cache": "progress", "source": source}
			s := k.Lists(t, pipetest.Fields{"poll_interval": "1ms"}.With(conf), pipetest.Options{Cache: c})
			s.Until("all are listed and saved", func() bool { return len(s.Chats()) == 300 && len(c.Keys()) >= 1 })
			before := k.Requests()
			s.Until("some polls", func() bool { return k.Requests() > before+100 })
			keys := len(c.Keys())
			assert.Empty(t, s.Logs.Complaints())
			// What is forgotten just before it is written anyway shows to nobody.
			s.Until("it is told", func() bool {
				c.Forget()
				return s.Logs.Has(4, "is no longer in the cache as it was written")
			})
			s.Until("all of it is written again", func() bool { return len(c.Keys()) == keys })
			before = k.Requests()
			s.Until("some polls", func() bool { return k.Requests() > before+100 })
			told := len(s.Logs.Complaints())
			before = k.Requests()
			s.Until("some polls more", func() bool { return k.Requests() > before+100 })
			assert.Len(t, s.Logs.Complaints(), told, "once is enough")
			s.Crash()
			assert.Len(t, s.Chats(), 300)
			s = k.Lists(t, conf, pipetest.Options{Cache: c})
			s.Ended()
			assert.Empty(t, s.Chats())
		})
	}
}
