// SPDX-License-Identifier: Apache-2.0

// Package talkhistory registers the input kommo_talk_history, which reads the
// conversations of all channels of an account through the CRM API.
//
// Talks are read as chathistory reads chats: the reader (package reader) gives each a
// pass (chat.FromTalks), and the input makes messages of what comes back. What names
// the talks is the configuration, another input, or the account's own feed
// (account.go).
//
// # What was announced
//
// The feed names messages, and not only talks, so that the input can tell whether what
// was announced has come out (announced.go). An announced message is in one of these
// states:
//
//	state     becomes  when
//	awaited   (none)   it comes out, or the talk's checkpoint or since covers it
//	awaited   late     its talk was read to the end, delivered and saved without it
//	late      (none)   it comes out: the talk is read again after a second, two, four …,
//	                   since lists lag behind the feed, and twice all of the talk is
//	                   looked through, since its time may be an old one (recovery.go)
//	late      missing  two minutes have passed, or seven seconds if it was announced an
//	                   hour ago or earlier, and all of the talk was looked through after
//	                   that: it is counted and reported, once
//
// The feed's own position moves over a talk when nothing of what it announced is
// awaited or late any more. Nor does a talk's checkpoint cover anything that is: it keeps the ids
// of what has come out since the first of these was announced, and of the last two and a half
// minutes, since events are late too (named.keepFrom). So a crash in between loses neither a
// message nor an alarm. What came out is remembered for a while, since some of it is announced
// only then; but a message with an old time that is announced after a crash comes once more.
package talkhistory
