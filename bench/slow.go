// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// slowOutputs measures how fast messages get through an output that takes a
// second for each batch: once where checkpoint_limit is what holds them up, once
// where the request limit is.
func slowOutputs(ctx context.Context) ([]row, error) {
	const (
		chats, length   = 400, 100
		checkpointLimit = 4096 // the default
		perSecond       = 60
		perChat         = 3 // requests for 100 messages: 50, then 49 new ones, then the end
	)
	byCheckpoints, err := slowOutput(ctx, chats, length, 0)
	if err != nil {
		return nil, err
	}
	byRequests, err := slowOutput(ctx, chats, length, perSecond)
	if err != nil {
		return nil, err
	}
	const allowed = float64(perSecond) * length / perChat
	return []row{
		rate("slow output, no request limit: messages/s of checkpoint_limit", byCheckpoints, checkpointLimit),
		rate(fmt.Sprintf("slow output, %d requests/s: messages/s of what these can bring", perSecond), byRequests, allowed),
	}, nil
}

func rate(name string, measured, reference float64) row {
	return row{
		figure: name, measured: count(int(measured)), reference: count(int(reference)),
		ratio: measured / reference, target: target{atLeast: 0.8},
	}
}

// slowOutput returns the messages per second, from the start to the last
// acknowledgement.
func slowOutput(ctx context.Context, chats, length, perSecond int) (float64, error) {
	s, err := sandbox.New(sandbox.Config{})
	if err != nil {
		return 0, err
	}
	url, stop := serve(s)
	defer stop()
	ids, err := synthetic(s, slices.Repeat([]int{length}, chats))
	if err != nil {
		return 0, err
	}
	tally, output := newTally(time.Second)
	defer tally.close()
	conf := pipeline{url: url, chats: ids, fields: fmt.Sprintf("requests_per_second: %d", perSecond), output: output}
	if err := runPipeline(ctx, conf.yaml()); err != nil {
		return 0, err
	}
	if got := tally.messages(); got != chats*length {
		return 0, fmt.Errorf("want %d messages, got %d", chats*length, got)
	}
	first := s.Ledger().First
	return float64(chats*length) / time.Unix(0, tally.last.Load()).Sub(first).Seconds(), nil
}
