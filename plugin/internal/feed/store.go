// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/kommo-connect/kommo-connect/plugin/internal/checkpoint"
	"github.com/kommo-connect/kommo-connect/plugin/internal/listing"
)

// StoreError is an access to the Store that failed.
type StoreError = listing.StoreError

// value is one checkpoint in the Store.
type value struct {
	store checkpoint.Store // nil: nothing is kept
	name  string
	sum   [sha256.Size]byte // of what is in the Store
	wrote bool
}

// load returns what the Store has; nil if that is nothing.
func (v *value) load(ctx context.Context) ([]byte, error) {
	if v.store == nil {
		return nil, nil
	}
	b, err := v.store.Load(ctx, v.name)
	switch {
	case errors.Is(err, checkpoint.ErrNone):
		return nil, nil
	case err != nil:
		return nil, &StoreError{Err: err}
	case b == nil:
		b = []byte{} // it is there, and torn
	}
	v.sum, v.wrote = sha256.Sum256(b), true
	return b, nil
}

// lost reports whether what was written last is no longer in the Store.
func (v *value) lost(ctx context.Context) (bool, error) {
	if v.store == nil || !v.wrote {
		return false, nil
	}
	b, err := v.store.Load(ctx, v.name)
	switch {
	case errors.Is(err, checkpoint.ErrNone):
		return true, nil
	case err != nil:
		return false, &StoreError{Err: err}
	}
	return sha256.Sum256(b) != v.sum, nil
}

func (v *value) save(ctx context.Context, b []byte) error {
	if err := v.store.Save(ctx, v.name, b); err != nil {
		v.wrote = false // it may have been written all the same
		return &StoreError{Err: err}
	}
	v.sum, v.wrote = sha256.Sum256(b), true
	return nil
}

// sinceOf is Config.Since as a checkpoint has it.
func sinceOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
