// SPDX-License-Identifier: Apache-2.0

package amojo

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
)

// maxDepth is how deep values may be nested, as in encoding/json.
const maxDepth = 10000

// scanner reads a page in a single pass: each byte is looked at once, to see
// that the body is JSON and to find the fields on the way. encoding/json takes
// one pass to find where a value ends and another to read it, for each level.
//
// Its methods take the index at which something begins and return the index
// after its end, or -1 for what is not JSON; the first such place is kept.
// depth is the number of objects and arrays around the value.
type scanner struct {
	b []byte // the page, for Raw
	s string // the same bytes, so that a field is a substring and not a copy

	// The last two parties, since most of a page is between the same two.
	parties [2]rawParty
	turn    int

	failedAt int
	failure  string // "" until something failed
	tooMany  bool   // the failure is that there are more than MaxItems
}

func (d *scanner) fail(i int, what string) int {
	if d.failure == "" {
		d.failedAt, d.failure = i, what
	}
	return -1
}

func (d *scanner) err() error {
	if d.tooMany {
		return fmt.Errorf("it has more than %d items, and no more than %d were asked for: check base_url and proxy_url: %w",
			MaxItems, MaxLimit, apicall.ErrTooLarge)
	}
	if d.s == "" {
		return fmt.Errorf("it is empty: %w", apicall.ErrBrokenBody)
	}
	if d.failedAt >= len(d.s) {
		return fmt.Errorf("it breaks off: %w", apicall.ErrBrokenBody)
	}
	return fmt.Errorf("at byte %d: %s: %w", d.failedAt, d.failure, apicall.ErrBrokenBody)
}

// page reads the whole body. What is wrong with the type of messages is said
// last, because a second messages member would replace the first.
func (d *scanner) page() (items []Item, end int) {
	i := d.space(0)
	if i == len(d.s) || d.s[i] != '{' {
		return nil, d.fail(i, "want a JSON object")
	}
	wrongType, failure, listed := -1, -1, false
	key, at, more := d.member(i+1, true)
	for ; more; key, at, more = d.member(i, false) {
		listed = listed || key == "messages"
		if key != "messages" {
			if strings.HasPrefix(key, "error") && !strings.HasPrefix(d.s[at:], "null") {
				failure = at
			}
			i = d.value(at, 1)
		} else if wrongType, items = -1, nil; at < len(d.s) && d.s[at] == '[' {
			items, i = d.items(at, 2)
		} else {
			if !strings.HasPrefix(d.s[at:], "null") {
				wrongType = at
			}
			i = d.value(at, 1)
		}
		if i < 0 {
			return nil, -1
		}
	}
	if at < 0 {
		return nil, -1
	}
	if i = d.space(at); i < len(d.s) {
		return nil, d.fail(i, "want nothing after the JSON object")
	}
	if wrongType >= 0 {
		return nil, d.fail(wrongType, "want messages to be an array")
	}
	if failure >= 0 && !listed {
		// error_code and the like, which a 400 has (chats-api.md, The history
		// call). With a 200 it must not pass for a chat's end.
		return nil, d.fail(failure, "want messages, and this is an error with status 200")
	}
	return items, i
}

func (d *scanner) items(i, depth int) ([]Item, int) {
	i = d.space(i + 1)
	if i < len(d.s) && d.s[i] == ']' {
		return nil, i + 1
	}
	// An item is longer than 256 bytes but for the shortest texts, so this is
	// rarely too few, and for an ordinary page never too many.
	items := make([]Item, 0, min(len(d.s)/256+1, MaxLimit))
	for {
		if len(items) == MaxItems {
			d.tooMany = true
			return nil, d.fail(i, "too many items")
		}
		items = append(items, Item{})
		end := d.item(i, depth, &items[len(items)-1])
		if end < 0 {
			return nil, -1
		}
		i = d.space(end)
		if i == len(d.s) {
			return nil, d.fail(i, "want , or ]")
		}
		switch d.s[i] {
		case ',':
			i = d.space(i + 1)
		case ']':
			return items, i + 1
		default:
			return nil, d.fail(i, "want , or ]")
		}
	}
}

