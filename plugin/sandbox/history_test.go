// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestHistory_NewestFirstByOffset(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	numbers(s, "a", 5)
	assert.Equal(t, `{"messages":[4,3]}`, page(s, "a", 0, 2).Body.String())
	assert.Equal(t, `{"messages":[2,1]}`, page(s, "a", 2, 2).Body.String())
	w := page(s, "a", 4, 50)
	assert.Equal(t, `{"messages":[0]}`, w.Body.String())
	assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
	assert.Equal(t, "Tue, 03 Mar 2026 12:00:00 GMT", w.Header().Get("Date"))
}

func TestHistory_OffsetMayBeMissing(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	numbers(s, "a", 2)
	assert.Equal(t, `{"messages":[1]}`, serve(s, signed(historyPath("a")+"?limit=1", noon)).Body.String())
}

func TestHistory_OddItemsComeOutVerbatim(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	odd := []string{`null`, `7`, `"x"`, `[]`, `{}`, `{ "message" : {"text":"\u0416 <b>"} }`, `{"a":1.0,"a":12345678901234567890}`}
	for _, item := range odd {
		s.Append("a", json.RawMessage(item))
	}
	got := texted(items(t, page(s, "a", 0, 50)))
	for i, item := range odd {
		assert.Equal(t, item, got[len(odd)-1-i])
	}
}

func TestHistory_PastTheEnd(t *testing.T) {
	t.Parallel()
	for style, want := range map[PastEnd]string{
		"": "", PastEndNoContent: "", PastEndEmptyList: `{"messages":[]}`, PastEndEmptyObject: `{}`, PastEndNull: `{"messages":null}`,
	} {
		s := newServer(t, Config{PastEnd: style})
		numbers(s, "a", 3)
		s.Append("empty")
		w := page(s, "a", 3, 50)
		assert.Equal(t, want, w.Body.String(), style)
		if want == "" {
			assert.Equal(t, http.StatusNoContent, w.Code, style)
		} else {
			assert.Equal(t, http.StatusOK, w.Code, style)
		}
		assert.Equal(t, http.StatusNoContent, page(s, "empty", 0, 50).Code, style)
		assert.Equal(t, http.StatusNoContent, page(s, "unknown", 0, 50).Code, style)
	}
}

func TestHistory_RefusesBadQueries(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	numbers(s, "a", 3)
	for query, field := range map[string]string{
		"": "limit", "?offset=0": "limit", "?limit=": "limit", "?limit=0": "limit", "?limit=51": "limit", "?limit=-1": "limit",
		"?limit=x": "limit", "?limit=1.5": "limit", "?limit=50&offset=-1": "offset", "?limit=50&offset=x": "offset",
		"?limit=50&offset=%2B1": "offset", "?limit=50&offset=99999999999999999999": "offset", "?limit=50&x=%zz": "escape",
	} {
		w := serve(s, signed(historyPath("a")+query, noon))
		require.Equal(t, http.StatusBadRequest, w.Code, query)
		assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
		var body map[string]any
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body), query)
		assert.Contains(t, body["error_description"], field, query)
		assert.Contains(t, body, "error_code")
		assert.Contains(t, body, "error_type")
	}
	assert.Equal(t, http.StatusOK, serve(s, signed(historyPath("a")+"?limit=50&offset=0", noon)).Code)
}

