// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"sync/atomic"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/amojo"
	"github.com/kommo-connect/kommo-connect/plugin/apicall"
	"github.com/kommo-connect/kommo-connect/plugin/history"
)

// source gives the reader the pages of the Chats API.
type source struct {
	client  *amojo.Client
	limiter *apicall.Limiter
	slow    time.Duration // how long all requests rest once refusals pile up

	refused atomic.Int32 // refusals since the last answer
}

// refusedInARow is how many refusals without an answer in between are taken to
// mean the channel or the address rather than one chat. It is more than one
// because a chat of another channel may be refused among many that are not
// (chats-api.md, "which chats").
const refusedInARow = 3

// Page implements history.Source.
func (s *source) Page(ctx context.Context, chat string, offset, limit int) ([]history.Item, error) {
	page, err := s.client.History(ctx, chat, offset, limit)
	if err != nil {
		var refused *amojo.RefusedError
		if errors.As(err, &refused) && s.refused.Add(1) >= refusedInARow {
			// With many chats there is always one whose turn it is. An
			// address that goes on asking is blocked.
			s.limiter.Pause(s.slow)
		}
		return nil, err
	}
	s.refused.Store(0)

	items := make([]history.Item, len(page.Items))
	for i := range page.Items {
		it := &page.Items[i]
		items[i] = history.Item{ID: identity(it), Time: sentAt(it), Value: it}
	}
	return items, nil
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
	sum := sha256.Sum256(it.Raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// sentAt returns when a message was sent, in Unix milliseconds; 0 if the API did
// not say.
func sentAt(it *amojo.Item) int64 {
	if it.MsecTimestamp > 0 {
		return it.MsecTimestamp
	}
	return it.Timestamp * 1000
}
