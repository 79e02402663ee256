// SPDX-License-Identifier: Apache-2.0

//go:build !core || mqtt

package main

// The mqtt input and output.
import _ "github.com/redpanda-data/connect/v4/public/components/mqtt"
