// SPDX-License-Identifier: Apache-2.0

// The endpoint GET /api/v4/account.
//
// Documented (chats-api.md, "Finding chats", row "GET /api/v4/account?with=amojo_id"): the
// parameter, and amojo_id, which is there only if it is asked for. Assumed: the other
// fields, which are fewer than the vendor's, and that no scope but crm is needed.

package sandbox

import (
	"net/http"
	"slices"
	"strings"
)

type crmAccount struct {
	ID        int    `json:"id"`
	Name      string `json:"name"`
	Subdomain string `json:"subdomain"`
	AmojoID   string `json:"amojo_id,omitempty"`
}

func (s *Server) serveAccount(w http.ResponseWriter, r *http.Request) {
	x := s.begin(w, r, Request{Endpoint: EndpointAccount, Offset: -1})
	defer x.end()
	if s.answerEarly(x) || !s.admitCRM(x, nil) {
		return
	}
	fault, faulty := s.faults.takeOne(x.request, stagePage)
	if faulty && fault.Kind == FaultStatus {
		s.answerStatus(x, fault)
		return
	}
	account := crmAccount{ID: demoAccountID, Name: "Sandbox", Subdomain: "sandbox"}
	if slices.Contains(strings.Split(r.URL.Query().Get("with"), ","), "amojo_id") {
		_, account.AmojoID, _ = strings.Cut(s.config.ScopeID, "_")
	}
	body := encode(account)
	if faulty {
		s.answerBody(x, fault, body)
		return
	}
	x.answer(http.StatusOK, "application/hal+json", body)
}
