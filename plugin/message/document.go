// SPDX-License-Identifier: Apache-2.0

package message

import (
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/redpanda-data/benthos/v4/public/schema"
)

// field is a field of the flat message. The order is that of the document.
type field int

const (
	schemaVersion field = iota
	operation
	scopeID
	chatID
	talkID
	contactID
	entityID
	entityType
	origin
	messageID
	messageClientID
	direction
	messageType
	sentAt
	sentAtMS
	customerID
	customerName
	agentID
	agentName
	agentType
	senderID
	senderClientID
	senderName
	senderPhone
	senderEmail
	senderAvatar
	senderType
	senderUserID
	receiverID
	receiverClientID
	receiverName
	receiverPhone
	receiverEmail
	receiverAvatar
	receiverType
	receiverUserID
	text
	mediaURL
	mediaThumbnailURL
	mediaFileName
	mediaFileSize
	mediaGroupID
	location
	contactName
	contactPhone
	deliveryStatus
	extra
	fieldCount
)

// version is the value of schema_version. It goes up when a field changes its
// meaning or goes away; a new field does not change it.
const version = "1"

// fields say of each field its name, its type, and whether it names or reaches a
// person. The names are a public contract. extra has content that nobody knows.
var fields = [fieldCount]struct {
	name     string
	kind     schema.CommonType
	personal bool
}{
	schemaVersion:     {"schema_version", schema.Int64, false},
	operation:         {"operation", schema.String, false},
	scopeID:           {"scope_id", schema.String, false},
	chatID:            {"chat_id", schema.String, false},
	talkID:            {"talk_id", schema.Int64, false},
	contactID:         {"contact_id", schema.Int64, false},
	entityID:          {"entity_id", schema.Int64, false},
	entityType:        {"entity_type", schema.String, false},
	origin:            {"origin", schema.String, false},
	messageID:         {"message_id", schema.String, false},
	messageClientID:   {"message_client_id", schema.String, false},
	direction:         {"direction", schema.String, false},
	messageType:       {"type", schema.String, false},
	sentAt:            {"sent_at", schema.String, false},
	sentAtMS:          {"sent_at_ms", schema.Int64, false},
	customerID:        {"customer_id", schema.String, false},
	customerName:      {"customer_name", schema.String, true},
	agentID:           {"agent_id", schema.String, false},
	agentName:         {"agent_name", schema.String, true},
	agentType:         {"agent_type", schema.String, false},
	senderID:          {"sender_id", schema.String, false},
	senderClientID:    {"sender_client_id", schema.String, true},
	senderName:        {"sender_name", schema.String, true},
	senderPhone:       {"sender_phone", schema.String, true},
	senderEmail:       {"sender_email", schema.String, true},
	senderAvatar:      {"sender_avatar", schema.String, true},
	senderType:        {"sender_type", schema.String, false},
	senderUserID:      {"sender_user_id", schema.Int64, false},
	receiverID:        {"receiver_id", schema.String, false},
	receiverClientID:  {"receiver_client_id", schema.String, true},
	receiverName:      {"receiver_name", schema.String, true},
	receiverPhone:     {"receiver_phone", schema.String, true},
	receiverEmail:     {"receiver_email", schema.String, true},
	receiverAvatar:    {"receiver_avatar", schema.String, true},
	receiverType:      {"receiver_type", schema.String, false},
	receiverUserID:    {"receiver_user_id", schema.Int64, false},
	text:              {"text", schema.String, false},
	mediaURL:          {"media_url", schema.String, false},
	mediaThumbnailURL: {"media_thumbnail_url", schema.String, false},
	mediaFileName:     {"media_file_name", schema.String, false},
	mediaFileSize:     {"media_file_size", schema.Int64, false},
	mediaGroupID:      {"media_group_id", schema.String, false},
	location:          {"location", schema.Object, false},
	contactName:       {"contact_name", schema.String, true},
	contactPhone:      {"contact_phone", schema.String, true},
	deliveryStatus:    {"delivery_status", schema.String, false},
	extra:             {"extra", schema.Any, true},
}

// members are the fields as they begin in a document: a comma, the name, a colon.
var members = func() (m [fieldCount]string) {
	for f := range fields {
		m[f] = `,"` + fields[f].name + `":`
	}
	return m
}()

// value is what a field has.
type value struct {
	s string // "": nothing, the field is left out
	// plain is whether s is text that has yet to be written as JSON. Otherwise it
	// is JSON.
	plain bool
}

// document is the flat message, before it is written.
type document [fieldCount]value

// setInt sets a field to a number.
func (d *document) setInt(f field, n int64) { d[f] = value{s: strconv.FormatInt(n, 10)} }

// setTime sets the time at which the message was sent, of ms since 1970, which has
// to be a moment; see value.go.
func (d *document) setTime(ms int64) {
	d.setInt(sentAtMS, ms)
	var b [len(`"2006-01-02T15:04:05.000Z"`)]byte
	d[sentAt] = value{s: string(time.UnixMilli(ms).UTC().AppendFormat(b[:0], `"2006-01-02T15:04:05.000Z"`))}
}

// setSides sets who of sender and receiver is the customer, and who the agent.
func (d *document) setSides(outgoing bool) {
	customer, agent := sender, receiver
	if outgoing {
		customer, agent = receiver, sender
	}
	d[customerID], d[customerName] = d[customer.id], d[customer.name]
	d[agentID], d[agentName] = d[agent.id], d[agent.name]
	switch d[agent.kind].s {
	case `"internal"`:
		d[agentType] = value{s: `"user"`}
	case `"bot"`:
		d[agentType] = value{s: `"bot"`}
	}
}

// appendTo writes the document as JSON.
func (d *document) appendTo(b []byte, personal bool) []byte {
	start := len(b)
	for f := range d {
		v := &d[f]
		if v.s == "" || fields[f].personal && !personal {
			continue
		}
		b = append(b, members[f]...)
		if v.plain {
			b = appendText(b, v.s)
		} else {
			b = append(b, v.s...)
		}
	}
	b[start] = '{' // in place of the first comma: schema_version is always there
	return append(b, '}')
}

// appendText writes text as JSON. What is not UTF-8 becomes U+FFFD, as in
// encoding/json.
func appendText(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += size
			continue
		}
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
		i++
	}
	return append(b, '"')
}
