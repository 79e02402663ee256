// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	ucli "github.com/urfave/cli/v2"

	"github.com/kommo-connect/kommo-connect/plugin/check"
)

const checkHelp = `NAME:
   kommo-connect check - asks Kommo what it answers before anything is read, and changes nothing

USAGE:
   kommo-connect check [options] [pipeline.yaml]

   What to check comes from the kommo_ inputs of a pipeline, or without one from the environment variables that the shipped
   configurations have. Options come before both. Needed is a token, a channel's secret, or both.

OPTIONS:
   --api-url URL               KOMMO_API_URL              the account's address, https://example.kommo.com
   --access-token TOKEN        KOMMO_ACCESS_TOKEN         better in the variable or a file: others see a command line
   --access-token-file FILE    KOMMO_ACCESS_TOKEN_FILE
   --talks ID,ID                                          talks that have to answer; without them some are chosen
   --origins NAME,NAME         KOMMO_ORIGINS              the channels that are wanted
   --discover HOW              KOMMO_DISCOVER             events, talks or ids; for the estimate
   --since TIME                KOMMO_SINCE                2024-01-01T00:00:00Z; for the estimate

   --base-url URL              KOMMO_BASE_URL             the Chats API's address; https://amojo.kommo.com
   --scope-id ID               KOMMO_SCOPE_ID             {channel_id}_{amojo_id}
   --channel-id ID             KOMMO_CHANNEL_ID           instead: with a token the scope_id is made of it, and shown
   --channel-secret SECRET     KOMMO_CHANNEL_SECRET       better in the variable
   --chats ID,ID               KOMMO_CHATS                chats that have to answer; without them some that the token may see

   --requests-per-second N     KOMMO_REQUESTS_PER_SECOND  5
   --timeout TIME                                         30s, of one request
   --within TIME                                          50s, of all; what there is no time for is not checked
   --proxy-url URL                                        the environment's HTTPS_PROXY

   --json                      write the report as JSON
   --report FILE               write it to a file too, without ids, names, hosts, texts and secrets: to attach to an issue

EXIT CODE:
   0: nothing stands in the way; 1: something is wrong; 2: the command line or the pipeline is
`

// Exit codes of check.
const (
	checkFine = iota
	checkFailed
	checkUsage
)

// checkOptions is what the command line of check says.
type checkOptions struct {
	json   bool
	report string
	unset  []string // variables of the pipeline
	check.Config
}

// checkCommand is the command check. It leaves its exit code in code.
func checkCommand(code *int) *ucli.Command {
	return &ucli.Command{
		Name:            "check",
		Usage:           "Ask Kommo what it answers before anything is read",
		SkipFlagParsing: true, // so that a mistake has an exit code of its own
		Action: func(c *ucli.Context) error {
			ctx, stop := signal.NotifyContext(c.Context, os.Interrupt, syscall.SIGTERM)
			defer stop()
			*code = runCheck(ctx, c.Args().Slice(), os.Stdout, os.Stderr)
			return nil
		},
	}
}

// runCheck returns the exit code.
func runCheck(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	usage := func(err error) int {
		fmt.Fprintf(stderr, "kommo-connect check: %v\nSee kommo-connect check --help\n", err)
		return checkUsage
	}
	o, done, err := readCheck(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, checkHelp)
		return checkFine
	case err != nil:
		return usage(err)
	}
	defer done()
	if err := o.Validate(); err != nil {
		if len(o.unset) > 0 {
			err = fmt.Errorf("%w; variables of the pipeline that are not set: %s", err, strings.Join(o.unset, ", "))
		}
		return usage(err)
	}
	var file *os.File
	if o.report != "" { // before a minute is spent
		if file, err = os.Create(o.report); err != nil {
			return usage(fmt.Errorf("--report: %w", err))
		}
		defer func() { _ = file.Close() }() // closed below, where nothing failed
	}
	printer := check.Printer{W: stdout}
	if !o.json {
		o.Each = printer.Finding
	}
	report, err := check.Run(ctx, o.Config)
	if err != nil {
		return usage(err)
	}
	if o.json {
		err = writeJSON(stdout, report)
	} else {
		printer.End(report)
	}
	if file != nil {
		err = errors.Join(err, writePublic(file, report.Public(), o.json), file.Close())
	}
	switch {
	case err != nil:
		fmt.Fprintf(stderr, "kommo-connect check: writing the report: %v\n", err)
		return checkFailed
	case report.Failed():
		return checkFailed
	}
	return checkFine
}

func writeJSON(w io.Writer, report *check.Report) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(report)
}

func writePublic(w io.Writer, report *check.Report, asJSON bool) error {
	if asJSON {
		return writeJSON(w, report)
	}
	v, _ := stamp()
	var text strings.Builder
	fmt.Fprintf(&text, "kommo-connect %s check\n\n", v)
	report.WriteText(&text)
	_, err := io.WriteString(w, text.String())
	return err
}

// readCheck reads the command line, the pipeline it names and the environment. done frees
// what the pipeline's rate limit holds.
func readCheck(args []string) (o *checkOptions, done func(), err error) {
	o, done = &checkOptions{}, func() {}
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	given := checkFields{}
	for name := range checkVariables {
		flags.Func(strings.ReplaceAll(name, "_", "-"), "", func(value string) error {
			given[name] = value
			return nil
		})
	}
	flags.BoolVar(&o.json, "json", false, "")
	flags.StringVar(&o.report, "report", "", "")
	flags.DurationVar(&o.Within, "within", 0, "")
	var pipelines []string
	for len(args) > 0 { // options may stand behind the pipeline too
		if err := flags.Parse(args); err != nil {
			return nil, nil, err
		}
		if args = flags.Args(); len(args) > 0 {
			pipelines, args = append(pipelines, args[0]), args[1:]
		}
	}
	var fields checkFields
	switch len(pipelines) {
	case 0:
		fields = fieldsOfEnvironment()
	case 1:
		if fields, err = fieldsOfPipeline(pipelines[0], o, &done); err != nil {
			return nil, nil, err
		}
	default:
		return nil, nil, fmt.Errorf("want one pipeline at most, got %q", pipelines)
	}
	for name := range given {
		delete(fields, instead[name])
	}
	maps.Copy(fields, given)
	if err := fields.fill(&o.Config); err != nil {
		done()
		return nil, nil, err
	}
	return o, done, nil
}

// readTime reads a time as since has it.
func readTime(text string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("since: want a time such as 2024-01-01T00:00:00Z, got %q", text)
	}
	return at, nil
}
