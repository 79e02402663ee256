// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kommo-connect/kommo-connect/internal/heapfloor"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

//go:embed stock.yaml
var stockYAML string

const (
	cpuRounds   = 25
	cpuChats    = 20
	cpuMessages = 1_000 // of a chat

	// The stock pipeline copies what it has of a chat with each page, and so does
	// best with short ones.
	stockChats    = 20
	stockMessages = 98

	flatten = "kommo_message: {}"
	// flattenInBloblang is the mapping that the processor is tested against.
	flattenInBloblang = `mapping: 'from "plugin/message/testdata/mapping.blobl"'`
)

// cpu measures the CPU time of a message, of this process alone: the sandbox
// runs in another one. All that is compared is done in turn, round after round,
// and a ratio is the median of the rounds', so that a machine which is now fast
// and now slow does not matter. All but the stock components have the heap of
// kommo-connect: a stock binary leaves it to Go.
func cpu(ctx context.Context) ([]row, error) {
	w, err := startWorkload(ctx)
	if err != nil {
		return nil, err
	}
	defer w.stop()

	var input, talks, mapped, get, getTalks, engine, processor, mapping, stock []time.Duration // CPU time of a message
	for range cpuRounds {
		for _, m := range []struct {
			prepare  func() (job, error)
			messages int
			costs    *[]time.Duration
		}{
			{w.input, cpuChats * cpuMessages, &input},
			{w.talks, cpuChats * cpuMessages, &talks},
			{w.mapped, cpuChats * cpuMessages, &mapped},
			{w.get, cpuChats * cpuMessages, &get},
			{w.getTalks, cpuChats * cpuMessages, &getTalks},
			{w.engine(""), cpuChats * cpuMessages, &engine},
			{w.engine(flatten), cpuChats * cpuMessages, &processor},
			{w.engine(flattenInBloblang), cpuChats * cpuMessages, &mapping},
			{w.stock, stockChats * stockMessages, &stock},
		} {
			do, err := m.prepare()
			if err != nil {
				return nil, err
			}
			release := func() {}
			if m.costs != &stock {
				release = heapfloor.Keep() // as kommo-connect, and not as a stock binary
			}
			spent, err := cpuOf(ctx, do)
			release()
			if err != nil {
				return nil, err
			}
			*m.costs = append(*m.costs, spent/time.Duration(m.messages))
		}
	}

	floor, talkFloor := make([]time.Duration, cpuRounds), make([]time.Duration, cpuRounds)
	for i := range floor {
		floor[i] = get[i] + engine[i]
		talkFloor[i] = getTalks[i] + engine[i]
		processor[i] -= engine[i]
		mapping[i] -= engine[i]
	}
	return []row{
		{
			figure: "CPU of a message: of bare GET and engine", measured: micros(input), reference: micros(floor),
			ratio: medianRatio(input, floor), target: target{atMost: 2.5},
		},
		{
			figure: "CPU of a message: of stock components", measured: micros(input), reference: micros(stock),
			ratio: medianRatio(input, stock), target: target{atMost: 0.1},
		},
		{
			figure: "CPU of a message of a talk: of bare GET and engine", measured: micros(talks), reference: micros(talkFloor),
			ratio: medianRatio(talks, talkFloor),
		},
		{
			figure: "CPU of a message of a talk: of one of a chat", measured: micros(talks), reference: micros(input),
			ratio: medianRatio(talks, input), target: target{atMost: 1.3},
		},
		{
			figure: "CPU of a message, with kommo_message: of bare GET and engine", measured: micros(mapped), reference: micros(floor),
			ratio: medianRatio(mapped, floor),
		},
		{
			figure: "CPU of a message, with kommo_message: of stock components", measured: micros(mapped), reference: micros(stock),
			ratio: medianRatio(mapped, stock), target: target{atMost: 0.25},
		},
		{
			figure: "CPU of a message, with kommo_message: of without", measured: micros(mapped), reference: micros(input),
			ratio: medianRatio(mapped, input), target: target{atMost: 3},
		},
		{
			figure: "CPU of kommo_message: of the same in Bloblang", measured: micros(processor), reference: micros(mapping),
			ratio: medianRatio(processor, mapping), target: target{atMost: 0.167},
		},
	}, nil
}

