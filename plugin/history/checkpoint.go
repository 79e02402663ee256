// SPDX-License-Identifier: Apache-2.0

package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Checkpoint is how far a chat has been delivered: everything older than From
// is done with, and of what is as new as From or newer, exactly the items in
// Seen have been delivered. The zero value says that nothing has.
//
// A time alone would not do: several messages can share one, and the next of
// them may arrive after the first was delivered.
type Checkpoint struct {
	// Time is the newest delivered item's, in Unix milliseconds.
	Time int64
	// From is a whole second, in Unix milliseconds. Seen is complete from
	// there on. It trails Time by the lookback and never moves back, so that a
	// lookback that is raised later can't bring back what was delivered before
	// its ids were kept.
	From int64
	// Seen are the delivered items since From in the order of their delivery,
	// and always the last delivered one, however old it is: in an API that
	// lists late messages where they arrive rather than where their time
	// belongs, all that stands before it is new.
	Seen []Seen
}

// Seen is a delivered item: its id, and its time in Unix milliseconds.
type Seen struct {
	ID   string
	Time int64
}

// floor returns the second from which items can be new: everything before it
// was delivered, or is of no interest. The lookback is how far behind the
// newest delivered item late ones are still looked for.
func (c *Checkpoint) floor(lookback time.Duration) int64 {
	return max(second(c.Time-lookback.Milliseconds()), second(c.From))
}

// advance adds what was delivered next, oldest first.
func (c *Checkpoint) advance(delivered []Seen, lookback time.Duration) {
	if len(delivered) == 0 {
		return
	}
	for _, d := range delivered {
		c.Time = max(c.Time, d.Time)
	}
	floor := c.floor(lookback)
	c.From = max(c.From, floor*tick)

	kept := make([]Seen, 0, len(delivered))
	for _, s := range c.Seen {
		if second(s.Time) >= floor {
			kept = append(kept, s)
		}
	}
	last := len(delivered) - 1
	for i, d := range delivered {
		if second(d.Time) >= floor || i == last {
			// The id may be a part of its page, which must not be
			// kept in memory for the sake of it.
			d.ID = strings.Clone(d.ID)
			kept = append(kept, d)
		}
	}
	c.Seen = kept
}

// checkpointVersion is written into every checkpoint. A reader that meets a
// higher one refuses it rather than guess.
const checkpointVersion = 1

type checkpointJSON struct {
	Version int        `json:"version"`
	Time    int64      `json:"time_ms"`
	From    int64      `json:"from_ms"`
	Seen    []seenJSON `json:"seen"`
}

type seenJSON struct {
	ID   string `json:"id"`
	Time int64  `json:"time_ms"`
}

// EncodeCheckpoint returns the checkpoint as versioned JSON.
func EncodeCheckpoint(c Checkpoint) ([]byte, error) {
	j := checkpointJSON{Version: checkpointVersion, Time: c.Time, From: c.From, Seen: make([]seenJSON, len(c.Seen))}
	for i, s := range c.Seen {
		j.Seen[i] = seenJSON(s)
	}
	b, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("encoding a checkpoint: %w", err)
	}
	return b, nil
}

// DecodeCheckpoint reads what EncodeCheckpoint wrote. Anything else, the empty
// and the half written value included, is an error: it must not be mistaken
// for a chat that was never read.
func DecodeCheckpoint(b []byte) (Checkpoint, error) {
	var j checkpointJSON
	if len(bytes.TrimSpace(b)) == 0 {
		return Checkpoint{}, errors.New("decoding a checkpoint: it is empty")
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	if err := dec.Decode(&j); err != nil {
		return Checkpoint{}, fmt.Errorf("decoding a checkpoint: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Checkpoint{}, errors.New("decoding a checkpoint: something follows its JSON")
	}
	if j.Version != checkpointVersion {
		return Checkpoint{}, fmt.Errorf("decoding a checkpoint: it has version %d, this build reads version %d", j.Version, checkpointVersion)
	}
	if j.Time < 0 || j.From < 0 {
		return Checkpoint{}, errors.New("decoding a checkpoint: it is of a time before 1970")
	}
	c := Checkpoint{Time: j.Time, From: j.From}
	for _, s := range j.Seen {
		if s.ID == "" {
			return Checkpoint{}, errors.New("decoding a checkpoint: a delivered item has no id")
		}
		c.Seen = append(c.Seen, Seen(s))
	}
	return c, nil
}
