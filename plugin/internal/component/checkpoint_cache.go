// SPDX-License-Identifier: Apache-2.0

package component

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/internal/checkpoint"
)

// cacheTimeout bounds one access to the cache. An access that hangs would hold up its
// chat for ever, and nobody would be told.
const cacheTimeout = 30 * time.Second

// CacheStore keeps checkpoints in a cache resource, under a key for each scope and
// name. A name is, for instance, a chat's id.
type CacheStore struct {
	mgr    *service.Resources
	label  string
	prefix string // of the keys, with the scope
	decode func(value []byte) error
}

// NewCacheStore returns a store in the cache with a label. decode fails for a value
// that is not a whole checkpoint.
func NewCacheStore(mgr *service.Resources, label, prefix, scope string, decode func(value []byte) error) *CacheStore {
	return &CacheStore{mgr: mgr, label: label, prefix: keyPart(prefix, true) + "." + keyPart(scope, false) + ".", decode: decode}
}

// longestKey is how long a key may be, in bytes. Memcached takes 250, and most file
// systems 255.
const longestKey = 200

// Key returns the key of a chat. Whatever the id is, the key has only characters that
// files, Redis, Memcached, SQL, S3 and NATS take as they are. Where it would be too
// long it has a hash in place of the id.
func (s *CacheStore) Key(chat string) string {
	part := keyPart(chat, false)
	if len(s.prefix)+len(part)+len(spareSuffix) > longestKey {
		part = fmt.Sprintf("sha256-%x", sha256.Sum256([]byte(chat)))
	}
	return s.prefix + part
}

// spareSuffix ends a key that holds a checkpoint for a moment.
const spareSuffix = ".next"

func keyPart(s string, dots bool) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_',
			dots && (c == '.' || c == ':' || c == '/'):
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "=%02x", c)
		}
	}
	return b.String()
}

// spare is the key that holds a checkpoint while the chat's own key is written.
// The file cache truncates and then writes, so a process that is killed in
// between leaves an empty value: without the spare that chat would be read again
// from its beginning. At rest there is no spare key.
func (s *CacheStore) spare(chat string) string { return s.Key(chat) + spareSuffix }

// Load implements checkpoint.Store.
func (s *CacheStore) Load(ctx context.Context, chat string) ([]byte, error) {
	var value []byte
	err := s.access(ctx, func(ctx context.Context, c service.Cache) (err error) {
		if value, err = c.Get(ctx, s.Key(chat)); err != nil {
			return err
		}
		if torn := s.decode(value); torn == nil {
			return nil
		}
		spare, err := c.Get(ctx, s.spare(chat))
		if errors.Is(err, service.ErrKeyNotFound) {
			return nil
		}
		if torn := s.decode(spare); err == nil && torn == nil {
			value = spare
		}
		return err
	})
	if errors.Is(err, service.ErrKeyNotFound) {
		return nil, checkpoint.ErrNone
	}
	if err != nil {
		return nil, fmt.Errorf("reading checkpoint %s from cache %q: %w", s.Key(chat), s.label, err)
	}
	return value, nil
}

// Save implements checkpoint.Store.
func (s *CacheStore) Save(ctx context.Context, chat string, value []byte) error {
	err := s.access(ctx, func(ctx context.Context, c service.Cache) error {
		if err := c.Set(ctx, s.spare(chat), value, nil); err != nil {
			return err
		}
		if err := c.Set(ctx, s.Key(chat), value, nil); err != nil {
			return err
		}
		if err := c.Delete(ctx, s.spare(chat)); err != nil && !errors.Is(err, service.ErrKeyNotFound) {
			return err
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("writing checkpoint %s to cache %q: %w", s.Key(chat), s.label, err)
	}
	return nil
}

func (s *CacheStore) access(ctx context.Context, f func(context.Context, service.Cache) error) error {
	ctx, cancel := context.WithTimeout(ctx, cacheTimeout)
	defer cancel()
	var failed error
	if err := s.mgr.AccessCache(ctx, s.label, func(c service.Cache) { failed = f(ctx, c) }); err != nil {
		return err
	}
	return failed
}
