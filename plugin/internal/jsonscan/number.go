// SPDX-License-Identifier: Apache-2.0

package jsonscan

import (
	"strconv"
	"strings"
)

// number returns where the number that begins at i ends, or the place at which
// it is none.
func number(s string, i int) (end int, ok bool) {
	if i < len(s) && s[i] == '-' {
		i++
	}
	start := i
	if i < len(s) && s[i] == '0' {
		i++
	} else if i = digits(s, i); i == start {
		return i, false
	}
	if i < len(s) && s[i] == '.' {
		start = i + 1
		if i = digits(s, start); i == start {
			return i, false
		}
	}
	if i < len(s) && s[i]|0x20 == 'e' {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		start = i
		if i = digits(s, start); i == start {
			return i, false
		}
	}
	return i, true
}

func digits(s string, i int) int {
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return i
}

// parseInteger returns the whole number that s is, exactly: 1600000000, 1.6e9 and
// 16000000000e-1 are the same. Anything else, and what does not fit in 64 bits, is
// 0.
func parseInteger(s string) int64 {
	if end, ok := number(s, 0); !ok || end < len(s) {
		return 0
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n
	}
	mantissa, exponent := s, 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		var err error
		if exponent, err = strconv.Atoi(s[i+1:]); err != nil || exponent > 1<<30 || exponent < -1<<30 {
			return 0
		}
		mantissa = s[:i]
	}
	sign := ""
	if mantissa[0] == '-' {
		sign, mantissa = "-", mantissa[1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	all := whole + fraction
	significant := strings.TrimRight(all, "0")
	exponent += len(all) - len(significant) - len(fraction)
	significant = strings.TrimLeft(significant, "0")
	if exponent < 0 || len(significant)+exponent > len("9223372036854775807") {
		return 0
	}
	n, err := strconv.ParseInt(sign+significant+strings.Repeat("0", exponent), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
