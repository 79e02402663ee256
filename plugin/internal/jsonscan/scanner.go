// SPDX-License-Identifier: Apache-2.0

package jsonscan

import (
	"unicode/utf8"
	"unsafe"
)

// MaxDepth is how deep values may be nested, as in encoding/json.
const MaxDepth = 10000

// Scanner reads a body. Make it with [New].
//
// Its methods take the index at which something begins and return the index after
// its end, or -1 for what is not JSON; the first such place is kept. depth is the
// number of objects and arrays around the value.
type Scanner struct {
	B []byte // the body
	S string // the same bytes, so that a field is a substring and not a copy

	failedAt int
	failure  string // "" until something failed
}

// New returns a Scanner of a body, which nobody may change as long as anything that
// was read of it is in use.
func New(body []byte) Scanner {
	// The same memory: a copy would cost a tenth of what reading costs, and hold each
	// body in memory twice.
	return Scanner{B: body, S: unsafe.String(unsafe.SliceData(body), len(body))} //nolint:gosec // see above
}

// Fail notes the first place at which the body is not what it should be, and returns
// -1.
func (d *Scanner) Fail(i int, want string) int {
	if d.failure == "" {
		d.failedAt, d.failure = i, want
	}
	return -1
}

// Failure returns the place and what was wanted there; the place is len(S) where the
// body breaks off.
func (d *Scanner) Failure() (at int, want string) { return d.failedAt, d.failure }

// Raw returns the bytes of a value, without a copy, that can be appended to without
// harm.
func (d *Scanner) Raw(start, end int) []byte { return d.B[start:end:end] }

// Member goes to the next member of an object: i is after the { or after a
// member's value. It returns the key and where its value begins; or, when there
// is no more, where the object ends, -1 for what is not JSON.
func (d *Scanner) Member(i int, first bool) (key string, at int, more bool) {
	i = d.Space(i)
	if i == len(d.S) {
		return "", d.Fail(i, "want a member or }"), false
	}
	c := d.S[i]
	if c == '}' {
		return "", i + 1, false
	}
	if !first {
		if c != ',' {
			return "", d.Fail(i, "want , or }"), false
		}
		i = d.Space(i + 1)
	}
	if i == len(d.S) || d.S[i] != '"' {
		return "", d.Fail(i, "want a key"), false
	}
	end, escaped := d.str(i)
	if end < 0 {
		return "", -1, false
	}
	key = d.S[i+1 : end-1]
	if escaped {
		key = unquote(key)
	}
	i = d.Space(end)
	if i == len(d.S) || d.S[i] != ':' {
		return "", d.Fail(i, "want :"), false
	}
	return key, d.Space(i + 1), true
}

// Elements hands the elements of an array on, which begins at i; element reads one and
// returns its end. It returns that of the array.
func (d *Scanner) Elements(i int, element func(i int) int) int {
	i = d.Space(i + 1)
	if i < len(d.S) && d.S[i] == ']' {
		return i + 1
	}
	for {
		if i = element(i); i < 0 {
			return -1
		}
		i = d.Space(i)
		switch {
		case i < len(d.S) && d.S[i] == ',':
			i = d.Space(i + 1)
		case i < len(d.S) && d.S[i] == ']':
			return i + 1
		default:
			return d.Fail(i, "want , or ]")
		}
	}
}

// Text reads a field that should be a string. A number is taken as it is
// written, anything else is none.
func (d *Scanner) Text(i, depth int) (string, int) {
	if i == len(d.S) {
		return "", d.Fail(i, "want a value")
	}
	switch c := d.S[i]; {
	case c == '"':
		end, escaped := d.str(i)
		if end < 0 {
			return "", -1
		}
		s := d.S[i+1 : end-1]
		if escaped || !utf8.ValidString(s) {
			s = unquote(s)
		}
		return s, end
	case c == '-' || c >= '0' && c <= '9':
		end := d.number(i)
		if end < 0 {
			return "", -1
		}
		return d.S[i:end], end
	default:
		return "", d.Value(i, depth)
	}
}

// Integer reads a field that should be a whole number; anything else is 0. What
// a timestamp looks like is read on the spot, the rest by parseInteger.
func (d *Scanner) Integer(i, depth int) (int64, int) {
	if i < len(d.S) && d.S[i] >= '1' && d.S[i] <= '9' {
		var n int64
		for j := i; j < len(d.S) && j < i+len("999999999999999999"); j++ {
			switch c := d.S[j]; {
			case c >= '0' && c <= '9':
				n = 10*n + int64(c-'0')
				continue
			case c == ',' || c == '}' || c == ' ':
				return n, j
			}
			break
		}
	}
	s, end := d.Text(i, depth)
	return parseInteger(s), end
}

// Value skips a value.
func (d *Scanner) Value(i, depth int) int {
	if i == len(d.S) {
		return d.Fail(i, "want a value")
	}
	switch c := d.S[i]; c {
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

// object is Member without a key to tell.
func (d *Scanner) object(i, depth int) int {
	if depth > MaxDepth {
		return d.Fail(i, "nested too deep")
	}
	i = d.Space(i + 1)
	if i < len(d.S) && d.S[i] == '}' {
		return i + 1
	}
	for {
		if i == len(d.S) || d.S[i] != '"' {
			return d.Fail(i, "want a key")
		}
		if i, _ = d.str(i); i < 0 {
			return -1
		}
		if i = d.Space(i); i == len(d.S) || d.S[i] != ':' {
			return d.Fail(i, "want :")
		}
		if i = d.Value(d.Space(i+1), depth); i < 0 {
			return -1
		}
		i = d.Space(i)
		switch {
		case i < len(d.S) && d.S[i] == ',':
			i = d.Space(i + 1)
		case i < len(d.S) && d.S[i] == '}':
			return i + 1
		default:
			return d.Fail(i, "want , or }")
		}
	}
}

func (d *Scanner) array(i, depth int) int {
	if depth > MaxDepth {
		return d.Fail(i, "nested too deep")
	}
	return d.Elements(i, func(i int) int { return d.Value(i, depth) })
}

func (d *Scanner) word(i int, word string) int {
	for j := range len(word) {
		if i+j == len(d.S) || d.S[i+j] != word[j] {
			return d.Fail(i+j, "want "+word)
		}
	}
	return i + len(word)
}

func (d *Scanner) number(i int) int {
	end, ok := number(d.S, i)
	if !ok {
		return d.Fail(end, "want a value")
	}
	return end
}

// Space skips white space.
func (d *Scanner) Space(i int) int {
	for i < len(d.S) {
		switch d.S[i] {
		case ' ', '\t', '\n', '\r':
			i++
		default:
			return i
		}
	}
	return i
}
