// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// version is stamped by the linker: -X main.version=v1.2.3.
var version = ""

// Exit codes, as flag's own and the shell's users expect them.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// shutdownTime is how long answers under way may take once it is time to stop.
const shutdownTime = 3 * time.Second

// run is the program: it serves until ctx ends. The first line on stdout is the
// URL, and nothing else goes there.
func run(ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer) int {
	o, err := parse(args, env)
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, _ = io.WriteString(stdout, help)
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "kommo-sandbox: %s\nRun kommo-sandbox --help to see all flags.\n", err)
		return exitUsage
	case o.version:
		fmt.Fprintln(stdout, "kommo-sandbox "+versionText())
		return exitOK
	}
	s, err := newServer(o)
	if err != nil {
		fmt.Fprintf(stderr, "kommo-sandbox: %s\n", err)
		return exitUsage
	}
	if err := serve(ctx, o, s, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "kommo-sandbox: %s\n", err)
		return exitError
	}
	return exitOK
}

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// newServer makes the server and its chats. Its errors name the flag.
func newServer(o options) (*sandbox.Server, error) {
	s, err := sandbox.New(o.config)
	if err != nil {
		// A field of the Config has the flag's name, but for the dashes.
		field, rest, _ := strings.Cut(err.Error(), ":")
		return nil, fmt.Errorf("--%s:%s", strings.ReplaceAll(field, "_", "-"), rest)
	}
	// Before any other talk is made.
	if err := s.SyntheticTalks(o.talks.chats, o.talks.messages, o.talks.start, o.talks.step); err != nil {
		return nil, fmt.Errorf("--synthetic-talks: %w", err)
	}
	switch {
	case o.account:
		s.DemoAccount() // has the demo's chats
	case o.demo:
		s.Demo()
	}
	if o.seed != "" {
		if err := load(s, o.seed); err != nil {
			return nil, fmt.Errorf("--seed: %w", err)
		}
	}
	if o.random.chats > 0 {
		s.Seed(o.random.seed, o.random.chats, o.random.messages)
	}
	for i := range o.synthetic.chats {
		if err := s.Synthetic(sandbox.SyntheticChat(i), o.synthetic.messages, o.synthetic.start, o.synthetic.step); err != nil {
			return nil, fmt.Errorf("--synthetic: %w", err)
		}
	}
	if err := s.SetFaults(o.faults...); err != nil {
		return nil, fmt.Errorf("--fault: %w", err)
	}
	return s, nil
}

func load(s *sandbox.Server, name string) error {
	if name == "-" {
		return s.LoadJSON(os.Stdin)
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if err := s.LoadJSON(file); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	return nil
}

// serve listens until ctx ends. It starts two goroutines and waits for both.
func serve(ctx context.Context, o options, s *sandbox.Server, stdout, stderr io.Writer) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		// Answers that are being delayed end with the program.
		BaseContext: func(net.Listener) context.Context { return ctx },
	}

	var background sync.WaitGroup
	background.Go(func() {
		// Flags have been checked, so that only the end of ctx ends it.
		_ = s.Churn(ctx, o.churn)
	})
	var shutdownErr error
	background.Go(func() {
		<-ctx.Done()
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
		defer cancel()
		if shutdownErr = server.Shutdown(late); shutdownErr != nil {
			shutdownErr = errors.Join(fmt.Errorf("shutting down: %w", shutdownErr), server.Close())
		}
	})

	fmt.Fprintf(stdout, "http://%s\n", listener.Addr())
	announce(o, s, listener.Addr(), stderr)
	err = server.Serve(listener)
	cancel()
	background.Wait()
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving: %w", err)
	}
	sum := s.Ledger()
	fmt.Fprintf(stderr, "%d requests, at most %d in one second, %d refused signatures, %d messages served\n",
		sum.Requests, sum.PeakPerSecond, sum.RefusedTotal, sum.Items)
	return shutdownErr
}

// announcedChats is how many chats the start names.
const announcedChats = 5

func announce(o options, s *sandbox.Server, at net.Addr, stderr io.Writer) {
	chats, messages := s.Chats(), 0
	for _, id := range chats {
		messages += s.Len(id)
	}
	fmt.Fprintf(stderr, "Chats API of scope %s: %d chats, %d messages\n", s.ScopeID(), len(chats), messages)
	for i, id := range chats {
		if i == announcedChats {
			fmt.Fprintf(stderr, "  and %d more: GET /sandbox/chats\n", len(chats)-i)
			break
		}
		fmt.Fprintf(stderr, "  %s  %d messages\n", id, s.Len(id))
	}
	switch {
	case o.talks.chats > 0:
		fmt.Fprintf(stderr, "CRM API: talks 1 to %d with %d messages each\n", o.talks.chats, o.talks.messages)
	case o.account:
		fmt.Fprintf(stderr, "CRM API: %d talks of five channels: GET /sandbox/talks\n", len(s.Talks()))
	}
	if tcp, ok := at.(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		fmt.Fprintf(stderr, "warning: %s can be reached from other machines, and whoever reaches it controls it: /sandbox/ is unsigned\n", o.listen)
	}
}
