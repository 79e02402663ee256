// SPDX-License-Identifier: Apache-2.0

// How a history looks to one request: the faults that change what a page holds.
//
// Documented (chats-api.md, rows "query", "200"): offset, limit, and that nothing
// in a page tells how many messages there are.
//
// Unknown (row "a page shorter than limit"): whether such a page is the last; so a
// server may hide items that it has counted (FaultHideItems) or give fewer than it
// was asked for (FaultPageCap).
//
// Assumed: items that are hidden keep their place in the numbering, so that the
// others keep theirs; null items and duplicates have places of their own.

package sandbox

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"time"
)

// selection says which items a fault changes. Its zero value is all of them.
type selection struct {
	messages        []string
	every, from, to int
}

func (f Fault) selection() selection {
	return selection{messages: f.Messages, every: max(f.Every, 1), from: f.From, to: f.To}
}

// has takes the place of an item, 0 the oldest, or the first of a listing, and what
// tells its message's id, for which it may not ask.
func (s selection) has(position int, id func() string) bool {
	if position < s.from || s.to > 0 && position >= s.to || position%s.every != s.every-1 {
		return false
	}
	return len(s.messages) == 0 || slices.Contains(s.messages, id())
}

// noID is of what is no message.
func noID() string { return "" }

// change rewrites the items of a selection.
type change struct {
	selection
	rewrite func(json.RawMessage) json.RawMessage
}

// filler is an item between the messages of a chat.
type filler int

const (
	fillerNull filler = iota
	fillerDuplicate
)

// fillerEvery is the distance of fillers. They take part in the numbering, counted
// from the oldest message, so that pages fit together as they do without them.
const fillerEvery = 11

// view is how a chat's history, or a listing of the CRM, looks to one request.
type view struct {
	oldestFirst bool
	newestFirst bool
	noOrder     bool
	noFilter    bool
	filterShift time.Duration
	late        []lateEntries
	wholeChat   bool
	fillers     []filler // take turns
	hidden      []selection
	changes     []change
	stamps      []Fault // for the CRM; the history has them among its changes
	limitCap    int     // 0: none
	noLimit     bool
	pastEnd     PastEnd
	emptied     PastEnd // of a page of which all is hidden; "": as pastEnd
	next        Next
	nextTo      string
}

// lateEntries are those that are listed only so long after they came; never if zero.
type lateEntries struct {
	selection
	lag time.Duration
}

// view gathers the faults that change what a page holds.
func (s *Server) view(request Request) view {
	v := view{pastEnd: s.config.PastEnd}
	rewrite := func(f Fault, how func(json.RawMessage) json.RawMessage) {
		v.changes = append(v.changes, change{f.selection(), how})
	}
	talk := request.Endpoint == EndpointTalkMessages
	for _, f := range s.faults.takeAll(request, stageView) {
		switch f.Kind {
		case FaultOldestFirst:
			v.oldestFirst = true
		case FaultNewestFirst:
			v.newestFirst = true
		case FaultNoOrder:
			v.noOrder = true
		case FaultFilterIgnored:
			v.noFilter = true
		case FaultFilterOff:
			v.filterShift = cmp.Or(f.Shift, time.Second)
		case FaultLate:
			v.late = append(v.late, lateEntries{f.selection(), f.Lag})
		case FaultWholeChat:
			v.wholeChat = true
		case FaultDelivery:
			rewrite(f, func(item json.RawMessage) json.RawMessage { return delivered(item, request.N) })
		case FaultNullItems:
			v.fillers = append(v.fillers, fillerNull)
		case FaultDuplicates:
			v.fillers = append(v.fillers, fillerDuplicate)
		case FaultNoID:
			path := []string{"message", "id"}
			if talk {
				path = path[1:]
			}
			rewrite(f, func(item json.RawMessage) json.RawMessage { return without(item, path...) })
		case FaultNoMsec:
			name := "msec_timestamp"
			if talk {
				name = "msec_created_at"
			}
			rewrite(f, func(item json.RawMessage) json.RawMessage { return without(item, name) })
		case FaultStamp:
			rewrite(f, func(item json.RawMessage) json.RawMessage {
				if talk || request.Endpoint == EndpointEvents {
					return RestampTalk(item, f.Stamp, f.Shift)
				}
				return Restamp(item, f.Stamp, f.Shift)
			})
			v.stamps = append(v.stamps, f)
		case FaultBigItems:
			rewrite(f, func(item json.RawMessage) json.RawMessage { return padded(item, f.Size) })
		case FaultHideItems:
			v.hidden = append(v.hidden, f.selection())
			v.emptied = f.PastEnd
		case FaultPageCap:
			v.limitCap = f.Limit
		case FaultIgnoreLimit:
			v.noLimit = true
		case FaultPastEnd:
			v.pastEnd = f.PastEnd
		case FaultNext:
			v.next, v.nextTo = f.Next, f.Location
		}
	}
	return v
}

