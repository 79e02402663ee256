// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// readAhead measures how much sooner one long chat is read with read_ahead, and with how
// many requests more. All is a quarter or a fifth of a chat of 100,000 messages at 50
// requests/s and 200 ms an answer, so that it takes seconds and not minutes.
func readAhead(ctx context.Context) ([]row, error) {
	const (
		length    = 20_000
		buffered  = 20
		perSecond = 200
		latency   = 50 * time.Millisecond
		pages     = 16
	)
	read := func(ahead int) (took time.Duration, requests int, err error) {
		s, err := sandbox.New(sandbox.Config{Latency: latency})
		if err != nil {
			return 0, 0, err
		}
		url, stop := serve(s)
		defer stop()
		chats, err := synthetic(s, []int{length})
		if err != nil {
			return 0, 0, err
		}
		tally, output := newTally(0)
		defer tally.close()
		fields := fmt.Sprintf("requests_per_second: %d\nburst: %d\nmax_buffered_pages: %d\nread_ahead: %d", perSecond, perSecond/20, buffered, ahead)
		if err := runPipeline(ctx, pipeline{url: url, chats: chats, fields: fields, output: output}.yaml()); err != nil {
			return 0, 0, err
		}
		if got := tally.messages(); got != length {
			return 0, 0, fmt.Errorf("want %d messages, got %d", length, got)
		}
		l := s.Ledger()
		return l.Last.Sub(l.First), l.Requests, nil
	}
	alone, requests, err := read(1)
	if err != nil {
		return nil, err
	}
	ahead, made, err := read(pages)
	if err != nil {
		return nil, err
	}
	return []row{
		{
			figure:   fmt.Sprintf("a chat of %s at %d/s, %s latency: time with read_ahead %d of 1", count(length), perSecond, latency, pages),
			measured: seconds(ahead), reference: seconds(alone),
			ratio: ahead.Seconds() / alone.Seconds(), target: target{atMost: 0.2},
		},
		{
			figure:   "requests of the same",
			measured: count(made), reference: count(requests),
			ratio: float64(made) / float64(requests), target: target{atMost: 1.01},
		},
	}, nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
