// SPDX-License-Identifier: Apache-2.0

//go:build !core || elasticsearch_v8

package main

// The elasticsearch_v8 output. Its client's typed API is slow to compile.
import _ "github.com/redpanda-data/connect/v4/public/components/elasticsearch/v8"
