// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// Bounds of the ledger, so that a sandbox can run for weeks.
const (
	// MaxLedgerChats is the number of chats of which the ledger keeps an account.
	MaxLedgerChats = 200_000
	// MaxLedgerPages is the number of page requests kept for each chat, the latest
	// ones.
	MaxLedgerPages = 1_000
	// MaxArrivals is the number of arrival times kept, the latest ones.
	MaxArrivals = 100_000
)

// Ledger is an account of the requests to the API since the start or the last
// reset. Requests to the control paths are not in it.
type Ledger struct {
	// Requests is how many arrived, refused ones included.
	Requests int `json:"requests"`
	// ByStatus counts the answers by status. Status 0 is a request that got no
	// answer: the connection was ended, or the client went away. Requests under
	// way are in Requests alone.
	ByStatus map[int]int `json:"by_status"`
	// ByEndpoint counts the requests by call. A path that the API does not have
	// counts as EndpointOther.
	ByEndpoint map[Endpoint]int `json:"by_endpoint"`
	// Refused counts the 403 answers of the signature check by reason: scope,
	// content_type, content_md5, date_format, date_window or signature; and foreign,
	// the answers of FaultForeign.
	Refused map[string]int `json:"refused"`
	// RefusedTotal is the sum of Refused.
	RefusedTotal int `json:"refused_total"`
	// RefusedCRM counts the refusals of the CRM calls that are the client's doing, by
	// reason: method, token (none, or one that is not known), expired, scope, and
	// parameter. Nil: none.
	RefusedCRM map[string]int `json:"refused_crm,omitempty"`
	// Items is the number of items served in pages, of the history or of the CRM.
	Items int `json:"items"`
	// PeakPerSecond is the largest number of requests that arrived within any one
	// second.
	PeakPerSecond int `json:"peak_per_second"`
	// First and Last are the times of the first and the last arrival; zero before
	// the first.
	First time.Time `json:"first,omitzero"`
	Last  time.Time `json:"last,omitzero"`
	// Chats has an account of each chat that was asked for, up to MaxLedgerChats.
	Chats map[string]ChatLedger `json:"chats"`
	// ChatsLeftOff counts requests for chats beyond MaxLedgerChats.
	ChatsLeftOff int `json:"requests_of_chats_left_off"`
	// Talks has an account of each talk whose messages were asked for, up to
	// MaxLedgerChats. Nil: none.
	Talks map[int]TalkLedger `json:"talks,omitempty"`
	// TalksLeftOff counts requests for talks beyond MaxLedgerChats.
	TalksLeftOff int `json:"requests_of_talks_left_off,omitempty"`
}

// TalkLedger is the account of one talk.
type TalkLedger struct {
	// Requests is how many asked for this talk's messages.
	Requests int `json:"requests"`
	// Pages are the latest of them, up to MaxLedgerPages, in order of arrival.
	Pages []TalkRequest `json:"pages,omitempty"`
}

// TalkRequest is one request for a page of a talk's messages.
type TalkRequest struct {
	// Page and Limit are as asked for; -1 stands for one that is not a number.
	Page  int `json:"page"`
	Limit int `json:"limit"`
	// From and To are the time filter in unix seconds; zero: none.
	From int64 `json:"from,omitempty"`
	To   int64 `json:"to,omitempty"`
	// Status is the answer's status; 0 while there is none.
	Status int `json:"status"`
	// Items is the number of items in the answer.
	Items int `json:"items"`
}

// ChatLedger is the account of one chat.
type ChatLedger struct {
	// Requests is how many asked for this chat.
	Requests int `json:"requests"`
	// Pages are the latest of them, up to MaxLedgerPages, in order of arrival.
	Pages []PageRequest `json:"pages,omitempty"`
}

// PageRequest is one request for a page.
type PageRequest struct {
	// Offset and Limit are as the client sent them; -1 stands for one that is
	// missing or not a number.
	Offset int `json:"offset"`
	Limit  int `json:"limit"`
	// Status is the answer's status; 0 while there is none.
	Status int `json:"status"`
	// Items is the number of items in the answer.
	Items int `json:"items"`
}

// note is a request to be filled in once it is answered. Of a chat or talk left off
// nothing else refers to it.
type note struct {
	request       Request
	status, items int
}

// asked is the requests for one chat or talk.
type asked struct {
	requests int
	pages    []*note
}

type ledger struct {
	mu       sync.Mutex
	sum      Ledger // Chats and Talks stay nil
	chats    map[string]*asked
	talks    map[int]*asked
	arrivals []time.Time
	peak     window
}

func (l *ledger) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sum = Ledger{ByStatus: map[int]int{}, ByEndpoint: map[Endpoint]int{}, Refused: map[string]int{}}
	l.chats, l.talks = map[string]*asked{}, map[int]*asked{}
	l.arrivals = nil
	l.peak = window{}
}

