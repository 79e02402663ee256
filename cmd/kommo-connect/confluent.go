// SPDX-License-Identifier: Apache-2.0

//go:build !core || confluent

package main

// The processors that ask a schema registry: schema_registry_encode and
// schema_registry_decode. They bring Avro, JSON Schema and Protobuf.
import _ "github.com/redpanda-data/connect/v4/public/components/confluent"
