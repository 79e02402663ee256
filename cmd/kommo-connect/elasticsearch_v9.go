// SPDX-License-Identifier: Apache-2.0

//go:build elasticsearch_v9

package main

// The elasticsearch_v9 output, only where its tag asks for it: each of the two clients
// for Elasticsearch is a quarter of the whole binary. The examples and the integration tests use that
// of version 8.
import _ "github.com/redpanda-data/connect/v4/public/components/elasticsearch/v9"
