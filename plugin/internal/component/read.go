// SPDX-License-Identifier: Apache-2.0

package component

import (
	"context"
	"errors"
	"io"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/reader"
)

// Next returns the next messages of one chat, oldest first, from a reader of this API,
// and service.ErrEndOfInput after the last. It is not connected while the API does not
// answer and nothing is left of what was read before.
func (h *Health) Next(ctx context.Context, r *reader.Reader) (*reader.Batch, error) {
	down := h.WhenDown()
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-down:
			cancel()
		case <-waiting.Done():
		}
	}()
	b, err := r.Next(waiting)
	switch {
	case errors.Is(err, io.EOF):
		return nil, service.ErrEndOfInput
	case errors.Is(err, reader.ErrClosed):
		return nil, service.ErrNotConnected
	case err != nil && ctx.Err() == nil:
		return nil, service.ErrNotConnected
	case err != nil:
		return nil, err
	}
	return b, nil
}

// ChatsOf counts the chats of a reader.
func ChatsOf(r *reader.Reader) int {
	n := 0
	for _, some := range r.Stats().Chats {
		n += some
	}
	return n
}
