// SPDX-License-Identifier: Apache-2.0

//go:build !core || opensearch

package main

// The opensearch output.
import _ "github.com/redpanda-data/connect/v4/public/components/opensearch"
