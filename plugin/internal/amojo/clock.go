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

func (c *clock) now() time.Time { return c.at(c.known()) }

// at is the time by a clock that is so much ahead of the local one.
func (c *clock) at(offset time.Duration) time.Time { return c.local().Add(offset) }

// known is the offset by which requests are dated.
func (c *clock) known() time.Duration { return time.Duration(c.offset.Load()) }

// skew is how far server is ahead of the local time, whatever is corrected
// already.
func (c *clock) skew(server time.Time) time.Duration {
	return server.Sub(c.local())
}

// others returns the offsets with which a request is worth another try that was
// refused when it was dated signed, by a server that says it is server: that of its
// Date, if it is far from signed; and then none, if there is one, because
// the local clock may have been set right since and the Date itself may be wrong.
// A Date that agrees with ours says that the clocks are not the cause.
func (c *clock) others(server, signed time.Time) []time.Duration {
	if server.IsZero() {
		// The local clock may have been set right all the same.
		if c.known().Abs() > maxSkew {
			return []time.Duration{0}
		}
		return nil
	}
	if server.Sub(signed).Abs() <= maxSkew {
		return nil
	}
	others := []time.Duration{c.skew(server)}
	if c.known().Abs() > maxSkew && others[0].Abs() > maxSkew {
		others = append(others, 0)
	}
	return others
}

// set makes an offset the known one. It is called once a request that was dated
// by it was accepted, never before: what a Date says may be wrong, or out of a
// cache, and every later request would be refused for it. Several calls can find
// the same error at once; each sets nearly the same.
func (c *clock) set(offset time.Duration) { c.offset.Store(int64(offset)) }
