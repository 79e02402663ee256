// SPDX-License-Identifier: Apache-2.0

package message

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tidwall/gjson"
)

// leftover is what the fields have no place for, of one object of an item. Empty
// values are none.
type leftover struct {
	off     bool // nothing is kept
	odd     bool // see textOf
	members []member
}

type member struct {
	key   string
	value string // JSON; "": nothing
}

// inside returns an empty leftover of the same kind.
func (l *leftover) inside() leftover { return leftover{off: l.off, odd: l.odd} }

// add keeps a member of the API's object.
func (l *leftover) add(key string, v *gjson.Result) error {
	if l.off {
		return nil
	}
	if empty(v) {
		l.forget(key)
		return nil
	}
	raw := v.Raw
	switch v.Type {
	case gjson.String:
		raw = jsonText(raw, l.odd)
	case gjson.JSON:
		var err error
		if raw, err = unambiguous(raw); err != nil {
			return fmt.Errorf("keeping an unknown value: %w", err)
		}
	}
	l.members = append(l.members, member{key, raw})
	return nil
}

// addAll keeps what is left of an object that the item has.
func (l *leftover) addAll(key string, of *leftover) {
	if s := of.json(); s != "" {
		l.members = append(l.members, member{key, s})
	} else {
		l.forget(key)
	}
}

// forget says that a member has nothing that is left over, whatever an earlier one
// with its key had.
func (l *leftover) forget(key string) {
	if len(l.members) > 0 {
		l.members = append(l.members, member{key: key})
	}
}

// json returns the members as an object, or "" if there are none. Of equal keys
// the last one counts, as in the fields.
func (l *leftover) json() string {
	if len(l.members) == 0 {
		return ""
	}
	last := make(map[string]int, len(l.members))
	for i, m := range l.members {
		last[m.key] = i
	}
	var b []byte
	for i, m := range l.members {
		if last[m.key] != i || m.value == "" {
			continue
		}
		b = append(b, ',')
		b = appendText(b, m.key)
		b = append(b, ':')
		b = append(b, m.value...)
	}
	if b == nil {
		return ""
	}
	b[0] = '{'
	return string(append(b, '}'))
}

// empty says that there is nothing in a value: null, "", {} or [].
func empty(v *gjson.Result) bool {
	switch v.Type {
	case gjson.Null:
		return true
	case gjson.String:
		return v.Raw == `""`
	case gjson.JSON:
		inside := strings.TrimLeft(v.Raw[1:], " \t\r\n")
		return inside[0] == '}' || inside[0] == ']'
	default:
		return false
	}
}

// unambiguous returns an object or an array without what readers disagree on or
// refuse: equal keys, half surrogate pairs, bytes that are not UTF-8. Numbers stay
// as they are written.
func unambiguous(raw string) (string, error) {
	decoder := json.NewDecoder(strings.NewReader(raw))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return "", err
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}
