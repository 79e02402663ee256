// SPDX-License-Identifier: Apache-2.0

package jsonscan

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestScanner_Reads(t *testing.T) {
	t.Parallel()
	d := New([]byte(` {"a":"x\u00e9","b":1.6e9 ,"c":"7","d":[{}],"\u0065":null}`))
	i := d.Space(0)
	got := map[string]any{}
	key, at, more := d.Member(i+1, true)
	for ; more; key, at, more = d.Member(i, false) {
		switch key {
		case "a":
			got[key], i = d.Text(at, 1)
		case "b", "c":
			got[key], i = d.Integer(at, 1)
		default:
			i = d.Value(at, 1)
			got[key] = string(d.Raw(at, i))
		}
	}
	assert.Equal(t, map[string]any{"a": "xé", "b": int64(1_600_000_000), "c": int64(7), "d": "[{}]", "e": "null"}, got)
	assert.Equal(t, len(d.S), at, "where the object ends")
}

func TestScanner_KeepsTheFirstFailure(t *testing.T) {
	t.Parallel()
	d := New([]byte(`[1,}]`))
	assert.Equal(t, -1, d.Value(0, 0))
	d.Fail(9, "something else")
	at, want := d.Failure()
	assert.Equal(t, 3, at)
	assert.Equal(t, "want a value", want)
}

// Value accepts what encoding/json does, and nothing else.
func FuzzValue(f *testing.F) {
	for _, body := range []string{`{}`, `[1,-0.5e+3,"a\n\ud83d\ude00",true,null,{"a":[]}]`, `[01]`, `"a`, "\"\x1f\"", `{"a" 1}`, `tru`, `"\u12g4"`, ``, strings.Repeat(`[`, MaxDepth+1)} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		d := New(body)
		end := d.Value(d.Space(0), 0)
		if ok := end >= 0 && d.Space(end) == len(body); ok != json.Valid(body) {
			t.Fatalf("%q: %v, and encoding/json says %v", body, ok, !ok)
		}
		d = New(body)
		text, end := d.Text(d.Space(0), 0)
		var want string
		if len(body) > 0 && strings.TrimLeft(string(body), " \t\r\n") != "" && strings.TrimLeft(string(body), " \t\r\n")[0] == '"' &&
			json.Unmarshal(body, &want) == nil && end >= 0 && text != want {
			t.Fatalf("%q: %q, and encoding/json reads %q", body, text, want)
		}
	})
}
