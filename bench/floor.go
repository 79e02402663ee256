// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// get is the first half of the floor: the requests that the input makes, signed,
// one after the other, and the answers thrown away.
func (w *workload) get() (job, error) {
	client := &http.Client{Transport: &http.Transport{}}
	return func(ctx context.Context) error {
		defer client.CloseIdleConnections()
		for _, chat := range w.chats {
			path := "/v2/origin/custom/" + sandbox.DemoScopeID + "/chats/" + chat + "/history"
			for offset := 0; offset+1 < cpuMessages; offset += 49 {
				if err := getPage(ctx, client, w.url, path, offset); err != nil {
					return err
				}
			}
		}
		return nil
	}, nil
}

// getTalks is that half for talks.
func (w *workload) getTalks() (job, error) {
	client := &http.Client{Transport: &http.Transport{}}
	return func(ctx context.Context) error {
		defer client.CloseIdleConnections()
		for _, talk := range w.talkIDs() {
			for page := 1; (page-1)*250 < cpuMessages; page++ {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/api/v4/talks/%s/messages?limit=250&page=%d", w.url, talk, page), nil)
				if err != nil {
					return err
				}
				req.Header.Set("Authorization", "Bearer "+sandbox.DemoAccessToken)
				if err := throwAway(client, req); err != nil {
					return err
				}
			}
		}
		return nil
	}, nil
}

const noBody = "d41d8cd98f00b204e9800998ecf8427e" // its MD5

func getPage(ctx context.Context, client *http.Client, url, path string, offset int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s%s?limit=50&offset=%d", url, path, offset), nil)
	if err != nil {
		return err
	}
	date := time.Now().UTC().Format(time.RFC1123Z)
	req.Header.Set("Date", date)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Content-MD5", noBody)
	mac := hmac.New(sha1.New, []byte(sandbox.DemoSecret))
	fmt.Fprint(mac, http.MethodGet+"\n"+noBody+"\napplication/json\n"+date+"\n"+path)
	req.Header.Set("X-Signature", hex.EncodeToString(mac.Sum(nil)))
	return throwAway(client, req)
}

// throwAway makes a request, and leaves its answer unread by anybody.
func throwAway(client *http.Client, req *http.Request) error {
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("getting a page: status %d", resp.StatusCode)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// prepare reads one chat through the input, for engine to repeat.
func (w *workload) prepare(ctx context.Context) error {
	conf := pipeline{url: w.url, chats: w.chats[:1], fields: "requests_per_second: 0"}
	b := service.NewStreamBuilder()
	if err := b.SetYAML(conf.yaml()); err != nil {
		return err
	}
	var read service.MessageBatch
	if err := b.AddBatchConsumerFunc(func(_ context.Context, messages service.MessageBatch) error {
		read = append(read, messages.DeepCopy()...)
		return nil
	}); err != nil {
		return err
	}
	stream, err := b.Build()
	if err != nil {
		return err
	}
	if err := stream.Run(ctx); err != nil {
		return err
	}
	if len(read) != cpuMessages {
		return fmt.Errorf("want %d messages, got %d", cpuMessages, len(read))
	}
	readyMade = read
	return nil
}

// engine is the second half of the floor: the engine moves as many messages,
// ready-made, in batches of the same size, to the same output. It can pass them
// through a processor.
func (w *workload) engine(processor string) func() (job, error) {
	return func() (job, error) {
		stream, err := build(fmt.Sprintf(quiet+`
input: { bench_ready: { batches: %d } }
%soutput: { drop: {} }
`, len(w.chats), processing(processor)), nil)
		if err != nil {
			return nil, err
		}
		return stream.Run, nil
	}
}

// readyMade is the batch that the input bench_ready gives, over and over.
var readyMade service.MessageBatch

func init() {
	spec := service.NewConfigSpec().Fields(service.NewIntField("batches"), service.NewAutoRetryNacksToggleField())
	service.MustRegisterBatchInput("bench_ready", spec,
		func(conf *service.ParsedConfig, _ *service.Resources) (service.BatchInput, error) {
			left, err := conf.FieldInt("batches")
			if err != nil {
				return nil, err
			}
			return service.AutoRetryNacksBatchedToggled(conf, &readyInput{left: left})
		})
}

// readyInput is as an input is that has nothing to do.
type readyInput struct{ left int }

func (*readyInput) Connect(context.Context) error { return nil }

func (r *readyInput) ReadBatch(context.Context) (service.MessageBatch, service.AckFunc, error) {
	if r.left == 0 {
		return nil, nil, service.ErrEndOfInput
	}
	r.left--
	return slices.Clone(readyMade), func(context.Context, error) error { return nil }, nil
}

func (*readyInput) Close(context.Context) error { return nil }