// arrive notes a request and sets its N.
func (l *ledger) arrive(request *Request) *note {
	n := &note{request: *request}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now() // under the lock, so that arrivals are in order
	l.sum.Requests++
	request.N = l.sum.Requests
	l.sum.ByEndpoint[request.Endpoint]++
	if l.sum.First.IsZero() {
		l.sum.First = now
	}
	l.sum.Last = now
	l.sum.PeakPerSecond = max(l.sum.PeakPerSecond, l.peak.add(now))
	l.arrivals = appendBounded(l.arrivals, now, MaxArrivals)
	switch {
	case request.Chat != "":
		if ask(l.chats, request.Chat, n) {
			l.sum.ChatsLeftOff++
		}
	case request.Endpoint == EndpointTalkMessages:
		if ask(l.talks, request.Talk, n) {
			l.sum.TalksLeftOff++
		}
	}
	return n
}

// ask notes a request in the account of its chat or talk, and reports whether there
// was no room for it.
func ask[K comparable](accounts map[K]*asked, id K, n *note) (leftOff bool) {
	account := accounts[id]
	if account == nil {
		if len(accounts) >= MaxLedgerChats {
			return true
		}
		account = &asked{}
		accounts[id] = account
	}
	account.requests++
	account.pages = appendBounded(account.pages, n, MaxLedgerPages)
	return false
}

// appendBounded keeps the latest most values, moving them only now and then: the
// slice grows to twice the bound before its older half goes.
func appendBounded[T any](values []T, v T, most int) []T {
	if len(values) >= 2*most {
		values = append(values[:0], latest(values, most-1)...)
	}
	return append(values, v)
}

func latest[T any](values []T, most int) []T { return values[max(0, len(values)-most):] }

func (l *ledger) answer(n *note, status, items int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n.status, n.items = status, items
	l.sum.ByStatus[status]++
	l.sum.Items += items
}

func (l *ledger) refuse(reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sum.Refused[reason]++
	l.sum.RefusedTotal++
}

func (l *ledger) refuseCRM(reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sum.RefusedCRM == nil {
		l.sum.RefusedCRM = map[string]int{}
	}
	l.sum.RefusedCRM[reason]++
}

// Ledger returns a copy of the account so far.
func (s *Server) Ledger() Ledger {
	l := &s.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := l.sum
	sum.ByStatus, sum.ByEndpoint, sum.Refused = maps.Clone(sum.ByStatus), maps.Clone(sum.ByEndpoint), maps.Clone(sum.Refused)
	sum.RefusedCRM = maps.Clone(sum.RefusedCRM)
	sum.Chats = make(map[string]ChatLedger, len(l.chats))
	for id, account := range l.chats {
		sum.Chats[id] = ChatLedger{Requests: account.requests, Pages: requestsOf(account, func(n *note) PageRequest {
			return PageRequest{Offset: n.request.Offset, Limit: n.request.Limit, Status: n.status, Items: n.items}
		})}
	}
	if len(l.talks) > 0 {
		sum.Talks = make(map[int]TalkLedger, len(l.talks))
	}
	for id, account := range l.talks {
		sum.Talks[id] = TalkLedger{Requests: account.requests, Pages: requestsOf(account, func(n *note) TalkRequest {
			r := n.request
			return TalkRequest{Page: r.Page, Limit: r.Limit, From: r.From, To: r.To, Status: n.status, Items: n.items}
		})}
	}
	return sum
}

func requestsOf[T any](a *asked, of func(*note) T) []T {
	all := make([]T, 0, min(len(a.pages), MaxLedgerPages))
	for _, n := range latest(a.pages, MaxLedgerPages) {
		all = append(all, of(n))
	}
	return all
}

// ResetLedger starts the account anew and lifts a block of the rate limit.
func (s *Server) ResetLedger() {
	s.ledger.reset()
	s.Unblock()
}

// Arrivals returns the times of the latest requests, up to MaxArrivals, in order,
// for checks of a rate over windows other than the second of PeakPerSecond.
func (s *Server) Arrivals() []time.Time {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	return slices.Clone(latest(s.ledger.arrivals, MaxArrivals))
}

// window counts what arrived within the second that ends now. Two arrivals one
// second apart are in no window together.
type window struct {
	recent []time.Time
	start  int
}

// add returns the count with now. Times must not go back.
func (w *window) add(now time.Time) int {
	for w.start < len(w.recent) && now.Sub(w.recent[w.start]) >= time.Second {
		w.start++
	}
	if w.start > len(w.recent)/2 {
		w.recent = append(w.recent[:0], w.recent[w.start:]...)
		w.start = 0
	}
	w.recent = append(w.recent, now)
	return len(w.recent) - w.start
}
