// SPDX-License-Identifier: Apache-2.0

package component

import (
	"errors"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// MetaReread is the metadata key with which a message that names a chat has what was
// delivered of it delivered again: from a time on, or all. It is a public contract.
const MetaReread = "kommo_reread"

// rereadAll is its value for all.
const rereadAll = "all"

// What is wrong with it. What it says is not repeated: it may be anything.
var (
	errNoReread     = errors.New("the metadata " + MetaReread + " is no time: want one in RFC 3339, as in 2024-01-01T00:00:00Z, or " + rereadAll + ", or no such metadata")
	errRereadFuture = errors.New("the metadata " + MetaReread + " is a time to come: want one that has been, in RFC 3339, or " + rereadAll)
)

// clocksApart is how far a time may be ahead of this machine's clock and yet have been.
const clocksApart = 10 * time.Minute

// reread returns from when on what a message names is to be read again, the zero time
// for all of it. is says that it is to be.
func reread(m *service.Message, now time.Time) (from time.Time, is bool, err error) {
	text, is := m.MetaGet(MetaReread)
	if !is {
		return time.Time{}, false, nil
	}
	if text = strings.TrimSpace(text); text == rereadAll {
		return time.Time{}, true, nil
	}
	from, err = time.Parse(time.RFC3339, text)
	switch {
	case err != nil:
		return time.Time{}, false, errNoReread
	case from.After(now.Add(clocksApart)):
		return time.Time{}, false, errRereadFuture
	}
	return from, true, nil
}
