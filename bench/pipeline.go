// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// pipeline is a configuration that reads chats of a sandbox.
type pipeline struct {
	url    string
	chats  []string
	crm    bool   // the chats are talks, read with kommo_talk_history; with none the whole account is
	fields string // of the input, a line each
	output string // YAML on one line; "" for drop

	processor string // YAML on one line; "" for none
}

// quiet is the part of a configuration that all pipelines here share.
const quiet = `
logger: { level: WARN }
metrics: { none: {} }
`

func (p pipeline) yaml() string {
	var b strings.Builder
	if p.crm {
		fmt.Fprintf(&b, quiet+`
input:
  kommo_talk_history:
    api_url: %s
    access_token: %s
`, p.url, sandbox.DemoAccessToken)
	} else {
		fmt.Fprintf(&b, quiet+`
input:
  kommo_chat_history:
    base_url: %s
    scope_id: %s
    channel_secret: %s
`, p.url, sandbox.DemoScopeID, sandbox.DemoSecret)
	}
	for line := range strings.Lines(p.fields) {
		b.WriteString("    " + strings.TrimSpace(line) + "\n")
	}
	switch {
	case p.crm && len(p.chats) > 0:
		b.WriteString("    talks: [ " + strings.Join(p.chats, ", ") + " ]\n")
	case len(p.chats) > 0:
		b.WriteString("    chats: " + strings.Join(p.chats, ",") + "\n")
	}
	b.WriteString(processing(p.processor))
	output := p.output
	if output == "" {
		output = "drop: {}"
	}
	b.WriteString("output: { " + output + " }\n")
	return b.String()
}

// processing is the part of a configuration that has a processor.
func processing(processor string) string {
	if processor == "" {
		return ""
	}
	return "pipeline: { threads: 1, processors: [ { " + processor + " } ] }\n"
}

// build makes a stream of a configuration. env replaces the environment.
func build(yaml string, env map[string]string) (*service.Stream, error) {
	b := service.NewStreamBuilder()
	b.SetEnvVarLookupFunc(func(name string) (string, bool) {
		if value, ok := env[name]; ok {
			return value, true
		}
		return os.LookupEnv(name)
	})
	if err := b.SetYAML(yaml); err != nil {
		return nil, fmt.Errorf("reading the pipeline: %w", err)
	}
	stream, err := b.Build()
	if err != nil {
		return nil, fmt.Errorf("building the pipeline: %w", err)
	}
	return stream, nil
}

// runPipeline runs a configuration until its input ends.
func runPipeline(ctx context.Context, yaml string) error {
	stream, err := build(yaml, nil)
	if err != nil {
		return err
	}
	if err := stream.Run(ctx); err != nil {
		return fmt.Errorf("running the pipeline: %w", err)
	}
	return nil
}

// runPipelineUntil runs a configuration and stops it when the channel is closed.
func runPipelineUntil(ctx context.Context, yaml string, until <-chan struct{}) error {
	stream, err := build(yaml, nil)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- stream.Run(ctx) }()
	select {
	case err := <-ended:
		return errors.Join(errors.New("the pipeline ended by itself"), err)
	case <-ctx.Done():
		return ctx.Err()
	case <-until:
	}
	if err := stream.StopWithin(30 * time.Second); err != nil {
		return fmt.Errorf("stopping the pipeline: %w", err)
	}
	return <-ended
}

// synthStart is the time of the first message of what is made up.
var synthStart = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// synthetic makes chats of these lengths and returns their ids.
func synthetic(s *sandbox.Server, lengths []int) ([]string, error) {
	ids := make([]string, len(lengths))
	for i, n := range lengths {
		ids[i] = sandbox.SyntheticChat(i)
		if err := s.Synthetic(ids[i], n, synthStart, time.Second); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// serve makes a sandbox in this process and returns its address.
func serve(s http.Handler) (url string, stop func()) {
	server := httptest.NewServer(s)
	return server.URL, server.Close
}
