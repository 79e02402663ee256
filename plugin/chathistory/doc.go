// SPDX-License-Identifier: Apache-2.0

// Package chathistory registers the input kommo_chat_history, which reads the chats of
// one's own channel through the signed Chats API.
//
// The reader (package reader) asks the source for pages and gives back batches of one
// chat, oldest message first. The input makes messages of them, and passes their
// acknowledgements on. The chats are listed in the configuration, or queued by another
// input (component.Queue).
package chathistory
