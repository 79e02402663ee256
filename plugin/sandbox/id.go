// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/binary"
	"math/rand/v2"
)

// newID returns a random UUID.
func newID() string { return uuid(rand.Uint64(), rand.Uint64()) }

// uuid returns the version 4 UUID made of 122 of these bits.
func uuid(a, b uint64) string {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], a)
	binary.BigEndian.PutUint64(raw[8:], b)
	raw[6] = raw[6]&0x0f | 0x40
	raw[8] = raw[8]&0x3f | 0x80
	id := make([]byte, 0, 36)
	for i, b := range raw {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			id = append(id, '-')
		}
		id = appendHex(id, uint64(b), 2)
	}
	return string(id)
}
