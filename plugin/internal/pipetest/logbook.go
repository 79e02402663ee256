// SPDX-License-Identifier: Apache-2.0

package pipetest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// LogBook is a slog.Handler that keeps every line. The zero value is ready.
type LogBook struct {
	bell *bell
	mu   sync.Mutex
	kept []LogLine
}

// LogLine is a line as it was logged.
type LogLine struct {
	level slog.Level
	Text  string
	at    time.Time
}

// Enabled implements slog.Handler.
func (*LogBook) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs implements slog.Handler.
func (l *LogBook) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup implements slog.Handler.
func (l *LogBook) WithGroup(string) slog.Handler { return l }

// Handle implements slog.Handler.
func (l *LogBook) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += " " + a.String()
		return true
	})
	l.mu.Lock()
	l.kept = append(l.kept, LogLine{r.Level, text, time.Now()})
	l.mu.Unlock()
	if l.bell != nil {
		l.bell.ring()
	}
	return nil
}

func (l *LogBook) String() string {
	var b strings.Builder
	for _, line := range l.Lines(slog.LevelDebug - 10) {
		fmt.Fprintf(&b, "%s %s\n", line.level, line.Text)
	}
	return b.String()
}

// Lines returns the lines of at least a level.
func (l *LogBook) Lines(least slog.Level) []LogLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(l.kept), func(line LogLine) bool { return line.level < least })
}

// With returns the lines, with their levels, that have a text in them.
func (l *LogBook) With(part string) []string {
	var out []string
	for _, line := range l.Lines(slog.LevelDebug) {
		if text := line.level.String() + " " + line.Text; strings.Contains(text, part) {
			out = append(out, text)
		}
	}
	return out
}

// Complaints returns the texts of warnings and errors.
func (l *LogBook) Complaints() []string {
	lines := l.Lines(slog.LevelWarn)
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = line.Text
	}
	return out
}

// Has tells whether a line of a level has all these parts in it.
func (l *LogBook) Has(level slog.Level, parts ...string) bool {
	for _, line := range l.Lines(level) {
		if line.level == level && !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line.Text, p) }) {
			return true
		}
	}
	return false
}
