// SPDX-License-Identifier: Apache-2.0

package crm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/apicall"
)

// Page is one answer of a list.
type Page struct {
	Entries []Entry // in the API's own order; nil if there are none
	More    bool    // the API says that a page follows
	// Date is the server's time when it answered, to the second; the local time
	// where it did not tell.
	Date time.Time
}

// Entry is one row of a list, as far as a lister needs to know it; Raw has
// everything. What the API left out, or gave as null, "" or 0, is zero.
type Entry struct {
	Raw    []byte // the row byte for byte
	Object bool   // it is a JSON object; if not, only Raw is set

	ID        Value  // the row's own id: talk_id of a talk, id of a contact's chat
	ChatID    string // the chat's id in the Chats API
	TalkID    Value  // talks only
	ContactID Value
	Origin    string // talks only
	CreatedAt int64  // Unix seconds; talks only
	UpdatedAt int64  // Unix seconds; talks only
}

// Value is a string, or a number that fits in 64 bits. The zero Value is
// neither.
type Value struct {
	Text   string // the number's digits if it is one
	Number int64
	Is     bool // whether it is a number
}

// UnmarshalJSON never fails: what is neither is left out.
func (v *Value) UnmarshalJSON(b []byte) error {
	*v = Value{}
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &v.Text)
	}
	if n, err := strconv.ParseInt(string(b), 10, 64); err == nil && n != 0 {
		*v = Value{Text: string(b), Number: n, Is: true}
	}
	return nil
}

// row is an entry as it is sent. A Value takes whatever comes, so that a field
// of another type never costs the row.
type row struct {
	ID        Value `json:"id"`
	TalkID    Value `json:"talk_id"`
	ChatID    Value `json:"chat_id"`
	ContactID Value `json:"contact_id"`
	Origin    Value `json:"origin"`
	CreatedAt Value `json:"created_at"`
	UpdatedAt Value `json:"updated_at"`
}

// DecodePage reads the body of a 200: HAL, with the rows in _embedded under the
// given name, and _links.next if a page follows. A body without that list is an
// error that wraps [apicall.ErrBrokenBody], so that a broken answer is never
// taken for the list's end, which is a 204. Errors tell nothing of the content.
func DecodePage(body []byte, embedded string) (Page, error) {
	var answer struct {
		Embedded json.RawMessage `json:"_embedded"`
		Links    json.RawMessage `json:"_links"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return Page{}, fmt.Errorf("decoding a page of %d bytes: it is not a JSON object, or breaks off: %w", len(body), apicall.ErrBrokenBody)
	}
	var page Page
	// A PHP server writes an empty object as [].
	if !emptyArray(answer.Embedded) {
		var lists map[string]json.RawMessage
		if json.Unmarshal(answer.Embedded, &lists) != nil || lists == nil {
			return Page{}, fmt.Errorf("decoding a page of %d bytes: want an object _embedded: %w", len(body), apicall.ErrBrokenBody)
		}
		list, ok := lists[embedded]
		var rows []json.RawMessage
		if !ok || json.Unmarshal(list, &rows) != nil {
			return Page{}, fmt.Errorf("decoding a page of %d bytes: want an array _embedded.%s: %w", len(body), embedded, apicall.ErrBrokenBody)
		}
		for _, raw := range rows {
			page.Entries = append(page.Entries, newEntry(raw))
		}
	}
	var links struct {
		Next struct {
			Href string `json:"href"`
		} `json:"next"`
	}
	// Links that are not as expected are none; the lister asks again behind a
	// full page anyway.
	page.More = json.Unmarshal(answer.Links, &links) == nil && links.Next.Href != ""
	return page, nil
}

func emptyArray(raw json.RawMessage) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) >= 2 && raw[0] == '[' && len(bytes.TrimSpace(raw[1:len(raw)-1])) == 0
}

func newEntry(raw json.RawMessage) Entry {
	e := Entry{Raw: raw}
	var r row
	if raw[0] != '{' || json.Unmarshal(raw, &r) != nil {
		return e
	}
	e.Object = true
	e.ID, e.TalkID, e.ContactID = r.TalkID, r.TalkID, r.ContactID
	if e.ID == (Value{}) {
		e.ID = r.ID
	}
	e.ChatID, e.Origin = r.ChatID.Text, r.Origin.Text
	e.CreatedAt, e.UpdatedAt = seconds(r.CreatedAt), seconds(r.UpdatedAt)
	return e
}

// seconds takes a time that is given as text too.
func seconds(v Value) int64 {
	if v.Is {
		return v.Number
	}
	n, err := strconv.ParseInt(v.Text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
