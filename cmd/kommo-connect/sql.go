// SPDX-License-Identifier: Apache-2.0

//go:build !core || sql

package main

// The sql_* components and the sql cache. The stock bundle brings eleven
// drivers; these are the three that the examples use. To use another, import
// its database/sql driver here.
import (
	_ "github.com/redpanda-data/connect/v4/public/components/sql/base"

	_ "github.com/ClickHouse/clickhouse-go/v2" // driver: clickhouse
	_ "github.com/lib/pq"                      // driver: postgres
	_ "modernc.org/sqlite"                     // driver: sqlite
)
