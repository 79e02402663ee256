// SPDX-License-Identifier: Apache-2.0

// The control paths, below /sandbox/. They are the sandbox's own and unsigned:
// whoever reaches them can change and read everything but the credentials, so
// they are for a loopback address.
//
//	GET    /sandbox/health                             {"status":"ok"}
//	GET    /sandbox/chats                              ids and counts
//	GET    /sandbox/chats/{id}/messages                the items, oldest first
//	POST   /sandbox/chats/{id}/messages                appends an item, or a list of them, oldest first
//	POST   /sandbox/chats/{id}/messages?text=...       appends a text message from the client, made here
//	POST   /sandbox/chats/{id}/messages?at=...         with either: their time, RFC 3339, for a listing by time
//	PUT    /sandbox/chats/{id}/messages/{message_id}   changes a message; 204, or 404
//	DELETE /sandbox/chats/{id}/messages/{message_id}   204, or 404
//	GET    /sandbox/talks                              the talks, the latest updated first
//	POST   /sandbox/talks                              adds or replaces a talk, or a list of them
//	GET    /sandbox/talks/{id}/messages                the messages, oldest first
//	POST   /sandbox/talks/{id}/messages                appends a message, or a list of them, and announces it now
//	POST   /sandbox/talks/{id}/messages?text=...       appends a text message made here: from the client, or with
//	                                                   type=outgoing from a user
//	POST   /sandbox/talks/{id}/messages?at=...         with either: when it is announced, RFC 3339; and the time of
//	                                                   a message made here
//	PUT    /sandbox/talks/{id}/messages/{message_id}   changes a message; 204, or 404
//	DELETE /sandbox/talks/{id}/messages/{message_id}   204, or 404
//	POST   /sandbox/tokens?scopes=...&expires_in=...   issues a token: scopes with commas, a duration
//	DELETE /sandbox/tokens                             revokes all that were issued
//	GET    /sandbox/faults                             the faults that are on
//	PUT    /sandbox/faults                             switches on a fault, or a list of them, and all others off
//	POST   /sandbox/faults                             switches on one more, or a list of them
//	DELETE /sandbox/faults                             switches all faults off
//	GET    /sandbox/ledger                             the ledger, without the pages of each chat and talk
//	GET    /sandbox/ledger?chat=... or ?talk=...       with the pages of one chat or talk, and no other
//	DELETE /sandbox/ledger                             starts the ledger anew and lifts a block

package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"
)

// maxControlBody bounds what one control request may bring.
const maxControlBody = 64 << 20

func (s *Server) serveControl(w http.ResponseWriter, r *http.Request, path []string) {
	s.setDate(w, s.config.Now())
	var calls map[string]http.HandlerFunc
	switch {
	case len(path) == 1 && path[0] == "health":
		calls = map[string]http.HandlerFunc{"GET": s.getHealth}
	case len(path) == 1 && path[0] == "chats":
		calls = map[string]http.HandlerFunc{"GET": s.getChats}
	case len(path) == 3 && path[0] == "chats" && path[1] != "" && path[2] == "messages":
		calls = map[string]http.HandlerFunc{
			"GET":  func(w http.ResponseWriter, _ *http.Request) { s.getMessages(w, path[1]) },
			"POST": func(w http.ResponseWriter, r *http.Request) { s.postMessages(w, r, path[1]) },
		}
	case len(path) == 4 && path[0] == "chats" && path[2] == "messages":
		calls = map[string]http.HandlerFunc{
			"PUT":    func(w http.ResponseWriter, r *http.Request) { s.putMessage(w, r, path[1], path[3]) },
			"DELETE": func(w http.ResponseWriter, _ *http.Request) { s.deleteMessage(w, path[1], path[3]) },
		}
	case len(path) == 1 && path[0] == "talks":
		calls = map[string]http.HandlerFunc{"GET": s.getTalks, "POST": s.postTalks}
	case len(path) >= 3 && len(path) <= 4 && path[0] == "talks" && talkID(path[1]) > 0 && path[2] == "messages":
		calls = s.talkCalls(talkID(path[1]), path[3:])
	case len(path) == 1 && path[0] == "tokens":
		calls = map[string]http.HandlerFunc{"POST": s.postToken, "DELETE": s.deleteTokens}
	case len(path) == 1 && path[0] == "faults":
		calls = map[string]http.HandlerFunc{
			"GET":    s.getFaults,
			"PUT":    func(w http.ResponseWriter, r *http.Request) { s.putFaults(w, r, false) },
			"POST":   func(w http.ResponseWriter, r *http.Request) { s.putFaults(w, r, true) },
			"DELETE": s.deleteFaults,
		}
	case len(path) == 1 && path[0] == "ledger":
		calls = map[string]http.HandlerFunc{"GET": s.getLedger, "DELETE": s.deleteLedger}
	default:
		writeError(w, http.StatusNotFound, 404, "NotFound", "no such control path")
		return
	}
	call := calls[r.Method]
	if call == nil {
		writeError(w, http.StatusMethodNotAllowed, 405, "MethodNotAllowed", "this path has no %s", r.Method)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxControlBody)
	call(w, r)
}

