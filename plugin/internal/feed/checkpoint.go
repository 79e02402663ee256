// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/kommo-connect/kommo-connect/plugin/internal/checkpoint"
)

// checkpointVersion is written into every checkpoint. A reader that meets a higher one
// refuses it rather than guess.
const checkpointVersion = 1

// errOther says that a checkpoint was made for other origins, or for a later Since.
var errOther = errors.New("the checkpoint was made for another listing")

type eventsJSON struct {
	checkpoint.Versioned
	Origins    []string `json:"origins,omitempty"`
	Since      int64    `json:"since,omitempty"`
	Position   *int64   `json:"position"`
	Known      []byte   `json:"known"` // 16 bytes each: the event's key, and its time
	ShortPages bool     `json:"short_pages,omitempty"`
}

const momentSize = 16

func encodeEvents(p progress, origins []string, since int64) ([]byte, error) {
	j := eventsJSON{Versioned: checkpoint.Versioned{Version: checkpointVersion}, Origins: origins, Since: since, Position: &p.pos, ShortPages: p.lies}
	j.Known = make([]byte, 0, momentSize*len(p.known))
	for _, m := range p.known {
		j.Known = binary.BigEndian.AppendUint64(j.Known, m.key)
		j.Known = binary.BigEndian.AppendUint64(j.Known, uint64(m.at)) //nolint:gosec // and back
	}
	return checkpoint.Encode(j)
}

// decodeEvents reads what encodeEvents wrote. Anything else, the empty and the half
// written value included, is an error: it must not be mistaken for a feed that was never
// read.
func decodeEvents(b []byte) (p progress, origins []string, since int64, err error) {
	var j eventsJSON
	if err := checkpoint.Decode(b, checkpointVersion, &j); err != nil {
		return progress{}, nil, 0, err
	}
	if j.Position == nil || *j.Position < 0 || j.Known == nil || len(j.Known)%momentSize != 0 {
		return progress{}, nil, 0, errors.New("decoding a checkpoint: it has no position, or what was named is cut off")
	}
	p = progress{pos: *j.Position, lies: j.ShortPages}
	for m := range slices.Chunk(j.Known, momentSize) {
		p.known = append(p.known, moment{binary.BigEndian.Uint64(m), int64(binary.BigEndian.Uint64(m[8:]))}) //nolint:gosec // as it was
	}
	return p, j.Origins, j.Since, nil
}
