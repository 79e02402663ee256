// SPDX-License-Identifier: Apache-2.0

// Command demo runs the quick start: it starts the sandbox, lets kommo-connect
// read the sandbox's chats with the quick start's pipeline, and says what was
// read. Documents and the closing line go to standard output, logs to standard
// error. make demo builds the two programs and calls it.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// limit bounds the whole run, so that a demo that hangs ends with an error.
const limit = 2 * time.Minute

func main() {
	var d demo
	flag.StringVar(&d.connect, "connect", "bin/kommo-connect-core", "the kommo-connect binary")
	flag.StringVar(&d.sandbox, "sandbox", "bin/kommo-sandbox", "the kommo-sandbox binary")
	flag.StringVar(&d.pipeline, "pipeline", "examples/quickstart/pipeline.yaml", "the pipeline to run")
	flag.StringVar(&d.dir, "dir", ".demo", "folder of the checkpoints, made if missing")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := d.run(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

type demo struct {
	connect, sandbox, pipeline, dir string
}

func (d demo) run(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()

	url, stop, err := d.startSandbox(ctx)
	if err != nil {
		return err
	}
	defer stop()

	chats, err := listChats(ctx, url)
	if err != nil {
		return fmt.Errorf("listing the sandbox's chats: %w", err)
	}
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return fmt.Errorf("making the folder of the checkpoints: %w", err)
	}
	read, err := d.runPipeline(ctx, out, url, chats)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, read.line(d.dir)); err != nil {
		return fmt.Errorf("printing what was read: %w", err)
	}
	return nil
}

// startSandbox returns the sandbox's URL and a function that ends it.
func (d demo) startSandbox(ctx context.Context) (url string, stop func(), err error) {
	cmd := exec.CommandContext(ctx, d.sandbox, "--listen", "127.0.0.1:0", "--demo")
	cmd.Env = environ()
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, fmt.Errorf("starting the sandbox: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("starting the sandbox: %w", err)
	}
	stop = func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()         // a killed process always ends with an error
	}

	lines := bufio.NewScanner(stdout)
	if !lines.Scan() {
		stop()
		return "", nil, errors.New("starting the sandbox: it ended without naming its address")
	}
	return strings.TrimSpace(lines.Text()), stop, nil
}

// environ returns the environment without the caller's KOMMO_ variables: they
// name a real channel, and this is not the place to read it.
func environ() []string {
	return slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return strings.HasPrefix(kv, "KOMMO_")
	})
}

// listChats asks the sandbox which chats it serves.
func listChats(ctx context.Context, url string) ([]string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/sandbox/chats", http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking the sandbox: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // only read from
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("asking the sandbox: status %s", res.Status)
	}
	var list struct {
		Chats []struct {
			ID string `json:"id"`
		} `json:"chats"`
	}
	if err := json.NewDecoder(res.Body).Decode(&list); err != nil {
		return nil, fmt.Errorf("decoding the list: %w", err)
	}
	ids := make([]string, 0, len(list.Chats))
	for _, c := range list.Chats {
		ids = append(ids, c.ID)
	}
	if len(ids) == 0 {
		return nil, errors.New("the list is empty")
	}
	return ids, nil
}

func (d demo) runPipeline(ctx context.Context, out io.Writer, url string, chats []string) (tally, error) {
	dir, err := filepath.Abs(d.dir)
	if err != nil {
		return tally{}, fmt.Errorf("finding the folder of the checkpoints: %w", err)
	}
	cmd := exec.CommandContext(ctx, d.connect, "run", d.pipeline)
	cmd.Stderr = os.Stderr
	cmd.Env = append(environ(),
		"KOMMO_BASE_URL="+url,
		"KOMMO_SCOPE_ID="+sandbox.DemoScopeID,
		"KOMMO_CHANNEL_SECRET="+sandbox.DemoSecret,
		"KOMMO_CHATS="+strings.Join(chats, ","),
		"KOMMO_CHECKPOINT_DIR="+dir,
	)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return tally{}, fmt.Errorf("starting the pipeline: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return tally{}, fmt.Errorf("starting the pipeline: %w", err)
	}
	read, err := copyDocuments(out, stdout)
	if err != nil {
		_ = cmd.Process.Kill() // the error at hand says more than its end
		_ = cmd.Wait()
		return tally{}, err
	}
	if err := cmd.Wait(); err != nil {
		return tally{}, fmt.Errorf("running the pipeline: %w", err)
	}
	read.of = len(chats)
	return read, nil
}
