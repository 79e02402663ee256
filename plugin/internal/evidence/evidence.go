// SPDX-License-Identifier: Apache-2.0

// Package evidence collects what the pages of an API show of the server that gives
// them. One page proves nothing: a clock errs, a message arrives between two requests.
// So it is shared by the passes over all chats.
package evidence

import (
	"hash/maphash"
	"sync"
)

// Server is what is known of a server. The zero value knows nothing. It is safe for
// concurrent use, and calls nothing with its lock held.
type Server struct {
	mu sync.Mutex

	// Of the order. A step up is counted once, however often it is read.
	down int
	ups  map[uint64]struct{} // by the hash of the two entries

	// Of short pages.
	ends     int                 // short pages behind which nothing followed
	skipped  int                 // short pages that were believed since one was last looked behind
	followed int                 // entries that did follow one
	refuted  bool                // so that short pages are no sign of the end
	longest  int                 // entries of the longest page,
	longEnds map[uint64]struct{} // and chats by hash, that ended with one as long
	nearEnds int                 // short pages behind which nothing followed that lacked hardly anything
	linked   int                 // short pages behind which nothing followed, though they linked a next page

	few       int    // entries of the longest page that had few
	fewOf     uint64 // the first chat that showed it, as a hash
	fewProved int    // how many as long had nothing behind them
}

const (
	// oldestFirst is how many more steps up than down, of that many times as many,
	// make an order. Single steps up are no sign of anything: a message may be
	// imported with an older time, and clocks err.
	oldestFirst = 8
	// maxCounted bounds ups. By then there is evidence enough.
	maxCounted = 4096

	// enoughEnds is how many short pages have to prove to be the chat's end before
	// one is believed, and of how many chats the longest before one of these is; and lookEvery how
	// often one is looked behind after that.
	enoughEnds = 32
	lookEvery  = 64
	// enoughNear is how many have to that lack no more than nearly of what was asked for.
	enoughNear = 8
	nearly     = 2
	// enoughFew is how many of the longest pages with few entries have to.
	enoughFew = 2
)

var seed = maphash.MakeSeed()

// Ordered takes where the times go up from entry to entry of a page, as something that identifies
// the two, and how often they go down, and reports whether all that was seen says that the newest
// message comes last.
func (e *Server) Ordered(ups []string, down int) (oldestComesFirst bool) {
	if len(ups) == 0 && down == 0 {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.down += down
	for _, step := range ups {
		if e.ups == nil {
			e.ups = map[uint64]struct{}{}
		}
		if len(e.ups) < maxCounted {
			e.ups[maphash.String(seed, step)] = struct{}{}
		}
	}
	return len(ups) > 0 && len(e.ups) >= oldestFirst && len(e.ups) >= oldestFirst*e.down
}

// Believed reports whether a chat's page of so many entries, which is shorter than asked, may be
// taken for its end without a look at what follows. Where no page held more, that may be the server's limit:
// many chats that are shorter prove nothing of it. And one that lacks hardly anything may hide that.
func (e *Server) Believed(chat string, entries, asked int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.refuted || e.ends < enoughEnds {
		return false
	}
	hides := entries >= asked-nearly && e.nearEnds < enoughNear
	return e.skip(!hides && !e.mayLimit(chat, entries))
}

// mayLimit says that so many may be the server's limit, for all that is known, at which the chat
// has not ended. Caller holds mu.
func (e *Server) mayLimit(chat string, entries int) bool {
	if entries < e.longest || len(e.longEnds) >= enoughEnds {
		return false
	}
	_, proved := e.longEnds[maphash.String(seed, chat)]
	return !proved
}

// BelievedFew is Believed of a chat's page with so few entries that hardly a limit is as low.
// It needs no proof beforehand, but where two chats show as many, and none more, that may
// be such a limit.
func (e *Server) BelievedFew(chat string, entries int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.mayLimitFew(chat, entries) && !e.refuted && e.skip(true)
}

// mayLimitFew is mayLimit for those, and notes who showed the most. Caller holds mu.
func (e *Server) mayLimitFew(chat string, entries int) bool {
	id := maphash.String(seed, chat)
	if entries > e.few {
		e.few, e.fewOf, e.fewProved = entries, id, 0
	}
	return entries == e.few && id != e.fewOf && e.fewProved < enoughFew
}

// skip says that no look is needed, if there may be none and one was not long ago. Caller holds mu.
func (e *Server) skip(may bool) bool {
	if e.skipped++; may && e.skipped < lookEvery {
		return true
	}
	e.skipped = 0
	return false
}

// Held notes how many entries a page held.
func (e *Server) Held(entries int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if entries > e.longest {
		e.longest, e.longEnds = entries, nil
	}
}

// Limits reports whether so many entries may be the most that the server gives at a time:
// no page held more.
func (e *Server) Limits(entries int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.longest <= entries
}

// Misleads reports whether short pages are no sign of the end at this server.
func (e *Server) Misleads() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.refuted
}

// Refute notes that short pages are known to be no sign of the end.
func (e *Server) Refute() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refuted = true
}

// Ended notes that nothing followed a chat's page of so many entries, which is shorter than asked.
func (e *Server) Ended(chat string, entries, asked int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ends++
	if entries == e.longest && len(e.longEnds) < enoughEnds {
		if e.longEnds == nil {
			e.longEnds = map[uint64]struct{}{}
		}
		e.longEnds[maphash.String(seed, chat)] = struct{}{}
	}
	if entries >= asked-nearly {
		e.nearEnds++
	}
	if entries == e.few {
		e.fewProved++
	}
}

// EndedLinked notes that nothing followed a short page that links a next one.
func (e *Server) EndedLinked() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.linked++
}

// LinksAlways reports whether a link to a next page has turned out to tell nothing.
func (e *Server) LinksAlways() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.linked >= enoughEnds
}

// Continued notes that so many entries followed a short page, and reports whether
// that makes it certain, for the first time, that short pages are no sign of the
// end. A single entry may have been imported there between two requests.
func (e *Server) Continued(entries int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.followed += entries
	if e.refuted || e.followed < 2 {
		return false
	}
	e.refuted = true
	return true
}
