// SPDX-License-Identifier: Apache-2.0

//go:build !core || redis

package main

// The redis cache and rate limit, and the redis_* inputs, outputs and processors.
import _ "github.com/redpanda-data/connect/v4/public/components/redis"
