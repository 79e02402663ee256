// SPDX-License-Identifier: Apache-2.0

package apicall

import "regexp"

var (
	plainID  = regexp.MustCompile(`^[0-9A-Za-z._-]{1,64}$`)
	inPhones = regexp.MustCompile(`(^|[^-0-9])\d{10}`) // and not in a UUID
)

// PlainID reports whether a text of an answer may be shown where it should be an id or a
// name: it is short, and neither a phone number nor a sentence.
func PlainID(text string) bool { return plainID.MatchString(text) && !inPhones.MatchString(text) }
