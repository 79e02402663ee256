// SPDX-License-Identifier: Apache-2.0

package jsonscan

import (
	"encoding/binary"
	"math/bits"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
)

// str skips a string and tells if it has escapes. Eight bytes are looked at
// together: subtracting from each byte borrows from its highest bit if the byte
// is smaller. A borrow can reach the bytes above, so only the lowest mark is
// sure, and only that is used.
func (d *Scanner) str(i int) (end int, escaped bool) {
	b := d.B
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
			return d.Fail(i, "want a closing quote"), false
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
			return d.Fail(i, "want no control character in a string"), false
		}
	}
}

func (d *Scanner) escape(i int) int {
	i++
	if i == len(d.S) {
		return d.Fail(i, "want an escape")
	}
	switch d.S[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		for range 4 {
			i++
			if i == len(d.S) || !isHex(d.S[i]) {
				return d.Fail(i, "want four hex digits")
			}
		}
		return i + 1
	default:
		return d.Fail(i, "want an escape")
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
