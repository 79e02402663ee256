// SPDX-License-Identifier: Apache-2.0

package component

import (
	"strings"
	"time"
)

// someNames is how many of many chats a log line names.
const someNames = 3

// Few counts chats, and keeps the ids of the first few for a log line.
type Few struct {
	N    int // how many there are
	Told int // how many there were when they were told of last

	toldAt time.Time
	names  []string
}

// Add counts a chat.
func (l *Few) Add(chat string) {
	l.N++
	if len(l.names) < someNames {
		l.names = append(l.names, chat)
	}
}

// News reports whether another line is due, and notes that it is written: once there
// are twice as many as in the line before, or more after ten minutes.
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
