// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"crypto/subtle"
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

// serveCRM answers a listing: bearer token, page and limit, HAL. all returns the
// entities, which are the caller's own.
//
// Documented (chats-api.md, "Finding chats"): the bearer token, page, limit up to
// 250, _embedded, _links.next, 204 when empty, the statuses 401, 402, 403 and
// 429. Assumed: pages count from 1, limit is 250 when missing and a 400 beyond it.
func serveCRM[T any](s *Server, w http.ResponseWriter, r *http.Request, endpoint Endpoint, all func(query url.Values) []T) {
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

	v := s.view(x.request)
	entities := all(query)
	total, most := len(entities), v.limit(limit)
	offset := (page - 1) * most
	entities = slice(entities, offset, most)
	more, past := offset+len(entities) < total, len(entities) == 0
	entities = shown(&v, entities, offset)
	x.items = len(entities)
	if !faulty && (past || len(entities) == 0 && v.emptied == PastEndNoContent) {
		x.WriteHeader(http.StatusNoContent)
		return
	}
	name := map[Endpoint]string{EndpointTalks: "talks", EndpointContactChats: "chats"}[endpoint]
	links := map[string]any{"self": link(r, query, page, limit)}
	if next := v.nextLink(r, query, page, limit, more); next != nil {
		links["next"] = next
	}
	body := encode(map[string]any{"_page": page, "_links": links, "_embedded": map[string]any{name: entities}})
	if faulty {
		s.answerBody(x, fault, body)
		return
	}
	x.answer(http.StatusOK, "application/hal+json", body)
}

// shown returns the entities of a page that are not hidden, as they are served.
func shown[T any](v *view, page []T, offset int) []T {
	kept := page[:0]
	for i, entity := range page {
		if v.hides(offset+i, nil) {
			continue
		}
		if t, ok := any(&entity).(*Talk); ok {
			for _, f := range v.stamps {
				if f.selection().has(offset+i, nil) {
					t.UpdatedAt = f.Stamp.seconds(t.UpdatedAt, f.Shift, strconv.Itoa(t.ID))
				}
			}
		}
		kept = append(kept, entity)
	}
	return kept
}

// nextLink returns the link to the next page, nil if there is none.
func (v *view) nextLink(r *http.Request, query url.Values, page, limit int, more bool) map[string]string {
	if !more && v.next != NextAlways {
		return nil
	}
	switch v.next {
	case NextMissing:
		return nil
	case NextElsewhere:
		return map[string]string{"href": elsewhere(v.nextTo, r)}
	case NextSelf:
		return link(r, query, page, limit)
	}
	return link(r, query, page+1, limit)
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
