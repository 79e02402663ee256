// SPDX-License-Identifier: Apache-2.0

// Package jsonscan reads JSON in a single pass: each byte is looked at once, to see that
// a body is JSON and to find the fields on the way. encoding/json takes one pass to find
// where a value ends and another to read it, for each level. It accepts what
// encoding/json would, and what it reads is the same; who uses it says what is read.
package jsonscan
