// SPDX-License-Identifier: Apache-2.0

package crm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
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
// taken for the list's end, which is a 204; one with more than [MaxRows] rows wraps
// [apicall.ErrTooLarge]. Errors tell nothing of the content.
//
// Keys match exactly, and of equal keys the last one counts. A byte order mark at
// the begin is skipped, as RFC 8259, 8.1, allows.
func DecodePage(body []byte, embedded string) (Page, error) {
	broken := func(what string) (Page, error) {
		return Page{}, fmt.Errorf("decoding a page of %d bytes: %s: %w", len(body), what, apicall.ErrBrokenBody)
	}
	text := bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
	switch {
	case len(text) == 0:
		return broken("it is empty")
	case !json.Valid(text), text[0] != '{' && string(text) != "null":
		return broken("it is not a JSON object, or breaks off")
	}
	var page Page
	lists := member(text, "_embedded")
	// A PHP server writes an empty object as [].
	if !emptyArray(lists) {
		if len(lists) == 0 || lists[0] != '{' {
			return broken("want an object _embedded")
		}
		list := member(lists, embedded)
		if len(list) == 0 || list[0] != '[' && string(list) != "null" {
			return broken("want an array _embedded." + embedded)
		}
		entries, ok := rows(list)
		if !ok {
			return Page{}, fmt.Errorf("decoding a page of %d bytes: it has more than %d rows, and no more than %d were asked for: check api_url and proxy_url: %w",
				len(body), MaxRows, MaxLimit, apicall.ErrTooLarge)
		}
		page.Entries = entries
	}
	// Links that are not as expected are none; the lister asks again behind a
	// full page anyway.
	href := member(member(member(text, "_links"), "next"), "href")
	page.More = len(href) > len(`""`) && href[0] == '"'
	return page, nil
}

// member returns the value of an object's last member of this name, without a
// copy; nil without one, and of anything but an object. text is valid JSON without
// space around it.
func member(text []byte, name string) (value []byte) {
	if len(text) == 0 || text[0] != '{' {
		return nil
	}
	for i := next(text, 1); text[i] != '}'; i = next(text, i) {
		key := text[i:end(text, i)]
		i = next(text, i+len(key))
		found := text[i:end(text, i)]
		i += len(found)
		if isKey(key, name) {
			value = found
		}
	}
	return value
}

func isKey(quoted []byte, name string) bool {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1:len(quoted)-1]) == name
	}
	var key string
	return json.Unmarshal(quoted, &key) == nil && key == name
}

// rows returns the entries of an array, or false if there are too many. list is as
// the text of member.
func rows(list []byte) (entries []Entry, ok bool) {
	if list[0] != '[' {
		return nil, true
	}
	for i := next(list, 1); list[i] != ']'; i = next(list, i) {
		if len(entries) == MaxRows {
			return nil, false
		}
		raw := list[i:end(list, i)]
		i += len(raw)
		// A copy: one row may be kept for long after its page.
		entries = append(entries, newEntry(bytes.Clone(raw)))
	}
	return entries, true
}

// next returns where the next key, value or closing bracket begins, in valid JSON.
func next(text []byte, i int) int {
	for {
		switch text[i] {
		case ' ', '\t', '\n', '\r', ',', ':':
			i++
		default:
			return i
		}
	}
}

// end returns the index after the value that begins at i, in valid JSON.
func end(text []byte, i int) int {
	for depth := 0; i < len(text); {
		switch text[i] {
		case '"':
			for i++; text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			i++
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		case ',', ':', ' ', '\t', '\n', '\r':
			i++
		default:
			for i < len(text) && strings.IndexByte(",}] \t\n\r", text[i]) < 0 {
				i++
			}
		}
		if depth == 0 {
			return i
		}
	}
	return i
}

func emptyArray(raw []byte) bool {
	return len(raw) >= 2 && raw[0] == '[' && len(bytes.TrimSpace(raw[1:len(raw)-1])) == 0
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
