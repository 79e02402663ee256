// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

// What LoadJSON accepts is served as valid JSON; nothing makes it panic.
func FuzzLoadJSON(f *testing.F) {
	for _, seed := range []string{`{"a":[{"message":{"id":"1"}},null]}`, `{"":[]}`, `{"a":[1`, `{"a":[]} {}`, `{"a":{"b":[]}}`, "\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := newServer(t, Config{})
		if s.LoadJSON(bytes.NewReader(data)) != nil {
			return
		}
		if !json.Valid(data) {
			t.Fatalf("accepted what is no JSON: %q", data)
		}
		for _, id := range s.Chats() {
			for _, item := range s.Messages(id) {
				if !json.Valid(item) {
					t.Fatalf("kept what is no JSON: %q", item)
				}
				s.Delete(id, MessageID(item))
			}
		}
	})
}

// What ParseFault accepts is a fault that can be switched on and sent.
func FuzzParseFault(f *testing.F) {
	for _, seed := range []string{"500", "429,retry_after=2s,retry_after_date=true", "kind=", "huge,size=9e9", ",", "=,=", "clock,shift=-1h",
		"hang,chats=a|b,lasts=4s", "429,retry_after_text=Fri, 31 Dec 9999 23:59:59 GMT", "hide-items,messages=|",
		"late,endpoint=events,lag=60s,talks=1|2", "403,body=scope"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		fault, err := ParseFault(text)
		if err != nil {
			return
		}
		if err := fault.Validate(); err != nil {
			t.Fatalf("%q: %s", text, err)
		}
		data, err := json.Marshal(fault)
		if err != nil {
			t.Fatalf("%q: %s", text, err)
		}
		var back Fault
		if err := json.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(back, fault) {
			t.Fatalf("%q: %+v came back as %+v, %v", text, fault, back, err)
		}
	})
}
