// SPDX-License-Identifier: Apache-2.0

package amojo

import (
	"sync/atomic"
	"time"
)

// maxSkew is how far the date of a refused request may be from the server's
// before the request is signed again. A signature holds for 15 minutes
// (chats-api.md, The signature), so a wrong clock shows as much more than this,
// and an answer that was slow to come as less.
const maxSkew = time.Minute

// clock tells the server's time, as far as it is known. It is safe for
// concurrent use.
type clock struct {
	local  func() time.Time
	offset atomic.Int64 // server minus local, in ns
}

func (c *clock) now() time.Time {
	return c.local().Add(time.Duration(c.offset.Load()))
}

// skew is how far server is ahead of the local time, whatever is corrected
// already.
func (c *clock) skew(server time.Time) time.Duration {
	return server.Sub(c.local())
}

// set corrects the clock to the given server's time. Several calls can find the
// same error at once; each sets nearly the same.
func (c *clock) set(server time.Time) {
	c.offset.Store(int64(c.skew(server)))
}
