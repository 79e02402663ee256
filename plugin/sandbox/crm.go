// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// MaxCRMLimit is the largest page of the CRM endpoints, and the default one.
const MaxCRMLimit = 250

// Endpoint names a call of the API.
type Endpoint string

// The calls of the API.
const (
	// EndpointHistory is the signed call for a chat's messages.
	EndpointHistory Endpoint = "history"
	// EndpointTalks is GET /api/v4/talks.
	EndpointTalks Endpoint = "talks"
	// EndpointContactChats is GET /api/v4/contacts/chats.
	EndpointContactChats Endpoint = "contact-chats"
	// EndpointOther is any path that the API does not have.
	EndpointOther Endpoint = "other"
)

// problem is an error of the CRM API. Its fields are assumed: chats-api.md names
// only the statuses.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

func writeProblem(w http.ResponseWriter, status int, format string, args ...any) {
	body := encode(problem{Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, args...)})
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	w.Write(body)
}

// serveCRM answers a listing: bearer token, page and limit, HAL. list returns
// the entities from an offset on, at most limit of them, and how many there are.
//
// Documented (chats-api.md, "Finding chats"): the bearer token, page, limit up to
// 250, _embedded, _links.next, 204 when empty, the statuses 401, 402, 403 and
// 429. Assumed: pages count from 1, limit is 250 when missing and a 400 beyond it.
func (s *Server) serveCRM(w http.ResponseWriter, r *http.Request, endpoint Endpoint,
	list func(query url.Values, offset, limit int) (entities any, count, total int),
) {
	query, queryErr := url.ParseQuery(r.URL.RawQuery)
	page, pageErr := numberOr(query, "page", 1)
	limit, limitErr := numberOr(query, "limit", MaxCRMLimit)
	x := s.begin(w, r, Request{Endpoint: endpoint, Offset: -1, Page: page, Limit: limit})
	defer x.end()
	if s.answerEarly(x) {
		return
	}

	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		writeProblem(x, http.StatusMethodNotAllowed, "want GET, got %s", r.Method)
		return
	}
	got, want := r.Header.Get("Authorization"), "Bearer "+s.config.AccessToken
	if subtle.ConstantTimeCompare([]byte(got), []byte(want)) != 1 {
		writeProblem(x, http.StatusUnauthorized, "the access token is missing, wrong or expired")
		return
	}
	switch {
	case queryErr != nil:
		writeProblem(x, http.StatusBadRequest, "%s", queryErr)
		return
	case pageErr != nil || page < 1 || page > 1<<31:
		writeProblem(x, http.StatusBadRequest, "page: want a number of 1 or more")
		return
	case limitErr != nil || limit < 1 || limit > MaxCRMLimit:
		writeProblem(x, http.StatusBadRequest, "limit: want 1..%d", MaxCRMLimit)
		return
	}
	fault, faulty := s.faults.takeOne(x.request, stagePage)
	if faulty && fault.Kind == FaultStatus {
		s.answerStatus(x, fault)
		return
	}

	offset := (page - 1) * limit
	entities, count, total := list(query, offset, limit)
	if count == 0 && !faulty {
		x.WriteHeader(http.StatusNoContent)
		return
	}
	x.items = count
	name := map[Endpoint]string{EndpointTalks: "talks", EndpointContactChats: "chats"}[endpoint]
	links := map[string]any{"self": link(r, query, page, limit)}
	if offset+count < total {
		links["next"] = link(r, query, page+1, limit)
	}
	body := encode(map[string]any{"_page": page, "_links": links, "_embedded": map[string]any{name: entities}})
	if faulty {
		s.answerBody(x, fault, body)
		return
	}
	x.answer(http.StatusOK, "application/hal+json", body)
}

func numberOr(query url.Values, name string, missing int) (int, error) {
	if query.Get(name) == "" {
		return missing, nil
	}
	return number(query, name)
}

// link is a HAL link to a page of the same listing.
func link(r *http.Request, query url.Values, page, limit int) map[string]string {
	query.Set("page", strconv.Itoa(page))
	query.Set("limit", strconv.Itoa(limit))
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	target := url.URL{Scheme: scheme, Host: r.Host, Path: r.URL.Path, RawQuery: query.Encode()}
	return map[string]string{"href": target.String()}
}

// slice returns the values from offset on, at most limit.
func slice[T any](values []T, offset, limit int) []T {
	offset = min(offset, len(values))
	return values[offset:min(offset+limit, len(values))]
}
