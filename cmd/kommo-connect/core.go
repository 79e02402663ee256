// SPDX-License-Identifier: Apache-2.0

package main

// The parts that no build goes without: the plugin itself, what needs no
// network (mappings, batching, buffers, the memory and file caches), and files,
// standard streams, HTTP and sockets.
import (
	_ "github.com/redpanda-data/connect/v4/public/components/io"
	_ "github.com/redpanda-data/connect/v4/public/components/pure"

	_ "github.com/kommo-connect/kommo-connect/plugin"
)