// job is what is measured, apart from what it takes to set it up.
type job func(context.Context) error

// cpuOf returns the CPU time of a job. The heap is clean before, so that no
// one pays for another's garbage.
func cpuOf(ctx context.Context, do job) (time.Duration, error) {
	runtime.GC()
	before, err := cpuTime()
	if err != nil {
		return 0, err
	}
	if err := do(ctx); err != nil {
		return 0, err
	}
	after, err := cpuTime()
	return after - before, err
}

func micros(costs []time.Duration) string {
	return fmt.Sprintf("%.2f µs", float64(median(costs))/float64(time.Microsecond))
}

func median[T int | float64 | time.Duration](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func medianRatio(a, b []time.Duration) float64 {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = float64(a[i]) / float64(b[i])
	}
	return median(ratios)
}

// workload is the same reading, done in different ways.
type workload struct {
	server            *child
	url               string
	chats, stockChats []string
}

func startWorkload(ctx context.Context) (*workload, error) {
	server, err := startChild(ctx, childServe, serveTask{Lengths: slices.Concat(
		slices.Repeat([]int{cpuMessages}, cpuChats), slices.Repeat([]int{stockMessages}, stockChats),
	), Talks: cpuChats, TalkMessages: cpuMessages})
	if err != nil {
		return nil, err
	}
	url, err := server.line()
	if err != nil {
		return nil, err
	}
	w := &workload{server: server, url: url}
	for i := range cpuChats {
		w.chats = append(w.chats, sandbox.SyntheticChat(i))
	}
	for i := range stockChats {
		w.stockChats = append(w.stockChats, sandbox.SyntheticChat(cpuChats+i))
	}
	if err := w.prepare(ctx); err != nil {
		w.stop()
		return nil, err
	}
	return w, nil
}

// stop ends the sandbox. It has nothing to lose, so how it ends is of no interest.
func (w *workload) stop() { _ = w.server.end() }

// input is what is measured: kommo_chat_history into drop.
func (w *workload) input() (job, error) {
	stream, err := build(pipeline{url: w.url, chats: w.chats, fields: "requests_per_second: 0"}.yaml(), nil)
	if err != nil {
		return nil, err
	}
	return stream.Run, nil
}

// talks is the input of the whole account, kommo_talk_history, with as many messages.
func (w *workload) talks() (job, error) {
	stream, err := build(pipeline{url: w.url, crm: true, chats: w.talkIDs(), fields: "requests_per_second: 0"}.yaml(), nil)
	if err != nil {
		return nil, err
	}
	return stream.Run, nil
}

func (*workload) talkIDs() []string {
	ids := make([]string, cpuChats)
	for i := range ids {
		ids[i] = strconv.Itoa(i + 1)
	}
	return ids
}

// mapped is the input with what users have behind it.
func (w *workload) mapped() (job, error) {
	stream, err := build(pipeline{url: w.url, chats: w.chats, fields: "requests_per_second: 0", processor: flatten}.yaml(), nil)
	if err != nil {
		return nil, err
	}
	return stream.Run, nil
}

// stock is the pipeline of stock components.
func (w *workload) stock() (job, error) {
	stream, err := build(quiet+stockYAML, map[string]string{
		"KOMMO_BASE_URL":       w.url,
		"KOMMO_SCOPE_ID":       sandbox.DemoScopeID,
		"KOMMO_CHANNEL_SECRET": sandbox.DemoSecret,
		"KOMMO_CHATS":          strings.Join(w.stockChats, ","),
	})
	if err != nil {
		return nil, err
	}
	return stream.Run, nil
}

// profileInput writes a profile of input, several times over.
func profileInput(ctx context.Context, path string) error {
	w, err := startWorkload(ctx)
	if err != nil {
		return err
	}
	defer w.stop()
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return err
	}
	for range cpuRounds {
		do, err := w.input()
		if err != nil {
			return err
		}
		if err := do(ctx); err != nil {
			return err
		}
	}
	pprof.StopCPUProfile()
	return file.Close()
}