func (d *scanner) item(start, depth int, item *Item) int {
	if start == len(d.s) || d.s[start] != '{' {
		end := d.value(start, depth)
		if end >= 0 {
			item.Raw = d.b[start:end:end]
		}
		return end
	}
	depth++
	var i int
	key, at, more := d.member(start+1, true)
	for ; more; key, at, more = d.member(i, false) {
		switch key {
		case "timestamp":
			item.Timestamp, i = d.integer(at, depth)
		case "msec_timestamp":
			item.MsecTimestamp, i = d.integer(at, depth)
		case "sender":
			i = d.party(at, depth, &item.Sender)
		case "receiver":
			i = d.party(at, depth, &item.Receiver)
		case "message":
			i = d.message(at, depth, item)
		default:
			i = d.value(at, depth)
		}
		if i < 0 {
			return -1
		}
	}
	if at < 0 {
		return -1
	}
	item.Raw = d.b[start:at:at]
	item.Object = true
	item.HasReceiver = item.Receiver != Party{}
	return at
}

func (d *scanner) message(i, depth int, item *Item) int {
	item.ID, item.ClientID, item.Type, item.MediaGroupID = "", "", "", ""
	if i == len(d.s) || d.s[i] != '{' {
		return d.value(i, depth)
	}
	depth++
	key, at, more := d.member(i+1, true)
	for ; more; key, at, more = d.member(i, false) {
		switch key {
		case "id":
			item.ID, i = d.text(at, depth)
		case "client_id":
			item.ClientID, i = d.text(at, depth)
		case "type":
			item.Type, i = d.text(at, depth)
		case "media_group_id":
			item.MediaGroupID, i = d.text(at, depth)
		default:
			i = d.value(at, depth)
		}
		if i < 0 {
			return -1
		}
	}
	return at
}

// rawParty is a party with the JSON object that it was read from.
type rawParty struct {
	raw   string // "": none
	depth int
	party Party
}

func (d *scanner) party(start, depth int, party *Party) int {
	*party = Party{}
	if start == len(d.s) || d.s[start] != '{' {
		return d.value(start, depth)
	}
	for k := range d.parties {
		// A whole object is never the beginning of another one, so what begins
		// with its text is that object once more.
		if p := &d.parties[k]; p.raw != "" && p.depth == depth && strings.HasPrefix(d.s[start:], p.raw) {
			*party = p.party
			return start + len(p.raw)
		}
	}
	end := d.newParty(start, depth+1, party)
	if end >= 0 {
		d.parties[d.turn] = rawParty{raw: d.s[start:end], depth: depth, party: *party}
		d.turn = 1 - d.turn
	}
	return end
}

func (d *scanner) newParty(i, depth int, party *Party) int {
	key, at, more := d.member(i+1, true)
	for ; more; key, at, more = d.member(i, false) {
		switch key {
		case "id":
			party.ID, i = d.text(at, depth)
		case "name":
			party.Name, i = d.text(at, depth)
		case "client_id":
			party.ClientID, i = d.text(at, depth)
		case "avatar":
			party.Avatar, i = d.text(at, depth)
		case "phone":
			party.Phone, i = d.text(at, depth)
		case "email":
			party.Email, i = d.text(at, depth)
		default:
			i = d.value(at, depth)
		}
		if i < 0 {
			return -1
		}
	}
	return at
}

// member goes to the next member of an object: i is after the { or after a
// member's value. It returns the key and where its value begins; or, when there
// is no more, where the object ends, -1 for what is not JSON.
func (d *scanner) member(i int, first bool) (key string, at int, more bool) {
	i = d.space(i)
	if i == len(d.s) {
		return "", d.fail(i, "want a member or }"), false
	}
	c := d.s[i]
	if c == '}' {
		return "", i + 1, false
	}
	if !first {
		if c != ',' {
			return "", d.fail(i, "want , or }"), false
		}
		i = d.space(i + 1)
	}
	if i == len(d.s) || d.s[i] != '"' {
		return "", d.fail(i, "want a key"), false
	}
	end, escaped := d.str(i)
	if end < 0 {
		return "", -1, false
	}
	key = d.s[i+1 : end-1]
	if escaped {
		key = unquote(key)
	}
	i = d.space(end)
	if i == len(d.s) || d.s[i] != ':' {
		return "", d.fail(i, "want :"), false
	}
	return key, d.space(i + 1), true
}

