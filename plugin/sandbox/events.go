// SPDX-License-Identifier: Apache-2.0

// The endpoint GET /api/v4/events.
//
// Known (chats-api.md, "The event feed"): the parameters, the fields of an event as
// recorded live, 204 when there are none, that no scope but crm is needed. Assumed: the
// feed has messages only, each once; an event is as old as the announcement of its
// message; filter[type] with names of other events finds nothing.

package sandbox

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
)

const (
	parameterType  = "filter[type]"
	parameterOrder = "order[created_at]"
)

func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request) {
	q := readStretch(readCRMQuery(r), parameterType, parameterType+"[]", parameterOrder)
	q.types = readTypes(q.values)
	switch order := q.values.Get(parameterOrder); {
	case order == "asc":
		q.oldestFirst = true
	case order != "desc" && q.values.Has(parameterOrder) && q.err == nil:
		q.err = errors.New(parameterOrder + ": want asc or desc")
	}
	x := s.begin(w, r, q.request(EndpointEvents))
	defer x.end()
	s.serveStretch(x, q, "events", func(_ *view, use func(timeline)) bool {
		s.withEvents(use)
		return true
	})
}

// readTypes reads filter[type], a list with commas or, with brackets, of values.
func readTypes(values url.Values) []string {
	if list := values.Get(parameterType); list != "" {
		return strings.Split(list, ",")
	}
	return values[parameterType+"[]"]
}
