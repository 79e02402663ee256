// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"slices"
)

// Status is what a finding means for whoever wants to read.
type Status string

// The statuses.
const (
	// OK: it is as it should be, or was not seen.
	OK Status = "ok"
	// Warning: reading works, and somebody should know.
	Warning Status = "warning"
	// Error: something has to be changed first.
	Error Status = "error"
)

// NotSeen is the Answer of a finding for which the account showed too little.
const NotSeen = "not_seen"

// Finding is one line of a report.
type Finding struct {
	// Section is the heading above it.
	Section string `json:"section"`
	// ID names the question. It stays the same from version to version.
	ID     string `json:"id"`
	Status Status `json:"status"`
	// Answer is a word for what was found, the same for every account.
	Answer string `json:"answer"`
	Text   string `json:"text"`
	// Do is what to do; "" where there is nothing, or Text has it.
	Do string `json:"do,omitempty"`

	public, publicDo string // Text and Do without ids, names and hosts
}

// said is a text for whoever runs the check, and one for others.
type said struct{ full, public string }

// private is a value that is not for others, and what they read instead.
type private struct{ value, instead string }

func anID(id string) private    { return private{fmt.Sprintf("%q", id), "[id]"} }
func aHost(host string) private { return private{host, "[host]"} }
func aName(text string) private { return private{text, "[name]"} }

// say formats a text. Values that are private, and texts that say made, differ in the two.
func say(format string, args ...any) said {
	public := slices.Clone(args)
	full := slices.Clone(args)
	for i, arg := range args {
		switch arg := arg.(type) {
		case private:
			full[i], public[i] = arg.value, arg.instead
		case said:
			full[i], public[i] = arg.full, arg.public
		}
	}
	return said{fmt.Sprintf(format, full...), fmt.Sprintf(format, public...)}
}