// text reads a field that should be a string. A number is taken as it is
// written, anything else is none.
func (d *scanner) text(i, depth int) (string, int) {
	if i == len(d.s) {
		return "", d.fail(i, "want a value")
	}
	switch c := d.s[i]; {
	case c == '"':
		end, escaped := d.str(i)
		if end < 0 {
			return "", -1
		}
		s := d.s[i+1 : end-1]
		if escaped || !utf8.ValidString(s) {
			s = unquote(s)
		}
		return s, end
	case c == '-' || c >= '0' && c <= '9':
		end := d.number(i)
		if end < 0 {
			return "", -1
		}
		return d.s[i:end], end
	default:
		return "", d.value(i, depth)
	}
}

// integer reads a field that should be a whole number; anything else is 0. What
// a timestamp looks like is read on the spot, the rest by parseInteger.
func (d *scanner) integer(i, depth int) (int64, int) {
	if i < len(d.s) && d.s[i] >= '1' && d.s[i] <= '9' {
		var n int64
		for j := i; j < len(d.s) && j < i+len("999999999999999999"); j++ {
			switch c := d.s[j]; {
			case c >= '0' && c <= '9':
				n = 10*n + int64(c-'0')
				continue
			case c == ',' || c == '}' || c == ' ':
				return n, j
			}
			break
		}
	}
	s, end := d.text(i, depth)
	return parseInteger(s), end
}

// value skips a value.
func (d *scanner) value(i, depth int) int {
	if i == len(d.s) {
		return d.fail(i, "want a value")
	}
	switch c := d.s[i]; c {
	case '"':
		end, _ := d.str(i)
		return end
	case '{':
		return d.object(i, depth+1)
	case '[':
		return d.array(i, depth+1)
	case 't':
		return d.word(i, "true")
	case 'f':
		return d.word(i, "false")
	case 'n':
		return d.word(i, "null")
	default:
		return d.number(i)
	}
}

// object is member without a key to tell.
func (d *scanner) object(i, depth int) int {
	if depth > maxDepth {
		return d.fail(i, "nested too deep")
	}
	i = d.space(i + 1)
	if i < len(d.s) && d.s[i] == '}' {
		return i + 1
	}
	for {
		if i == len(d.s) || d.s[i] != '"' {
			return d.fail(i, "want a key")
		}
		if i, _ = d.str(i); i < 0 {
			return -1
		}
		if i = d.space(i); i == len(d.s) || d.s[i] != ':' {
			return d.fail(i, "want :")
		}
		if i = d.value(d.space(i+1), depth); i < 0 {
			return -1
		}
		i = d.space(i)
		switch {
		case i < len(d.s) && d.s[i] == ',':
			i = d.space(i + 1)
		case i < len(d.s) && d.s[i] == '}':
			return i + 1
		default:
			return d.fail(i, "want , or }")
		}
	}
}

func (d *scanner) array(i, depth int) int {
	if depth > maxDepth {
		return d.fail(i, "nested too deep")
	}
	i = d.space(i + 1)
	if i < len(d.s) && d.s[i] == ']' {
		return i + 1
	}
	for {
		if i = d.value(i, depth); i < 0 {
			return -1
		}
		i = d.space(i)
		switch {
		case i < len(d.s) && d.s[i] == ',':
			i = d.space(i + 1)
		case i < len(d.s) && d.s[i] == ']':
			return i + 1
		default:
			return d.fail(i, "want , or ]")
		}
	}
}

func (d *scanner) word(i int, word string) int {
	for j := range len(word) {
		if i+j == len(d.s) || d.s[i+j] != word[j] {
			return d.fail(i+j, "want "+word)
		}
	}
	return i + len(word)
}

func (d *scanner) number(i int) int {
	end, ok := number(d.s, i)
	if !ok {
		return d.fail(end, "want a value")
	}
	return end
}

// number returns where the number that begins at i ends, or the place at which
// it is none.
func number(s string, i int) (end int, ok bool) {
	if i < len(s) && s[i] == '-' {
		i++
	}
	start := i
	if i < len(s) && s[i] == '0' {
		i++
	} else if i = digits(s, i); i == start {
		return i, false
	}
	if i < len(s) && s[i] == '.' {
		start = i + 1
		if i = digits(s, start); i == start {
			return i, false
		}
	}
	if i < len(s) && s[i]|0x20 == 'e' {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		start = i
		if i = digits(s, start); i == start {
			return i, false
		}
	}
	return i, true
}

func digits(s string, i int) int {
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return i
}

