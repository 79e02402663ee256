// SPDX-License-Identifier: Apache-2.0

// Package crm lists chats, and reads talks and the events that announce their
// messages, through Kommo's CRM API: one page per call, with a bearer token.
//
// What it knows of that API is in chats-api.md, "Finding chats", "Messages of every
// channel" and "The event feed". It knows nothing of the order in which the API
// lists, of what changed since the last time, or of Benthos.
package crm
