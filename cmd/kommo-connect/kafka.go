// SPDX-License-Identifier: Apache-2.0

//go:build !core || kafka

package main

// The redpanda, kafka_franz and kafka inputs and outputs. One of the files this
// adds is under a licence that is not open source: see docs/licences.md.
import _ "github.com/redpanda-data/connect/v4/public/components/kafka"
