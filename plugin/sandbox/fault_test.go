// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFault_Answers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault       Fault
		status      int
		contentType string
		header      [2]string
		body        string // a part of it
	}{
		"500":         {Fault{Kind: FaultStatus, Status: 500}, 500, "application/json", [2]string{}, "error_code"},
		"502":         {Fault{Kind: FaultStatus, Status: 502}, 502, "text/html", [2]string{"Retry-After", ""}, "nginx"},
		"503":         {Fault{Kind: FaultStatus, Status: 503, RetryAfter: 1500 * time.Millisecond}, 503, "text/html", [2]string{"Retry-After", "2"}, "nginx"},
		"429":         {Fault{Kind: FaultStatus, Status: 429}, 429, "application/json", [2]string{"Retry-After", ""}, `{"title":"Too Many Requests","status":429,"detail":`},
		"429 seconds": {Fault{Kind: FaultStatus, Status: 429, RetryAfter: 7 * time.Second}, 429, "application/json", [2]string{"Retry-After", "7"}, ""},
		"429 date": {Fault{Kind: FaultStatus, Status: 429, RetryAfter: 6500 * time.Millisecond, RetryAfterDate: true}, 429, "application/json",
			[2]string{"Retry-After", "Tue, 03 Mar 2026 12:00:07 GMT"}, ""},
		"403":          {Fault{Kind: FaultStatus, Status: 403}, 403, "", [2]string{}, ""},
		"403 nginx":    {Fault{Kind: FaultStatus, Status: 403, Body: BodyHTML}, 403, "text/html", [2]string{}, "<h1>403 Forbidden</h1>"},
		"400":          {Fault{Kind: FaultStatus, Status: 400, Chat: "a"}, 400, "application/json", [2]string{}, `"error_type"`},
		"404":          {Fault{Kind: FaultStatus, Status: 404}, 404, "application/json", [2]string{}, ""},
		"html":         {Fault{Kind: FaultHTML}, 200, "text/html; charset=utf-8", [2]string{}, "<html>"},
		"redirect":     {Fault{Kind: FaultRedirect}, 302, "", [2]string{"Location", "http://elsewhere.invalid" + historyPath("a") + "?offset=0&limit=50"}, ""},
		"redirect to":  {Fault{Kind: FaultRedirect, Location: "http://127.0.0.1:1/"}, 302, "", [2]string{"Location", "http://127.0.0.1:1/"}, ""},
		"cut json":     {Fault{Kind: FaultCutJSON}, 200, "application/json", [2]string{"Content-Length", "9"}, `{"message`},
		"no past end":  {Fault{Kind: FaultPastEnd, PastEnd: PastEndNull}, 200, "application/json", [2]string{}, `[1,0]`},
		"oldest first": {Fault{Kind: FaultOldestFirst}, 200, "application/json", [2]string{}, `[0,1]`},
	} {
		s := newServer(t, Config{})
		numbers(s, "a", 2)
		numbers(s, "b", 1)
		require.NoError(t, s.SetFaults(c.fault), name)
		w := page(s, "a", 0, 50)
		assert.Equal(t, c.status, w.Code, name)
		assert.Equal(t, c.contentType, w.Header().Get("Content-Type"), name)
		if c.header[0] != "" {
			assert.Equal(t, c.header[1], w.Header().Get(c.header[0]), name)
		}
		assert.Contains(t, w.Body.String(), c.body, name)
		assert.Equal(t, 1, s.Ledger().ByStatus[c.status], name)
		if c.fault.Chat != "" {
			assert.Equal(t, 200, page(s, "b", 0, 50).Code, name)
		}
		s.ClearFaults()
		assert.Equal(t, `{"messages":[1,0]}`, page(s, "a", 0, 50).Body.String(), name)
	}
}

