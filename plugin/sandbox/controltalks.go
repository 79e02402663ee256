// SPDX-License-Identifier: Apache-2.0

// The control paths of talks and tokens. They are listed in control.go.

package sandbox

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

func (s *Server) talkCalls(talk int, message []string) map[string]http.HandlerFunc {
	if len(message) == 1 {
		return map[string]http.HandlerFunc{
			"PUT": func(w http.ResponseWriter, r *http.Request) { s.putTalkMessage(w, r, talk, message[0]) },
			"DELETE": func(w http.ResponseWriter, _ *http.Request) {
				answerChange(w, s.DeleteTalkMessage(talk, message[0]))
			},
		}
	}
	return map[string]http.HandlerFunc{
		"GET":  func(w http.ResponseWriter, _ *http.Request) { writeMessages(w, s.TalkMessages(talk)) },
		"POST": func(w http.ResponseWriter, r *http.Request) { s.postTalkMessages(w, r, talk) },
	}
}

func answerChange(w http.ResponseWriter, done bool) {
	if !done {
		writeError(w, http.StatusNotFound, 404, "NotFound", "no such message in this talk; those of an own chat change with the chat")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

type talkCount struct {
	ID       int `json:"id"`
	Messages int `json:"messages"`
}

func (s *Server) postTalkMessages(w http.ResponseWriter, r *http.Request, talk int) {
	text := TalkText
	switch kind := r.URL.Query().Get("type"); kind {
	case "", TalkIncoming:
	case TalkOutgoing:
		text = TalkReply
	default:
		writeError(w, http.StatusBadRequest, 400, "BadRequest", "type: want %s or %s, got %q", TalkIncoming, TalkOutgoing, kind)
		return
	}
	items, at, ok := s.readPosted(w, r, text)
	if !ok {
		return
	}
	if err := s.AppendTalkAt(talk, at, items...); err != nil {
		writeError(w, http.StatusConflict, 409, "Conflict", "%s", err)
		return
	}
	writeJSON(w, http.StatusOK, talkCount{ID: talk, Messages: len(s.TalkMessages(talk))})
}

func (s *Server) putTalkMessage(w http.ResponseWriter, r *http.Request, talk int, message string) {
	if item, ok := readOne(w, r); ok {
		answerChange(w, s.ReplaceTalkMessage(talk, message, item))
	}
}

func (s *Server) postToken(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	var claims Claims
	if query.Has("scopes") {
		claims.Scopes = slices.DeleteFunc(strings.Split(query.Get("scopes"), ","), func(scope string) bool { return scope == "" })
	}
	if query.Has("expires_in") {
		in, err := time.ParseDuration(query.Get("expires_in"))
		if err != nil {
			writeError(w, http.StatusBadRequest, 400, "BadRequest", "expires_in: want a duration such as 24h, got %q", query.Get("expires_in"))
			return
		}
		claims.Expires = s.config.Now().Add(in)
	}
	writeJSON(w, http.StatusOK, map[string]string{"access_token": s.IssueToken(claims)})
}

func (s *Server) deleteTokens(w http.ResponseWriter, _ *http.Request) {
	s.RevokeTokens()
	w.WriteHeader(http.StatusNoContent)
}
