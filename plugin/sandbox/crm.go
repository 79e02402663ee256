// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
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
	// EndpointTalk is GET /api/v4/talks/{talk_id}.
	EndpointTalk Endpoint = "talk"
	// EndpointTalkMessages is GET /api/v4/talks/{talk_id}/messages.
	EndpointTalkMessages Endpoint = "talk-messages"
	// EndpointEvents is GET /api/v4/events.
	EndpointEvents Endpoint = "events"
	// EndpointAccount is GET /api/v4/account.
	EndpointAccount Endpoint = "account"
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
	q := readCRMQuery(r)
	x := s.begin(w, r, Request{Endpoint: endpoint, Offset: -1, Page: q.page, Limit: q.limit})
	defer x.end()
	if s.answerEarly(x) || !s.admitCRM(x, q.err) {
		return
	}
	query, page, limit := q.values, q.page, q.limit
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

// crmQuery is what a listing is asked for. err is the first parameter that is wrong.
type crmQuery struct {
	values      url.Values
	page, limit int
	err         error
}

func readCRMQuery(r *http.Request) crmQuery {
	var q crmQuery
	var pageErr, limitErr error
	q.values, q.err = url.ParseQuery(r.URL.RawQuery)
	q.page, pageErr = numberOr(q.values, "page", 1)
	q.limit, limitErr = numberOr(q.values, "limit", MaxCRMLimit)
	switch {
	case q.err != nil:
	case pageErr != nil || q.page < 1 || q.page > 1<<31:
		q.err = errors.New("page: want a number of 1 or more")
	case limitErr != nil || q.limit < 1 || q.limit > MaxCRMLimit:
		q.err = fmt.Errorf("limit: want 1..%d", MaxCRMLimit)
	}
	return q
}

// admitCRM looks at the method, the token and the parameters. Where one of them is
// wrong it answers, and returns false.
func (s *Server) admitCRM(x *exchange, parameters error) bool {
	if x.r.Method != http.MethodGet {
		s.ledger.refuseCRM(refusedMethod)
		x.Header().Set("Allow", http.MethodGet)
		writeProblem(x, http.StatusMethodNotAllowed, "want GET, got %s", x.r.Method)
		return false
	}
	if reason := s.tokenRefusal(x); reason != "" {
		s.answerTokenRefusal(x, reason)
		return false
	}
	if parameters != nil {
		s.ledger.refuseCRM(refusedParameter)
		writeProblem(x, http.StatusBadRequest, "%s", parameters)
		return false
	}
	return true
}

// shown returns the entities of a page that are not hidden, as they are served.
func shown[T any](v *view, page []T, offset int) []T {
	kept := page[:0]
	for i, entity := range page {
		if v.hides(offset+i, noID) {
			continue
		}
		if t, ok := any(&entity).(*Talk); ok {
			for _, f := range v.stamps {
				if f.selection().has(offset+i, noID) {
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
