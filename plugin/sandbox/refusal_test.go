// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFault_ForeignChats(t *testing.T) {
	t.Parallel()
	const invalid = `{"status":0,"error_code":403,"error_type":"ORIGIN_INVALID_SIGNATURE","error_description":"invalid signature"}`
	for name, c := range map[string]struct {
		fault Fault
		want  string
	}{
		"as documented": {Fault{}, invalid},
		"by name":       {Fault{Body: BodySignature}, invalid},
		"another type": {Fault{ErrorType: "CHAT_NOT_ALLOWED"},
			`{"status":0,"error_code":403,"error_type":"CHAT_NOT_ALLOWED","error_description":"invalid signature"}`},
		"own words": {Fault{ErrorType: "NOT_YOURS", Detail: "no"}, `{"status":0,"error_code":403,"error_type":"NOT_YOURS","error_description":"no"}`},
		"empty":     {Fault{Body: BodyEmpty}, ""},
	} {
		s := newServer(t, Config{})
		for _, chat := range []string{"a", "b", "own"} {
			numbers(s, chat, 1)
		}
		c.fault.Kind, c.fault.Chats = FaultForeign, []string{"a", "b", "unknown"}
		require.NoError(t, s.SetFaults(c.fault))
		for _, chat := range c.fault.Chats {
			w := page(s, chat, 0, 1)
			assert.Equal(t, 403, w.Code, name)
			assert.Equal(t, c.want, w.Body.String(), name)
		}
		assert.Equal(t, 200, page(s, "own", 0, 1).Code)
		unsigned := httptest.NewRequest("GET", historyPath("a"), nil)
		assert.Equal(t, invalid, serve(s, unsigned).Body.String(), "the signature comes first")
		assert.Equal(t, map[string]int{"foreign": 3, "content_type": 1}, s.Ledger().Refused)
		assert.Equal(t, 200, crm(s, "/api/v4/talks").Code)
	}
}

func TestFault_Bodies(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	for _, c := range []struct {
		fault       Fault
		contentType string
		want        string
	}{
		{Fault{Status: 403, Body: BodyText}, "text/plain", textBlocked},
		{Fault{Status: 403, Body: BodySignature}, "application/json", "ORIGIN_INVALID_SIGNATURE"},
		{Fault{Status: 404, Body: BodyNotRegistered}, "application/json", `"error_type":"ORIGIN_NOT_REGISTERED"`},
		{Fault{Status: 400, ErrorType: "X", Detail: "y"}, "application/json", `{"error_code":400,"error_description":"y","error_type":"X"}`},
		{Fault{Status: 500}, "application/json", `"trace_id":"`},
		{Fault{Status: 503, Body: BodyText}, "text/plain", textBlocked},
	} {
		c.fault.Kind = FaultStatus
		require.NoError(t, s.SetFaults(c.fault))
		w := page(s, "a", 0, 1)
		assert.Equal(t, c.fault.Status, w.Code)
		assert.Equal(t, c.contentType, w.Header().Get("Content-Type"))
		assert.Contains(t, w.Body.String(), c.want)
	}
}

func TestFault_WhereTheWaitIs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault  Fault
		header string
		body   string // "" has none
	}{
		"nowhere":       {Fault{}, "", ""},
		"header":        {Fault{RetryAfter: 1500 * time.Millisecond}, "2", ""},
		"body":          {Fault{RetryAfter: 299500 * time.Millisecond, RetryAfterIn: HintBody}, "", "300"},
		"both":          {Fault{RetryAfter: time.Minute, RetryAfterIn: HintBoth, RetryAfterDate: true}, "Tue, 03 Mar 2026 12:01:00 GMT", "60"},
		"a year":        {Fault{RetryAfter: 365 * 24 * time.Hour, RetryAfterIn: HintBoth}, "31536000", "31536000"},
		"the year 9999": {Fault{RetryAfterText: "Fri, 31 Dec 9999 23:59:59 GMT"}, "Fri, 31 Dec 9999 23:59:59 GMT", ""},
		"no number":     {Fault{RetryAfterText: "soon", RetryAfterIn: HintBoth}, "soon", `"soon"`},
		"1e99":          {Fault{RetryAfterText: "1e99", RetryAfterIn: HintBody}, "", "1e99"},
		"negative":      {Fault{RetryAfterText: "-5", RetryAfterIn: HintBody}, "", "-5"},
	} {
		s := newServer(t, Config{})
		c.fault.Kind, c.fault.Status = FaultStatus, 429
		require.NoError(t, s.SetFaults(c.fault), name)
		w := page(s, "a", 0, 1)
		assert.Equal(t, c.header, w.Header().Get("Retry-After"), name)
		var body struct {
			Title      string
			Status     int
			RetryAfter json.RawMessage `json:"retry_after"`
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body), name)
		assert.Equal(t, "Too Many Requests", body.Title)
		assert.Equal(t, 429, body.Status)
		assert.Equal(t, c.body, string(body.RetryAfter), name)
		assert.Equal(t, w.Body.String(), crm(s, "/api/v4/talks").Body.String(), "all APIs of the vendor")
	}
}

