// SPDX-License-Identifier: Apache-2.0

//go:build !core || nats

package main

// The nats, nats_jetstream, nats_kv and nats_stream components.
import _ "github.com/redpanda-data/connect/v4/public/components/nats"
