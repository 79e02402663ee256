// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// limiter measures how much of what it may the input asks for, with answers so
// slow that ten requests have to be under way at any time, and whether it ever
// asks for more.
func limiter(ctx context.Context) ([]row, error) {
	var rows []row
	for _, burst := range []int{1, 20} {
		r, err := limiterWithBurst(ctx, burst)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r...)
	}
	return rows, nil
}

func limiterWithBurst(ctx context.Context, burst int) ([]row, error) {
	const (
		perSecond = 50
		latency   = 200 * time.Millisecond
		during    = 20 * time.Second
	)
	s, err := sandbox.New(sandbox.Config{Latency: latency})
	if err != nil {
		return nil, err
	}
	url, stop := serve(s)
	defer stop()
	// More than can be read in that time, so that there is always a next request.
	chats, err := synthetic(s, slices.Repeat([]int{2_000}, 200))
	if err != nil {
		return nil, err
	}
	enough := make(chan struct{})
	timer := time.AfterFunc(during, func() { close(enough) })
	defer timer.Stop()
	conf := pipeline{url: url, chats: chats, fields: fmt.Sprintf("requests_per_second: %d\nburst: %d\nparallel_chats: 16", perSecond, burst)}
	if err := runPipelineUntil(ctx, conf.yaml(), enough); err != nil {
		return nil, err
	}

	ledger := s.Ledger()
	made := ledger.Requests
	allowed := float64(burst) + perSecond*ledger.Last.Sub(ledger.First).Seconds()
	peak := burst + perSecond
	name := fmt.Sprintf("limiter at %d/s, burst %d, %s latency: ", perSecond, burst, latency)
	return []row{
		{
			figure: name + "made of allowed", measured: count(made), reference: count(int(allowed)),
			ratio: float64(made) / allowed, target: target{atLeast: 0.97},
		},
		{
			figure: name + "most in 1 s", measured: count(ledger.PeakPerSecond), reference: count(peak),
			ratio: float64(ledger.PeakPerSecond) / float64(peak), target: target{atMost: 1},
		},
	}, nil
}
