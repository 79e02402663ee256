// SPDX-License-Identifier: Apache-2.0

package message

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// Which values the fields take. Both APIs leave fields out, and give null, "" and
// numbers where there should be text (chats-api.md, Items), so what a value is
// counts and not what it should be.

const (
	// maxInteger is the largest whole number that every reader of JSON has exactly.
	maxInteger = 1<<53 - 1
	// maxMoment is the end of the year 9999 in ms since 1970: RFC 3339 goes no
	// further.
	maxMoment = 253402300799999
)

// scalar says that a value is no object and no array. Of those a field of text
// takes any.
func scalar(v *gjson.Result) bool { return v.Type != gjson.JSON }

// text returns a string that is not empty, a number as it is written, or a
// boolean, as text; of everything else nothing. odd is whether the item has text
// that can't be copied as it is.
func textOf(v *gjson.Result, odd bool) value {
	switch v.Type {
	case gjson.String:
		if v.Raw == `""` {
			return value{}
		}
		return value{s: jsonText(v.Raw, odd)}
	case gjson.Number, gjson.True, gjson.False:
		return value{s: v.Raw, plain: true}
	default:
		return value{}
	}
}

// jsonText returns a JSON string as it is written, but for half surrogate pairs
// and bytes that are not UTF-8, each of which becomes U+FFFD: no two readers agree
// on these, and some refuse the whole document.
func jsonText(raw string, odd bool) string {
	if !odd || !isOdd(raw) {
		return raw
	}
	var s string
	if json.Unmarshal([]byte(raw), &s) != nil {
		return ""
	}
	return string(appendText(nil, s))
}

// isOdd says that a string may not be copied as it is written.
func isOdd(s string) bool {
	return strings.Contains(s, `\ud`) || strings.Contains(s, `\uD`) || !utf8.ValidString(s)
}

// whole returns a whole number from 0 to maxInteger, also of a string of digits,
// which may be of 18.
func whole(v *gjson.Result) (int64, bool) {
	switch v.Type {
	case gjson.Number:
		if n, err := strconv.ParseInt(v.Raw, 10, 64); err == nil {
			return n, n >= 0 && n <= maxInteger
		}
		// 1.7e9 and 12.0 are whole, too.
		if v.Num >= 0 && v.Num <= maxInteger && v.Num == math.Floor(v.Num) {
			return int64(v.Num), true
		}
	case gjson.String:
		return digits(v.Str)
	}
	return 0, false
}

func digits(s string) (int64, bool) {
	if s == "" || len(s) > 18 {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = 10*n + int64(s[i]-'0')
	}
	return n, true
}

// moment returns a time in ms since 1970 of a whole number of units.
func moment(v *gjson.Result, unit int64) (ms int64, ok bool) {
	n, ok := whole(v)
	if !ok || n <= 0 || n > maxMoment/unit {
		return 0, false
	}
	return n * unit, true
}

// position returns the value of the field location of the API's object, which
// fits a geo_point, or nothing: only a place on Earth is one.
func position(lat, lon *gjson.Result) value {
	latitude, ok := degrees(lat, 90)
	if !ok {
		return value{}
	}
	longitude, ok := degrees(lon, 180)
	if !ok {
		return value{}
	}
	return value{s: `{"lat":` + latitude + `,"lon":` + longitude + `}`}
}

// degrees returns a number as it is written, also one in a string.
func degrees(v *gjson.Result, limit float64) (string, bool) {
	switch v.Type {
	case gjson.Number:
		return v.Raw, math.Abs(v.Num) <= limit
	case gjson.String:
		n, err := strconv.ParseFloat(v.Str, 64)
		if err != nil || !(math.Abs(n) <= limit) { // nor what is no number
			return "", false
		}
		return strconv.FormatFloat(n, 'f', -1, 64), true
	default:
		return "", false
	}
}