func TestHistory_Refuses403(t *testing.T) {
	t.Parallel()
	resign := func(r *http.Request) {
		h := r.Header
		h.Set("X-Signature", sign(DemoSecret, r.Method, h.Get("Content-MD5"), h.Get("Content-Type"), h.Get("Date"), r.URL.Path))
	}
	target := historyPath("a") + "?offset=0&limit=50"
	for name, c := range map[string]struct {
		target string
		at     time.Duration
		spoil  func(*http.Request)
		reason string // "" is accepted
	}{
		"as it should be":      {},
		"no signature":         {spoil: func(r *http.Request) { r.Header.Del("X-Signature") }, reason: "signature"},
		"upper-case signature": {spoil: func(r *http.Request) { r.Header.Set("X-Signature", strings.ToUpper(r.Header.Get("X-Signature"))) }, reason: "signature"},
		"other secret": {spoil: func(r *http.Request) {
			h := r.Header
			h.Set("X-Signature", sign("other", "GET", h.Get("Content-MD5"), "application/json", h.Get("Date"), r.URL.Path))
		}, reason: "signature"},
		"query signed too": {spoil: func(r *http.Request) {
			h := r.Header
			h.Set("X-Signature", sign(DemoSecret, "GET", h.Get("Content-MD5"), "application/json", h.Get("Date"), r.RequestURI))
		}, reason: "signature"},
		"another chat's": {spoil: func(r *http.Request) {
			r.Header.Set("X-Signature", signed(historyPath("b"), noon).Header.Get("X-Signature"))
		}, reason: "signature"},
		"no content type":       {spoil: func(r *http.Request) { r.Header.Del("Content-Type"); resign(r) }, reason: "content_type"},
		"other content type":    {spoil: func(r *http.Request) { r.Header.Set("Content-Type", "text/plain"); resign(r) }, reason: "content_type"},
		"no md5":                {spoil: func(r *http.Request) { r.Header.Del("Content-MD5"); resign(r) }, reason: "content_md5"},
		"md5 of something else": {spoil: func(r *http.Request) { r.Header.Set("Content-MD5", "2fbcb3c652b61e24e004daddfc73d0ce"); resign(r) }, reason: "content_md5"},
		"no date":               {spoil: func(r *http.Request) { r.Header.Del("Date"); resign(r) }, reason: "date_format"},
		"date with GMT":         {spoil: func(r *http.Request) { r.Header.Set("Date", noon.Format(http.TimeFormat)); resign(r) }, reason: "date_format"},
		"date in another zone":  {spoil: func(r *http.Request) { r.Header.Set("Date", "Tue, 03 Mar 2026 15:00:00 +0300"); resign(r) }, reason: "date_format"},
		"15 minutes late":       {at: -15 * time.Minute},
		"15 minutes early":      {at: 15 * time.Minute},
		"just too late":         {at: -15*time.Minute - time.Second, reason: "date_window"},
		"just too early":        {at: 15*time.Minute + time.Second, reason: "date_window"},
		"foreign scope":         {target: "/v2/origin/custom/other_scope/chats/a/history?offset=0&limit=50", reason: "scope"},
	} {
		s := newServer(t, Config{})
		numbers(s, "a", 1)
		if c.target == "" {
			c.target = target
		}
		r := signed(c.target, noon.Add(c.at))
		if c.spoil != nil {
			c.spoil(r)
		}
		w := serve(s, r)
		if c.reason == "" {
			assert.Equal(t, http.StatusOK, w.Code, name)
			assert.Zero(t, s.Ledger().RefusedTotal, name)
			continue
		}
		assert.Equal(t, http.StatusForbidden, w.Code, name)
		assert.Equal(t, `{"status":0,"error_code":403,"error_type":"ORIGIN_INVALID_SIGNATURE","error_description":"invalid signature"}`,
			w.Body.String(), name)
		assert.Equal(t, map[string]int{c.reason: 1}, s.Ledger().Refused, name)
		assert.Equal(t, 1, s.Ledger().RefusedTotal, name)
	}
}

// The vendor's 404 for a channel that is not connected, asked for with the right
// secret (chats-api.md, row "404").
func TestHistory_AChannelThatIsNotConnected(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	numbers(s, "a", 1)
	target := "/v2/origin/custom/" + channel(DemoScopeID) + "_another-account/chats/a/history?limit=1"
	w := serve(s, signed(target, noon))
	assert.Equal(t, http.StatusNotFound, w.Code)
	assert.JSONEq(t, `{"error_code":404,"error_type":"ORIGIN_NOT_REGISTERED","error_description":"NOT_FOUND"}`, w.Body.String())
	unsigned := httptest.NewRequest("GET", target, nil)
	assert.Equal(t, http.StatusForbidden, serve(s, unsigned).Code)
	assert.Equal(t, 1, s.Ledger().RefusedTotal)
}

