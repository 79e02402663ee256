// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// tailed is a pipeline of kommo_chat_history with kommo_chats as its chats_input,
// and a clock of the server that only the test moves.
type tailed struct {
	*stream
	clock *atomic.Int64 // Unix ms
}

func tail(t *testing.T, chats int, conf fields, o options) *tailed {
	t.Helper()
	clock := &atomic.Int64{}
	clock.Store(noon.UnixMilli())
	k := newAccount(t, sandbox.Config{Now: func() time.Time { return time.UnixMilli(clock.Load()) }})
	order := rand.New(rand.NewPCG(1, 2)).Perm(chats)
	for i := range chats {
		require.NoError(t, k.Synthetic(sandbox.SyntheticChat(i), 1, noon.Add(-time.Duration(order[i]+100)*time.Minute), time.Second))
	}
	account := k.account(fields{"poll_interval": "5ms"})
	input := k.input(fields{"chat_id": `${! @kommo_chat_id }`, "parallel_chats": 16, "checkpoint_interval": "1h"})
	for name, value := range conf {
		input[name] = value
		account[name] = value
	}
	input["chats_input"] = fields{"kommo_chats": account}
	s := k.startInput(t, fields{"kommo_chat_history": input}, o)
	return &tailed{s, clock}
}

// say appends a message to some chats while half a minute passes.
func (s *tailed) say(chats ...int) {
	for _, i := range chats {
		s.clock.Add(30_000 / int64(len(chats)))
		s.kommo.say(sandbox.SyntheticChat(i), time.UnixMilli(s.clock.Load()))
	}
}

// rest waits until nothing more is to be read, and then for some polls.
func (s *tailed) rest(messages int) {
	s.t.Helper()
	s.until(fmt.Sprintf("%d messages are delivered", messages), func() bool { return len(s.out.delivered()) == messages })
	s.clock.Add(5_000)
	before := s.kommo.Ledger().ByEndpoint[sandbox.EndpointTalks]
	s.until("some polls", func() bool { return s.kommo.Ledger().ByEndpoint[sandbox.EndpointTalks] > before+20 })
}

func TestChats_ReadOnlyWhatChanges(t *testing.T) {
	t.Parallel()
	const chats, changed = 2000, 20
	s := tail(t, chats, nil, options{})
	s.rest(chats)
	first := s.kommo.Ledger()
	// Once each; those under way when the first answer showed that the clocks
	// differ were refused and asked for again; and it was looked behind the end of the
	// first 32, of those under way then, and of every 64th.
	assert.LessOrEqual(t, first.ByEndpoint[sandbox.EndpointHistory], chats+16+32+16+chats/64)

	// So far the list could be sorted by age as well: no talk was updated.
	random := rand.New(rand.NewPCG(3, 4))
	s.say(random.Perm(chats)[:100]...)
	s.clock.Add(600_000)
	s.rest(chats + 100)

	s.kommo.ResetLedger()
	deep := &atomic.Int64{}
	s.kommo.OnRequest(func(r sandbox.Request) {
		if r.Page > 1 {
			deep.Add(1)
		}
	})
	s.say(random.Perm(chats)[:changed]...)
	s.rest(chats + 100 + changed)
	l := s.kommo.Ledger()
	read, listed := l.ByEndpoint[sandbox.EndpointHistory], l.ByEndpoint[sandbox.EndpointTalks]
	t.Logf("%d of %d chats changed: %d requests read them, and %d polls took one request each", changed, chats, read, listed)
	assert.LessOrEqual(t, read, 3*changed, "once each, and again what changed just before a poll")
	assert.Zero(t, deep.Load(), "the first page shows all that is new")
	assert.Len(t, s.out.delivered(), chats+100+changed)
	assert.Empty(t, s.logs.complaints())
}

func TestChats_AsChatsInputAfterACrash(t *testing.T) {
	t.Parallel()
	const chats = 300
	c := newCache()
	conf := fields{"checkpoint_cache": "progress", "checkpoint_interval": "1ms"}
	s := tail(t, chats, conf, options{cache: c})
	s.until("half of the messages are delivered", func() bool { return len(s.out.delivered()) >= chats/2 })
	s.crash()
	first := s.named()

	account := s.kommo.account(conf)
	input := s.kommo.input(conf)
	input["chat_id"], input["chats_input"] = `${! @kommo_chat_id }`, fields{"kommo_chats": account}
	again := s.kommo.startInput(t, fields{"kommo_chat_history": input}, options{cache: c})
	again.ended()
	seen := map[string]bool{}
	for _, chat := range append(first, again.named()...) {
		seen[chat] = true
	}
	assert.Len(t, seen, chats)
	last := s.kommo.startInput(t, fields{"kommo_chat_history": input}, options{cache: c})
	last.ended()
	assert.Empty(t, last.named())
}