func (d *scanner) space(i int) int {
	for i < len(d.s) {
		switch d.s[i] {
		case ' ', '\t', '\n', '\r':
			i++
		default:
			return i
		}
	}
	return i
}

const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
)

// str skips a string and tells if it has escapes. Eight bytes are looked at
// together: subtracting from each byte borrows from its highest bit if the byte
// is smaller. A borrow can reach the bytes above, so only the lowest mark is
// sure, and only that is used.
func (d *scanner) str(i int) (end int, escaped bool) {
	b := d.b
	i++
	for {
		for i+8 <= len(b) {
			x := binary.LittleEndian.Uint64(b[i:])
			control := x - ' '*ones
			quote := (x ^ '"'*ones) - ones
			backslash := (x ^ '\\'*ones) - ones
			if mark := (control | quote | backslash) & ^x & highs; mark != 0 {
				i += bits.TrailingZeros64(mark) / 8
				break
			}
			i += 8
		}
		for i < len(b) && b[i] >= ' ' && b[i] != '"' && b[i] != '\\' {
			i++
		}
		if i == len(b) {
			return d.fail(i, "want a closing quote"), false
		}
		switch b[i] {
		case '"':
			return i + 1, escaped
		case '\\':
			escaped = true
			if i = d.escape(i); i < 0 {
				return -1, false
			}
		default:
			return d.fail(i, "want no control character in a string"), false
		}
	}
}

func (d *scanner) escape(i int) int {
	i++
	if i == len(d.s) {
		return d.fail(i, "want an escape")
	}
	switch d.s[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		for range 4 {
			i++
			if i == len(d.s) || !isHex(d.s[i]) {
				return d.fail(i, "want four hex digits")
			}
		}
		return i + 1
	default:
		return d.fail(i, "want an escape")
	}
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
}

// unquote resolves the escapes of a string that str has accepted, and makes it
// valid UTF-8, as encoding/json does: half a surrogate pair and each byte that
// is not UTF-8 become U+FFFD.
func unquote(s string) string {
	var out strings.Builder
	out.Grow(len(s) + 2*notUTF8(s)) // escapes only shrink
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '\\' && s[i+1] == 'u':
			r := hex4(s[i+2:])
			i += 6
			if utf16.IsSurrogate(r) {
				var pair = utf8.RuneError
				if strings.HasPrefix(s[i:], `\u`) {
					pair = utf16.DecodeRune(r, hex4(s[i+2:]))
				}
				if r = pair; pair != utf8.RuneError {
					i += 6
				}
			}
			out.WriteRune(r)
		case c == '\\':
			out.WriteByte(unescaped(s[i+1]))
			i += 2
		case c < utf8.RuneSelf:
			out.WriteByte(c)
			i++
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			out.WriteRune(r)
			i += size
		}
	}
	return out.String()
}

// notUTF8 counts the bytes that are not UTF-8, each of which becomes three.
func notUTF8(s string) (n int) {
	if utf8.ValidString(s) {
		return 0
	}
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			n++
		}
		i += size
	}
	return n
}

func unescaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	default:
		return c
	}
}

func hex4(s string) rune {
	var r rune
	for i := range 4 {
		c := rune(s[i])
		switch {
		case c <= '9':
			c -= '0'
		default:
			c = c | 0x20 - 'a' + 10
		}
		r = r<<4 | c
	}
	return r
}

// parseInteger returns the whole number that s is, exactly: 1600000000, 1.6e9 and
// 16000000000e-1 are the same. Anything else, and what does not fit in 64 bits, is
// 0.
func parseInteger(s string) int64 {
	if end, ok := number(s, 0); !ok || end < len(s) {
		return 0
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n
	}
	mantissa, exponent := s, 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		var err error
		if exponent, err = strconv.Atoi(s[i+1:]); err != nil || exponent > 1<<30 || exponent < -1<<30 {
			return 0
		}
		mantissa = s[:i]
	}
	sign := ""
	if mantissa[0] == '-' {
		sign, mantissa = "-", mantissa[1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	all := whole + fraction
	significant := strings.TrimRight(all, "0")
	exponent += len(all) - len(significant) - len(fraction)
	significant = strings.TrimLeft(significant, "0")
	if exponent < 0 || len(significant)+exponent > len("9223372036854775807") {
		return 0
	}
	n, err := strconv.ParseInt(sign+significant+strings.Repeat("0", exponent), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
