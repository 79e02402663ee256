// SPDX-License-Identifier: Apache-2.0

// Package pipetest runs pipelines of the inputs against a sandbox, for their tests:
// with an output, a cache, a rate limit and a queue that do as the test says, and
// books of what was logged and measured. It imports no component; a test imports
// those that it runs.
package pipetest
