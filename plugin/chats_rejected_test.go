// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

var errNo = errors.New("no")

// choosy is an output that rejects some chats, and reports that chat by chat.
type choosy struct {
	*collector
	bad func(chat string) bool
}

func (c choosy) WriteBatch(ctx context.Context, batch service.MessageBatch) error {
	var good service.MessageBatch
	e := service.NewBatchError(batch, errNo)
	for i, m := range batch {
		chat, _ := m.MetaGet("kommo_chat_id")
		if c.bad(chat) {
			e.Failed(i, errNo)
		} else {
			good = append(good, m)
		}
	}
	if len(good) > 0 {
		if err := c.collector.WriteBatch(ctx, good); err != nil {
			return err
		}
	}
	if len(good) < len(batch) {
		return e
	}
	return nil
}

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
				k := newAccount(t, sandbox.Config{})
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
				c := newCache()
				conf := fields{"checkpoint_cache": "progress", "page_size": tc.pageSize, "source": source}
				s := k.rejects(t, conf, options{cache: c}, func(chat string) bool { return bad[chat] })
				s.until("the healthy ones are listed", func() bool { return len(s.named()) >= tc.talks-rejected })
				healthy := s.namedSorted()
				assert.Len(t, slices.Compact(slices.Clone(healthy)), tc.talks-rejected)
				assert.False(t, s.hasEnded(), "some are still to be delivered")
				s.crash()
				s = k.lists(t, conf, options{cache: c})
				s.ended()
				again := map[string]bool{}
				for _, chat := range s.named() {
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
	k := newAccount(t, sandbox.Config{})
	k.talks(40)
	times := map[string]int{}
	s := k.rejects(t, nil, options{maxInFlight: 1}, func(chat string) bool {
		for i := 3; i < 40; i += 4 {
			if chat == talkChat(i) {
				times[chat]++
				return times[chat] <= 2
			}
		}
		return false
	})
	s.ended()
	assert.Equal(t, talkChats(upTo(40)...), s.namedSorted())
}

// Redis is restarted without its data while a tail runs.
func TestChats_CheckpointThatVanishes(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"talks", "contact_chats"} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			k := newAccount(t, sandbox.Config{})
			for i := range 300 {
				if source == "talks" {
					k.SetTalk(talk(i))
				} else {
					k.Append(talkChat(i))
				}
			}
			c := newCache()
			conf := fields{"checkpoint_cache": "progress", "source": source}
			s := k.lists(t, fields{"poll_interval": "1ms"}.with(conf), options{cache: c})
			s.until("all are listed and saved", func() bool { return len(s.named()) == 300 && len(c.keys()) >= 1 })
			before := k.requests()
			s.until("some polls", func() bool { return k.requests() > before+100 })
			keys := len(c.keys())
			assert.Empty(t, s.logs.complaints())
			// What is forgotten just before it is written anyway shows to nobody.
			s.until("it is told", func() bool {
				c.forget()
				return s.logs.has(4, "is no longer in the cache as it was written")
			})
			s.until("all of it is written again", func() bool { return len(c.keys()) == keys })
			before = k.requests()
			s.until("some polls", func() bool { return k.requests() > before+100 })
			told := len(s.logs.complaints())
			before = k.requests()
			s.until("some polls more", func() bool { return k.requests() > before+100 })
			assert.Len(t, s.logs.complaints(), told, "once is enough")
			s.crash()
			assert.Len(t, s.named(), 300)
			s = k.lists(t, conf, options{cache: c})
			s.ended()
			assert.Empty(t, s.named())
		})
	}
}

func (f fields) with(more fields) fields {
	maps.Copy(f, more)
	return f
}

// forget loses everything, as a cache does that is restarted without its data.
func (c *cache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.values)
}
