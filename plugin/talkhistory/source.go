// SPDX-License-Identifier: Apache-2.0

package talkhistory

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
	"github.com/kommo-connect/kommo-connect/plugin/internal/crm"
)

// source gives the passes the pages of talks.
type source struct {
	client   *crm.Client
	once     *crm.Client // makes one attempt a call
	health   *component.Health
	refusals *refusals
	hashed   bool   // the items have a hash, so that changes show,
	named    *named // and what a deletion is told with is kept

	mu       sync.Mutex
	answered bool                // the messages of some talk were given
	rejected map[string]struct{} // talks in a row that were answered with another 4xx
	ahead    time.Duration       // of the server's clock to this machine's
}

// rejectedInARow is how many talks in a row have to be answered with a 4xx of their own
// until that means all of them.
const rejectedInARow = 64

func newSource(client, once *crm.Client, h *component.Health, r *refusals) *source {
	return &source{client: client, once: once, health: h, refusals: r, rejected: map[string]struct{}{}}
}

// Messages implements chat.TalkSource. A talk that does not exist has no messages.
func (s *source) Messages(ctx context.Context, talk string, q chat.TalkQuery) (chat.TalkPage, error) {
	if err := s.refusals.stops(messageCalls); err != nil {
		return chat.TalkPage{}, err
	}
	none := false
	page, err := s.caller().TalkMessages(ctx, talk, crm.MessageQuery{Page: q.Page, Limit: q.Limit, From: q.From, To: q.To})
	switch {
	case err != nil && ctx.Err() != nil:
		return chat.TalkPage{}, err
	case isNotFound(err):
		page, none = crm.MessagePage{}, true
	case err != nil:
		return chat.TalkPage{}, s.failed(messageCalls, talk, err)
	}
	s.mu.Lock()
	s.answered = true
	clear(s.rejected)
	if !page.Date.IsZero() {
		s.ahead = time.Until(page.Date)
	}
	s.mu.Unlock()
	s.refusals.answered(messageCalls, talk)

	out := chat.TalkPage{Items: make([]chat.Item, len(page.Messages)), None: none, More: page.Next.Is, Now: serverTime(page.Date), Date: page.Date.UnixMilli()}
	for i := range page.Messages {
		m := &page.Messages[i]
		sent, implausible := sentAt(m)
		out.Items[i] = chat.Item{ID: identity(m), Time: sent, Implausible: implausible, Value: m}
		if s.hashed {
			out.Items[i].Hash = chat.HashOf(m.Raw)
		}
	}
	if n := len(page.Messages); s.hashed && n > 0 && page.Messages[n-1].ChatID != "" {
		s.named.learn(talk, page.Messages[n-1].ChatID)
	}
	return out, nil
}

// caller returns what makes a call.
func (s *source) caller() *crm.Client {
	if s.health.IsDown() {
		return s.once // the next attempt is better made for another talk
	}
	return s.client
}

// opened returns when a talk was opened, in Unix seconds; 0 if the API does not say.
func (s *source) opened(ctx context.Context, talk string) (int64, error) {
	entry, err := s.caller().Talk(ctx, talk)
	switch {
	case err != nil && ctx.Err() != nil:
		return 0, err
	case err != nil && !isNotFound(err):
		return 0, s.failed(talkCalls, talk, err)
	}
	s.refusals.answered(talkCalls, talk)
	return entry.CreatedAt, nil
}

// serverTime returns the server's clock in Unix milliseconds. A clock that is behind
// costs a few ids in a checkpoint, one that is ahead could cost messages.
func serverTime(date time.Time) int64 {
	now := time.Now()
	// It counts whole seconds (RFC 9110, 5.6.7), and this one is not over.
	if date = date.Add(time.Second - time.Millisecond); !date.Before(time.Unix(1, 0)) && date.Before(now) {
		now = date
	}
	return now.UnixMilli()
}

// serverNow returns the server's clock of now, to a second or so.
func (s *source) serverNow() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.ahead)
}

// isNotFound says that a talk does not exist.
func isNotFound(err error) bool {
	refused, ok := errors.AsType[*crm.RefusedError](err)
	return ok && refused.Reason == crm.RefusedNotFound && !refused.Everything()
}

// refusesAll says that a refusal concerns every talk.
func refusesAll(err error) bool {
	refused, ok := errors.AsType[*crm.RefusedError](err)
	return ok && refused.Everything()
}

// failed decides whom a failure concerns: this talk, or all of them.
func (s *source) failed(k callKind, talk string, err error) error {
	refused, is := errors.AsType[*crm.RefusedError](err)
	switch {
	case is && refused.Reason == crm.RefusedBlocked:
		s.health.Block(talk, err)
	case is && refused.Everything() && !s.lacksThis(refused):
		s.refusals.begin(k, err, s.health.GoDown)
	case is:
		s.mu.Lock()
		s.rejected[talk] = struct{}{}
		all := len(s.rejected) >= rejectedInARow
		s.mu.Unlock()
		if all {
			s.health.MarkDown(err)
			s.health.Rest()
		}
	case apicall.Retryable(err):
		s.health.Fail(talk, err)
	}
	return err
}

// lacksThis says of a refusal of messages for lack of a right that it is of one talk alone, since
// those of another were given.
func (s *source) lacksThis(refused *crm.RefusedError) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return refused.Reason == crm.RefusedRight && !refused.Err.Foreign && s.answered
}

// transient tells whether a call that failed may succeed later although nobody has
// changed anything.
func transient(err error) bool { return apicall.Retryable(err) || refusesAll(err) }

// identity returns what a message is known by: its id, or a hash of its bytes
// where the API gave none. Only an object can be a message.
func identity(m *crm.Message) string {
	switch {
	case !m.Object:
		return ""
	case m.ID != "":
		return m.ID
	}
	return chat.MakeID(m.Raw)
}

// sentAt returns when a message was sent, in Unix milliseconds; 0 if the API did
// not say. implausible says that what it did say can't be meant as it stands. The
// seconds count where the milliseconds contradict them, since the API filters by them.
func sentAt(m *crm.Message) (ms int64, implausible bool) {
	switch {
	case m.CreatedAt < 0 || m.MsecCreatedAt < 0:
		return max(m.CreatedAt, -1<<50/1000) * 1000, true
	case m.CreatedAt == m.MsecCreatedAt/1000:
		return m.MsecCreatedAt, false
	default:
		return m.CreatedAt * 1000, m.MsecCreatedAt != 0
	}
}
