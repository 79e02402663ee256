// SPDX-License-Identifier: Apache-2.0

package talkhistory

import (
	"errors"
	"sync"

	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
)

// callKind is a kind of call that the API may refuse by itself: a plan or a scope has one
// and not the other.
type callKind string

const (
	feedCalls    callKind = "the feed"
	messageCalls callKind = "messages"
	talkCalls    callKind = "talks"
)

// refusals stop everything while the API refuses a kind of call altogether: only that
// kind is asked for again, and only its answer ends it. So an account whose feed is refused is
// not half read, and the log has one line for it, however many other calls would be answered.
type refusals struct {
	health *component.Health
	// tell is told of a refusal that begins when the API is down already, of which health
	// says nothing.
	tell func(err error)

	mu      sync.Mutex // held while health is told, so that it hears of changes in their order
	refused map[callKind]error
}

func newRefusals(h *component.Health, tell func(error)) *refusals {
	return &refusals{health: h, tell: tell, refused: map[callKind]error{}}
}

// begin notes that a kind of call is refused. down tells health.
func (r *refusals) begin(k callKind, err error, down func(error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.refused[k]; !known && r.health.IsDown() && (len(r.refused) == 0 || !isToken(err)) {
		r.tell(err)
	}
	r.refused[k] = err
	down(err)
}

// isToken says that the token is refused, which concerns each kind of call alike.
func isToken(err error) bool {
	refused, ok := errors.AsType[*crm.RefusedError](err)
	return ok && refused.Reason == crm.RefusedToken
}

// answered notes that a kind of call was answered, for a chat of health's where there is one.
func (r *refusals) answered(k callKind, chat string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.refused, k)
	if chat != "" && len(r.refused) == 0 {
		r.health.Answer(chat)
	}
}

// stops returns why a kind of call has to wait for another one; nil if it may be made. Who
// has a place among those that are read side by side gives it up with that, or else it could be
// the one that has to ask.
func (r *refusals) stops(k callKind) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, own := r.refused[k]; own {
		return nil
	}
	for _, why := range r.refused {
		return why
	}
	return nil
}
