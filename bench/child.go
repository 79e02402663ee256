// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/internal/heapfloor"
	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// What bench does in a process of its own, as the flag -child names it. Each
// reads its task as JSON from the standard input, says one line, and ends when
// the standard input does.
const (
	childServe = "serve" // a sandbox, whose CPU time is then not that of bench
	childRun   = "run"   // a pipeline, whose memory is then that of nothing else
)

// serveTask is the task of childServe. Its line is the sandbox's URL.
type serveTask struct {
	Lengths []int // of the chats

	Talks, TalkMessages int // how many talks of other channels, and how many messages each has
}

// runTask is the task of childRun. It ends when the pipeline does or, with Stop,
// with the standard input. Its line is a weight.
type runTask struct {
	File string // the configuration
	Stop bool
}

// weight is the peak of a process's memory in KiB: of all its life, and since it
// was last sent a line.
type weight struct{ Life, Since int }

func runChild(ctx context.Context, what string, in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	task, err := lines.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("reading the task: %w", err)
	}
	switch what {
	case childServe:
		var t serveTask
		if err := json.Unmarshal(task, &t); err != nil {
			return fmt.Errorf("reading the task: %w", err)
		}
		return serveUntilEnd(lines, t, out)
	case childRun:
		var t runTask
		if err := json.Unmarshal(task, &t); err != nil {
			return fmt.Errorf("reading the task: %w", err)
		}
		return runAndWeigh(ctx, lines, t, out)
	default:
		return fmt.Errorf("-child: there is no %q", what)
	}
}

func serveUntilEnd(in io.Reader, t serveTask, out io.Writer) error {
	s, err := sandbox.New(sandbox.Config{})
	if err != nil {
		return err
	}
	if _, err := synthetic(s, t.Lengths); err != nil {
		return err
	}
	if err := s.SyntheticTalks(t.Talks, t.TalkMessages, synthStart, time.Second); err != nil {
		return err
	}
	url, stop := serve(s)
	defer stop()
	fmt.Fprintln(out, url)
	_, err = io.Copy(io.Discard, in)
	return err
}

// runAndWeigh does what the command line's run does, the reading of a large
// configuration included.
func runAndWeigh(ctx context.Context, in *bufio.Reader, t runTask, out io.Writer) error {
	var life atomic.Int64
	failed := make(chan error, 1)
	go func() {
		for {
			if _, err := in.ReadString('\n'); err != nil {
				break
			}
			peak, err := peakMemory()
			if err == nil {
				err = forgetPeakMemory()
			}
			if err != nil {
				failed <- err
				break
			}
			life.Store(max(life.Load(), int64(peak)))
		}
		if t.Stop {
			// What the engine waits for, as from any service manager.
			_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
		}
	}()
	os.Stdout = os.Stderr // the engine logs to it, and a line of its log is none of ours
	heapfloor.Keep()      // as kommo-connect
	code, err := service.RunCLIToCode(ctx, service.CLIOptSetArgs("bench", "run", t.File))
	if err != nil {
		return fmt.Errorf("running the pipeline: %w", err)
	}
	if code != 0 {
		return fmt.Errorf("running the pipeline: it ended with code %d", code)
	}
	select {
	case err := <-failed:
		return err
	default:
	}
	peak, err := peakMemory()
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(weight{Life: max(peak, int(life.Load())), Since: peak})
}

// child is a process of this very program, with its task.
type child struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	said  chan string // gets its line, and is closed if there was none
}

func startChild(ctx context.Context, what string, task any) (*child, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	cmd := exec.CommandContext(ctx, program, "-child", what)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting a process to %s: %w", what, err)
	}
	c := &child{cmd: cmd, stdin: stdin, said: make(chan string, 1)}
	go func() {
		if line, err := bufio.NewReader(stdout).ReadString('\n'); err == nil {
			c.said <- strings.TrimSuffix(line, "\n")
		}
		close(c.said)
	}()
	if err := json.NewEncoder(stdin).Encode(task); err != nil {
		return nil, errors.Join(fmt.Errorf("telling a process to %s: %w", what, err), c.end())
	}
	return c, nil
}

// line waits for what the child says.
func (c *child) line() (string, error) {
	line, ok := <-c.said
	if !ok {
		return "", errors.Join(errors.New("the process had nothing to say"), c.end())
	}
	return line, nil
}

// end tells the child to end and waits until it has.
func (c *child) end() error {
	closed := c.stdin.Close()
	if errors.Is(closed, os.ErrClosed) {
		closed = nil
	}
	return errors.Join(closed, c.cmd.Wait())
}
