// SPDX-License-Identifier: Apache-2.0

// Package sandbox is a Chats API server with the vendor's rules, and the calls of the
// CRM API that read a whole account, for demos, for tests and for authors of pipelines
// who have no channel of their own yet.
//
// It is written from the published facts alone and shares no code with the
// client, so that a mistake in the client's signature or paging shows here
// instead of cancelling out. It is strict where the vendor is said to be strict:
// signature, date window, Content-Type, Content-MD5 and limit.
//
// # One history request, step by step
//
//  1. The ledger notes its arrival. Refused requests count too.
//  2. The hook of [Server.OnRequest] runs, outside every lock. What it changes
//     (messages, faults) is already in force for this very request.
//  3. The faults of the clock and of the Date header are applied; the date window
//     follows the clock.
//  4. The rate limit answers 429, or 403 once it has blocked the client.
//  5. Latency and the delay fault pass.
//  6. Faults of the vendor's front answer: 5xx, 429, 403, resets, silence, redirects,
//     HTML.
//  7. Headers and signature are checked: 403 with one body for all reasons; then the
//     scope: 404.
//  8. Query parameters are checked: 400 with a JSON body.
//  9. Faults of the page answer: 400, 402, 404, foreign chats, cut and huge bodies,
//     bombs.
//  10. The page is served, with the faults that change what it holds.
//
// What is documented and what is assumed stands at the head of each file.
//
// The CRM calls go the same way, with a bearer token in place of the signature: 401
// where it is not known or has expired, 403 where it lacks a scope.
//
// # What there is
//
// A chat of the own channel holds items of the Chats API: [Server.Append] and its like
// change it. It has one talk, which shows its messages in the shape of the CRM. A talk
// of any other channel holds messages of the CRM itself: [Server.AppendTalk] and its
// like change it. Every message is announced in the event feed once, when it comes;
// nothing there tells of a change or a deletion, or follows from it.
//
// Locks are taken in this order: the talk list's, the server's, the account's.
//
// # Paths
//
// Everything below /sandbox/ controls the sandbox and is unsigned: serve it on a
// loopback address only. All other paths belong to the API.
package sandbox
