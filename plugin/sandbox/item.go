// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"encoding/json"
	"time"
)

// Item is one entry of a chat's history, in the API's shape. Fields that the
// vendor's sample shows as empty strings are written even when empty; those it
// is known to leave out are left out.
type Item struct {
	// Timestamp is the time of the message in unix seconds.
	Timestamp int64 `json:"timestamp"`
	// MsecTimestamp is the time in unix milliseconds. Zero: left out.
	MsecTimestamp int64 `json:"msec_timestamp,omitempty"`
	// Sender is who wrote the message. Nil: left out.
	Sender *Party `json:"sender,omitempty"`
	// Receiver is nil on a message that comes from the client.
	Receiver *Party `json:"receiver,omitempty"`
	// Message is the message itself.
	Message Message `json:"message"`
}

// Party is a sender or a receiver. ID, Name and ClientID are left out when empty.
type Party struct {
	ID       string `json:"id,omitempty"`
	Name     string `json:"name,omitempty"`
	ClientID string `json:"client_id,omitempty"`
	Avatar   string `json:"avatar"`
	Phone    string `json:"phone"`
	Email    string `json:"email"`
}

// Message is the message of an Item. ID, ClientID, Location and Contact are left
// out when empty.
type Message struct {
	ID           string    `json:"id,omitempty"`
	ClientID     string    `json:"client_id,omitempty"`
	Type         string    `json:"type"`
	Text         string    `json:"text"`
	Media        string    `json:"media"`
	Thumbnail    string    `json:"thumbnail"`
	FileName     string    `json:"file_name"`
	FileSize     int64     `json:"file_size"` // bytes; 0 without a file
	MediaGroupID string    `json:"media_group_id"`
	Location     *Location `json:"location,omitempty"`
	Contact      *Contact  `json:"contact,omitempty"`
}

// Location is a place on earth, in degrees.
type Location struct {
	Lon float64 `json:"lon"`
	Lat float64 `json:"lat"`
}

// Contact is an address-book entry sent as a message.
type Contact struct {
	Name  string `json:"name"`
	Phone string `json:"phone"`
}

// At returns the item with both of its timestamps set to t.
func (i Item) At(t time.Time) Item {
	i.Timestamp, i.MsecTimestamp = t.Unix(), t.UnixMilli()
	return i
}

// Raw returns the item as JSON, without a newline and with <, > and & as they are.
func (i Item) Raw() json.RawMessage {
	return encode(i)
}

// encode is for values that always have a JSON form.
func encode(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("encoding an item: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// The two people of the items made here.
var (
	client = Party{
		ID: "1c5b1ae5-27a1-4a0b-9d4d-3f1b7f0b5f01", Name: "Анна Петрова", ClientID: "sk-1376265f",
		Avatar: "https://images.example.com/users/anna.png", Phone: "+15550100199", Email: "anna@example.com",
	}
	agent = Party{
		ID: "76fc2bea-902f-425c-9a3d-dcdac4766090", Name: "Support desk", ClientID: "sk-agent-17",
		Avatar: "https://images.example.com/agents/17.png", Email: "desk@example.com",
	}
)

// Text returns a text message from the client, with both timestamps.
func Text(id string, at time.Time, text string) json.RawMessage {
	sender := client
	return Item{Sender: &sender, Message: Message{ID: id, Type: "text", Text: text}}.At(at).Raw()
}

// Reply returns a text message to the client, that is one with a receiver.
func Reply(id string, at time.Time, text string) json.RawMessage {
	sender, receiver := agent, client
	return Item{Sender: &sender, Receiver: &receiver, Message: Message{ID: id, Type: "text", Text: text}}.At(at).Raw()
}

// MessageID returns the message.id of an item, or "" where there is none.
func MessageID(item json.RawMessage) string {
	var v struct {
		Message struct {
			ID string `json:"id"`
		} `json:"message"`
	}
	if json.Unmarshal(item, &v) != nil {
		return ""
	}
	return v.Message.ID
}
