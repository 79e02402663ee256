// SPDX-License-Identifier: Apache-2.0

// Command bench measures what the input promises in figures, and prints them as
// ratios with their targets: make bench. README.md says what each row means.
//
// It ends with an error only if something does not work. A figure that misses
// its target is marked in the table, for machines differ.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	// The stock components that the pipelines use, and the input itself.
	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"

	_ "github.com/kommo-connect/kommo-connect/plugin"
)

// limit bounds the whole run, so that a figure that hangs ends with an error.
const limit = 40 * time.Minute

// figure measures some rows of the table.
type figure struct {
	name    string
	measure func(context.Context) ([]row, error)
}

func figures() []figure {
	return []figure{
		{"requests", requests},
		{"tailing", tailing},
		{"account", account},
		{"limiter", limiter},
		{"slow", slowOutputs},
		{"readahead", readAhead},
		{"cpu", cpu},
		{"memory", memory},
		{"million", million},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var names []string
	for _, f := range figures() {
		names = append(names, f.name)
	}
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	only := flags.String("only", strings.Join(names, ","), "which figures to measure, comma-separated")
	profile := flags.String("cpuprofile", "", "write a CPU profile of the input, as measured by the figure cpu, to this file")
	child := flags.String("child", "", "for bench itself: what to do in a process of its own")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *child != "" {
		return runChild(ctx, *child, os.Stdin, out)
	}

	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if *profile != "" {
		return profileInput(ctx, *profile)
	}
	chosen := strings.Split(*only, ",")
	for _, name := range chosen {
		if !slices.Contains(names, name) {
			return fmt.Errorf("-only: want some of %s, got %q", strings.Join(names, ","), name)
		}
	}

	var t table
	for _, f := range figures() {
		if !slices.Contains(chosen, f.name) {
			continue
		}
		began := time.Now()
		rows, err := f.measure(ctx)
		if err != nil {
			return fmt.Errorf("measuring %s: %w", f.name, err)
		}
		fmt.Fprintf(os.Stderr, "bench: %s took %s\n", f.name, time.Since(began).Round(time.Second))
		t = append(t, rows...)
	}
	return t.print(out)
}
