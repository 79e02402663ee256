// SPDX-License-Identifier: Apache-2.0

package crm

import "time"

// EventPage is one answer of the event feed.
type EventPage struct {
	// Events are in the API's own order; nil if there are none.
	Events []Event
	// Rows is how many entries the API's list has. An entry with several messages is
	// several Events.
	Rows int
	// Next is the link to the page behind.
	Next Next
	// Date is the server's time when it answered, to the second; the local time where
	// it did not tell.
	Date time.Time
}

// Event says that a message came or was sent (chats-api.md, "The event feed"). A field
// that the API left out, or gave as something other than a string or a number, is zero.
type Event struct {
	// Raw is the entry byte for byte. It shares the page's memory, but can be appended to
	// without harm.
	Raw []byte

	// Object is false for what is not a JSON object. Only Raw is set then.
	Object bool

	ID         string // a ULID
	Type       string // incoming_chat_message, outgoing_chat_message
	EntityType string // lead, contact, …
	EntityID   string
	CreatedAt  int64 // Unix seconds

	// Of the message that it announces, in value_after; "" for an event of something
	// else.
	MessageID string
	TalkID    string
	Origin    string
}

// DecodeEvents reads the body of a 200: HAL with the events in _embedded.events, under
// the conditions of [DecodeMessages].
func DecodeEvents(body []byte) (EventPage, error) {
	d := eventScanner{}
	d.hal = hal{list: "events", reset: func() { d.events = d.events[:0] }, entry: d.event}
	if err := d.read(body); err != nil {
		return EventPage{}, err
	}
	return EventPage{Events: filled(d.events), Rows: d.rows, Next: d.next}, nil
}

type eventScanner struct {
	hal
	events    []Event
	announced []announced // of the event that is read
}

type announced struct{ message, talk, origin string }

func (d *eventScanner) event(start, depth int) int {
	if start == len(d.S) || d.S[start] != '{' {
		end := d.Value(start, depth)
		if end >= 0 {
			d.events = append(d.events, Event{Raw: d.Raw(start, end)})
		}
		return end
	}
	depth++
	var e Event
	d.announced = d.announced[:0]
	end := d.object(start, depth-1, func(key string, at int) (i int) {
		switch key {
		case "id":
			e.ID, i = d.Text(at, depth)
		case "type":
			e.Type, i = d.Text(at, depth)
		case "entity_type":
			e.EntityType, i = d.Text(at, depth)
		case "entity_id":
			e.EntityID, i = d.Text(at, depth)
		case "created_at":
			e.CreatedAt, i = d.Integer(at, depth)
		case "value_after":
			d.announced = d.announced[:0]
			i = d.after(at, depth)
		default:
			i = d.Value(at, depth)
		}
		return i
	})
	if end < 0 {
		return -1
	}
	e.Raw, e.Object = d.Raw(start, end), true
	if len(d.announced) == 0 {
		d.events = append(d.events, e)
	}
	for _, a := range d.announced {
		e.MessageID, e.TalkID, e.Origin = a.message, a.talk, a.origin
		d.events = append(d.events, e)
	}
	return end
}

// after reads value_after: a list of objects with a message, or one such object.
func (d *eventScanner) after(i, depth int) int {
	if i == len(d.S) || d.S[i] != '[' {
		return d.change(i, depth)
	}
	return d.Elements(i, func(i int) int { return d.change(i, depth+1) })
}

func (d *eventScanner) change(i, depth int) int {
	var a announced
	end := d.object(i, depth, func(key string, at int) int {
		if key != "message" {
			return d.Value(at, depth+1)
		}
		a = announced{}
		return d.object(at, depth+1, func(key string, at int) (i int) {
			switch key {
			case "id":
				a.message, i = d.Text(at, depth+2)
			case "talk_id":
				a.talk, i = d.Text(at, depth+2)
			case "origin":
				a.origin, i = d.Text(at, depth+2)
			default:
				i = d.Value(at, depth+2)
			}
			return i
		})
	})
	if end >= 0 && a != (announced{}) {
		if len(d.events)+len(d.announced) >= 2*MaxRows {
			d.tooMany = true
			return d.Fail(i, "fewer messages")
		}
		d.announced = append(d.announced, a)
	}
	return end
}
