// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Server is the sandbox: an http.Handler and the chats behind it. Make one with
// New. All methods may be called at any time, from any goroutine.
type Server struct {
	config  Config
	ledger  ledger
	limit   limiter
	faults  faultList
	talks   talkList
	account account
	tokens  tokens
	hook    atomic.Pointer[func(Request)]

	mu    sync.RWMutex
	chats map[string]*chat
	order []string // ids of chats, first made first
}

// New returns a server without chats. The error names the field that is wrong.
func New(config Config) (*Server, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	s := &Server{config: config, chats: map[string]*chat{}}
	s.ledger.reset()
	s.limit.config(config)
	s.faults.seed(config.RandomSeed)
	return s, nil
}

// Request is one request to the API, as a hook sees it.
type Request struct {
	// N counts the requests to the API since the start or the last reset of the
	// ledger, this one included: the first is 1.
	N int
	// Endpoint is the call.
	Endpoint Endpoint
	// Chat is the chat whose history is asked for, known or not. Empty for the
	// other calls.
	Chat string
	// Offset and Limit are the query parameters; -1 stands for one that is missing
	// or not a number. The CRM calls have no offset.
	Offset, Limit int
	// Page is the query parameter of the CRM calls, from 1. Zero for the history.
	Page int
	// Talk is the talk that is asked for, known or not. Zero for the calls that ask
	// for none.
	Talk int
	// From and To are the time filter of a talk's messages and of the events, in unix
	// seconds. Zero: none.
	From, To int64
}

// OnRequest calls hook before each request to the API is answered, replacing the
// hook before it; nil removes it. The hook holds no lock: it may grow and shrink
// chats and switch faults, and its changes already show in the answer. Requests
// that arrive side by side call it side by side. Paths that the API does not have
// do not call it.
func (s *Server) OnRequest(hook func(Request)) {
	if hook == nil {
		s.hook.Store(nil)
		return
	}
	s.hook.Store(&hook)
}

// ScopeID returns the scope that is served.
func (s *Server) ScopeID() string { return s.config.ScopeID }

// ServeHTTP answers a request to the API or to the control paths.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// http.ServeMux would clean paths by redirects, which the API does not.
	path, ok := segments(receivedPath(r))
	switch {
	case ok && path[0] == "sandbox":
		s.serveControl(w, r, path[1:])
	case ok && len(path) == 7 && path[0] == "v2" && path[1] == "origin" && path[2] == "custom" &&
		path[4] == "chats" && path[6] == "history":
		s.serveHistory(w, r, path[3], path[5])
	case ok && slices.Equal(path, []string{"api", "v4", "talks"}):
		s.serveTalks(w, r)
	case ok && len(path) == 4 && slices.Equal(path[:3], []string{"api", "v4", "talks"}):
		s.serveTalk(w, r, path[3])
	case ok && len(path) == 5 && slices.Equal(path[:3], []string{"api", "v4", "talks"}) && path[4] == "messages":
		s.serveTalkMessages(w, r, path[3])
	case ok && slices.Equal(path, []string{"api", "v4", "events"}):
		s.serveEvents(w, r)
	case ok && slices.Equal(path, []string{"api", "v4", "account"}):
		s.serveAccount(w, r)
	case ok && slices.Equal(path, []string{"api", "v4", "contacts", "chats"}):
		s.serveContactChats(w, r)
	default:
		s.serveUnknown(w, r)
	}
}

// serveUnknown leaves a trace in the ledger: a client with a wrong path should
// not look like one that never came.
func (s *Server) serveUnknown(w http.ResponseWriter, r *http.Request) {
	x := s.begin(w, r, Request{Endpoint: EndpointOther, Offset: -1, Limit: -1})
	defer x.end()
	s.setDate(x, s.config.Now())
	writeError(x, http.StatusNotFound, 404, "NotFound", "the API has no such path")
}

// segments splits an escaped path and decodes its parts.
func segments(path string) ([]string, bool) {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, part := range parts {
		decoded, err := url.PathUnescape(part)
		if err != nil {
			return nil, false
		}
		parts[i] = decoded
	}
	return parts, true
}

func (s *Server) setDate(w http.ResponseWriter, now time.Time) {
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
}

// ensureChat returns a chat, making it if need be. Caller holds mu.
func (s *Server) ensureChat(id string) *chat {
	c := s.chats[id]
	if c == nil {
		c = &chat{}
		s.chats[id] = c
		s.order = append(s.order, id)
	}
	return c
}

// Append adds items to a chat as its newest messages, the last of them the
// newest of all, and makes the chat if it is new. Items are kept and served byte
// for byte and need not be valid messages; one of no bytes is kept as null. With
// OrderTime each item is put where its msec_timestamp, or else its timestamp,
// belongs; one without a time is the newest.
func (s *Server) Append(chat string, items ...json.RawMessage) {
	s.add(chat, items, itemTime)
}

// Insert puts an item into a chat so that it is found at that offset of the
// history: 0 makes it the newest. An offset outside of the chat puts it at the
// nearer end. The chat is made if it is new. With OrderTime, too, the place is the
// one that is named.
func (s *Server) Insert(chat string, offset int, item json.RawMessage) {
	s.mu.Lock()
	c := s.ensureChat(chat)
	at, _ := itemTime(item)
	c.insert(c.len()-min(max(offset, 0), c.len()), item, at)
	s.announce(chat, item)
	s.mu.Unlock()
	s.touchChat(chat)
}

// Delete removes the newest message of a chat that has this message.id, and
// reports whether there was one.
func (s *Server) Delete(chatID, messageID string) bool {
	return s.edit(chatID, messageID, (*chat).remove)
}

// Replace puts an item in the place of the newest message of a chat with this id, and
// reports whether there was one. It stays where it is listed, whatever time it has now.
func (s *Server) Replace(chatID, messageID string, item json.RawMessage) bool {
	return s.edit(chatID, messageID, func(c *chat, position int) { c.replace(position, item) })
}

// edit has the newest message of a chat that has an id changed at its position, and reports
// whether there was one.
func (s *Server) edit(chatID, messageID string, change func(c *chat, position int)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.chats[chatID]
	if c == nil || messageID == "" {
		return false
	}
	position := c.find(messageID)
	if position < 0 {
		return false
	}
	change(c, position)
	return true
}

// DeleteAt removes the message at an offset of a chat's history, 0 the newest,
// and reports whether there was one.
func (s *Server) DeleteAt(chat string, offset int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.chats[chat]
	if c == nil || offset < 0 || offset >= c.len() {
		return false
	}
	c.remove(c.len() - 1 - offset)
	return true
}

// Messages returns a copy of a chat's items, oldest first: the reverse of what
// pages show. It is empty for a chat that is unknown.
func (s *Server) Messages(chat string) []json.RawMessage {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := s.chats[chat]
	if c == nil {
		return nil
	}
	items := make([]json.RawMessage, c.len())
	for p := range items {
		items[p] = c.appendItem(nil, p)
	}
	return items
}

// Len returns the number of messages of a chat, 0 for one that is unknown.
func (s *Server) Len(chat string) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if c := s.chats[chat]; c != nil {
		return c.len()
	}
	return 0
}

// Chats returns the ids of all chats, the first made first.
func (s *Server) Chats() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.order)
}
