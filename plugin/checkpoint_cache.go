// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/kommo-connect/kommo-connect/plugin/history"
)

// cacheTimeout bounds one access to the cache. One that hangs would hold up its
// chat for ever without a word.
const cacheTimeout = 30 * time.Second

// cacheStore keeps checkpoints in a cache resource, one key for each scope and
// chat.
type cacheStore struct {
	mgr    *service.Resources
	label  string
	prefix string // of the keys, with the scope
}

func newCacheStore(mgr *service.Resources, label, prefix, scope string) *cacheStore {
	return &cacheStore{mgr: mgr, label: label, prefix: keyPart(prefix, true) + "." + keyPart(scope, false) + "."}
}

// key returns the key of a chat. It has only characters that files, Redis,
// Memcached, SQL, S3 and NATS all take as they are, whatever the chat is called.
func (s *cacheStore) key(chat string) string { return s.prefix + keyPart(chat, false) }

func keyPart(s string, dots bool) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
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

// Load implements history.Store.
func (s *cacheStore) Load(ctx context.Context, chat string) ([]byte, error) {
	var value []byte
	err := s.access(ctx, func(ctx context.Context, c service.Cache) (err error) {
		value, err = c.Get(ctx, s.key(chat))
		return err
	})
	if errors.Is(err, service.ErrKeyNotFound) {
		return nil, history.ErrNoCheckpoint
	}
	if err != nil {
		return nil, fmt.Errorf("reading checkpoint %s from cache %q: %w", s.key(chat), s.label, err)
	}
	if value == nil {
		// There is a key, but nothing in it: not the same as no key.
		value = []byte{}
	}
	return value, nil
}

// Save implements history.Store.
func (s *cacheStore) Save(ctx context.Context, chat string, value []byte) error {
	err := s.access(ctx, func(ctx context.Context, c service.Cache) error {
		return c.Set(ctx, s.key(chat), value, nil)
	})
	if err != nil {
		return fmt.Errorf("writing checkpoint %s to cache %q: %w", s.key(chat), s.label, err)
	}
	return nil
}

func (s *cacheStore) access(ctx context.Context, f func(context.Context, service.Cache) error) error {
	ctx, cancel := context.WithTimeout(ctx, cacheTimeout)
	defer cancel()
	var failed error
	if err := s.mgr.AccessCache(ctx, s.label, func(c service.Cache) { failed = f(ctx, c) }); err != nil {
		return err
	}
	return failed
}
