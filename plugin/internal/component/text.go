// SPDX-License-Identifier: Apache-2.0

package component

import (
	"strconv"
	"time"
)

// Plural returns a number with the form of the words that goes with it.
func Plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// Round shows a duration as a person would say it.
func Round(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(time.Second).String()
	default:
		return d.Round(time.Millisecond).String()
	}
}
