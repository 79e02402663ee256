// SPDX-License-Identifier: Apache-2.0

// Package component is what the components of this plugin share: how they are
// registered and linted, the fields that all inputs have, the cache that keeps
// checkpoints, the metrics of requests, whether the API answers, and log lines that
// do not repeat themselves. What only the inputs that read messages share is in
// history_*.go, read.go and queue.go.
//
// A component is a folder beside this package's parent, with the same file names in
// each:
//
//	spec.go      the fields and their documentation
//	config.go    the fields, parsed and checked
//	input.go     the input: its registration, Connect, Read, Close, ConnectionTest
//	source.go    the pages of the API, as the reader or lister wants them
//	metadata.go  the messages that it makes
//	metrics.go   its metrics
//	report.go    its log lines
//	lint.go      what only its linting needs
package component
