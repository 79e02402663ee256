// SPDX-License-Identifier: Apache-2.0

//go:build !core || elasticsearch_v9

package main

// The elasticsearch_v9 output. Its client's typed API is slow to compile.
import _ "github.com/redpanda-data/connect/v4/public/components/elasticsearch/v9"
