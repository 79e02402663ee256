// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"net/http"
	"strconv"
	"time"
)

// exchange is one request to the API on its way through the server.
type exchange struct {
	http.ResponseWriter
	server  *Server
	r       *http.Request
	request Request
	now     time.Time
	note    *note
	items   int  // in the page that is served
	noted   bool // the ledger has the answer
}

// begin notes the arrival. Its caller defers end.
func (s *Server) begin(w http.ResponseWriter, r *http.Request, request Request) *exchange {
	x := &exchange{ResponseWriter: w, server: s, r: r}
	x.note = s.ledger.arrive(&request)
	x.request = request
	return x
}

// end notes that there was no answer, if there was none.
func (x *exchange) end() { x.answered(0) }

// answered tells the ledger before the client can know, so that who has an
// answer finds it there. Only the first status counts.
func (x *exchange) answered(status int) {
	if !x.noted {
		x.noted = true
		x.server.ledger.answer(x.note, status, x.items)
	}
}

// WriteHeader notes the status on its way.
func (x *exchange) WriteHeader(status int) {
	x.answered(status)
	x.ResponseWriter.WriteHeader(status)
}

// Write answers 200 unless WriteHeader came first, as in net/http.
func (x *exchange) Write(b []byte) (int, error) {
	x.answered(http.StatusOK)
	return x.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController flush and hijack.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// setClock sets the server's time and the Date header, with the faults of both.
func (x *exchange) setClock(faults []Fault) {
	x.now = x.server.config.Now()
	for _, f := range faults {
		if f.Kind == FaultClock {
			x.now = x.now.Add(f.Shift)
		}
	}
	date, missing := x.now, false
	for _, f := range faults {
		switch f.Kind {
		case FaultDateOff:
			date = date.Add(f.Shift)
		case FaultCachedDate:
			age := f.Shift
			if age == 0 {
				age = defaultCacheAge
			}
			date = date.Truncate(age).Add(-age)
			x.Header().Set("Age", strconv.FormatInt(int64(x.now.Sub(date)/time.Second), 10))
		case FaultNoDate:
			missing = true
		}
	}
	x.server.setDate(x, date)
	if missing {
		x.Header()["Date"] = nil // net/http adds one where there is no such key
	}
}

func (x *exchange) answer(status int, contentType string, body []byte) {
	h := x.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	x.WriteHeader(status)
	_, _ = x.Write(body)
}

// answerEarly does what comes before a request is looked at: it calls the hook,
// sets the clock, then lets the rate limit, latency and the faults of the vendor's
// front have their way. It reports whether the request is done with.
func (s *Server) answerEarly(x *exchange) bool {
	if hook := s.hook.Load(); hook != nil {
		(*hook)(x.request)
	}
	clock := s.faults.takeAll(x.request, stageClock)
	x.setClock(clock)
	switch s.limit.admit(time.Now()) {
	case limitExceeded:
		h := hint{after: s.config.RetryAfter, in: s.config.RetryAfterIn}
		h.setHeader(x)
		answerTooMany(x, detailTooMany, h)
		return true
	case limitBlocked:
		answerOther(x, http.StatusForbidden, s.config.BlockBody)
		return true
	}
	delay := s.config.Latency
	for _, f := range s.faults.takeAll(x.request, stageDelay) {
		delay += f.Delay
	}
	if delay > 0 {
		if !wait(x.r.Context(), delay) {
			// The client is gone, or the server is: no half-made answer then.
			x.hangUp(false)
			return true
		}
		x.setClock(clock) // a Date says when the answer is made
	}
	if f, ok := s.faults.takeOne(x.request, stageFront); ok {
		s.answerFront(x, f)
		return true
	}
	return false
}