// limit returns how many items are looked at where so many are asked for.
func (v *view) limit(asked int) int {
	if v.noLimit {
		asked = math.MaxInt
	}
	if v.limitCap > 0 {
		asked = min(asked, v.limitCap)
	}
	return asked
}

// hides reports whether the item at a position is left out of its page.
func (v *view) hides(position int, id func() string) bool {
	return slices.ContainsFunc(v.hidden, func(s selection) bool { return s.has(position, id) })
}

// holdsBack reports whether what came at a time, in unix s, is not listed yet.
func (v *view) holdsBack(position int, id func() string, came, now int64) bool {
	return slices.ContainsFunc(v.late, func(l lateEntries) bool {
		return (l.lag == 0 || now < came+int64(l.lag/time.Second)) && l.has(position, id)
	})
}

// len returns how many items, fillers included, n messages are.
func (v *view) len(n int) int {
	if len(v.fillers) > 0 {
		n += n / (fillerEvery - 1)
	}
	return n
}

// message returns the position of the message at a position among fillers. For a
// filler it is the one of the message before.
func (v *view) message(position int) (int, filler, bool) {
	if len(v.fillers) == 0 {
		return position, 0, false
	}
	before := position / fillerEvery
	if position%fillerEvery == fillerEvery-1 {
		return position - before - 1, v.fillers[before%len(v.fillers)], true
	}
	return position - before, 0, false
}

// appendPage appends the items at offset and behind it, at most limit, joined by
// commas, and returns how many there are.
func (c *chat) appendPage(dst []byte, v *view, offset, limit int) (page []byte, served int) {
	total := v.len(c.len())
	for i := range min(limit, max(total-offset, 0)) {
		position := total - 1 - offset - i
		if v.oldestFirst {
			position = offset + i
		}
		position, fill, filled := v.message(position)
		start := len(dst)
		if served > 0 {
			dst = append(dst, ',')
		}
		switch {
		case len(v.hidden)+len(v.changes) > 0:
			item := json.RawMessage(c.appendItem(nil, position))
			id := func() string { return MessageID(item) }
			if v.hides(position, id) {
				dst = dst[:start]
				continue
			}
			if filled && fill == fillerNull {
				item = json.RawMessage("null")
			}
			if filled && fill == fillerNull {
				id = noID
			}
			dst = append(dst, v.changed(position, id, item)...)
		case filled && fill == fillerNull:
			dst = append(dst, "null"...)
		default:
			dst = c.appendItem(dst, position)
		}
		served++
	}
	return dst, served
}

// changed returns the item as it is served. Which changes concern it is decided
// before the first of them.
func (v *view) changed(position int, id func() string, item json.RawMessage) json.RawMessage {
	var apply []change
	for _, c := range v.changes {
		if c.has(position, id) {
			apply = append(apply, c)
		}
	}
	for _, c := range apply {
		item = c.rewrite(item)
	}
	return item
}

// without returns an object without the field at a path. What is no object, or
// has no such field, comes back as it is.
func without(item json.RawMessage, path ...string) json.RawMessage {
	var object map[string]json.RawMessage
	if json.Unmarshal(item, &object) != nil || object[path[0]] == nil {
		return item
	}
	if len(path) == 1 {
		delete(object, path[0])
	} else {
		object[path[0]] = without(object[path[0]], path[1:]...)
	}
	return encode(object)
}

// delivered gives a message the delivery_status of the n-th request. The rest of it
// stays byte for byte.
func delivered(item json.RawMessage, n int) json.RawMessage {
	var m struct {
		Status json.RawMessage `json:"delivery_status"`
	}
	if json.Unmarshal(item, &m) != nil || len(m.Status) == 0 {
		return item
	}
	before, after, _ := bytes.Cut(item, []byte(`"delivery_status":`))
	status := []string{"sent", "delivered", "read"}[n%3]
	rest, ok := bytes.CutPrefix(after, m.Status)
	if !ok {
		return item // spelt in another way
	}
	return slices.Concat(before, []byte(`"delivery_status":"`+status+`"`), rest)
}

// padded makes an object size bytes long, if it is shorter, by a field that the
// API does not have. The rest of it stays byte for byte.
func padded(item json.RawMessage, size int) json.RawMessage {
	if size == 0 {
		size = defaultBigItem
	}
	const before, after = `{"padding":"`, `",`
	missing := size - len(item) - len(before) - len(after) + 1
	object := map[string]json.RawMessage{}
	if missing < 0 || len(item) == 0 || item[0] != '{' || json.Unmarshal(item, &object) != nil || len(object) == 0 {
		return item
	}
	out := make([]byte, 0, size)
	out = append(out, before...)
	for range missing {
		out = append(out, 'x')
	}
	out = append(out, after...)
	return append(out, item[1:]...)
}
