// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// wait reports whether the time passed before the client went away.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// answerFront answers by a fault that needs no page.
func (s *Server) answerFront(x *exchange, f Fault) {
	switch f.Kind {
	case FaultHTML:
		x.answer(http.StatusOK, "text/html; charset=utf-8",
			[]byte("<!DOCTYPE html>\n<html><head><title>Maintenance</title></head><body>We will be back soon.</body></html>\n"))
	case FaultRedirect:
		location := f.Location
		if location == "" {
			location = defaultRedirect + x.r.URL.RequestURI()
		}
		x.Header().Set("Location", location)
		x.WriteHeader(http.StatusFound)
	case FaultReset:
		x.hangUp(true)
	case FaultClose:
		x.hangUp(false)
	default:
		s.answerStatus(x, f)
	}
}

// hangUp ends the connection without an answer. Where it can't be had (HTTP/2, a
// test's recorder) the panic makes net/http do the same.
func (x *exchange) hangUp(reset bool) {
	x.answered(0)
	conn, _, err := http.NewResponseController(x.ResponseWriter).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0) // a close with unsent data thrown away goes out as a reset
	}
	_ = conn.Close()
}

func (s *Server) answerStatus(x *exchange, f Fault) {
	setRetryAfter(x, f.RetryAfter, f.RetryAfterDate)
	body := f.Body
	if body == "" {
		switch {
		case f.Status == http.StatusForbidden:
			body = BodyEmpty
		case f.Status >= http.StatusBadGateway:
			body = BodyHTML
		default:
			body = BodyJSON
		}
	}
	switch body {
	case BodyEmpty:
		x.WriteHeader(f.Status)
	case BodyHTML:
		answerNginx(x, f.Status)
	default:
		const format = "%s, as switched on in the sandbox"
		if x.request.Endpoint == EndpointHistory {
			writeError(x, f.Status, f.Status, "SandboxFault", format, http.StatusText(f.Status))
		} else {
			writeProblem(x, f.Status, format, http.StatusText(f.Status))
		}
	}
}

// setRetryAfter rounds up: a client that obeys must not come back too early.
func setRetryAfter(x *exchange, d time.Duration, date bool) {
	if d <= 0 {
		return
	}
	if date {
		at := x.now.Add(d + time.Second - time.Nanosecond).UTC()
		x.Header().Set("Retry-After", at.Format(http.TimeFormat))
		return
	}
	x.Header().Set("Retry-After", strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10))
}

// answerNginx answers with the page that nginx makes for a status. An address
// blocked for overload gets one with 403 (chats-api.md, row "403").
func answerNginx(x *exchange, status int) {
	title := fmt.Sprintf("%d %s", status, http.StatusText(status))
	x.answer(status, "text/html", []byte("<html>\r\n<head><title>"+title+"</title></head>\r\n<body>\r\n<center><h1>"+title+
		"</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"))
}

// answerBody answers with a page that a fault spoils.
func (s *Server) answerBody(x *exchange, f Fault, body []byte) {
	h := x.Header()
	h.Set("Content-Type", "application/json")
	half := body[:len(body)/2]
	switch f.Kind {
	case FaultCutJSON:
		x.answer(http.StatusOK, "application/json", half)
	case FaultCutLength:
		h.Set("Content-Length", strconv.Itoa(len(body)))
		fallthrough
	case FaultCutChunked:
		_, _ = x.Write(half)
		// Without the flush the connection would end before the half is sent, and
		// a chunked answer would never have begun.
		_ = http.NewResponseController(x.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	case FaultHuge:
		answerHuge(x, body, f.Size)
	}
}

// answerHuge pads a page with a field that the API does not have, chunked, so
// that a client can't rely on Content-Length to refuse it.
func answerHuge(x *exchange, body []byte, size int) {
	if size == 0 {
		size = defaultHuge
	}
	const before, after = `{"padding":"`, `",`
	_, _ = x.Write([]byte(before))
	fill := bytes.Repeat([]byte("x"), 64<<10)
	for left := size - len(before) - len(after) - len(body) + 1; left > 0; left -= len(fill) {
		if _, err := x.Write(fill[:min(left, len(fill))]); err != nil {
			return
		}
	}
	_, _ = x.Write([]byte(after))
	_, _ = x.Write(body[1:])
}

// view gathers the faults that change what a page holds.
func (s *Server) view(request Request) (view, PastEnd) {
	var v view
	var noID, noMsec bool
	pastEnd := s.config.PastEnd
	for _, f := range s.faults.takeAll(request, stageView) {
		switch f.Kind {
		case FaultOldestFirst:
			v.oldestFirst = true
		case FaultNullItems:
			v.nullItems = true
		case FaultNoID:
			noID = true
		case FaultNoMsec:
			noMsec = true
		case FaultPastEnd:
			pastEnd = f.PastEnd
		}
	}
	if noID || noMsec {
		v.rewrite = func(item json.RawMessage) json.RawMessage {
			if noMsec {
				item = without(item, "msec_timestamp")
			}
			if noID {
				item = without(item, "message", "id")
			}
			return item
		}
	}
	return v, pastEnd
}

// without returns an object without the field at a path. What is no object, or
// has no such field, comes back as it is.
func without(item json.RawMessage, path ...string) json.RawMessage {
	var object map[string]json.RawMessage
	if json.Unmarshal(item, &object) != nil || object[path[0]] == nil {
		return item
	}
	if len(path) == 1 {
		delete(object, path[0])
	} else {
		object[path[0]] = without(object[path[0]], path[1:]...)
	}
	return encode(object)
}