func TestLimit_TheDocumented429(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{RequestsPerSecond: 0.001, RetryAfter: 5 * time.Minute, RetryAfterIn: HintBody, BlockAfter: 2, BlockBody: BodyText})
	page(s, "a", 0, 1)
	w := page(s, "a", 0, 1)
	assert.JSONEq(t, `{"title":"Too Many Requests","status":429,"detail":"Too many requests: slow down","retry_after":300}`, w.Body.String())
	assert.Empty(t, w.Header().Get("Retry-After"))
	page(s, "a", 0, 1)
	w = page(s, "a", 0, 1)
	assert.Equal(t, 403, w.Code)
	assert.Equal(t, textBlocked, w.Body.String())
}

func TestLimit_Windows(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for kind, steps := range map[LimitKind][]struct {
		at   time.Duration
		want int
	}{
		LimitFixed: {
			{0, 204}, {0, 204}, {0, 429}, {1999 * ms, 429}, {2000 * ms, 204}, {3999 * ms, 204}, {3999 * ms, 429}, {4000 * ms, 204}, {4000 * ms, 204},
		},
		LimitSliding: {
			{0, 204}, {500 * ms, 204}, {1999 * ms, 429}, {2000 * ms, 204}, {2499 * ms, 429}, {2500 * ms, 204}, {2500 * ms, 429}, {4000 * ms, 204},
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, Config{RequestsPerSecond: 1, LimitWindow: 2 * time.Second, Limit: kind, Burst: 50})
			start := time.Now() // a whole second of an even number, in the bubble
			for _, step := range steps {
				time.Sleep(step.at - time.Since(start))
				assert.Equal(t, step.want, page(s, "a", 0, 1).Code, "%s at %s", kind, step.at)
			}
		})
	}
}

func TestFault_AnOutageOfFourSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Config{})
		start := time.Now()
		require.NoError(t, s.SetFaults(Fault{Kind: FaultHTML, Starts: 2 * time.Second, Lasts: 4 * time.Second}))
		for _, step := range []struct {
			at   time.Duration
			want int // left of the fault
			fine bool
		}{
			{0, 1, true}, {2*time.Second - 1, 1, true}, {2 * time.Second, 1, false}, {6*time.Second - 1, 1, false}, {6 * time.Second, 0, true},
		} {
			time.Sleep(step.at - time.Since(start))
			assert.Equal(t, step.fine, page(s, "a", 0, 1).Code == 204, "at %s", step.at)
			left := s.Faults()
			require.Len(t, left, step.want, "at %s", step.at)
			if step.at == 2*time.Second-1 {
				assert.Equal(t, time.Duration(1), left[0].Starts)
				assert.Equal(t, 4*time.Second, left[0].Lasts)
			}
			if step.at == 6*time.Second-1 {
				assert.Zero(t, left[0].Starts)
				assert.Equal(t, time.Duration(1), left[0].Lasts)
			}
		}
	})
}

func TestFault_HangsUntilTheClientGoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Config{})
		chats := []string{"a", "b"}
		require.NoError(t, s.SetFaults(Fault{Kind: FaultHang, Chats: chats, Chat: "c"}))
		chats[0] = "x" // the caller's own again
		for _, chat := range []string{"a", "b", "c"} {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
			start := time.Now()
			r := signed(historyPath(chat)+"?limit=1", noon).WithContext(ctx)
			assert.PanicsWithValue(t, http.ErrAbortHandler, func() { serve(s, r) })
			assert.Equal(t, 3*time.Hour, time.Since(start))
			cancel()
		}
		assert.Equal(t, 204, page(s, "x", 0, 1).Code)
		assert.Equal(t, 204, crm(s, "/api/v4/talks").Code)
		assert.Equal(t, map[int]int{0: 3, 204: 2}, s.Ledger().ByStatus)
	})
}
