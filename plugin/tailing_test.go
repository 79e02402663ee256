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

	"github.com/kommo-connect/kommo-connect/plugin/internal/pipetest"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// tailed is a pipeline of kommo_chat_history with kommo_chats as its chats_input,
// and a clock of the server that only the test moves.
type tailed struct {
	*pipetest.Stream
	clock *atomic.Int64 // Unix ms
}

func tail(t *testing.T, chats int, conf pipetest.Fields, o pipetest.Options) *tailed {
	t.Helper()
	clock := &atomic.Int64{}
	clock.Store(pipetest.Noon.UnixMilli())
	k := pipetest.NewAccount(t, sandbox.Config{Now: func() time.Time { return time.UnixMilli(clock.Load()) }})
	order := rand.New(rand.NewPCG(1, 2)).Perm(chats)
	for i := range chats {
		require.NoError(t, k.Synthetic(sandbox.SyntheticChat(i), 1, pipetest.Noon.Add(-time.Duration(order[i]+100)*time.Minute), time.Second))
	}
	account := k.Account(pipetest.Fields{"poll_interval": "5ms"})
	input := k.Input(pipetest.Fields{"chat_id": `${! @kommo_chat_id }`, "parallel_chats": 16, "checkpoint_interval": "1h"})
	for name, value := range conf {
		input[name] = value
		account[name] = value
	}
	input["chats_input"] = pipetest.Fields{"kommo_chats": account}
	s := k.Run(t, pipetest.Fields{"kommo_chat_history": input}, o)
	return &tailed{s, clock}
}

// say appends a message to some chats while half a minute passes.
func (s *tailed) say(chats ...int) {
	for _, i := range chats {
		s.clock.Add(30_000 / int64(len(chats)))
		s.Kommo.Say(sandbox.SyntheticChat(i), time.UnixMilli(s.clock.Load()))
	}
}

// rest waits until nothing more is to be read, and then for some polls.
func (s *tailed) rest(messages int) {
	s.T.Helper()
	s.Until(fmt.Sprintf("%d messages are delivered", messages), func() bool { return len(s.Out.Delivered()) == messages })
	s.clock.Add(5_000)
	before := s.Kommo.Ledger().ByEndpoint[sandbox.EndpointTalks]
	s.Until("some polls", func() bool { return s.Kommo.Ledger().ByEndpoint[sandbox.EndpointTalks] > before+20 })
}

func TestChats_ReadOnlyWhatChanges(t *testing.T) {
	t.Parallel()
	const chats, changed = 2000, 20
	s := tail(t, chats, nil, pipetest.Options{})
	s.rest(chats)
	first := s.Kommo.Ledger()
	// Once each; those under way when the first answer showed that the clocks
	// differ were refused and asked for again; and it was looked behind the end of the
	// first 32, of those under way then, and of every 64th.
	assert.LessOrEqual(t, first.ByEndpoint[sandbox.EndpointHistory], chats+16+32+16+chats/64)

	// So far the list could be sorted by age as well: no talk was updated.
	random := rand.New(rand.NewPCG(3, 4))
	s.say(random.Perm(chats)[:100]...)
	s.clock.Add(600_000)
	s.rest(chats + 100)

	s.Kommo.ResetLedger()
	deep := &atomic.Int64{}
	s.Kommo.OnRequest(func(r sandbox.Request) {
		if r.Page > 1 {
			deep.Add(1)
		}
	})
	s.say(random.Perm(chats)[:changed]...)
	s.rest(chats + 100 + changed)
	l := s.Kommo.Ledger()
	read, listed := l.ByEndpoint[sandbox.EndpointHistory], l.ByEndpoint[sandbox.EndpointTalks]
	t.Logf("%d of %d chats changed: %d requests read them, and %d polls took one request each", changed, chats, read, listed)
	assert.LessOrEqual(t, read, 3*changed, "once each, and again what changed just before a poll")
	assert.Zero(t, deep.Load(), "the first page shows all that is new")
	assert.Len(t, s.Out.Delivered(), chats+100+changed)
	assert.Empty(t, s.Logs.Complaints())
}

func TestChats_AsChatsInputAfterACrash(t *testing.T) {
	t.Parallel()
	const chats = 300
	c := pipetest.NewCache()
	conf := pipetest.Fields{"checkpoint_cache": "progress", "checkpoint_interval": "1ms"}
	s := tail(t, chats, conf, pipetest.Options{Cache: c})
	s.Until("half of the messages are delivered", func() bool { return len(s.Out.Delivered()) >= chats/2 })
	s.Crash()
	first := s.Chats()

	account := s.Kommo.Account(conf)
	input := s.Kommo.Input(conf)
	input["chat_id"], input["chats_input"] = `${! @kommo_chat_id }`, pipetest.Fields{"kommo_chats": account}
	again := s.Kommo.Run(t, pipetest.Fields{"kommo_chat_history": input}, pipetest.Options{Cache: c})
	again.Ended()
	seen := map[string]bool{}
	for _, chat := range append(first, again.Chats()...) {
		seen[chat] = true
	}
	assert.Len(t, seen, chats)
	last := s.Kommo.Run(t, pipetest.Fields{"kommo_chat_history": input}, pipetest.Options{Cache: c})
	last.Ended()
	assert.Empty(t, last.Chats())
}
