// SPDX-License-Identifier: Apache-2.0

// Command kommo-sandbox serves a Chats API to develop and test pipelines
// against. Run it with --help to learn how.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
