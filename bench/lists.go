// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/kommo-connect/kommo-connect/plugin/sandbox"
)

// lists serves the two lists of chats of an account with this many, whose talks are
// listed with the newest first, as the sandbox does. That makes a copy of the whole
// list for each page, which takes minutes with a million.
type lists int

func (n lists) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	page, _ := strconv.Atoi(query.Get("page"))
	limit, _ := strconv.Atoi(query.Get("limit"))
	from := (page - 1) * limit
	if page < 1 || limit < 1 || from >= int(n) {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	to := min(from+limit, int(n))
	name, entry := "chats", func(i int) string {
		return fmt.Sprintf(`{"id":%d,"contact_id":%d,"chat_id":%q}`, 4_000_000+i, 2_000_000+i, sandbox.SyntheticChat(i))
	}
	if r.URL.Path == "/api/v4/talks" {
		name, entry = "talks", func(i int) string {
			return fmt.Sprintf(`{"talk_id":%d,"chat_id":%q,"contact_id":%d,"origin":"waba","updated_at":%d}`,
				1_000_000+i, sandbox.SyntheticChat(i), 2_000_000+i, synthStart.Unix()-int64(i))
		}
	}
	w.Header().Set("Content-Type", "application/hal+json")
	next := ""
	if to < int(n) {
		next = fmt.Sprintf(`"next":{"href":"http://%s%s?limit=%d&page=%d"}`, r.Host, r.URL.Path, limit, page+1)
	}
	fmt.Fprintf(w, `{"_page":%d,"_links":{%s},"_embedded":{%q:[`, page, next, name)
	for i := from; i < to; i++ {
		if i > from {
			_, _ = io.WriteString(w, ",")
		}
		_, _ = io.WriteString(w, entry(i))
	}
	_, _ = io.WriteString(w, "]}}")
}
