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
// is. packedUntimed is added to it where the item shows no time.
const (
	packedText = iota
	packedUUID
	packedUntimed
)

func pack(c *chat.Checkpoint) packed {
	b := make([]byte, 0, 16+24*len(c.Seen))
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
		if id, err := uuid.FromString(s.ID); err == nil && id.String() == s.ID {
			b = append(append(b, kind|packedUUID), id[:]...)
			continue
		}
		b = binary.AppendUvarint(append(b, kind), uint64(len(s.ID)))
		b = append(b, s.ID...)
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
	c := chat.Checkpoint{Time: next(), From: next()}
	for last := c.Time; len(b) > 0; {
		last += next()
		s := chat.Seen{Time: last}
		kind := b[0]
		b = b[1:]
		s.Untimed = kind&packedUntimed != 0
		if kind&packedUUID != 0 {
			s.ID, b = uuid.UUID(b[:16]).String(), b[16:]
		} else {
			n, size := binary.Uvarint(b)
			end := size + int(n) //nolint:gosec // pack wrote the length of a string
			s.ID, b = string(b[size:end]), b[end:]
		}
		c.Seen = append(c.Seen, s)
	}
	return c
}
