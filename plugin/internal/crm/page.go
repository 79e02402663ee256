// SPDX-License-Identifier: Apache-2.0

package crm

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
)

const (
	// MaxRows is the most rows that a page may have. The API gives no more than
	// [MaxLimit], which leaves room for a server that ignores limit; a page of 16 MiB
	// may hold millions of 0, though, each of which takes a hundred times its size.
	MaxRows = 20000

	// maxValue bounds what is read of a row as a [Value], in bytes. No id, origin or
	// time is nearly as long.
	maxValue = 4096
)

// Page is one answer of a list.
type Page struct {
	Entries []Entry // in the API's own order; nil if there are none
	More    bool    // the API says that a page follows: Next.Is
	Next    Next    // the link to the page behind
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
	// The lead or other entity of a talk.
	EntityID   Value
	EntityType string
	CreatedAt  int64 // Unix seconds; talks only
	UpdatedAt  int64 // Unix seconds; talks only
}

// Value is a string of at most 4 KiB, or a number that fits in 64 bits. The zero
// Value is neither.
type Value struct {
	Text   string // the number's digits if it is one
	Number int64
	Is     bool // whether it is a number
}

// UnmarshalJSON never fails: what is neither is left out.
func (v *Value) UnmarshalJSON(b []byte) error {
	*v = Value{}
	if len(b) > maxValue {
		return nil
	}
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
	ID         Value `json:"id"`
	TalkID     Value `json:"talk_id"`
	ChatID     Value `json:"chat_id"`
	ContactID  Value `json:"contact_id"`
	Origin     Value `json:"origin"`
	EntityID   Value `json:"entity_id"`
	EntityType Value `json:"entity_type"`
	CreatedAt  Value `json:"created_at"`
	UpdatedAt  Value `json:"updated_at"`
}

// DecodePage reads the body of a 200: HAL, with the rows in _embedded under the
// given name, and _links.next if a page follows. A body without that list is an
// error that wraps [apicall.ErrBrokenBody], so that a broken answer is never
// taken for the list's end, which is a 204; one with more than [MaxRows] rows wraps
// [apicall.ErrTooLarge]. Errors tell nothing of the content.
//
// Keys match exactly, and of equal keys the last one counts. A byte order mark at
// the begin is skipped, as RFC 8259, 8.1, allows.
func DecodePage(body []byte, embedded string) (Page, error) {
	var rows [][]byte
	d := hal{list: embedded, reset: func() { rows = rows[:0] }}
	d.entry = func(start, depth int) int {
		end := d.Value(start, depth)
		if end >= 0 {
			rows = append(rows, d.Raw(start, end))
		}
		return end
	}
	if err := d.read(body); err != nil {
		return Page{}, err
	}
	page := Page{More: d.next.Is, Next: d.next}
	for _, raw := range rows {
		// A copy: one row may be kept for long after its page.
		page.Entries = append(page.Entries, newEntry(bytes.Clone(raw)))
	}
	return page, nil
}

func newEntry(raw []byte) Entry {
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
	e.EntityID, e.EntityType = r.EntityID, r.EntityType.Text
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
