// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"context"
	"errors"
)

// Store keeps checkpoints across restarts, a small value for each chat.
//
// Load returns ErrNoCheckpoint for a chat that has none; every other error
// means that nothing is known, and Load is called again later. Save replaces
// the chat's value. Both are called from several goroutines, but never twice at
// once for one chat.
type Store interface {
	Load(ctx context.Context, chat string) ([]byte, error)
	Save(ctx context.Context, chat string, value []byte) error
}

// ErrNoCheckpoint is what a Store's Load returns for a chat it has nothing of.
var ErrNoCheckpoint = errors.New("no checkpoint")