func TestFault_Connections(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	require.NoError(t, s.Synthetic("a", 50, noon, time.Second))
	get := live(t, s)

	require.NoError(t, s.SetFaults(Fault{Kind: FaultReset}))
	_, _, err := get("a")
	assert.ErrorIs(t, err, syscall.ECONNRESET, "%v", err)

	require.NoError(t, s.SetFaults(Fault{Kind: FaultClose}))
	_, _, err = get("a")
	assert.ErrorIs(t, err, io.EOF)

	require.NoError(t, s.SetFaults(Fault{Kind: FaultCutLength}))
	response, body, err := get("a")
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Equal(t, 200, response.StatusCode)
	assert.NotEmpty(t, body)
	assert.Equal(t, response.ContentLength/2, int64(len(body)))

	require.NoError(t, s.SetFaults(Fault{Kind: FaultCutChunked}))
	response, body, err = get("a")
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Equal(t, int64(-1), response.ContentLength)
	assert.NotEmpty(t, body)

	require.NoError(t, s.SetFaults(Fault{Kind: FaultHuge}))
	_, body, err = get("a")
	assert.NoError(t, err)
	assert.Len(t, body, 20<<20)
	assert.Contains(t, string(body[len(body)-50_000:]), SyntheticID("a", 49))

	assert.Equal(t, map[int]int{0: 2, 200: 3}, s.Ledger().ByStatus)
}

func TestFault_Clock(t *testing.T) {
	t.Parallel()
	for _, shift := range []time.Duration{20 * time.Minute, -20 * time.Minute} {
		s := newServer(t, Config{})
		numbers(s, "a", 1)
		require.NoError(t, s.SetFaults(Fault{Kind: FaultClock, Shift: shift}))
		w := page(s, "a", 0, 1)
		assert.Equal(t, http.StatusForbidden, w.Code)
		date, err := http.ParseTime(w.Header().Get("Date"))
		require.NoError(t, err)
		assert.Equal(t, shift, date.Sub(noon))
		assert.Equal(t, 200, serve(s, signed(historyPath("a")+"?limit=1", date)).Code)
	}
}

func TestFault_DelayAndLatency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, Config{Latency: 200 * time.Millisecond})
		numbers(s, "a", 1)
		require.NoError(t, s.SetFaults(Fault{Kind: FaultDelay, Delay: time.Minute, Count: 1}))
		for _, want := range []time.Duration{time.Minute + 200*time.Millisecond, 200 * time.Millisecond} {
			start := time.Now()
			assert.Equal(t, 200, page(s, "a", 0, 1).Code)
			assert.Equal(t, want, time.Since(start))
		}
	})
}

func TestFault_DelayEndsWithTheClient(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	require.NoError(t, s.SetFaults(Fault{Kind: FaultDelay, Delay: time.Hour}))
	r := signed(historyPath("a")+"?limit=1", noon)
	ctx, cancel := context.WithCancel(t.Context())
	s.OnRequest(func(Request) { cancel() })
	assert.Panics(t, func() { serve(s, r.WithContext(ctx)) }, "a recorder has no connection to end")
	assert.Equal(t, map[int]int{0: 1}, s.Ledger().ByStatus)
}

func TestFault_SpoiltItems(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	s.Append("a", Text("one", noon, "<1>"), json.RawMessage("null"), json.RawMessage(`{"message":null,"timestamp":1}`))

	require.NoError(t, s.SetFaults(Fault{Kind: FaultNoID}, Fault{Kind: FaultNoMsec}))
	got := items(t, page(s, "a", 0, 50))
	require.Len(t, got, 3)
	assert.Equal(t, `{"message":null,"timestamp":1}`, string(got[0]))
	assert.Equal(t, "null", string(got[1]))
	assert.Empty(t, MessageID(got[2]))
	assert.NotContains(t, string(got[2]), "msec_timestamp")
	assert.Contains(t, string(got[2]), `<1>`)
	assert.Contains(t, string(got[2]), `"client_id":"sk-1376265f"`, "only message.id goes")
}

