// SPDX-License-Identifier: Apache-2.0

package component

import (
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// The fields that say where progress is kept, of every input here. They are a
// public contract.
const (
	fieldCheckpointCache    = "checkpoint_cache"
	fieldCheckpointCacheKey = "checkpoint_cache_key"
	fieldCheckpointInterval = "checkpoint_interval"
)

// CheckpointFields returns those fields, with what they mean for an input.
func CheckpointFields(input, cache, key, interval string) []*service.ConfigField {
	return []*service.ConfigField{
		service.NewStringField(fieldCheckpointCache).
			Description(cache).
			Optional(),
		service.NewStringField(fieldCheckpointCacheKey).
			Description(key).
			Default(input).
			Advanced(),
		service.NewDurationField(fieldCheckpointInterval).
			Description(interval).
			Default("1s").
			Advanced(),
	}
}

// CheckpointConfig is where progress is kept. A component embeds it in its
// configuration.
type CheckpointConfig struct {
	CheckpointCache    string // the label; empty: none
	CheckpointCacheKey string
	CheckpointInterval time.Duration
}

// Checkpoint reads those fields.
func (r *FieldReader) Checkpoint(input string, l Labels) CheckpointConfig {
	c := CheckpointConfig{
		CheckpointCache:    r.Text(fieldCheckpointCache),
		CheckpointCacheKey: Read(r, r.Conf.FieldString, fieldCheckpointCacheKey),
		CheckpointInterval: r.Duration(fieldCheckpointInterval, 0),
	}
	r.Require(c.CheckpointCacheKey != "", "%s: it is empty: want a prefix for the keys, as in %s", fieldCheckpointCacheKey, input)
	r.Require(c.CheckpointCache == "" || l.HasCache(c.CheckpointCache),
		"%s: there is no cache resource with the label %q: add it under cache_resources, or correct the label", fieldCheckpointCache, c.CheckpointCache)
	return c
}
