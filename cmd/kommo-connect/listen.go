// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

// serverFailed begins what the engine logs when it can't serve HTTP. It then goes
// on without health and metrics, and says it nowhere else.
const serverFailed = "HTTP Server error: "

// listenGuard ends the process when HTTP can't be served, as where the port is in
// use: a service that looks dead to whoever asks for its health is better dead.
// Nothing that was delivered is lost, and what has no checkpoint yet comes again.
type listenGuard struct {
	out  io.Writer
	exit func(code int)
}

func newListenGuard() *slog.Logger { return slog.New(&listenGuard{out: os.Stderr, exit: os.Exit}) }

// Enabled implements [slog.Handler].
func (*listenGuard) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelError
}

// Handle implements [slog.Handler].
func (g *listenGuard) Handle(_ context.Context, r slog.Record) error {
	if reason, ok := strings.CutPrefix(r.Message, serverFailed); ok {
		fmt.Fprintf(g.out, "shutting down because /ready and /metrics can't be served: %s: "+
			"set http.address to a free one, or http.enabled to false to do without\n", strings.TrimSpace(reason))
		g.exit(1)
	}
	return nil
}

// WithAttrs implements [slog.Handler].
func (g *listenGuard) WithAttrs([]slog.Attr) slog.Handler { return g }

// WithGroup implements [slog.Handler].
func (g *listenGuard) WithGroup(string) slog.Handler { return g }
