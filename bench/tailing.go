// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// tailing counts the requests of a poll with kommo_chats as the chats_input, when
// 1 of 100 chats has changed since the last one. It is held against one request
// for each chat, which is what a poll of all chats costs. The server's clock is
// moved by hand: the changes are spread over the half minute between two polls.
func tailing(ctx context.Context) ([]row, error) {
	const (
		chats   = 10_000
		changed = chats / 100
		between = 30 * time.Second
	)
	clock := &atomic.Int64{} // Unix ms
	start := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	clock.Store(start.Add(chats * time.Minute).UnixMilli())
	now := func() time.Time { return time.UnixMilli(clock.Load()) }
	s, err := sandbox.New(sandbox.Config{Now: now})
	if err != nil {
		return nil, err
	}
	for i := range chats {
		if err := s.Synthetic(sandbox.SyntheticChat(i), 1, start.Add(time.Duration(i)*time.Minute), time.Second); err != nil {
			return nil, err
		}
	}
	gate := newPollGate(s)
	url, stop := serve(s)
	defer stop()
	defer gate.free()
	tally, output := newTally(0)
	defer tally.close()
	stream, err := build(fmt.Sprintf(quiet+`
input:
  kommo_chat_history:
    base_url: %[1]s
    scope_id: %[2]s
    channel_secret: %[3]s
    requests_per_second: 0
    parallel_chats: 16
    chat_id: ${! @kommo_chat_id }
    chats_input:
      kommo_chats:
        api_url: %[1]s
        access_token: %[4]s
        requests_per_second: 0
        poll_interval: 1ms
output: { %[5]s }
`, url, sandbox.DemoScopeID, sandbox.DemoSecret, sandbox.DemoAccessToken, output), nil)
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- stream.Run(ctx) }()

	random := rand.New(rand.NewPCG(1, 2))
	total := chats
	// poll lets one listing happen after some changes, and returns its requests
	// once all that was listed has been read.
	poll := func(changes int) (read, listed int, err error) {
		for _, i := range random.Perm(chats)[:changes] {
			clock.Add(between.Milliseconds() / int64(changes))
			total++
			s.Append(sandbox.SyntheticChat(i), sandbox.Text(fmt.Sprintf("later-%d", total), now(), "hello"))
		}
		s.ResetLedger()
		gate.open()
		if err := until(ctx, ended, func() bool { return gate.waiting() && tally.messages() == total }); err != nil {
			return 0, 0, err
		}
		// Whatever was read without a new message is counted too.
		if err := settled(ctx, ended, s); err != nil {
			return 0, 0, err
		}
		l := s.Ledger()
		return l.ByEndpoint[sandbox.EndpointHistory], l.ByEndpoint[sandbox.EndpointTalks], nil
	}

	if _, _, err := poll(0); err != nil { // all chats
		return nil, err
	}
	// Until talks have been updated, the list could be sorted by age as well.
	clock.Add(time.Hour.Milliseconds())
	if _, _, err := poll(changed); err != nil {
		return nil, err
	}
	clock.Add(time.Hour.Milliseconds())
	if _, _, err := poll(0); err != nil {
		return nil, err
	}
	var rows []row
	for _, m := range []struct {
		figure  string
		changes int
		target  target
	}{
		{fmt.Sprintf("requests of a poll, %s of %s chats changed", count(changed), count(chats)), changed, target{atMost: 0.02}},
		{fmt.Sprintf("requests of a poll, none of %s chats changed", count(chats)), 0, target{atMost: 0.01}},
	} {
		clock.Add(between.Milliseconds())
		const polls = 5
		read, listed := 0, 0
		for range polls {
			r, l, err := poll(m.changes)
			if err != nil {
				return nil, err
			}
			read, listed = read+r, listed+l
		}
		made := float64(read+listed) / polls
		rows = append(rows, row{
			figure:    m.figure,
			measured:  fmt.Sprintf("%.1f (%.1f list)", made, float64(listed)/polls),
			reference: count(chats),
			ratio:     made / chats,
			target:    m.target,
		})
	}
	gate.free()
	if err := stream.StopWithin(10 * time.Second); err != nil {
		return nil, fmt.Errorf("stopping the pipeline: %w", err)
	}
	return rows, nil
}

// pollGate holds each listing of talks at its first page until it is opened, and
// lets one pass then.
type pollGate struct {
	held   atomic.Bool
	opened chan struct{}
	once   sync.Once
}

func newPollGate(s *sandbox.Server) *pollGate {
	g := &pollGate{opened: make(chan struct{})}
	var last atomic.Int64 // page that was asked for last
	s.OnRequest(func(r sandbox.Request) {
		if r.Endpoint != sandbox.EndpointTalks {
			return
		}
		// The front is asked for again at the end of a long listing: not a new one.
		before := last.Swap(int64(r.Page))
		if r.Page > 1 || before > 1 {
			return
		}
		g.held.Store(true)
		<-g.opened
	})
	return g
}

func (g *pollGate) waiting() bool { return g.held.Load() }

func (g *pollGate) open() {
	g.held.Store(false)
	g.opened <- struct{}{}
}

// free lets all listings pass from now on.
func (g *pollGate) free() { g.once.Do(func() { close(g.opened) }) }

// until waits for a condition, or for the pipeline to end too early.
func until(ctx context.Context, ended <-chan error, cond func() bool) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case err := <-ended:
			return fmt.Errorf("the pipeline ended too early: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// settled waits until no request has come for a while.
func settled(ctx context.Context, ended <-chan error, s *sandbox.Server) error {
	requests, since := -1, time.Now()
	return until(ctx, ended, func() bool {
		if n := s.Ledger().Requests; n != requests {
			requests, since = n, time.Now()
		}
		return time.Since(since) > 200*time.Millisecond
	})
}
