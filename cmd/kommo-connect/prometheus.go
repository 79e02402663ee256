// SPDX-License-Identifier: Apache-2.0

package main

// The prometheus metrics exporter, served at /metrics.
import _ "github.com/redpanda-data/connect/v4/public/components/prometheus"
