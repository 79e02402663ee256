// SPDX-License-Identifier: Apache-2.0

package crm

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func jwt(payload string) string {
	return "eyJ0eXAiOiJKV1QifQ." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2lnbmF0dXJl"
}

func TestReadClaims(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_900_000_000, 0)
	for token, want := range map[string]Claims{
		jwt(`{"exp":1900000000,"scopes":["crm","list_external_messages"]}`): {at, []string{"crm", ScopeMessages}},
		jwt(`{"exp":"1900000000","scopes":"crm list_external_messages"}`):   {at, []string{"crm", ScopeMessages}},
		jwt(`{"exp":1.9e9,"scope":"crm"}`):                                  {at, []string{"crm"}},
		jwt(`{"exp":1900000000.7,"scopes":null,"scope":["crm"]}`):           {at, []string{"crm"}},
		jwt(`{"exp":1900000000,"scopes":[]}`):                               {at, []string{}},
		jwt(`{"exp":0,"scopes":""}`):                                        {Scopes: []string{}},
		jwt(`{"exp":-5,"scopes":{}}`):                                       {},
		jwt(`{"exp":1e300,"scopes":[5]}`):                                   {},
		jwt(`{"exp":"soon","scopes":7}`):                                    {},
		jwt(`{"exp":"NaN"}`):                                                {},
		jwt(`[]`):                                                           {},
		jwt(`{"exp":1900000000`):                                            {},
		strings.Replace(jwt(`{"exp":1900000000}`), ".c2", "==.c2", 1):       {Expires: at},
		"": {}, "opaque": {}, "a.b": {}, "a.b.c": {}, "a.!.c": {}, "..": {}, jwt(`{"exp":1900000000}`) + ".more": {},
	} {
		assert.Equal(t, want, ReadClaims(token), token)
	}
	told := ReadClaims(jwt(`{"exp":1900000000,"scopes":["crm"]}`))
	assert.True(t, told.Lacks(ScopeMessages))
	assert.False(t, told.Lacks("crm"))
	assert.True(t, told.Expired(at))
	assert.False(t, told.Expired(at.Add(-1)))
	unknown := ReadClaims("opaque")
	assert.False(t, unknown.Lacks(ScopeMessages), "what is not known is no reason to stop")
	assert.False(t, unknown.Expired(at))
	assert.True(t, ReadClaims(jwt(`{"scopes":[]}`)).Lacks("crm"))
}

func FuzzReadClaims(f *testing.F) {
	for _, seed := range []string{`{"exp":1900000000,"scopes":["crm"]}`, `{"exp":"1e9","scope":"a b"}`, `{"scopes":[null]}`, `null`, ``} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, text string, asPayload bool) {
		if asPayload {
			text = jwt(text)
		}
		c := ReadClaims(text)
		if year := c.Expires.Year(); !c.Expires.IsZero() && (year < 1969 || year > 20_000) {
			t.Fatalf("%q expires in the year %d", text, year)
		}
		_ = fmt.Sprint(c.Lacks(ScopeMessages), c.Expired(time.Now()))
	})
}
