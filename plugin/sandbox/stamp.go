// SPDX-License-Identifier: Apache-2.0

// The times that items bear, and the ways in which they can be wrong.
//
// Documented (chats-api.md, "Items"): timestamp is in unix seconds, msec_timestamp
// in unix milliseconds, and one official sample has none.
//
// Assumed, all of it, that a clock can err or a unit be mistaken: a channel's
// integration sends the times of its own messages, and nothing says that the API
// checks them.

package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"strconv"
	"time"
)

// Stamp is a way in which the times of an item are wrong.
type Stamp string

// The ways in which times are wrong. Fields that an item does not have stay away.
const (
	// StampClocks gives each message the time of one of five clocks that are a shift
	// apart, the middle one right; its id decides which. Default shift: 3 s.
	StampClocks Stamp = "clocks"
	// StampShifted is a clock that is ahead by the shift, or behind if that is
	// negative. Default shift: 1 h.
	StampShifted Stamp = "shifted"
	// Stamp2106 is the last second that 32 bits hold, on 7 February 2106.
	Stamp2106 Stamp = "2106"
	// Stamp1970 is a clock that was never set: zero.
	Stamp1970 Stamp = "1970"
	// StampMsecSeconds gives msec_timestamp in seconds.
	StampMsecSeconds Stamp = "msec-in-seconds"
	// StampMsecMicroseconds gives msec_timestamp in microseconds.
	StampMsecMicroseconds Stamp = "msec-in-microseconds"
	// StampMsecNegative gives msec_timestamp with a minus.
	StampMsecNegative Stamp = "msec-negative"
	// StampMsecMissing leaves msec_timestamp out.
	StampMsecMissing Stamp = "msec-missing"
	// StampMsecContradicts shifts msec_timestamp and not timestamp. Default shift:
	// 1 h.
	StampMsecContradicts Stamp = "msec-contradicts"
)

func (k Stamp) validate() error {
	switch k {
	case StampClocks, StampShifted, Stamp2106, Stamp1970, StampMsecSeconds, StampMsecMicroseconds, StampMsecNegative,
		StampMsecMissing, StampMsecContradicts:
		return nil
	}
	return fmt.Errorf("stamp: there is no %q", string(k))
}

// Default shifts of stamps.
const (
	defaultClockGap = 3 * time.Second
	defaultShift    = time.Hour
)

// clocks is how many clocks StampClocks has.
const clocks = 5

// shift returns how far a stamp moves a time; id tells the messages apart.
func (k Stamp) shift(by time.Duration, id string) time.Duration {
	if k != StampClocks {
		if by == 0 {
			by = defaultShift
		}
		return by
	}
	if by == 0 {
		by = defaultClockGap
	}
	h := fnv.New32a()
	h.Write([]byte(id))
	return by * time.Duration(int(h.Sum32()%clocks)-clocks/2)
}

// seconds returns a time of the CRM, in unix seconds, as this stamp has it. The
// stamps of msec_timestamp alone leave it as it is.
func (k Stamp) seconds(at int64, by time.Duration, id string) int64 {
	switch k {
	case StampClocks, StampShifted:
		return at + int64(k.shift(by, id)/time.Second)
	case Stamp2106:
		return math.MaxUint32
	case Stamp1970:
		return 0
	}
	return at
}

// Restamp returns an item with wrong times; all else of it stays byte for byte,
// but for StampMsecMissing, which writes the object anew. Zero stands for the
// stamp's default shift. What is no object, or bears no times, comes back as it
// is. FaultStamp does this to what is served; who appends what Restamp returns has
// a server with OrderTime list by the wrong times.
func Restamp(item json.RawMessage, stamp Stamp, by time.Duration) json.RawMessage {
	return restamp(item, "timestamp", MessageID(item), stamp, by)
}

// RestampTalk is Restamp for a message of a talk, and its created_at and
// msec_created_at. An event has only the first.
func RestampTalk(item json.RawMessage, stamp Stamp, by time.Duration) json.RawMessage {
	return restamp(item, "created_at", TalkMessageID(item), stamp, by)
}

func restamp(item json.RawMessage, name, id string, stamp Stamp, by time.Duration) json.RawMessage {
	if stamp == StampMsecMissing {
		return without(item, "msec_"+name)
	}
	shift := stamp.shift(by, id)
	item = replace(item, "msec_"+name, func(ms int64) int64 {
		switch stamp {
		case StampClocks, StampShifted, StampMsecContradicts:
			return ms + shift.Milliseconds()
		case Stamp2106:
			return math.MaxUint32 * 1000
		case Stamp1970:
			return 0
		case StampMsecSeconds:
			return seconds(ms)
		case StampMsecMicroseconds:
			return ms * 1000
		case StampMsecNegative:
			return -ms
		}
		return ms
	})
	return replace(item, name, func(at int64) int64 { return stamp.seconds(at, by, id) })
}

// replace changes a whole number of an object, and no other byte of it.
func replace(item json.RawMessage, name string, change func(int64) int64) json.RawMessage {
	decoder := json.NewDecoder(bytes.NewReader(item))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return item
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return item
		}
		var value json.RawMessage
		if decoder.Decode(&value) != nil {
			return item
		}
		if key != name {
			continue
		}
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil {
			return item
		}
		end := int(decoder.InputOffset())
		out := bytes.Clone(item[:end-len(value)])
		out = strconv.AppendInt(out, change(n), 10)
		return append(out, item[end:]...)
	}
	return item
}
