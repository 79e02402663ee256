// SPDX-License-Identifier: Apache-2.0

// Package plugin registers the Redpanda Connect input kommo_chat_history, which
// reads the chat history of a Kommo (amoCRM) channel through the Chats API.
//
// Import it for its side effect in a build of Redpanda Connect or Benthos:
//
//	import _ "github.com/kommo-connect/kommo-connect/plugin"
//
// It depends on benthos alone. Inside, data flows one way:
//
//	amojo     signs and sends one call, returns one page
//	history   makes of pages the ordered messages of a chat, and schedules chats
//	plugin    makes of those batches, acknowledgements, checkpoints and metrics
package plugin
