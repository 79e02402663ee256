// SPDX-License-Identifier: Apache-2.0

package component

import (
	"strings"
	"time"
)

// someNames is how many chats of many a line names.
const someNames = 3

// Few counts chats and has the names of the first few.
type Few struct {
	N, Told int
	toldAt  time.Time
	names   []string
}

// Add counts a chat.
func (l *Few) Add(chat string) {
	l.N++
	if len(l.names) < someNames {
		l.names = append(l.names, chat)
	}
}

// News reports whether there are more than were told of: by enough for another
// line, or after ten minutes. It notes that they are told.
func (l *Few) News() bool {
	now := time.Now()
	if l.N == l.Told || l.N < 2*l.Told && now.Sub(l.toldAt) < 10*time.Minute {
		return false
	}
	l.Told, l.toldAt = l.N, now
	return true
}

func (l *Few) String() string {
	s := strings.Join(l.names, ", ")
	if l.N > len(l.names) {
		s += ", …"
	}
	return s
}
