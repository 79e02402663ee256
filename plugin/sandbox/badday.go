// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"compress/gzip"
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
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
		x.Header().Set("Location", elsewhere(f.Location, x.r))
		x.WriteHeader(http.StatusFound)
	case FaultReset:
		x.hangUp(true)
	case FaultClose:
		x.hangUp(false)
	case FaultHang:
		<-x.r.Context().Done()
		x.hangUp(false)
	default:
		s.answerStatus(x, f)
	}
}

// elsewhere is where a redirect or a link leads, unless it says so itself.
func elsewhere(location string, r *http.Request) string {
	if location != "" {
		return location
	}
	return defaultElsewhere + r.URL.RequestURI()
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
	case FaultBomb:
		answerBomb(x, f.Size)
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

// answerBomb answers a page of empty objects: as a body of a given length, or as
// gzip of that for a client that takes it.
func answerBomb(x *exchange, size int) {
	if size == 0 {
		size = defaultBomb
	}
	const before, after = `{"messages":[`, `]}`
	x.items = max((size-len(before)-len(after)+1)/len(`{},`), 1)
	body := append(make([]byte, 0, size), before...)
	for range x.items - 1 {
		body = append(body, `{},`...)
	}
	body = append(body, `{}`...)
	for len(body) < size-len(after) {
		body = append(body, ' ')
	}
	body = append(body, after...)
	if strings.Contains(x.r.Header.Get("Accept-Encoding"), "gzip") {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, _ = w.Write(body)
		_ = w.Close()
		x.Header().Set("Content-Encoding", "gzip")
		body = packed.Bytes()
	}
	x.answer(http.StatusOK, "application/json", body)
}
