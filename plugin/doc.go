// SPDX-License-Identifier: Apache-2.0

// Package plugin registers all components of Redpanda Connect that this module has.
//
// Import it for its side effect in a build of Redpanda Connect or Benthos:
//
//	import _ "github.com/kommo-connect/kommo-connect/plugin"
//
// Each component is a folder, and importing that folder registers it alone:
//
//	chathistory   input kommo_chat_history: the messages of a channel's chats, through the Chats API
//	chatlist      input kommo_chats: which chats there are and which have changed, through the CRM API
//	talkhistory   input kommo_talk_history: the conversations of all channels, through the CRM API
//	message       processor kommo_message: an item of an input to a flat, documented message
//
// All depend on benthos and not on Redpanda Connect. The folder sandbox is both APIs
// as a server, for tests of pipelines, and check finds out what an account and a channel
// answer.
//
// Inside, a package imports only what is below it, and no component another:
//
//	internal/component   what components share: fields, checkpoint cache, metrics, log lines
//	internal/replay      sends again what an output rejects
//	internal/reader      reads many chats: schedule, budget, acknowledgements, saving
//	internal/chat        makes of pages the ordered messages of one chat
//	internal/evidence    what the pages of an API show of its server
//	internal/feed        names the talks with news, from the event feed
//	internal/listing     makes of pages the chats that are new or have changed
//	internal/amojo       signs the call for a page of a chat's history
//	internal/crm         makes one call for talks, their messages or events
//	internal/apicall     sends one call within the limit, and again where that helps
package plugin
