// SPDX-License-Identifier: Apache-2.0

package crm

import (
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/jsonscan"
)

// MessagePage is one answer of the call for a talk's messages.
type MessagePage struct {
	// Messages are in the API's own order, which is not known; nil if there are none.
	Messages []Message
	// Next is the link to the page behind.
	Next Next
	// Date is the server's time when it answered, to the second; the local time where
	// it did not tell.
	Date time.Time
}

// Message is one message of a talk, as far as the reader needs to know it; Raw has
// everything. A field that the API left out, or gave as something other than a string
// or a number, is zero (chats-api.md, "Messages of every channel").
type Message struct {
	// Raw is the message byte for byte. It shares the page's memory, but can be appended
	// to without harm.
	Raw []byte

	// Object is false for what is not a JSON object, and so can't be a message. Only Raw
	// is set then.
	Object bool

	ID     string // the message's stable identity, as in events and webhooks
	ChatID string // in the Chats API

	// CreatedAt is when the message was written, in Unix seconds: created_at, or else
	// sec_created_at, or else msec_created_at; 0: the API gave none. One that was given in
	// milliseconds or less is taken for what it is.
	CreatedAt int64
	// MsecCreatedAt is the same in milliseconds: msec_created_at, or created_at where that
	// has them; 0: only seconds are known.
	MsecCreatedAt int64

	Type           string // incoming or outgoing
	MessageType    string // text, file, picture, …; new ones appear
	DeliveryStatus string // sent, delivered, read, error; it changes later

	Author    Person
	Recipient Person
}

// Person wrote or received a message. Any field can be "".
type Person struct {
	ID        string
	Type      string // internal: a user of the account; external: the client; bot
	Name      string
	AvatarURL string
	UserID    string // the account's user, of type internal only
}

// DecodeMessages reads the body of a 200: HAL with the messages in _embedded.messages.
// A body without that list is an error that wraps [apicall.ErrBrokenBody], so that a
// broken answer is never taken for an empty talk, which is a 204; one with more than
// [MaxRows] messages wraps [apicall.ErrTooLarge]. Errors tell nothing of the content.
//
// Keys match exactly, and of equal keys the last one counts. A byte order mark at the
// begin is skipped, as RFC 8259, 8.1, allows. A string may be given as a number, and a
// number as a string.
//
// The page keeps body, which must not be changed afterwards.
func DecodeMessages(body []byte) (MessagePage, error) {
	d := messageScanner{size: len(body)}
	d.hal = hal{list: "messages", reset: func() { d.messages = d.messages[:0] }, entry: d.message}
	if err := d.read(body); err != nil {
		return MessagePage{}, err
	}
	return MessagePage{Messages: filled(d.messages), Next: d.next}, nil
}

// filled returns nil for no entries.
func filled[T any](entries []T) []T {
	if len(entries) == 0 {
		return nil
	}
	return entries
}

type messageScanner struct {
	hal
	size     int
	messages []Message
	people   jsonscan.Recent[Person]
}

func (d *messageScanner) message(start, depth int) int {
	if d.messages == nil {
		// A message is longer than 256 bytes but for the shortest texts.
		d.messages = make([]Message, 0, min(d.size/256+1, MaxLimit))
	}
	d.messages = append(d.messages, Message{})
	m := &d.messages[len(d.messages)-1]
	if start == len(d.S) || d.S[start] != '{' {
		end := d.Value(start, depth)
		if end >= 0 {
			m.Raw = d.Raw(start, end)
		}
		return end
	}
	depth++
	var seconds int64
	var i int
	key, at, more := d.Member(start+1, true)
	for ; more; key, at, more = d.Member(i, false) {
		switch key {
		case "id":
			m.ID, i = d.Text(at, depth)
		case "chat_id":
			m.ChatID, i = d.Text(at, depth)
		case "type":
			m.Type, i = d.Text(at, depth)
		case "message_type":
			m.MessageType, i = d.Text(at, depth)
		case "delivery_status":
			m.DeliveryStatus, i = d.Text(at, depth)
		case "created_at":
			m.CreatedAt, i = d.Integer(at, depth)
		case "sec_created_at":
			seconds, i = d.Integer(at, depth)
		case "msec_created_at":
			m.MsecCreatedAt, i = d.Integer(at, depth)
		case "author":
			i = d.person(at, depth, &m.Author)
		case "recipient":
			i = d.person(at, depth, &m.Recipient)
		default:
			i = d.Value(at, depth)
		}
		if i < 0 {
			return -1
		}
	}
	if at < 0 {
		return -1
	}
	m.Raw, m.Object = d.Raw(start, at), true
	m.settle(seconds)
	return at
}

// maxSeconds is a time in seconds, in the year 5138, of which more is taken for
// milliseconds.
const maxSeconds = 1e11

// settle makes one time of the three that a message may have.
func (m *Message) settle(seconds int64) {
	if m.CreatedAt == 0 {
		m.CreatedAt = seconds
	}
	if m.CreatedAt > maxSeconds && m.MsecCreatedAt == 0 {
		m.MsecCreatedAt = m.CreatedAt
		for m.MsecCreatedAt > maxSeconds*1000 {
			m.MsecCreatedAt /= 1000
		}
	}
	for m.CreatedAt > maxSeconds {
		m.CreatedAt /= 1000
	}
	if m.CreatedAt == 0 {
		m.CreatedAt = m.MsecCreatedAt / 1000
	}
}

func (d *messageScanner) person(start, depth int, p *Person) int {
	*p = Person{}
	if start == len(d.S) || d.S[start] != '{' {
		return d.Value(start, depth)
	}
	if known, end := d.people.At(d.S, start, depth); known != nil {
		*p = *known
		return end
	}
	inside := depth + 1
	var i int
	key, at, more := d.Member(start+1, true)
	for ; more; key, at, more = d.Member(i, false) {
		switch key {
		case "id":
			p.ID, i = d.Text(at, inside)
		case "type":
			p.Type, i = d.Text(at, inside)
		case "name":
			p.Name, i = d.Text(at, inside)
		case "avatar_url":
			p.AvatarURL, i = d.Text(at, inside)
		case "user_id":
			p.UserID, i = d.Text(at, inside)
		default:
			i = d.Value(at, inside)
		}
		if i < 0 {
			return -1
		}
	}
	if at >= 0 {
		d.people.Keep(d.S[start:at], depth, p)
	}
	return at
}
