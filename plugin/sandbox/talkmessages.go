// SPDX-License-Identifier: Apache-2.0

// The endpoints GET /api/v4/talks/{talk_id} and /api/v4/talks/{talk_id}/messages.
//
// Known (chats-api.md, "Finding chats", row "GET /api/v4/talks/{talk_id}"; "Messages of
// every channel"): one talk has the fields of the list, and answers also if the list
// leaves it out; the fields of a message; 204 without messages, 404 without the talk.
//
// Unknown (row "what belongs to a talk"): a talk lists its own messages, unless
// FaultWholeChat is on. The talk of a chat of the own channel shows that chat's
// messages, in this API's shape.

package sandbox

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// talkID returns 0 for what is no id.
func talkID(text string) int {
	id, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0
	}
	return int(id)
}

func (s *Server) serveTalkMessages(w http.ResponseWriter, r *http.Request, talk string) {
	q := readStretch(readCRMQuery(r))
	request := q.request(EndpointTalkMessages)
	request.Talk = talkID(talk)
	x := s.begin(w, r, request)
	defer x.end()
	s.serveStretch(x, q, "messages", func(v *view, use func(timeline)) bool {
		return s.withTalk(request.Talk, v.wholeChat, use)
	})
}

func (s *Server) serveTalk(w http.ResponseWriter, r *http.Request, talk string) {
	x := s.begin(w, r, Request{Endpoint: EndpointTalk, Offset: -1, Talk: talkID(talk)})
	defer x.end()
	if s.answerEarly(x) || !s.admitCRM(x, noParameters(r)) {
		return
	}
	fault, faulty := s.faults.takeOne(x.request, stagePage)
	if faulty && fault.Kind == FaultStatus {
		s.answerStatus(x, fault)
		return
	}
	t, _ := s.talk(x.request.Talk)
	if t == nil {
		writeProblem(x, http.StatusNotFound, "there is no such talk")
		return
	}
	body := encode(t)
	if faulty {
		s.answerBody(x, fault, body)
		return
	}
	x.items = 1
	x.answer(http.StatusOK, "application/hal+json", body)
}

// noParameters returns what is wrong with a query that should be empty.
func noParameters(r *http.Request) error {
	values, err := url.ParseQuery(r.URL.RawQuery)
	for name := range values {
		return fmt.Errorf("%s: there is no such parameter", name)
	}
	return err
}
