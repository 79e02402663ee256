// SPDX-License-Identifier: Apache-2.0

// The endpoint GET /v2/origin/custom/{scope_id}/chats/{conversation_id}/history.
//
// Documented (chats-api.md, "The history call", rows "method, path", "query",
// "scope_id", "200", "204", "400", "403", "404"; seed): the path, offset and limit,
// at most 50 a page, the shape of 200, 204 for a chat that does not exist or has no
// messages, 400 for bad data, 403 for a bad signature and its body, 404 for a
// channel that is not connected and its body, JSON as Content-Type.
//
// Known from samples only (rows "order", "400"): newest first, the fields of a 400.
//
// Assumed: limit is required and must be within 1 to 50 (rows "default limit":
// neither is stated, so the strict answer keeps clients honest); offset is 0 when
// missing; a scope of another channel is a 403, since its secret is not ours, and one
// of the same channel in another account is the 404 of a channel that is not
// connected; the signature is checked before the query; a page past the end is 204
// unless Config.PastEnd says otherwise (row "a page past the end": unknown); HEAD
// and every other method is 405.

package sandbox

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// MaxLimit is the largest page that can be asked for.
const MaxLimit = 50

var errMissing = errors.New("missing")

func (s *Server) serveHistory(w http.ResponseWriter, r *http.Request, scope, chatID string) {
	query, queryErr := url.ParseQuery(r.URL.RawQuery)
	offset, offsetErr := number(query, "offset")
	limit, limitErr := number(query, "limit")
	x := s.begin(w, r, Request{Endpoint: EndpointHistory, Chat: chatID, Offset: offset, Limit: limit})
	defer x.end()
	if s.answerEarly(x) {
		return
	}

	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		writeError(x, http.StatusMethodNotAllowed, 405, "MethodNotAllowed", "want GET, got %s", r.Method)
		return
	}
	reason := refusedScope
	if channel(scope) == channel(s.config.ScopeID) {
		reason = s.refusal(r, x.now)
	}
	if reason != "" {
		s.ledger.refuse(reason)
		writeInvalidSignature(x)
		return
	}
	if scope != s.config.ScopeID {
		writeNotRegistered(x)
		return
	}

	if errors.Is(offsetErr, errMissing) {
		offset, offsetErr = 0, nil
	}
	if limitErr == nil && (limit < 1 || limit > MaxLimit) {
		limitErr = fmt.Errorf("limit: want 1..%d, got %d", MaxLimit, limit)
	}
	if err := errors.Join(queryErr, offsetErr, limitErr); err != nil {
		writeError(x, http.StatusBadRequest, 902, "WrongDataException", "%s", err)
		return
	}
	s.servePage(x, chatID, offset, limit)
}

// channel returns the channel_id of a scope.
func channel(scope string) string {
	id, _, _ := strings.Cut(scope, "_")
	return id
}

// number returns a parameter that is a count, or -1 and why it is none.
func number(query url.Values, name string) (int, error) {
	text := query.Get(name)
	if text == "" {
		return -1, fmt.Errorf("%s: %w", name, errMissing)
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return -1, fmt.Errorf("%s: want a whole number of 0 or more, got %q", name, text)
	}
	return int(n), nil
}

// pageBuffers keeps the bodies of pages, some 42 KB each, from the collector.
var pageBuffers = sync.Pool{New: func() any { return new([]byte) }}

// maxPageBuffer keeps the bodies of bad days out of the pool.
const maxPageBuffer = 1 << 20

func (s *Server) servePage(x *exchange, chatID string, offset, limit int) {
	fault, faulty := s.faults.takeOne(x.request, stagePage)
	switch {
	case faulty && fault.Kind == FaultStatus:
		s.answerStatus(x, fault)
		return
	case faulty && fault.Kind == FaultForeign:
		s.answerForeign(x, fault)
		return
	}
	v := s.view(x.request)

	buffer := pageBuffers.Get().(*[]byte) //nolint:forcetypeassert // nothing else is put in
	defer func() {
		if cap(*buffer) <= maxPageBuffer {
			pageBuffers.Put(buffer)
		}
	}()
	body := (*buffer)[:0]
	body = append(body, `{"messages":[`...)
	total := 0
	s.mu.RLock()
	if c := s.chats[chatID]; c != nil {
		total = v.len(c.len())
		body, x.items = c.appendPage(body, &v, offset, v.limit(limit))
	}
	s.mu.RUnlock()
	body = append(body, `]}`...)
	*buffer = body

	switch {
	case faulty:
		s.answerBody(x, fault, body)
	case x.items > 0:
		x.answer(http.StatusOK, "application/json", body)
	case total == 0:
		answerPastEnd(x, PastEndNoContent)
	case offset < total && v.emptied != "":
		answerPastEnd(x, v.emptied)
	default:
		answerPastEnd(x, v.pastEnd)
	}
}

func answerPastEnd(x *exchange, style PastEnd) {
	switch style {
	case PastEndEmptyList:
		x.answer(http.StatusOK, "application/json", []byte(`{"messages":[]}`))
	case PastEndEmptyObject:
		x.answer(http.StatusOK, "application/json", []byte(`{}`))
	case PastEndNull:
		x.answer(http.StatusOK, "application/json", []byte(`{"messages":null}`))
	default:
		x.WriteHeader(http.StatusNoContent)
	}
}
