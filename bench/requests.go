// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// endsLookedBehind is more than how many ends of chats are looked behind until a short
// page is believed to be one. It is read before what is counted.
const endsLookedBehind = 40

// requests counts how many requests it takes to read a chat, by its length. It
// depends on no clock.
func requests(ctx context.Context) ([]row, error) {
	lengths := []int{1, 49, 50, 98, 99, 4_900, 5_000, 5_001, 20_000, 100_000, 1_000_000}
	s, err := sandbox.New(sandbox.Config{})
	if err != nil {
		return nil, err
	}
	url, stop := serve(s)
	defer stop()

	chats, err := synthetic(s, slices.Concat(slices.Repeat([]int{1}, endsLookedBehind), lengths))
	if err != nil {
		return nil, err
	}
	total := endsLookedBehind
	for _, n := range lengths {
		total += n
	}
	tally, output := newTally(0)
	defer tally.close()
	if err := runPipeline(ctx, pipeline{url: url, chats: chats, fields: "requests_per_second: 0\nparallel_chats: 1", output: output}.yaml()); err != nil {
		return nil, err
	}
	if got := tally.messages(); got != total {
		return nil, fmt.Errorf("want %d messages, got %d", total, got)
	}

	ledger := s.Ledger()
	var rows []row
	for i, n := range lengths {
		made, bound := ledger.Chats[chats[endsLookedBehind+i]].Requests, boundOf(n)
		rows = append(rows, row{
			figure:    "requests for a chat of " + count(n),
			measured:  count(made),
			reference: count(bound),
			ratio:     float64(made) / float64(bound),
			target:    target{atMost: 1},
		})
	}
	return rows, nil
}

// boundOf is how many requests a chat of n messages may take with pages of 50,
// of which one item overlaps, and the default of 100 buffered pages.
func boundOf(n int) int {
	const page, fresh, buffered = 50, 49, 100 * 50
	pages := (n + fresh - 1) / fresh
	switch {
	case n < page:
		return 1
	case n <= buffered:
		return pages + 1
	default:
		return pages + int(2*math.Log2(float64(n)/page)) + 4
	}
}
