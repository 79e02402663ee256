// SPDX-License-Identifier: Apache-2.0

//go:build !core || mongodb

package main

// The mongodb input, output, cache and processor.
import _ "github.com/redpanda-data/connect/v4/public/components/mongodb"
