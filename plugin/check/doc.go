// SPDX-License-Identifier: Apache-2.0

// Package check finds out what an account and a channel answer before anything is read
// from them: whether the credentials work, what of the API that is not documented is so,
// and how long a first reading takes. It asks with GET alone, never faster than the inputs
// would, and stops where the API refuses this address or asks for a long rest.
//
// It is exported for the command check of the binary kommo-connect, which can't import
// what is internal here, and for builds of one's own that want the same command. It knows
// nothing of Benthos.
//
//	config.go     what to ask, and how fast
//	check.go      the order of the questions, and when to stop
//	account.go, token.go, talks.go, feed.go, messages.go    the CRM API
//	named.go      whether the feed names the talks that are listed
//	channel.go, history.go                                  the signed Chats API
//	list.go       questions to anything that comes in pages
//	measure.go, offset.go, filter.go                        its length, its offsets, and its filter of time
//	entry.go, order.go                                      what its entries show
//	limits.go     clock, speed and limits, from what all answers had
//	estimate.go   what a first reading costs
//	recorder.go   keeps what the clients do not tell: headers, TLS, how an end is answered
//	finding.go, trouble.go, report.go    lines, and what may be given to others
//
// A Finding has an Answer: a word that stays the same from account to account, such as
// newest_first. What could not be seen, because there were too few messages for it, is
// not_seen.
package check
