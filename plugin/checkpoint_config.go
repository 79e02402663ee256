// SPDX-License-Identifier: Apache-2.0

package plugin

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

// checkpointFields returns those fields, with what they mean for an input.
func checkpointFields(input, cache, key, interval string) []*service.ConfigField {
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

// checkpointConfig is where progress is kept.
type checkpointConfig struct {
	checkpointCache    string
	checkpointCacheKey string
	checkpointInterval time.Duration
}

// checkpoint reads those fields.
func (r *fieldReader) checkpoint(input string, l labels) checkpointConfig {
	c := checkpointConfig{
		checkpointCache:    r.text(fieldCheckpointCache),
		checkpointCacheKey: read(r, r.conf.FieldString, fieldCheckpointCacheKey),
		checkpointInterval: r.duration(fieldCheckpointInterval, 0),
	}
	r.require(c.checkpointCacheKey != "", "%s: it is empty: want a prefix for the keys, as in %s", fieldCheckpointCacheKey, input)
	r.require(c.checkpointCache == "" || l.HasCache(c.checkpointCache),
		"%s: there is no cache resource with the label %q: add it under cache_resources, or correct the label", fieldCheckpointCache, c.checkpointCache)
	return c
}
