// SPDX-License-Identifier: Apache-2.0

package amojo

import (
	"bytes"
	"fmt"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/jsonscan"
)

// MaxItems is the most items that a page may have. The API gives no more than
// [MaxLimit], which leaves room for a server that ignores limit; a page of 16 MiB
// may hold millions of {}, though, each of which takes a hundred times its size.
const MaxItems = 20000

// Page is one answer of the history call.
type Page struct {
	Items []Item // newest first, as the API sends them; nil if there are none

	// Date is the server's time when it answered, to the second, from the Date
	// header; zero if there is none that can be read. [DecodePage] leaves it zero.
	Date time.Time
}

// Item is one message of a chat, as far as the reader needs to know it; Raw has
// everything. A field that the API left out, or gave as something other than a
// string or a number, is zero.
type Item struct {
	// Raw is the item byte for byte. It shares the page's memory, but can be
	// appended to without harm.
	Raw []byte

	// Object is false for an item that is not a JSON object, and so can't be a
	// message. Only Raw is set then.
	Object bool

	Timestamp     int64 // when the message was sent, unix time in s; 0: the API gave none
	MsecTimestamp int64 // the same in ms; absent from some answers

	Sender   Party
	Receiver Party

	// HasReceiver is whether any field of Receiver is set. A message that comes
	// from the client has no receiver (chats-api.md, Items).
	HasReceiver bool

	ID           string // message.id, the message's stable identity
	ClientID     string // message.client_id, its id on the integration's side
	Type         string // message.type: text, file, picture, …; new ones appear
	MediaGroupID string // message.media_group_id, shared by what was sent as one
}

// Party is who sent or received a message. Any field can be "".
type Party struct {
	ID       string // in the Chats API
	Name     string
	ClientID string // on the integration's side
	Avatar   string // URL
	Phone    string
	Email    string
}

// DecodePage reads the body of a 200. It accepts what encoding/json would: the
// whole body must be one JSON object, so that a page that breaks off is never
// taken for a short one. messages must be an array; without it, or if it is
// null, the page is empty, which is one of the ways in which an API may answer
// past a chat's end (chats-api.md, The history call); but an object that has
// error_code or the like in its place is refused. Every error tells the place,
// nothing of the content, and wraps [apicall.ErrBrokenBody]; or
// [apicall.ErrTooLarge], where there are more than [MaxItems].
//
// A byte order mark at the begin is skipped, as RFC 8259, 8.1, allows.
//
// Keys match exactly, and of equal keys the last one counts. A string may be
// given as a number and a timestamp as a string; a timestamp that is not a whole
// number of 64 bits is 0. Bytes that are not UTF-8 become U+FFFD in the strings,
// not in Raw.
//
// The Page keeps body, which must not be changed afterwards.
func DecodePage(body []byte) (Page, error) {
	size := len(body)
	s := scanner{Scanner: jsonscan.New(bytes.TrimPrefix(body, []byte("\ufeff")))}
	items, end := s.page()
	if end < 0 {
		return Page{}, fmt.Errorf("decoding a page of %d bytes: %w", size, s.err())
	}
	return Page{Items: items}, nil
}
