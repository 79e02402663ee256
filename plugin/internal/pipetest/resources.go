// SPDX-License-Identifier: Apache-2.0

package pipetest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// Cache is a cache resource that fails when it is told to. It outlives the
// streams that use it.
type Cache struct {
	mu     sync.Mutex
	values map[string]string
	broken error // of every call
	hook   func(op, key string)
	sets   []CacheSet
}

// CacheSet is a value that was written.
type CacheSet struct {
	key, value string
	At         time.Time
}

// NewCache returns an empty one.
func NewCache() *Cache { return &Cache{values: map[string]string{}} }

func (c *Cache) call(op, key string) error {
	c.mu.Lock()
	hook := c.hook
	c.mu.Unlock()
	if hook != nil {
		hook(op, key)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken
}

// SetBroken has every call from now on fail; nil: none.
func (c *Cache) SetBroken(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = err
}

// Put replaces a value behind the back of who writes it.
func (c *Cache) Put(key, value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.values[key] = value
}

// Keys returns the keys that there are, sorted.
func (c *Cache) Keys() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.values))
}

// Value returns the value of a key; empty: there may be none.
func (c *Cache) Value(key string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.values[key]
}

// Forget loses everything, as a cache does that is restarted without its data.
func (c *Cache) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.values)
}

// Writes returns what was set under a key.
func (c *Cache) Writes(key string) []CacheSet {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.sets), func(s CacheSet) bool { return s.key != key })
}

// Get implements service.Cache.
func (c *Cache) Get(_ context.Context, key string) ([]byte, error) {
	if err := c.call("get", key); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	value, ok := c.values[key]
	if !ok {
		return nil, service.ErrKeyNotFound
	}
	return append([]byte(nil), value...), nil // nil for an empty one, as some caches have it
}

// Set implements service.Cache.
func (c *Cache) Set(_ context.Context, key string, value []byte, _ *time.Duration) error {
	if err := c.call("set", key); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.values[key] = string(value)
	c.sets = append(c.sets, CacheSet{key, string(value), time.Now()})
	return nil
}

// Add implements service.Cache.
func (c *Cache) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	return c.Set(ctx, key, value, ttl)
}

// Delete implements service.Cache.
func (c *Cache) Delete(_ context.Context, key string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.values, key)
	return nil
}

// Close implements service.Cache.
func (*Cache) Close(context.Context) error { return nil }

// Limit is a rate limit resource.
type Limit func() (time.Duration, error)

// Access implements service.RateLimit.
func (l Limit) Access(context.Context) (time.Duration, error) { return l() }

// Close implements service.RateLimit.
func (Limit) Close(context.Context) error { return nil }
