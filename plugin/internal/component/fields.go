// SPDX-License-Identifier: Apache-2.0

package component

import (
	"fmt"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"gopkg.in/yaml.v3"
)

// Labels tells which resources there are.
type Labels interface {
	HasCache(label string) bool
	HasRateLimit(label string) bool
}

// FieldReader reads fields and keeps what is wrong with them. Each error begins
// with the field, and says what to do.
type FieldReader struct {
	Conf *service.ParsedConfig
	// Linting says that nothing will be built: files that are not on this machine are
	// no mistake.
	Linting bool

	errs []error
}

// Fail notes an error; nil is none.
func (r *FieldReader) Fail(err error) {
	if err != nil {
		r.errs = append(r.errs, err)
	}
}

// Err returns the first thing that is wrong, or nil.
func (r *FieldReader) Err() error {
	if len(r.errs) == 0 {
		return nil
	}
	return r.errs[0]
}

// Require notes what the format says unless ok.
func (r *FieldReader) Require(ok bool, format string, args ...any) {
	if !ok {
		r.Fail(fmt.Errorf(format, args...))
	}
}

// Read reads a field with a method of r.Conf.
func Read[T any](r *FieldReader, get func(path ...string) (T, error), field string) T {
	v, err := get(field)
	if err != nil {
		r.Fail(fmt.Errorf("%s: %w", field, err))
	}
	return v
}

// Text reads an optional string. An empty one counts as absent, so that a field
// can be filled from an environment variable that may be empty.
func (r *FieldReader) Text(field string) string {
	if !r.Conf.Contains(field) {
		return ""
	}
	return strings.TrimSpace(Read(r, r.Conf.FieldString, field))
}

// Duration reads a duration that has to be least or more. If it is wrong the result is
// least, so that one mistake is not reported twice.
func (r *FieldReader) Duration(field string, least time.Duration) time.Duration {
	return r.durationAt(least, field)
}

func (r *FieldReader) durationAt(least time.Duration, path ...string) time.Duration {
	field := strings.Join(path, ".")
	text, err := r.Conf.FieldString(path...)
	if err != nil {
		r.Fail(fmt.Errorf("%s: %w", field, err))
		return least
	}
	d, err := time.ParseDuration(strings.TrimSpace(text))
	switch {
	case err != nil:
		r.Require(false, "%s: want a duration with its unit, as in 30s or 5m, got %q", field, text)
		return least
	case d < least && least == 1:
		r.Require(false, "%s: want more than 0s, got %s", field, d)
		return least
	case d < least:
		r.Require(false, "%s: want %s or more, got %s", field, least, d)
		return least
	}
	return d
}

// Positive reads a whole number of at least 1.
func (r *FieldReader) Positive(field string) int {
	n := Read(r, r.Conf.FieldInt, field)
	r.Require(n >= 1, "%s: want 1 or more, got %d", field, n)
	return n
}

// Time reads the text of a field as a time.
func (r *FieldReader) Time(field, text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	r.Require(err == nil, "%s: want a time in RFC 3339, as in 2024-01-01T00:00:00Z, got %q", field, text)
	return t
}

// Secret reads a secret, and changes nothing in it. No error repeats it.
func (r *FieldReader) Secret(field string) string {
	s := Read(r, r.Conf.FieldString, field)
	r.Require(s == "" || strings.TrimSpace(s) != "", "%s: it is blank: want the secret itself", field)
	r.Require(s == strings.TrimSpace(s) || strings.TrimSpace(s) == "", "%s: it begins or ends with a space or a line break: remove that", field)
	return s
}

// IsEmpty tells whether a field for a component is there but empty.
func IsEmpty(component any) bool {
	switch c := component.(type) {
	case nil:
		return true
	case map[string]any:
		return len(c) == 0
	case *yaml.Node:
		return len(c.Content) == 0 && (c.Kind == yaml.MappingNode || c.Tag == "!!null")
	}
	return false
}
