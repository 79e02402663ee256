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
//	DELETE /sandbox/chats/{id}/messages/{message_id}   204, or 404
//	GET    /sandbox/talks                              the talks, the latest updated first
//	POST   /sandbox/talks                              adds or replaces a talk, or a list of them
//	GET    /sandbox/faults                             the faults that are on
//	PUT    /sandbox/faults                             switches on a fault, or a list of them, and all others off
//	POST   /sandbox/faults                             switches on one more, or a list of them
//	DELETE /sandbox/faults                             switches all faults off
//	GET    /sandbox/ledger                             the ledger, without the pages of each chat
//	GET    /sandbox/ledger?chat=...                    with the pages of one chat, and no other chat
//	DELETE /sandbox/ledger                             starts the ledger anew and lifts a block

package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
			"DELETE": func(w http.ResponseWriter, _ *http.Request) { s.deleteMessage(w, path[1], path[3]) },
		}
	case len(path) == 1 && path[0] == "talks":
		calls = map[string]http.HandlerFunc{"GET": s.getTalks, "POST": s.postTalks}
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

func (s *Server) getMessages(w http.ResponseWriter, chat string) {
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, `{"messages":[`)
	// Joined by hand: an encoder would rewrite the items.
	for i, item := range s.Messages(chat) {
		if i > 0 {
			io.WriteString(w, ",")
		}
		w.Write(item)
	}
	io.WriteString(w, `]}`)
}

func (s *Server) postMessages(w http.ResponseWriter, r *http.Request, chat string) {
	query := r.URL.Query()
	now, timed := s.config.Now(), query.Has("at")
	if timed {
		at, err := time.Parse(time.RFC3339, query.Get("at"))
		if err != nil {
			writeError(w, http.StatusBadRequest, 400, "BadRequest", "at: want a time as in RFC 3339, got %q", query.Get("at"))
			return
		}
		now = at
	}
	var items []json.RawMessage
	if text := query.Get("text"); text != "" {
		items = []json.RawMessage{Text(newID(), now, text)}
	} else if err := readOneOrMany(r.Body, &items); err != nil {
		writeError(w, http.StatusBadRequest, 400, "BadRequest", "reading the items: %s", err)
		return
	}
	if timed {
		s.AppendAt(chat, now, items...)
	} else {
		s.Append(chat, items...)
	}
	writeJSON(w, http.StatusOK, chatCount{ID: chat, Messages: s.Len(chat)})
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
	if id := r.URL.Query().Get("chat"); id != "" {
		account := sum.Chats[id]
		sum.Chats = map[string]ChatLedger{id: account}
	} else {
		for id, account := range sum.Chats {
			account.Pages = nil
			sum.Chats[id] = account
		}
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
