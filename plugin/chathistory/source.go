// SPDX-License-Identifier: Apache-2.0

package chathistory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/amojo"
	"github.com/kommo-connect/kommo-connect/plugin/internal/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/internal/chat"
	"github.com/kommo-connect/kommo-connect/plugin/internal/component"
)

// source gives the reader the pages of the Chats API.
type source struct {
	client *amojo.Client
	once   *amojo.Client // makes one attempt a call
	health *component.Health
	hashed bool // the items have a hash, so that changes show

	mu       sync.Mutex
	proven   bool                // the API has accepted the secret
	refused  map[string]struct{} // chats since the last answer, so that it may concern all
	rejected map[string]struct{} // by another 4xx
	ours     component.Recent
}

const (
	// refusedInARow is how many chats may be refused, without an answer in between, at
	// full speed. After that each refusal is followed by a pause.
	refusedInARow = 3
	// refusedByAll is how many chats have to be refused, or all there are, until that
	// means the secret and not that they are of other channels. From mostStrangers on the
	// pauses grow; not before, since a list may begin with chats of other channels.
	refusedByAll  = 10
	mostStrangers = 300
	// rejectedInARow is how many chats in a row have to be answered with another 4xx until
	// that means the whole channel.
	rejectedInARow = 64
)

func newSource(client, once *amojo.Client, h *component.Health) *source {
	return &source{client: client, once: once, health: h, refused: map[string]struct{}{}, rejected: map[string]struct{}{}}
}

// Page implements chat.Source.
func (s *source) Page(ctx context.Context, id string, offset, limit int) (chat.Page, error) {
	client := s.client
	if s.health.IsDown() {
		client = s.once // the next attempt is better made for another chat
	}
	page, err := client.History(ctx, id, offset, limit)
	if err != nil {
		if ctx.Err() != nil {
			return chat.Page{}, err
		}
		return chat.Page{}, s.failed(id, err)
	}
	s.mu.Lock()
	s.proven = true
	clear(s.refused)
	clear(s.rejected)
	s.ours.Add(id)
	s.mu.Unlock()
	s.health.Answer(id)

	// A clock that is behind costs a few ids in a checkpoint, one that is ahead could
	// cost messages.
	now := time.Now()
	// It counts whole seconds (RFC 9110, 5.6.7), and this one is not over.
	if date := page.Date.Add(time.Second - time.Millisecond); !page.Date.IsZero() && date.Before(now) {
		now = date
	}
	out := chat.Page{Items: make([]chat.Item, len(page.Items)), Now: now.UnixMilli()}
	for i := range page.Items {
		it := &page.Items[i]
		sent, implausible := sentAt(it)
		out.Items[i] = chat.Item{ID: identity(it), Time: sent, Implausible: implausible, Value: it}
		if s.hashed {
			out.Items[i].Hash = chat.HashOf(it.Raw)
		}
	}
	return out, nil
}

// failed decides whom a failure concerns: this chat, or all of them.
//
// A chat of another channel is refused as a wrong secret is (chats-api.md, "which
// chats"). So a refusal counts for its chat alone once the API has accepted the
// secret for another one, and this chat was never read.
func (s *source) failed(id string, err error) error {
	var (
		refused  *amojo.RefusedError
		rejected *amojo.Error
	)
	switch {
	case errors.As(err, &refused) && refused.Reason == amojo.RefusedBlocked:
		s.health.Block(id, err)
	case errors.As(err, &refused):
		s.mu.Lock()
		// This chat was read before, so the secret may be wrong now.
		s.proven = s.proven && !s.ours.Has(id)
		if s.proven {
			s.mu.Unlock()
			return fmt.Errorf("%w: %w", chat.ErrNotOurs, err)
		}
		s.refused[id] = struct{}{}
		n, chats := len(s.refused), s.health.Chats()
		all := n >= min(refusedByAll, chats)
		s.proven = s.proven && !all
		s.mu.Unlock()
		switch {
		case all && n >= min(mostStrangers, chats):
			s.health.GoDown(err)
		case all:
			s.health.MarkDown(err)
			s.health.Rest()
		case n >= refusedInARow:
			s.health.Rest()
		}
	case errors.As(err, &rejected):
		s.mu.Lock()
		s.rejected[id] = struct{}{}
		all := len(s.rejected) >= rejectedInARow ||
			rejected.NotRegistered() && len(s.rejected) >= min(refusedByAll, s.health.Chats())
		s.mu.Unlock()
		if all {
			// No longer than a second: these chats may be gone, and others not.
			s.health.MarkDown(err)
			s.health.Rest()
		}
	case apicall.Retryable(err):
		s.health.Fail(id, err)
	}
	return err
}

// transient tells whether a call that failed may succeed later although nobody has
// changed anything.
func transient(err error) bool {
	var refused *amojo.RefusedError
	return apicall.Retryable(err) || errors.As(err, &refused) && !errors.Is(err, chat.ErrNotOurs)
}

// identity returns what a message is known by: its id, or a hash of its bytes
// where the API gave none. Only an object can be a message.
func identity(it *amojo.Item) string {
	switch {
	case !it.Object:
		return ""
	case it.ID != "":
		return it.ID
	}
	return chat.MakeID(it.Raw)
}

// sentAt returns when a message was sent, in Unix milliseconds; 0 if the API did
// not say. implausible says that what it did say can't be meant as it stands: a
// number in another unit is read in that, and of two that contradict each other the
// seconds count, which every sample has (chats-api.md, "Items").
func sentAt(it *amojo.Item) (ms int64, implausible bool) {
	const day = 24 * 60 * 60 * 1000
	fromMs, oddMs := inUnit(it.MsecTimestamp, 1)
	fromS, oddS := inUnit(it.Timestamp, 1000)
	switch {
	case fromMs == 0:
		return fromS, oddS
	case fromS == 0:
		return fromMs, oddMs
	case it.MsecTimestamp/1000 == it.Timestamp:
		return it.MsecTimestamp, oddMs || oddS // they agree, in whatever year
	case fromMs-fromS > day || fromS-fromMs > day:
		return fromS, true
	default:
		return fromMs, oddMs || oddS
	}
}

// inUnit reads a time that should be in units of so many ms as what it is by its
// size: seconds, milliseconds, microseconds or nanoseconds of the years 1973 to
// 5138. odd says that it is in another unit, or is negative.
func inUnit(t, unit int64) (ms int64, odd bool) {
	switch {
	case t == 0:
		return 0, false
	case t < 0:
		return max(t, -1<<50/unit) * unit, true
	case t < 1e11:
		return t * 1000, unit != 1000
	case t < 1e14:
		return t, unit != 1
	case t < 1e17:
		return t / 1e3, true
	default:
		return t / 1e6, true
	}
}
