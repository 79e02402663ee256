// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// longChat checks a chat of n messages of a sandbox with faults, whose query each request
// passes through asked first, unless that returns false: then nothing is answered.
func longChat(t *testing.T, n int, asked func(offset, limit *int) bool, faults ...sandbox.Fault) *Report {
	t.Helper()
	s, err := sandbox.New(sandbox.Config{})
	require.NoError(t, err)
	require.NoError(t, s.SetFaults(faults...))
	for m := range n {
		s.Append(mainChat, sandbox.Text(fmt.Sprintf("own-0-%d", m), time.Now().Add(-time.Hour+time.Duration(m)*time.Second), "words"))
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		offset, _ := strconv.Atoi(q.Get("offset"))
		limit, _ := strconv.Atoi(q.Get("limit"))
		if asked != nil && !asked(&offset, &limit) {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		q.Set("offset", strconv.Itoa(offset))
		q.Set("limit", strconv.Itoa(limit))
		r.URL.RawQuery = q.Encode()
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	conf := both(server)
	conf.APIURL, conf.AccessToken, conf.Talks = "", "", nil
	report, err := Run(t.Context(), conf)
	require.NoError(t, err)
	assertNothingPrivate(t, report)
	return report
}

func TestCheck_OffsetsThatAreNotKept(t *testing.T) {
	t.Parallel()
	const ofLimit = 0
	rounded := func(to int) func(offset, limit *int) bool {
		return func(offset, limit *int) bool {
			to := to
			if to == ofLimit {
				to = *limit
			}
			*offset -= *offset % to
			return true
		}
	}
	clamped := func(at int) func(offset, limit *int) bool {
		return func(offset, _ *int) bool { *offset = min(*offset, at); return true }
	}
	cut := func(at int) func(offset, limit *int) bool {
		return func(offset, _ *int) bool { return *offset < at }
	}
	// The last page again: that of limit messages, or what was left for it.
	repeats := func(n int, left bool) func(offset, limit *int) bool {
		return func(offset, limit *int) bool {
			switch {
			case *offset < n:
			case left:
				*offset = (n - 1) / *limit * *limit
			default:
				*offset = n - *limit
			}
			return true
		}
	}
	for name, tc := range map[string]struct {
		messages int
		asked    func(offset, limit *int) bool
		status   Status
		answer   string
		text     string
		length   string
	}{
		"kept":                   {420, nil, OK, "kept", "", "has 420 messages"},
		"kept, one page":         {50, nil, OK, "kept", "", "has 50 messages"},
		"kept, one more":         {51, nil, OK, "kept", "", "has 51 messages"},
		"rounded to limit":       {420, rounded(ofLimit), Error, "rounded", "down to a multiple of limit:", "at least 420 messages"},
		"rounded to 50":          {420, rounded(50), Error, "rounded", "rounded down, 49 to 0:", "at least 420 messages"},
		"rounded to 10":          {420, rounded(10), Error, "rounded", "rounded down, 49 to 40:", "at least 420 messages"},
		"clamped":                {420, clamped(200), Error, "clamped", "above 200 is answered as 200: kommo_chat_history refuses a chat of more than 250 messages", "at least 250 messages"},
		"clamped within a page":  {420, clamped(210), Error, "clamped", "above 210 is answered as 210", "at least 260 messages"},
		"clamped near the end":   {420, clamped(400), Warning, "clamped", "above 400 is answered as 400", "at least 420 messages"},
		"cut":                    {420, cut(200), Error, "cut", "from offset 200 on", "at least 200 messages"},
		"cut within a page":      {420, cut(210), Error, "cut", "from offset 210 on", "at least 250 messages"},
		"repeats what was left":  {420, repeats(420, true), OK, "kept", "", "has 420 messages"},
		"repeats a page":         {420, repeats(420, false), OK, "kept", "", "has 420 messages"},
		"repeats a page of many": {2000, repeats(2000, false), OK, "kept", "", "has 2000 messages"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := longChat(t, tc.messages, tc.asked)
			f := finding(t, report, "history.offset")
			assert.Equal(t, tc.status, f.Status)
			assert.Equal(t, tc.answer, f.Answer)
			assert.Contains(t, f.Text, tc.text)
			assert.Contains(t, finding(t, report, "history.length").Text, tc.length)
		})
	}
}

func TestCheck_PagesThatAreCappedAreCountedAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, messages := range []int{21, 60, 399, 400, 420} {
		for _, limit := range []int{7, 20, 49} {
			report := longChat(t, messages, nil, sandbox.Fault{Kind: sandbox.FaultPageCap, Limit: limit})
			if messages > limit {
				assert.Equal(t, "capped", finding(t, report, "history.pages").Answer)
			}
			assert.Contains(t, finding(t, report, "history.length").Text, fmt.Sprintf("has %d messages", messages))
			assert.Equal(t, "kept", finding(t, report, "history.offset").Answer)
			e := report.Estimates[0]
			assert.Equal(t, messages, e.Messages)
			overlapping := limit - 1
			if messages <= limit {
				overlapping = 49
			}
			assert.Equal(t, 1+(messages+overlapping-1)/overlapping, e.Requests)
		}
	}
	report := longChat(t, 400, nil, fault("hide-items,every=3,endpoint=history")...)
	assert.Contains(t, finding(t, report, "history.length").Text, "has at least ")
}

func TestCheck_TheEstimateIsOfThePagesOfATalkAsTheyAre(t *testing.T) {
	t.Parallel()
	for limit, pages := range map[int]int{250: 1, 30: 2 * 7, 7: 4 * 27} { // of 186 messages
		s := world(t, sandbox.Config{})
		require.NoError(t, s.SetFaults(sandbox.Fault{Kind: sandbox.FaultPageCap, Endpoint: messages, Limit: limit}))
		assert.Equal(t, 15+pages+1, checked(t, s).Estimates[0].Requests, limit)
	}
}
