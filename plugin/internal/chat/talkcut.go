// SPDX-License-Identifier: Apache-2.0

package chat

import "context"

// cut delivers a period that has more than may be held, in parts by time from the oldest
// on. l is what the walk has read of it before it gave up.
func (p *talkPass) cut(_ context.Context, _ period, l *talkList) error {
	if l.outside {
		return p.tooMany("the API gives messages of other times than it is asked for")
	}
	return p.tooMany("it can't be cut into parts")
}
