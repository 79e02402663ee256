// SPDX-License-Identifier: Apache-2.0

// Package plugin registers two inputs of Redpanda Connect: kommo_chat_history,
// which reads the chat history of a Kommo (amoCRM) channel through the Chats API,
// and kommo_chats, which lists the chats of an account through the CRM API; and the
// processor kommo_message, of the package message.
//
// Import it for its side effect in a build of Redpanda Connect or Benthos:
//
//	import _ "github.com/kommo-connect/kommo-connect/plugin"
//
// It depends on benthos, and on gjson. Inside, data flows one way:
//
//	apicall   sends one call within the limit, and again where that helps
//	amojo     signs the call for a page of a chat's history
//	crm       makes the call for a page of an account's chats
//	history   makes of pages the ordered messages of a chat, and schedules chats
//	listing   makes of pages the chats that are new or have changed
//	plugin    makes of those batches, acknowledgements, checkpoints and metrics
package plugin
