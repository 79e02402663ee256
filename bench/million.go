// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// many is how many chats or talks million has a process see.
const many = 1_000_000

// million measures what a process that has seen a million chats or talks weighs more
// than one that has seen ten. Its checkpoints are written to a cache that keeps none of
// them, so that it is the process that is weighed and not the cache.
func million(ctx context.Context) ([]row, error) {
	const crmFields = `
    api_url: %s
    access_token: ` + sandbox.DemoAccessToken + `
    requests_per_second: 0
    checkpoint_cache: nowhere`
	account := func(n int) (http.Handler, error) {
		s, err := sandbox.New(sandbox.Config{})
		if err != nil {
			return nil, err
		}
		err = s.SyntheticTalks(n, 1, synthStart, time.Second)
		return s, err
	}
	channel := func(n int) (http.Handler, error) {
		s, err := sandbox.New(sandbox.Config{})
		if err != nil {
			return nil, err
		}
		for i := range n {
			if err := s.Synthetic(sandbox.SyntheticChat(i), 1, synthStart, time.Second); err != nil {
				return nil, err
			}
		}
		return s, nil
	}
	listed := func(n int) (http.Handler, error) { return lists(n), nil }

	var rows []row
	for _, m := range []struct {
		figure string
		mib    int
		api    func(n int) (http.Handler, error)
		input  string // %s is the API's address
	}{
		{"kommo_chats, source: events", 96, account, "kommo_chats:" + crmFields + "\n    source: events"},
		{"kommo_chats, source: talks", 96, listed, "kommo_chats:" + crmFields},
		{"kommo_chats, source: contact_chats", 128, listed, "kommo_chats:" + crmFields + "\n    source: contact_chats"},
		{"kommo_chat_history, named by chats_input", 96, channel, `kommo_chat_history:
    base_url: %s
    scope_id: ` + sandbox.DemoScopeID + `
    channel_secret: ` + sandbox.DemoSecret + `
    requests_per_second: 0
    parallel_chats: 16
    checkpoint_cache: nowhere
    chats_input:
      generate:
        interval: ""
        count: COUNT
        mapping: 'root = "00000000-0000-4000-8000-%%012d".format(counter())'`},
		{"kommo_talk_history, the whole account", 128, account, "kommo_talk_history:" + crmFields + "\n    parallel_chats: 16"},
	} {
		var weights []int
		for _, n := range []int{10, many} {
			api, err := m.api(n)
			if err != nil {
				return nil, err
			}
			w, err := weigh(ctx, api, strings.ReplaceAll(m.input, "COUNT", fmt.Sprint(n)))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", m.figure, err)
			}
			weights = append(weights, w)
		}
		rows = append(rows, memoryRow("memory: "+count(many)+" seen over 10: "+m.figure, m.mib, weights[1], weights[0]))
	}
	return rows, nil
}

// weigh returns the peak in KiB of a process that runs an input into drop, to its end.
func weigh(ctx context.Context, api http.Handler, input string) (int, error) {
	url, stop := serve(api)
	defer stop()
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return 0, fmt.Errorf("making a folder for the configuration: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // what may be left is in the folder for such
	file := filepath.Join(dir, "pipeline.yaml")
	conf := "http: { enabled: false }" + quiet + "input:\n  " + fmt.Sprintf(input, url) +
		"\noutput: { drop: {} }\ncache_resources: [ { label: nowhere, noop: {} } ]\n"
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return 0, fmt.Errorf("writing the configuration: %w", err)
	}
	c, err := startChild(ctx, childRun, runTask{File: file})
	if err != nil {
		return 0, err
	}
	line, err := c.line()
	if err != nil {
		return 0, err
	}
	if err := c.end(); err != nil {
		return 0, fmt.Errorf("running the pipeline in a process of its own: %w", err)
	}
	var w weight
	if err := json.Unmarshal([]byte(line), &w); err != nil {
		return 0, fmt.Errorf("reading what the process weighs: %w", err)
	}
	return w.Life, nil
}
