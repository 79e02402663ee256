// SPDX-License-Identifier: Apache-2.0

package listing

// maxListed bounds how many chats of a listing are kept in memory only to list none
// twice.
const maxListed = 100_000

// listed are the chats that one listing has brought so far, each with the update that
// it was listed for: of the talks of one chat the latest is enough. It forgets the
// earliest ones beyond maxListed, which may then be listed again. The zero value is
// ready.
type listed struct{ recent, older map[string]int64 }

// add reports whether a chat has to be listed for an update, and notes it.
func (l *listed) add(chat string, updated int64) bool {
	at, ok := l.recent[chat]
	if !ok {
		at, ok = l.older[chat]
	}
	if ok && at >= updated {
		return false
	}
	if len(l.recent) >= maxListed/2 {
		l.older, l.recent = l.recent, nil
	}
	if l.recent == nil {
		l.recent = map[string]int64{}
	}
	l.recent[chat] = updated
	return true
}
