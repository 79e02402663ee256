// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"encoding/binary"

	"github.com/gofrs/uuid/v5"

	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
)

// packed is a checkpoint in a fraction of the memory, for as long as nothing
// happens in its chat. "" is none.
type packed string

// How an id is packed: a UUID in lower case as its 16 bytes, anything else as it
// is. The others are added to it: the item shows no time, it is unplaced, its mark, a hash
// follows.
const (
	packedText     = 0
	packedUUID     = 1
	packedUntimed  = 2
	packedUnplaced = 4
	packedHash     = 8
	packedMark     = 16 // times the mark
)

// And what a checkpoint says beside, in its first byte.
const (
	packedBelieved   = 1
	packedShortPages = 2
)

func pack(c *chat.Checkpoint) packed {
	b := make([]byte, 1, 17+24*len(c.Seen))
	if c.Believed {
		b[0] |= packedBelieved
	}
	if c.ShortPages {
		b[0] |= packedShortPages
	}
	b = binary.AppendVarint(b, c.Time)
	b = binary.AppendVarint(b, c.From)
	last := c.Time
	for _, s := range c.Seen {
		b = binary.AppendVarint(b, s.Time-last)
		last = s.Time
		kind := byte(packedText)
		if s.Untimed {
			kind |= packedUntimed
		}
		if s.Unplaced {
			kind |= packedUnplaced
		}
		if s.Hash != 0 {
			kind |= packedHash
		}
		kind |= packedMark * byte(s.Mark)
		if id, err := uuid.FromString(s.ID); err == nil && id.String() == s.ID {
			b = append(append(b, kind|packedUUID), id[:]...)
		} else {
			b = binary.AppendUvarint(append(b, kind), uint64(len(s.ID)))
			b = append(b, s.ID...)
		}
		if s.Hash != 0 {
			b = binary.BigEndian.AppendUint64(b, uint64(s.Hash))
		}
	}
	return packed(b)
}

// unpack returns what was packed.
func (p packed) unpack() chat.Checkpoint {
	b := []byte(p)
	next := func() int64 {
		n, size := binary.Varint(b)
		b = b[size:]
		return n
	}
	c := chat.Checkpoint{Believed: b[0]&packedBelieved != 0, ShortPages: b[0]&packedShortPages != 0}
	b = b[1:]
	c.Time, c.From = next(), next()
	for last := c.Time; len(b) > 0; {
		last += next()
		kind := b[0]
		b = b[1:]
		s := chat.Seen{Time: last, Untimed: kind&packedUntimed != 0, Unplaced: kind&packedUnplaced != 0, Mark: chat.Mark(kind / packedMark)}
		if kind&packedUUID != 0 {
			s.ID, b = uuid.UUID(b[:16]).String(), b[16:]
		} else {
			n, size := binary.Uvarint(b)
			end := size + int(n) //nolint:gosec // pack wrote the length of a string
			s.ID, b = string(b[size:end]), b[end:]
		}
		if kind&packedHash != 0 {
			s.Hash, b = chat.Hash(binary.BigEndian.Uint64(b)), b[8:]
		}
		c.Seen = append(c.Seen, s)
	}
	return c
}

// believed is that of what was packed.
func (p packed) believed() bool { return p != "" && p[0]&packedBelieved != 0 }
