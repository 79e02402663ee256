// SPDX-License-Identifier: Apache-2.0

// Package checkpoint is how whoever makes progress and whoever keeps it talk to each
// other.
package checkpoint

import (
	"context"
	"errors"
)

// Store keeps checkpoints across restarts: a small value under each name, such as
// that of a chat.
//
// Load returns ErrNone for a name under which nothing is kept; every other error
// means that nothing is known, and Load is called again later. Save replaces the
// value. Both are called from several goroutines, but never twice at once for one
// name.
type Store interface {
	Load(ctx context.Context, name string) ([]byte, error)
	Save(ctx context.Context, name string, value []byte) error
}

// ErrNone is what a Store's Load returns for a name under which nothing is kept.
var ErrNone = errors.New("no checkpoint")
