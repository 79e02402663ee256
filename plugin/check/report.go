// SPDX-License-Identifier: Apache-2.0

package check

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Report is what a check has found, in the order in which a person reads it.
type Report struct {
	Findings  []Finding  `json:"findings"`
	Estimates []Estimate `json:"estimates,omitempty"`
	// Requests is how many the check took, and Seconds how long.
	Requests int     `json:"requests"`
	Seconds  float64 `json:"seconds"`
}

// Count returns how many findings have a status.
func (r *Report) Count(status Status) (n int) {
	for _, f := range r.Findings {
		if f.Status == status {
			n++
		}
	}
	return n
}

// Failed says that something has to be changed.
func (r *Report) Failed() bool { return r.Count(Error) > 0 }

// Public returns the report without ids, names, hosts and the words of errors, for others
// to read.
func (r *Report) Public() *Report {
	public := *r
	public.Findings = make([]Finding, len(r.Findings))
	for i, f := range r.Findings {
		f.Text, f.Do = f.public, f.publicDo
		public.Findings[i] = f
	}
	return &public
}

// MarshalJSON adds what the whole means: ok, and how many findings there are of each
// status.
func (r *Report) MarshalJSON() ([]byte, error) {
	type plain Report // without this method
	return json.Marshal(struct {
		OK       bool `json:"ok"`
		Errors   int  `json:"errors"`
		Warnings int  `json:"warnings"`
		*plain
	}{!r.Failed(), r.Count(Error), r.Count(Warning), (*plain)(r)})
}

// WriteText writes the report for a person.
func (r *Report) WriteText(w io.Writer) {
	printer := Printer{W: w}
	for _, f := range r.Findings {
		printer.Finding(f)
	}
	printer.End(r)
}

// Printer writes findings as lines, with headings where the section changes.
type Printer struct {
	W       io.Writer
	section string
}

// Finding writes one.
func (p *Printer) Finding(f Finding) {
	if f.Section != p.section {
		if p.section != "" {
			fmt.Fprintln(p.W)
		}
		fmt.Fprintln(p.W, f.Section)
		p.section = f.Section
	}
	fmt.Fprintf(p.W, "  %-8s %s\n", f.Status, f.Text)
	if f.Do != "" {
		fmt.Fprintf(p.W, "  %-8s → %s\n", "", f.Do)
	}
}

// End writes what the whole means.
func (p *Printer) End(r *Report) {
	verdict := "Nothing stands in the way of reading"
	switch {
	case r.Failed():
		verdict = plural(r.Count(Error), "error") + " to be seen to first"
	case slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Answer == notAsked }):
		verdict = "Nothing that was checked stands in the way of reading"
	}
	fmt.Fprintf(p.W, "\n%s: %s, %d ok; %s in %gs, nothing was changed.\n", verdict,
		plural(r.Count(Warning), "warning"), r.Count(OK), plural(r.Requests, "request"), r.Seconds)
}

// plural returns a number with the word that goes with it.
func plural(n int, one string) string {
	switch {
	case n == 1:
		return "1 " + one
	case strings.HasSuffix(one, "ry"):
		return strconv.Itoa(n) + " " + strings.TrimSuffix(one, "y") + "ies"
	}
	return strconv.Itoa(n) + " " + one + "s"
}

// roundTime shows a duration as a person would say it.
func roundTime(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return plural(int(d/(24*time.Hour)), "day")
	case d >= time.Second:
		return d.Round(time.Second).String()
	case d < time.Millisecond:
		return "less than 1ms"
	}
	return d.Round(time.Millisecond).String()
}