// Walking any page size over a history with nulls shows every message once.
func TestFault_NullItemsKeepTheNumbering(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 9, 10, 11, 60} {
		s := newServer(t, Config{})
		numbers(s, "a", n)
		require.NoError(t, s.SetFaults(Fault{Kind: FaultNullItems}))
		var all []string
		for offset := 0; ; offset += 7 {
			w := page(s, "a", offset, 7)
			if w.Code == http.StatusNoContent {
				break
			}
			all = append(all, texted(items(t, w))...)
		}
		nulls, next := 0, n-1
		for _, item := range all {
			if item == "null" {
				nulls++
				continue
			}
			var got int
			require.NoError(t, json.Unmarshal([]byte(item), &got))
			require.Equal(t, next, got)
			next--
		}
		assert.Equal(t, -1, next)
		assert.Equal(t, n/10, nulls)
	}
}

func TestFault_AfterCountProbability(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	numbers(s, "a", 1)
	require.NoError(t, s.SetFaults(Fault{Kind: FaultStatus, Status: 500, After: 1, Count: 2}))
	var codes []int
	for range 5 {
		codes = append(codes, page(s, "a", 0, 1).Code)
	}
	assert.Equal(t, []int{200, 500, 500, 200, 200}, codes)
	assert.Empty(t, s.Faults())

	run := func() (n int, codes string) {
		s := newServer(t, Config{RandomSeed: 7})
		numbers(s, "a", 1)
		require.NoError(t, s.SetFaults(Fault{Kind: FaultHTML, Probability: 0.3}))
		for range 1000 {
			if page(s, "a", 0, 1).Header().Get("Content-Type") == "application/json" {
				codes += "."
			} else {
				codes += "x"
				n++
			}
		}
		return n, codes
	}
	n, first := run()
	assert.InDelta(t, 300, n, 60)
	_, second := run()
	assert.Equal(t, first, second, "the seed repeats the run")
}

func TestFault_ApplicationAnswersNeedASignature(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	require.NoError(t, s.SetFaults(Fault{Kind: FaultStatus, Status: 400, Count: 1}))
	r := signed(historyPath("a")+"?limit=1", noon)
	r.Header.Del("X-Signature")
	assert.Equal(t, 403, serve(s, r).Code)
	assert.Equal(t, 400, page(s, "a", 0, 1).Code, "the count is not used up by a refused request")
}

func TestFault_Validate(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	for field, f := range map[string]Fault{
		"kind":                 {},
		"nonsense":             {Kind: "nonsense"},
		"status":               {Kind: FaultStatus, Status: 200},
		"delay":                {Kind: FaultDelay},
		"shift":                {Kind: FaultClock},
		"size":                 {Kind: FaultHuge, Size: -1},
		"past_end":             {Kind: FaultPastEnd},
		"endpoint":             {Kind: FaultHTML, Endpoint: "x"},
		"body":                 {Kind: FaultStatus, Status: 500, Body: "xml"},
		"after":                {Kind: FaultHTML, After: -1},
		"count":                {Kind: FaultHTML, Count: -1},
		"probability":          {Kind: FaultHTML, Probability: 1.5},
		"retry_after:":         {Kind: FaultStatus, Status: 429, RetryAfter: -1},
		"starts":               {Kind: FaultHTML, Starts: -1},
		"lasts":                {Kind: FaultHTML, Lasts: -1},
		"chats":                {Kind: FaultHTML, Chats: []string{"a", ""}},
		"messages":             {Kind: FaultHideItems, Messages: []string{""}},
		"every":                {Kind: FaultHideItems, Every: -1},
		"from":                 {Kind: FaultHideItems, From: -1},
		"to:":                  {Kind: FaultHideItems, From: 3, To: 3},
		"limit":                {Kind: FaultPageCap},
		"stamp":                {Kind: FaultStamp},
		"next":                 {Kind: FaultNext},
		"want 204":             {Kind: FaultHideItems, PastEnd: "x"},
		"of a 403":             {Kind: FaultStatus, Status: 500, Body: BodySignature},
		"of a 404":             {Kind: FaultForeign, Body: BodyNotRegistered},
		"of a 429":             {Kind: FaultStatus, Status: 503, RetryAfterIn: HintBody},
		"retry_after_in: want": {Kind: FaultStatus, Status: 429, RetryAfterIn: "x"},
		"shift: want 0":        {Kind: FaultCachedDate, Shift: -1},
	} {
		assert.ErrorContains(t, s.AddFault(f), field)
		assert.ErrorContains(t, s.SetFaults(Fault{Kind: FaultHTML}, f), field)
	}
	assert.Empty(t, s.Faults(), "a list with a mistake changes nothing")
}

