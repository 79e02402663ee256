// SPDX-License-Identifier: Apache-2.0

//go:build !core || extended

package main

// What needs no network and is large: parquet_encode and parquet_decode, and
// processors for awk, XML, HTML, MessagePack and Protobuf.
import _ "github.com/redpanda-data/connect/v4/public/components/pure/extended"
