// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// options is what the command line says.
type options struct {
	listen    string
	version   bool
	config    sandbox.Config
	seed      string
	demo      bool
	account   bool
	random    crowd
	synthetic crowd
	talks     crowd
	churn     sandbox.Churn
	faults    []sandbox.Fault
}

// crowd is a number of chats to make.
type crowd struct {
	chats, messages int           // chats are the talks of --synthetic-talks
	seed            uint64        // of --random
	start           time.Time     // of --synthetic
	step            time.Duration // of --synthetic
}

// parse reads the command line. Its errors name the flag; flag.ErrHelp is
// returned as it is.
func parse(args []string, env func(string) string) (options, error) {
	var o options
	flags := newFlagSet(&o)
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q: every setting is a flag", flags.Arg(0))
	}
	if o.account && o.talks.chats > 0 {
		return options{}, errors.New("--synthetic-talks: its talks have the ids of those of --account: want one of the two")
	}
	// The environment is read last and not as a default, so that no message of the
	// flag package can show it.
	fromEnv := func(value *string, name string) {
		if *value == "" {
			*value = env(name)
		}
	}
	fromEnv(&o.config.ScopeID, "KOMMO_SCOPE_ID")
	fromEnv(&o.config.Secret, "KOMMO_CHANNEL_SECRET")
	fromEnv(&o.config.AccessToken, "KOMMO_ACCESS_TOKEN")
	if o.seed == "" && o.random.chats == 0 && o.synthetic.chats == 0 && o.talks.chats == 0 && !o.account {
		o.demo = true
	}
	return o, nil
}

func newFlagSet(o *options) *flag.FlagSet {
	f := flag.NewFlagSet("kommo-sandbox", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.listen, "listen", "127.0.0.1:8480", "")
	f.BoolVar(&o.version, "version", false, "")

	f.StringVar(&o.config.ScopeID, "scope-id", "", "")
	f.StringVar(&o.config.Secret, "secret", "", "")
	f.StringVar(&o.config.AccessToken, "access-token", "", "")

	f.BoolVar(&o.demo, "demo", false, "")
	f.BoolVar(&o.account, "account", false, "")
	f.StringVar(&o.seed, "seed", "", "")
	f.Func("random", "", func(text string) (err error) {
		o.random, err = parseCrowd(text, "chats", "messages", "seed")
		return err
	})
	f.Func("synthetic", "", func(text string) (err error) {
		o.synthetic, err = parseCrowd(text, "chats", "messages", "start", "step")
		return err
	})
	f.Func("synthetic-talks", "", func(text string) (err error) {
		o.talks, err = parseCrowd(text, "talks", "messages", "start", "step")
		return err
	})

	rate := func(name string, to *float64) {
		f.Func(name, "", func(text string) (err error) {
			*to, err = parseRate(text)
			return err
		})
	}
	rate("grow", &o.churn.Grow)
	rate("shrink", &o.churn.Shrink)
	f.Func("clocks", "", func(text string) error {
		for part := range strings.SplitSeq(text, ",") {
			clock, err := time.ParseDuration(part)
			if err != nil {
				return err
			}
			o.churn.Clocks = append(o.churn.Clocks, clock)
		}
		return nil
	})
	f.Func("order", "", func(text string) error {
		o.config.Order = sandbox.Order(text)
		return nil
	})
	f.Func("random-seed", "", func(text string) error {
		seed, err := strconv.ParseUint(text, 10, 64)
		o.config.RandomSeed, o.churn.Seed = seed, seed
		return err
	})

	f.Func("fault", "", func(text string) error {
		fault, err := sandbox.ParseFault(text)
		o.faults = append(o.faults, fault)
		return err
	})
	f.Func("past-end", "", func(text string) error {
		o.config.PastEnd = sandbox.PastEnd(text)
		return nil
	})
	f.DurationVar(&o.config.Latency, "latency", 0, "")
	rate("requests-per-second", &o.config.RequestsPerSecond)
	f.Func("limit-kind", "", func(text string) error {
		o.config.Limit = sandbox.LimitKind(text)
		return nil
	})
	f.DurationVar(&o.config.LimitWindow, "limit-window", 0, "")
	f.IntVar(&o.config.Burst, "burst", 1, "")
	f.DurationVar(&o.config.RetryAfter, "retry-after", 0, "")
	f.Func("retry-after-in", "", func(text string) error {
		o.config.RetryAfterIn = sandbox.Hint(text)
		return nil
	})
	f.IntVar(&o.config.BlockAfter, "block-after", 0, "")
	f.DurationVar(&o.config.BlockFor, "block-for", 0, "")
	f.Func("block-body", "", func(text string) error {
		o.config.BlockBody = sandbox.Body(text)
		return nil
	})
	f.IntVar(&o.config.TalksCap, "talks-cap", 0, "")
	return f
}

// parseRate reads "2", "2/s", "90/m" or "10/h" as a number a second.
func parseRate(text string) (float64, error) {
	number, unit, _ := strings.Cut(text, "/")
	per, ok := map[string]float64{"": 1, "s": 1, "m": 60, "h": 3600}[unit]
	rate, err := strconv.ParseFloat(number, 64)
	if err != nil || !ok || !(rate >= 0 && rate <= 1e6) {
		return 0, errors.New("want a rate such as 2/s, 90/m or 10/h")
	}
	return rate / per, nil
}

// parseCrowd reads "chats=3,messages=100" and the like.
func parseCrowd(text string, names ...string) (crowd, error) {
	c := crowd{
		chats: 1, messages: 100,
		start: time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC), step: time.Second,
	}
	for part := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(part, "=")
		known := false
		for _, n := range names {
			known = known || n == name
		}
		if !known {
			return crowd{}, fmt.Errorf("want %s=..., got %q", strings.Join(names, "=..., "), part)
		}
		var err error
		switch name {
		case "chats", "talks":
			c.chats, err = count(value, 1)
		case "messages":
			c.messages, err = count(value, 0)
		case "seed":
			c.seed, err = strconv.ParseUint(value, 10, 64)
		case "start":
			c.start, err = time.Parse(time.RFC3339, value)
		case "step":
			c.step, err = time.ParseDuration(value)
		}
		if err != nil {
			return crowd{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	return c, nil
}

func count(text string, least int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < least {
		return 0, fmt.Errorf("want a number of %d or more, got %q", least, text)
	}
	return n, nil
}