func TestParseFault(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Fault{
		"500":                        {Kind: FaultStatus, Status: 500},
		"503,retry_after=5s,count=3": {Kind: FaultStatus, Status: 503, RetryAfter: 5 * time.Second, Count: 3},
		"429,retry_after=2s,retry_after_date=true": {Kind: FaultStatus, Status: 429, RetryAfter: 2 * time.Second, RetryAfterDate: true},
		"delay, delay=40s, probability=0.01":       {Kind: FaultDelay, Delay: 40 * time.Second, Probability: 0.01},
		"kind=huge,size=1000,chat=a":               {Kind: FaultHuge, Size: 1000, Chat: "a"},
		"clock,shift=-20m,after=2":                 {Kind: FaultClock, Shift: -20 * time.Minute, After: 2},
		"hang,chats=a|b,starts=10s,lasts=4s":       {Kind: FaultHang, Chats: []string{"a", "b"}, Starts: 10 * time.Second, Lasts: 4 * time.Second},
		"page-cap,limit=25,endpoint=talks":         {Kind: FaultPageCap, Limit: 25, Endpoint: EndpointTalks},
		"hide-items,messages=m1|m2,every=2,from=3,to=9,past_end=204": {Kind: FaultHideItems, Messages: []string{"m1", "m2"}, Every: 2,
			From: 3, To: 9, PastEnd: PastEndNoContent},
		"stamp,stamp=msec-in-seconds,shift=1s":            {Kind: FaultStamp, Stamp: StampMsecSeconds, Shift: time.Second},
		"next,next=self":                                  {Kind: FaultNext, Next: NextSelf},
		"foreign,error_type=X,detail=not yours,body=json": {Kind: FaultForeign, ErrorType: "X", Detail: "not yours", Body: BodyJSON},
		"429,retry_after_text=Fri, 31 Dec 9999 23:59:59 GMT,retry_after_in=both,count=1": {Kind: FaultStatus, Status: 429,
			RetryAfterText: "Fri, 31 Dec 9999 23:59:59 GMT", RetryAfterIn: HintBoth, Count: 1},
	} {
		got, err := ParseFault(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
		data, err := json.Marshal(got)
		require.NoError(t, err)
		var back Fault
		require.NoError(t, json.Unmarshal(data, &back))
		assert.Equal(t, want, back, string(data))
	}
	for _, text := range []string{"", "x", "500,3", "500,count=x", "delay,delay=40", "500,colour=red", "500,retry_after_date=maybe"} {
		_, err := ParseFault(text)
		assert.Error(t, err, text)
	}
}

func TestHuge_SmallSizeStillHasThePage(t *testing.T) {
	t.Parallel()
	s := newServer(t, Config{})
	numbers(s, "a", 3)
	require.NoError(t, s.SetFaults(Fault{Kind: FaultHuge, Size: 1000}))
	w := page(s, "a", 0, 50)
	assert.Equal(t, 1000, w.Body.Len())
	assert.Equal(t, []string{"2", "1", "0"}, texted(items(t, w)))
	assert.True(t, bytes.HasPrefix(w.Body.Bytes(), []byte(`{"padding":"xxx`)))
}