func TestHistory_BodyMustMatchItsMD5(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	numbers(s, "a", 1)
	r := signed(historyPath("a")+"?limit=1", noon)
	withBody := httptest.NewRequest("GET", r.RequestURI, strings.NewReader("x"))
	withBody.Header = r.Header
	assert.Equal(t, http.StatusForbidden, serve(s, withBody).Code)
	assert.Equal(t, map[string]int{"content_md5": 1}, s.Ledger().Refused)
}

func TestHistory_SignsThePathAsItCame(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	numbers(s, "a/b c", 1)
	assert.Equal(t, http.StatusOK, page(s, "a/b c", 0, 1).Code)
	// The same chat, escaped in another way, has another signature.
	lower := strings.Replace(historyPath("a/b c"), "%2F", "%2f", 1)
	assert.Equal(t, http.StatusOK, serve(s, signed(lower+"?limit=1", noon)).Code)
	r := signed(lower+"?limit=1", noon)
	r.Header = signed(historyPath("a/b c")+"?limit=1", noon).Header
	assert.Equal(t, http.StatusForbidden, serve(s, r).Code)
}

func TestHistory_OtherMethods(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	for _, method := range []string{"HEAD", "POST", "PUT", "DELETE", "OPTIONS"} {
		r := signed(historyPath("a")+"?limit=1", noon)
		r.Method = method
		w := serve(s, r)
		assert.Equal(t, http.StatusMethodNotAllowed, w.Code, method)
		assert.Equal(t, "GET", w.Header().Get("Allow"))
	}
	assert.Equal(t, http.StatusNotFound, serve(s, signed("/v2/nothing", noon)).Code)
	assert.Equal(t, 1, s.Ledger().ByStatus[404], "a wrong path shows in the ledger")
}

func TestOnRequest_ChangesShowInTheSameAnswer(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	numbers(s, "a", 2)
	var seen []Request
	s.OnRequest(func(r Request) {
		seen = append(seen, r)
		s.Append(r.Chat, json.RawMessage(`"new"`))
		s.DeleteAt(r.Chat, 1)
	})
	assert.Equal(t, `{"messages":["new",0]}`, page(s, "a", 0, 50).Body.String())
	assert.Equal(t, `{"messages":["new",0]}`, page(s, "a", 0, 2).Body.String())
	serve(s, signed(historyPath("a"), noon))
	assert.Equal(t, []Request{
		{N: 1, Endpoint: EndpointHistory, Chat: "a", Offset: 0, Limit: 50},
		{N: 2, Endpoint: EndpointHistory, Chat: "a", Offset: 0, Limit: 2},
		{N: 3, Endpoint: EndpointHistory, Chat: "a", Offset: -1, Limit: -1},
	}, seen)
	s.OnRequest(nil)
	page(s, "a", 0, 50)
	assert.Len(t, seen, 3)
}

func TestServer_SideBySide(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	require.NoError(t, s.Synthetic("a", 1000, noon, time.Second))
	require.NoError(t, s.AddFault(Fault{Kind: FaultHTML, Probability: 0.1}))
	s.OnRequest(func(Request) { s.Append("a", Text("x", noon, "hi")) })
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 50 {
				page(s, "a", i, 50)
				s.DeleteAt("a", i)
				s.Delete("a", "x")
				s.Ledger()
				s.Messages("b")
			}
		})
	}
	wg.Wait()
	assert.Equal(t, 400, s.Ledger().Requests)
}

func BenchmarkHistory(b *testing.B) {
	s := newServer(b, Config{})
	require.NoError(b, s.Synthetic("synthetic", 1_000_000, noon, time.Second))
	s.Append("stored", s.Messages("synthetic")[:50]...)
	for _, chat := range []string{"synthetic", "stored"} {
		b.Run(chat, func(b *testing.B) {
			r := signed(historyPath(chat)+"?offset=0&limit=50", noon)
			b.ReportAllocs()
			for b.Loop() {
				b.SetBytes(int64(serve(s, r).Body.Len()))
			}
		})
	}
}
