// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// account counts how many requests kommo_talk_history takes for a talk, for the first
// reading of an account, and for a poll.
func account(ctx context.Context) ([]row, error) {
	var rows []row
	for _, n := range []int{1, 249, 250, 2_500, 100_000} {
		made, err := requestsOfTalk(ctx, n)
		if err != nil {
			return nil, err
		}
		bound := (n+199)/200 + 2
		if n < 250 {
			bound = 1
		}
		rows = append(rows, row{
			figure: "requests for a talk of " + count(n), measured: count(made), reference: count(bound),
			ratio: float64(made) / float64(bound), target: target{atMost: 1},
		})
	}
	more, err := requestsOfAccount(ctx)
	return append(rows, more...), err
}

// requestsOfTalk reads a talk of n messages behind some whose ends are looked behind.
func requestsOfTalk(ctx context.Context, n int) (int, error) {
	s, err := sandbox.New(sandbox.Config{AccessToken: sandbox.DemoAccessToken})
	if err != nil {
		return 0, err
	}
	if err := s.SyntheticTalks(1, n, synthStart, time.Second); err != nil {
		return 0, err
	}
	const ofEach = 30 // messages of the others: a page of which less than a tenth is there is not looked behind
	var talks []string
	for id := 2; id < 2+endsLookedBehind; id++ {
		s.SetTalk(sandbox.Talk{ID: id, ChatID: "chat-" + strconv.Itoa(id)})
		for i := range ofEach {
			if err := s.AppendTalk(id, sandbox.TalkText(fmt.Sprintf("of-%d-%d", id, i), synthStart.Add(time.Duration(i)*time.Hour), "hello")); err != nil {
				return 0, err
			}
		}
		talks = append(talks, strconv.Itoa(id))
	}
	url, stop := serve(s)
	defer stop()
	tally, output := newTally(0)
	defer tally.close()
	conf := pipeline{url: url, crm: true, chats: append(talks, "1"), fields: "requests_per_second: 0\nparallel_chats: 1", output: output}
	if err := runPipeline(ctx, conf.yaml()); err != nil {
		return 0, err
	}
	if got := tally.messages(); got != n+ofEach*endsLookedBehind {
		return 0, fmt.Errorf("want %d messages, got %d", n+ofEach*endsLookedBehind, got)
	}
	return s.Ledger().Talks[1].Requests, nil
}

// requestsOfAccount reads an account and then polls it, when 1 of 100 talks has news
// since the last poll and when none has. A poll is held against one request for each
// talk, which is what a poll of all talks costs.
func requestsOfAccount(ctx context.Context) ([]row, error) {
	const (
		talks, messages = 10_000, 10
		changed         = talks / 100
		polls           = 5
	)
	s, err := sandbox.New(sandbox.Config{AccessToken: sandbox.DemoAccessToken})
	if err != nil {
		return nil, err
	}
	if err := s.SyntheticTalks(talks, messages, synthStart, time.Second); err != nil {
		return nil, err
	}
	url, stop := serve(s)
	defer stop()
	tally, output := newTally(0)
	defer tally.close()
	stream, err := build(pipeline{url: url, crm: true, fields: "requests_per_second: 0\nparallel_chats: 16\npoll_interval: 1s", output: output}.yaml(), nil)
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- stream.Run(ctx) }()

	total := talks * messages
	// next returns the requests until all messages are there and nothing is asked for: the
	// poll interval is much longer than a poll. list is those for the feed.
	next := func() (all, list int, err error) {
		if err := until(ctx, ended, func() bool { return tally.messages() == total && s.Ledger().Requests > 0 }); err != nil {
			return 0, 0, err
		}
		if err := settled(ctx, ended, s); err != nil {
			return 0, 0, err
		}
		l := s.Ledger()
		return l.Requests, l.ByEndpoint[sandbox.EndpointEvents], nil
	}
	first, listed, err := next()
	if err != nil {
		return nil, err
	}
	pages := (total + 249) / 250
	rows := []row{{
		figure:   fmt.Sprintf("requests of an account of %s talks of %d messages", count(talks), messages),
		measured: fmt.Sprintf("%s (%s list)", count(first), count(listed)), reference: count(talks + pages),
		ratio: float64(first) / float64(talks+pages), target: target{atMost: 1.02},
	}}
	for _, m := range []struct {
		figure string
		news   int
		target target
	}{
		// First, since what is announced is read again for 150 s.
		{fmt.Sprintf("requests of a poll, none of %s talks with news", count(talks)), 0, target{atMost: 0.001}},
		{fmt.Sprintf("requests of a poll, %s of %s talks with news", count(changed), count(talks)), changed, target{atMost: 0.02}},
	} {
		made, list := 0, 0
		for poll := range polls {
			s.ResetLedger()
			for i := range m.news {
				total++
				id := 1 + (poll*m.news+i)*7%talks
				if err := s.AppendTalk(id, sandbox.TalkText(fmt.Sprintf("later-%d", total), time.Now(), "hello")); err != nil {
					return nil, err
				}
			}
			all, l, err := next()
			if err != nil {
				return nil, err
			}
			made, list = made+all, list+l
		}
		rows = append(rows, row{
			figure: m.figure, measured: fmt.Sprintf("%.1f (%.1f list)", float64(made)/polls, float64(list)/polls), reference: count(talks),
			ratio: float64(made) / polls / talks, target: m.target,
		})
	}
	if err := stream.StopWithin(10 * time.Second); err != nil {
		return nil, fmt.Errorf("stopping the pipeline: %w", err)
	}
	return rows, nil
}
