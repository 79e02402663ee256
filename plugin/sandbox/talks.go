// SPDX-License-Identifier: Apache-2.0

// The endpoint GET /api/v4/talks.
//
// Documented (chats-api.md, "Finding chats", row "GET /api/v4/talks"): the fields
// of a talk, page and limit, filter[only_in_work], HAL, 204 when empty. Known from
// one account only: a listing that ends after about 250 talks without a next
// link; Config.TalksCap does the same.
//
// Assumed: talks come latest updated first, so that one that is touched moves to
// the front; filter[only_in_work] is on for 1 and true; other filters are
// ignored; the cap ends the listing for later pages too.

package sandbox

import (
	"net/http"
	"net/url"
	"slices"
)

func (s *Server) serveTalks(w http.ResponseWriter, r *http.Request) {
	serveCRM(s, w, r, EndpointTalks, func(query url.Values) []Talk {
		talks := s.Talks()
		if only := query.Get("filter[only_in_work]"); only == "1" || only == "true" {
			talks = slices.DeleteFunc(talks, func(t Talk) bool { return !t.IsInWork })
		}
		if s.config.TalksCap > 0 {
			talks = slice(talks, 0, s.config.TalksCap)
		}
		return talks
	})
}
