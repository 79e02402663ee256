// SPDX-License-Identifier: Apache-2.0

package apicall

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// retryAfter reads the header's two forms, seconds and a date (RFC 9110, 10.2.3);
// seconds may have a fraction. It is 0 for anything else, and for a moment that
// has passed. A date is compared with date, the answer's own Date header, because
// the server's clock and ours differ; received is the local time to fall back on.
func retryAfter(header string, date, received time.Time) time.Duration {
	header = strings.TrimSpace(header)
	if header == "" {
		return 0
	}
	at, err := http.ParseTime(header)
	if err != nil {
		return retrySeconds(header)
	}
	if date.IsZero() {
		date = received
	}
	return max(at.Sub(date), 0)
}

// retrySeconds reads a number of seconds, perhaps with a fraction or an exponent,
// as JSON allows both. It is 0 for anything else, and the longest duration there is
// for more than that.
func retrySeconds(s string) time.Duration {
	s = strings.TrimSpace(s)
	if strings.Trim(s, "0123456789.eE+-") != "" {
		return 0 // not Inf, NaN, hexadecimal or 1_000, which ParseFloat takes
	}
	seconds, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(seconds, 1) || seconds <= 0 {
		return 0
	}
	return durationOf(seconds)
}
