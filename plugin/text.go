// SPDX-License-Identifier: Apache-2.0

package plugin

import "strconv"

// plural returns a number with the form of the words that goes with it.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
