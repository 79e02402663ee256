// SPDX-License-Identifier: Apache-2.0

// The endpoint GET /api/v4/contacts/chats.
//
// Documented (chats-api.md, "Finding chats", row "GET /api/v4/contacts/chats"):
// the fields id, contact_id and chat_id, the filters contact_id[] and chat_id[],
// HAL; only chats of channels that the integration may access, which here are the
// server's own chats.
//
// Assumed: without a filter all chats are listed, the first made first; a filter
// may be written without its brackets; two filters must both hold; id is a number.

package sandbox

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

type contactChat struct {
	ID        int    `json:"id"`
	ContactID int    `json:"contact_id"`
	ChatID    string `json:"chat_id"`
}

func (s *Server) serveContactChats(w http.ResponseWriter, r *http.Request) {
	serveCRM(s, w, r, EndpointContactChats, func(query url.Values) []contactChat {
		contacts := slices.Concat(query["contact_id[]"], query["contact_id"])
		chats := slices.Concat(query["chat_id[]"], query["chat_id"])
		var all []contactChat
		for i, id := range s.Chats() {
			c := contactChat{ID: 4_000_000 + i, ContactID: 2_000_000 + i, ChatID: id}
			if len(contacts) > 0 && !slices.Contains(contacts, strconv.Itoa(c.ContactID)) ||
				len(chats) > 0 && !slices.Contains(chats, id) {
				continue
			}
			all = append(all, c)
		}
		return all
	})
}
