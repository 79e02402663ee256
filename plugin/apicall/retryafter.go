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
	if strings.Trim(header, "0123456789.") == "" {
		seconds, err := strconv.ParseFloat(header, 64)
		if err != nil && !math.IsInf(seconds, 1) {
			return 0
		}
		return durationOf(seconds)
	}
	at, err := http.ParseTime(header)
	if err != nil {
		return 0
	}
	if date.IsZero() {
		date = received
	}
	return max(at.Sub(date), 0)
}
