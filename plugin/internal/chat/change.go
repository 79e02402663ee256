// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strings"
)

// Op is what became of a message.
type Op uint8

const (
	// Create says that it is delivered for the first time, as far as the checkpoint knows.
	Create Op = iota
	// Update says that it was delivered, and its bytes are others now.
	Update
	// Delete says that it was delivered, and is gone. Such an [Item] has no Value.
	Delete
)

// Hash tells the bytes of a message from others. In JSON it is 11 characters of base64.
// 0: they are not known.
type Hash uint64

// HashOf returns the hash of a message's bytes, which is not 0. That two different ones
// have the same, so that a change is not seen, happens once in 2^64 changes.
func HashOf(raw []byte) Hash {
	sum := sha256.Sum256(raw)
	return max(1, Hash(binary.BigEndian.Uint64(sum[:])))
}

// MarshalText implements encoding.TextMarshaler.
func (h Hash) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, binary.BigEndian.AppendUint64(nil, uint64(h))), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hash) UnmarshalText(text []byte) error {
	b, err := base64.RawURLEncoding.AppendDecode(nil, text)
	if err != nil || len(b) != 8 {
		return errors.New("a hash is not 8 bytes in base64")
	}
	*h = Hash(binary.BigEndian.Uint64(b))
	return nil
}

// madePrefix is what the ids begin with that MakeID makes.
const madePrefix = "sha256:"

// MakeID returns an id for a message that has none of its own: a hash of its bytes. With
// other bytes it is another message.
func MakeID(raw []byte) string {
	sum := sha256.Sum256(raw)
	return madePrefix + hex.EncodeToString(sum[:])
}

// Mark is what is known of a delivered message beside that. It needs no words while the
// message is there.
type Mark uint8

const (
	_ Mark = iota
	// missed: the last whole pass over its place did not meet it.
	missed
	// gone: it was delivered that it is deleted.
	gone
	// leftOut: it was never delivered, so that nobody is to be told what becomes of it.
	leftOut

	marks // so many there are
)

// amend takes over what is no new message of what was delivered next, and returns the
// rest. It does not change what c.Seen or delivered point to.
func (c *Checkpoint) amend(delivered []Seen) []Seen {
	if !slices.ContainsFunc(delivered, func(d Seen) bool { return d.op != Create }) {
		return delivered
	}
	created := make([]Seen, 0, len(delivered))
	changed := map[string]Seen{}
	for _, d := range delivered {
		switch d.op {
		case Create:
			created = append(created, d)
		case Update:
			changed[d.ID] = Seen{ID: d.ID, Hash: d.Hash}
		case Delete:
			changed[d.ID] = Seen{ID: d.ID, Mark: gone}
		}
	}
	c.Note(slices.Collect(maps.Values(changed)))
	for i := range created {
		if s, ok := changed[created[i].ID]; ok {
			created[i].Hash, created[i].Mark = s.Hash, s.Mark
		}
	}
	return created
}

// Note takes over the hash and the mark of each note, by its id. It does not change what
// c.Seen points to, and reports whether it changed c.
func (c *Checkpoint) Note(notes []Seen) bool {
	if len(notes) == 0 {
		return false
	}
	by := make(map[string]*Seen, len(notes))
	for i := range notes {
		by[notes[i].ID] = &notes[i]
	}
	var seen []Seen
	for i, s := range c.Seen {
		n := by[s.ID]
		if n == nil || n.Hash == s.Hash && n.Mark == s.Mark {
			continue
		}
		if seen == nil {
			seen = slices.Clone(c.Seen)
		}
		seen[i].Hash, seen[i].Mark = n.Hash, n.Mark
	}
	if seen != nil {
		c.Seen = seen
	}
	return seen != nil
}

// Unsettled says that some message was missed once, so that another pass has to tell
// whether it is gone.
func (c *Checkpoint) Unsettled() bool {
	return slices.ContainsFunc(c.Seen, func(s Seen) bool { return s.Mark == missed })
}

// made says that an id is one of MakeID.
func made(id string) bool { return strings.HasPrefix(id, madePrefix) }
