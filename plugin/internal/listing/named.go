// SPDX-License-Identifier: Apache-2.0

package listing

// maxNamed bounds how many chats of a listing are kept in memory only to not name
// them twice.
const maxNamed = 100_000

// named are the chats that a listing has named, each with the update that it was
// named for: of the talks of one chat the latest is enough. It forgets the
// earliest ones beyond maxNamed, which may then be named again. The zero value is
// ready.
type named struct{ recent, older map[string]int64 }

// add reports whether a chat has to be named for an update, and notes it.
func (n *named) add(chat string, updated int64) bool {
	at, ok := n.recent[chat]
	if !ok {
		at, ok = n.older[chat]
	}
	if ok && at >= updated {
		return false
	}
	if len(n.recent) >= maxNamed/2 {
		n.older, n.recent = n.recent, nil
	}
	if n.recent == nil {
		n.recent = map[string]int64{}
	}
	n.recent[chat] = updated
	return true
}
