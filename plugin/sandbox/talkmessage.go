// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"errors"
	"strconv"
	"time"
)

// TalkMessage is a message as the CRM lists it, of any channel (chats-api.md,
// "Messages of every channel"). All but ID are left out when empty.
type TalkMessage struct {
	ID     string `json:"id"`
	ChatID string `json:"chat_id,omitempty"`
	// Type is TalkIncoming or TalkOutgoing.
	Type string `json:"type,omitempty"`
	// MessageType is text, picture, …
	MessageType string      `json:"message_type,omitempty"`
	Author      *TalkPerson `json:"author,omitempty"`
	Recipient   *TalkPerson `json:"recipient,omitempty"`
	Text        string      `json:"text,omitempty"`
	// CreatedAt is in unix seconds, MsecCreatedAt in unix milliseconds.
	CreatedAt     int64 `json:"created_at,omitempty"`
	MsecCreatedAt int64 `json:"msec_created_at,omitempty"`
	// DeliveryStatus is sent, delivered, read or error.
	DeliveryStatus string      `json:"delivery_status,omitempty"`
	Attachment     *Attachment `json:"attachment,omitempty"`
	Location       *Location   `json:"location,omitempty"`
	Contact        *Contact    `json:"contact,omitempty"`
}

// The types of a TalkMessage.
const (
	TalkIncoming = "incoming"
	TalkOutgoing = "outgoing"
)

// TalkPerson is an author or a recipient. Type is internal for a user of the
// account, external for a client, or bot.
type TalkPerson struct {
	ID        string `json:"id,omitempty"`
	Type      string `json:"type,omitempty"`
	Name      string `json:"name,omitempty"`
	AvatarURL string `json:"avatar_url,omitempty"`
	// UserID is the account's user, of type internal only.
	UserID int `json:"user_id,omitempty"`
}

// Attachment is a file of a TalkMessage.
type Attachment struct {
	Type     string `json:"type"`
	Link     string `json:"link"`
	FileName string `json:"file_name,omitempty"`
}

// At returns the message with both of its times set to t.
func (m TalkMessage) At(t time.Time) TalkMessage {
	m.CreatedAt, m.MsecCreatedAt = t.Unix(), t.UnixMilli()
	return m
}

// Raw returns the message as JSON, without a newline and with <, > and & as they
// are.
func (m TalkMessage) Raw() json.RawMessage { return encode(m) }

// TalkText returns a text message from the client, with both times.
func TalkText(id string, at time.Time, text string) json.RawMessage {
	author := talkClient
	return TalkMessage{ID: id, Type: TalkIncoming, MessageType: "text", Author: &author, Text: text}.At(at).Raw()
}

// TalkReply returns a text message to the client, from a user of the account.
func TalkReply(id string, at time.Time, text string) json.RawMessage {
	author, recipient := talkUser, talkClient
	return TalkMessage{
		ID: id, Type: TalkOutgoing, MessageType: "text", Author: &author, Recipient: &recipient, Text: text, DeliveryStatus: "delivered",
	}.At(at).Raw()
}

// The people of the messages made here.
var (
	talkClient = TalkPerson{ID: client.ID, Type: "external", Name: client.Name, AvatarURL: client.Avatar}
	talkUser   = TalkPerson{ID: "5f0c2c5e-7c3e-4b58-9d0d-0b9a3f2c1d17", Type: "internal", Name: "Maria Lopes", AvatarURL: agent.Avatar, UserID: 504141}
	talkBot    = TalkPerson{ID: "2f9ae6a1-3b0e-4a86-8c75-6d1f0e2b4c02", Type: "bot", Name: "Welcome bot"}
)

// TalkMessageID returns the id of a TalkMessage, or "" where there is none.
func TalkMessageID(item json.RawMessage) string {
	var v struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(item, &v) != nil {
		return ""
	}
	return v.ID
}

// talkFacts is what a list of messages and the feed have to know of one.
type talkFacts struct {
	id       string
	at       int64 // unix s
	timed    bool
	outgoing bool
}

// readFacts takes what it finds: an item need not be a valid message.
func readFacts(item json.RawMessage) (f talkFacts) {
	var v struct {
		ID        any `json:"id"`
		Type      any `json:"type"`
		CreatedAt any `json:"created_at"`
	}
	if json.Unmarshal(item, &v) != nil {
		return f
	}
	f.id, _ = v.ID.(string)
	f.outgoing = v.Type == TalkOutgoing
	switch at := v.CreatedAt.(type) {
	case float64:
		f.at, f.timed = int64(at), true
	case string:
		n, err := strconv.ParseInt(at, 10, 64)
		f.at, f.timed = n, err == nil
	}
	return f
}

// ofOwnChannel returns an item of a chat of the own channel as the CRM lists it.
// What is no object comes back as it is.
func ofOwnChannel(chatID string, raw json.RawMessage) json.RawMessage {
	var i Item
	var wrongType *json.UnmarshalTypeError // of one field, and the others are read
	if err := json.Unmarshal(raw, &i); err != nil && !errors.As(err, &wrongType) || len(raw) == 0 || raw[0] != '{' {
		return raw
	}
	m := TalkMessage{
		ID: i.Message.ID, ChatID: chatID, Type: TalkIncoming, MessageType: i.Message.Type, Text: i.Message.Text,
		CreatedAt: i.Timestamp, MsecCreatedAt: i.MsecTimestamp, Location: i.Message.Location, Contact: i.Message.Contact,
	}
	person := func(p *Party, kind string) *TalkPerson {
		if p == nil {
			return nil
		}
		return &TalkPerson{ID: p.ID, Type: kind, Name: p.Name, AvatarURL: p.Avatar}
	}
	m.Author, m.Recipient = person(i.Sender, "external"), person(i.Receiver, "external")
	if i.Receiver != nil {
		m.Type, m.DeliveryStatus = TalkOutgoing, "delivered"
		m.Author = person(i.Sender, "internal")
		if m.Author != nil {
			m.Author.UserID = talkUser.UserID
		}
	}
	if i.Message.Media != "" {
		m.Attachment = &Attachment{Type: i.Message.Type, Link: i.Message.Media, FileName: i.Message.FileName}
	}
	return m.Raw()
}