func (s *Server) getHealth(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

type chatCount struct {
	ID       string `json:"id"`
	Messages int    `json:"messages"`
}

func (s *Server) getChats(w http.ResponseWriter, _ *http.Request) {
	s.mu.RLock()
	counts := make([]chatCount, len(s.order))
	for i, id := range s.order {
		counts[i] = chatCount{ID: id, Messages: s.chats[id].len()}
	}
	s.mu.RUnlock()
	writeJSON(w, http.StatusOK, map[string]any{"scope_id": s.config.ScopeID, "chats": counts})
}

func (s *Server) getMessages(w http.ResponseWriter, chat string) { writeMessages(w, s.Messages(chat)) }

func writeMessages(w http.ResponseWriter, items []json.RawMessage) {
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, `{"messages":[`)
	// Joined by hand: an encoder would rewrite the items.
	for i, item := range items {
		if i > 0 {
			io.WriteString(w, ",")
		}
		w.Write(item)
	}
	io.WriteString(w, `]}`)
}

func (s *Server) postMessages(w http.ResponseWriter, r *http.Request, chat string) {
	timed := r.URL.Query().Has("at")
	items, now, ok := s.readPosted(w, r, Text)
	if !ok {
		return
	}
	if timed {
		s.AppendAt(chat, now, items...)
	} else {
		s.Append(chat, items...)
	}
	writeJSON(w, http.StatusOK, chatCount{ID: chat, Messages: s.Len(chat)})
}

// readPosted returns the items of a body, or the one that text makes of a query, and
// the query's time, or the server's. Where it can't it answers, and returns false.
func (s *Server) readPosted(w http.ResponseWriter, r *http.Request, text func(id string, at time.Time, text string) json.RawMessage,
) (items []json.RawMessage, at time.Time, ok bool) {
	query := r.URL.Query()
	at = s.config.Now()
	if query.Has("at") {
		var err error
		if at, err = time.Parse(time.RFC3339, query.Get("at")); err != nil {
			writeError(w, http.StatusBadRequest, 400, "BadRequest", "at: want a time as in RFC 3339, got %q", query.Get("at"))
			return nil, at, false
		}
	}
	if words := query.Get("text"); words != "" {
		return []json.RawMessage{text(newID(), at, words)}, at, true
	}
	if err := readOneOrMany(r.Body, &items); err != nil {
		writeError(w, http.StatusBadRequest, 400, "BadRequest", "reading the items: %s", err)
		return nil, at, false
	}
	return items, at, true
}

func (s *Server) getTalks(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"talks": s.Talks()})
}

func (s *Server) postTalks(w http.ResponseWriter, r *http.Request) {
	var talks []Talk
	if err := readOneOrMany(r.Body, &talks); err != nil {
		writeError(w, http.StatusBadRequest, 400, "BadRequest", "reading the talks: %s", err)
		return
	}
	for _, t := range talks {
		s.SetTalk(t)
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) putMessage(w http.ResponseWriter, r *http.Request, chat, message string) {
	item, ok := readOne(w, r)
	if !ok {
		return
	}
	if !s.Replace(chat, message, item) {
		writeError(w, http.StatusNotFound, 404, "NotFound", "no such message in this chat")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// readOne reads the one item that a request has. It answers where that fails.
func readOne(w http.ResponseWriter, r *http.Request) (item json.RawMessage, ok bool) {
	var items []json.RawMessage
	if err := readOneOrMany(r.Body, &items); err != nil || len(items) != 1 {
		writeError(w, http.StatusBadRequest, 400, "BadRequest", "reading the message: want one JSON value")
		return nil, false
	}
	return items[0], true
}

func (s *Server) deleteMessage(w http.ResponseWriter, chat, message string) {
	if !s.Delete(chat, message) {
		writeError(w, http.StatusNotFound, 404, "NotFound", "no such message in this chat")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) getFaults(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.Faults())
}

func (s *Server) putFaults(w http.ResponseWriter, r *http.Request, keep bool) {
	var faults []Fault
	err := readOneOrMany(r.Body, &faults)
	for i := 0; err == nil && i < len(faults); i++ {
		if err = faults[i].Validate(); err != nil {
			err = fmt.Errorf("fault %d: %w", i, err)
		}
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, 400, "BadRequest", "reading the faults: %s", err)
		return
	}
	s.faults.set(faults, keep)
	s.getFaults(w, r)
}

func (s *Server) deleteFaults(w http.ResponseWriter, _ *http.Request) {
	s.ClearFaults()
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) getLedger(w http.ResponseWriter, r *http.Request) {
	sum := s.Ledger()
	chat, talk := r.URL.Query().Get("chat"), talkID(r.URL.Query().Get("talk"))
	maps.DeleteFunc(sum.Chats, func(id string, _ ChatLedger) bool { return id != chat && (chat != "" || talk > 0) })
	maps.DeleteFunc(sum.Talks, func(id int, _ TalkLedger) bool { return id != talk && (chat != "" || talk > 0) })
	for id, account := range sum.Chats {
		if id != chat {
			account.Pages = nil
		}
		sum.Chats[id] = account
	}
	for id, account := range sum.Talks {
		if id != talk {
			account.Pages = nil
		}
		sum.Talks[id] = account
	}
	writeJSON(w, http.StatusOK, sum)
}

func (s *Server) deleteLedger(w http.ResponseWriter, _ *http.Request) {
	s.ResetLedger()
	w.WriteHeader(http.StatusNoContent)
}

// readOneOrMany reads a JSON list, or a single value as a list of one.
func readOneOrMany[T any](r io.Reader, values *[]T) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	data = bytes.TrimSpace(data)
	if len(data) == 0 {
		return errors.New("the body is empty")
	}
	if data[0] != '[' {
		// Brackets around the bytes keep one path for both, and the bytes as sent.
		data = []byte("[" + string(data) + "]")
	}
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	if err := decoder.Decode(values); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more than one JSON value")
	}
	return nil
}
