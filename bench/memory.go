// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// memory measures what a long chat and what many chats add to the peak of a
// process that runs nothing but the pipeline.
func memory(ctx context.Context) ([]row, error) {
	short, err := memoryOf{chats: 1, messages: 1_000}.measure(ctx)
	if err != nil {
		return nil, err
	}
	long, err := memoryOf{chats: 1, messages: 1_000_000}.measure(ctx)
	if err != nil {
		return nil, err
	}
	rows := []row{memoryRow("memory: a chat of 1,000,000 over one of 1,000", 64, long.Life, short.Life)}

	for _, messages := range []int{0, 10} {
		few, err := memoryOf{chats: 10, messages: messages, polls: 3}.measure(ctx)
		if err != nil {
			return nil, err
		}
		many, err := memoryOf{chats: 100_000, messages: messages, polls: 3}.measure(ctx)
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("memory: 100,000 idle chats of %d messages over 10, ", messages)
		rows = append(rows,
			memoryRow(name+"polled", 100, many.Since, few.Since),
			memoryRow(name+"from the start", 100, many.Life, few.Life),
		)
	}
	return rows, nil
}

// memoryRow compares peaks in KiB with how many MiB they may differ by.
func memoryRow(figure string, most, large, small int) row {
	const mib = 1024
	return row{
		figure:    figure,
		measured:  fmt.Sprintf("%d - %d MiB", large/mib, small/mib),
		reference: strconv.Itoa(most) + " MiB",
		ratio:     float64(large-small) / float64(most*mib),
		target:    target{atMost: 1},
	}
}

// memoryOf is a pipeline whose memory is measured.
type memoryOf struct {
	chats, messages int
	polls           int // how often each chat is read, on average; 0: once, and then the pipeline ends
}

func (m memoryOf) measure(ctx context.Context) (w weight, err error) {
	s, err := sandbox.New(sandbox.Config{})
	if err != nil {
		return w, err
	}
	chats, err := synthetic(s, slices.Repeat([]int{m.messages}, m.chats))
	if err != nil {
		return w, err
	}
	idle, polled := make(chan struct{}), make(chan struct{})
	nowIdle := sync.OnceFunc(func() { close(idle) })
	enough := sync.OnceFunc(func() { close(polled) })
	s.OnRequest(func(r sandbox.Request) {
		if r.N > m.chats {
			nowIdle() // every chat has been read
		}
		if r.N > m.polls*m.chats {
			enough()
		}
	})
	url, stop := serve(s)
	defer stop()

	conf := pipeline{url: url, chats: chats, fields: "requests_per_second: 0"}
	if m.polls > 0 {
		conf.fields += "\npoll_interval: 1s"
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return w, fmt.Errorf("making a folder for the configuration: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // what may be left is in the folder for such
	file := filepath.Join(dir, "pipeline.yaml")
	if err := os.WriteFile(file, []byte("http: { enabled: false }\n"+conf.yaml()), 0o600); err != nil {
		return w, fmt.Errorf("writing the configuration: %w", err)
	}
	c, err := startChild(ctx, childRun, runTask{File: file, Stop: m.polls > 0})
	if err != nil {
		return w, err
	}
	if m.polls > 0 {
		err = c.pollUntil(idle, polled)
		if err != nil {
			return w, err
		}
	}
	line, err := c.line()
	if err != nil {
		return w, err
	}
	if err := c.end(); err != nil {
		return w, fmt.Errorf("running the pipeline in a process of its own: %w", err)
	}
	if err := json.Unmarshal([]byte(line), &w); err != nil {
		return w, fmt.Errorf("reading what the process weighs: %w", err)
	}
	return w, nil
}

// pollUntil has the child weigh itself from the moment when all chats are idle,
// and stops it when they have been polled.
func (c *child) pollUntil(idle, polled <-chan struct{}) error {
	for _, moment := range []<-chan struct{}{idle, polled} {
		select {
		case <-moment:
		case <-c.said:
			return errors.Join(errors.New("the polling ended by itself"), c.end())
		}
		if moment == idle {
			if _, err := fmt.Fprintln(c.stdin); err != nil {
				return err
			}
		}
	}
	return c.stdin.Close()
}
